/* SPDX-License-Identifier: MIT */
/* From a path to a file that can be read in any order. */
#include "internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool.h"

int pv_tell(const struct pv_progress *p, const char *doing, uint64_t done, uint64_t total,
            struct pv_error *e)
{
    if (p && p->tell && !p->tell(p->context, doing, done, total))
        return pv_fail(e, "stopped while %s", doing);
    return 0;
}

/* A FIFO must not keep open() waiting: reading from it waits, and can be given up. */
static int open_path(const char *path)
{
    if (strcmp(path, "-") == 0)
        return fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Devices are not: some never end. */
static bool is_pipe(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static bool is_regular(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int pv_input_open(struct pv_file **out, const char *path, const struct pv_progress *progress,
                  struct pv_error *e)
{
    int fd = open_path(path);
    if (fd < 0)
        return pv_fail_errno(e, "cannot open it");
    if (is_pipe(fd) || (is_regular(fd) && pv_is_compressed(fd)))
        return pv_spool(out, fd, progress, e);
    return pv_file_new(out, fd, NULL, e);
}
