/* SPDX-License-Identifier: MIT */
/* Whole reads and writes at a place of a file. */
#include "internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

/* ---- struct pv_file */

static int look_at(struct pv_file *f, struct pv_error *e)
{
    struct stat st;
    if (fstat(f->fd, &st) < 0)
        return pv_fail_errno(e, "cannot look at it");
    if (!S_ISREG(st.st_mode))
        return pv_fail(e, "not a regular file");
    f->bytes = (uint64_t)st.st_size;
    return 0;
}

int pv_file_new(struct pv_file **out, int fd, const char *spooled, struct pv_error *e)
{
    struct pv_file *f = calloc(1, sizeof(*f));
    if (!f) {
        close(fd);
        return pv_no_memory(e);
    }
    f->fd = fd;
    f->spooled = spooled;
    if (look_at(f, e)) {
        pv_file_close(f);
        return -1;
    }
    *out = f;
    return 0;
}

static bool fits(const struct pv_file *f, uint64_t at, uint64_t n)
{
    return at <= f->bytes && n <= f->bytes - at;
}

/* Two threads may both map it: one of the maps is dropped. */
static const uint8_t *map_of(const struct pv_file *of)
{
    struct pv_file *f = (struct pv_file *)(uintptr_t)of; /* what is in it does not change */
    uintptr_t known = atomic_load(&f->map);
    if (known)
        return (const uint8_t *)known;
    void *map = mmap(NULL, f->bytes, PROT_READ, MAP_SHARED, f->fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (atomic_compare_exchange_strong(&f->map, &known, (uintptr_t)map))
        return map;
    munmap(map, f->bytes);
    return (const uint8_t *)known;
}

int pv_file_read(const struct pv_file *f, uint64_t at, void *to, size_t n, const char *what,
                 struct pv_error *e)
{
    if (!fits(f, at, n))
        return pv_fail(e, "cut short: %s would lie at %llx, the file has %llu bytes", what,
                       (unsigned long long)at, (unsigned long long)f->bytes);
    /* An entry of a table, say, which may lie at any place of a stream: a walk has many of them. */
    const uint8_t *map = n <= sizeof(uint64_t) ? map_of(f) : NULL;
    if (map) {
        memcpy(to, map + at, n);
        return 0;
    }
    return pv_read_at(f->fd, at, to, n, what, e);
}

const void *pv_file_map(struct pv_file *f, uint64_t at, uint64_t n)
{
    if (!fits(f, at, n) || at % sizeof(uint64_t))
        return NULL;
    const uint8_t *map = map_of(f);
    return map ? map + at : NULL;
}

void pv_file_close(struct pv_file *f)
{
    if (!f)
        return;
    if (f->map)
        munmap((void *)f->map, f->bytes);
    close(f->fd);
    free(f);
}
