/* SPDX-License-Identifier: MIT */
/* Writes a dump-core of a made guest, for tests of the commands: made-dump FILE. */
#include "made.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct pv_error e = {.text = "one file is wanted"};
    int fd = argc == 2 ? open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    if (fd < 0) {
        perror("made-dump");
        return 1;
    }
    struct made *m = made_new(8, 0);
    made_publish_linear(m);
    struct pv_view *v = made_open(m);
    int rc = pv_dumpcore_write(v, fd, NULL, &e);
    if (rc)
        fprintf(stderr, "made-dump: %s\n", e.text);
    pv_close(v);
    made_free(m);
    close(fd);
    return rc ? 1 : 0;
}
