/* SPDX-License-Identifier: MIT */
/* Writes the dump of a made guest for tests of commands: made-guest FILE [broken]. Broken: its root
 * is mapped writable. */
#include "made.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FLAGS (PTE_PRESENT | PTE_ACCESSED | PTE_USER | PTE_GLOBAL)

int main(int argc, char **argv)
{
    struct pv_error e;
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0644) : -1;
    struct made *m = made_new(8, 0);
    made_context(m)->gdt_ents = made_context(m)->ldt_ents = 0;
    if (argc > 2)
        made_map(m, m->root, KERNEL_VA + 100 * 4096, m->root, FLAGS | PTE_RW);
    struct pv_view *v = made_open(m);
    int rc = pv_dumpcore_write(v, fd, NULL, &e);
    if (rc)
        fprintf(stderr, "%s\n", e.text);
    pv_close(v);
    made_free(m);
    close(fd);
    return rc ? 1 : 0;
}
