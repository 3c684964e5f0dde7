/* SPDX-License-Identifier: MIT */
/* Whole reads and writes at a place of a file. */
#include "internal.h"

#include <errno.h>
#include <unistd.h>

int pv_read_at(int fd, uint64_t at, void *to, size_t n, const char *what, struct pv_error *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, (uint8_t *)to + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pv_fail_errno(e, "cannot read %s", what);
        if (got == 0)
            return pv_fail(e, "cannot read %s: the file ends before", what);
        done += (size_t)got;
    }
    return 0;
}

int pv_write_at(int fd, uint64_t at, const void *from, size_t n, const char *what,
                struct pv_error *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(fd, (const uint8_t *)from + done, n - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return pv_fail_errno(e, "cannot write %s", what);
        if (put == 0)
            return pv_fail(e, "cannot write %s: nothing more goes into the file", what);
        done += (size_t)put;
    }
    return 0;
}
