/* SPDX-License-Identifier: MIT */
/* From a path to a file that can be read in any order. */
#include "internal.h"

#include <fcntl.h>
#include <unistd.h>

int pv_tell(const struct pv_progress *p, const char *doing, uint64_t done, uint64_t total,
            struct pv_error *e)
{
    if (p && p->tell && !p->tell(p->context, doing, done, total))
        return pv_fail(e, "stopped while %s", doing);
    return 0;
}

int pv_input_open(struct pv_file **out, const char *path, const struct pv_progress *progress,
                  struct pv_error *e)
{
    (void)progress;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not keep it waiting */
    if (fd < 0)
        return pv_fail_errno(e, "cannot open it");
    return pv_file_new(out, fd, NULL, e);
}
