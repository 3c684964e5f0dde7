/* SPDX-License-Identifier: MIT */
/* Any image, as pv_open() recognises it: the seeds decide which parser is met. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    static char path[64];
    struct pv_view *v;
    struct pv_error e = {""};
    if (fd < 0) {
        fd = memfd_create("input", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }
    if (ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n)
        abort();
    if (pv_open(&v, path, &(struct pv_open_options){.domain = -1}, &e)) {
        if (!e.text[0])
            abort();
        return 0;
    }
    ask_at_turn(v, n ? data[n - 1] : 0);
    pv_close(v);
    return 0;
}
