/* SPDX-License-Identifier: MIT */
/* Where a file has nothing: it reads as zeroes there, and need not be read. */
#include "holes.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "types.h"

struct pv_holes {
    uint64_t pages;
    uint64_t data[]; /* a bit for each page that has some */
};

static void mark(struct pv_holes *h, uint64_t from, uint64_t to)
{
    for (; from < to && from < h->pages; from++)
        h->data[from / 64] |= 1ull << from % 64;
}

/* false: the file system does not tell. */
static bool look(struct pv_holes *h, int fd)
{
    for (off_t at = 0; (uint64_t)at >> PAGE_SHIFT_4K < h->pages;) {
        const off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0)
            return errno == ENXIO; /* nothing but a hole */
        at = lseek(fd, data, SEEK_HOLE);
        if (at <= data)
            return false;
        mark(h, (uint64_t)data >> PAGE_SHIFT_4K, ((uint64_t)at + PAGE_BYTES - 1) >> PAGE_SHIFT_4K);
    }
    return true;
}

struct pv_holes *pv_holes_find(int fd, uint64_t bytes)
{
    const uint64_t pages = bytes >> PAGE_SHIFT_4K;
    struct pv_holes *h = calloc(1, sizeof(*h) + (pages / 64 + 1) * sizeof(*h->data));
    if (!h)
        return NULL;
    h->pages = pages;
    if (!look(h, fd))
        mark(h, 0, pages);
    return h;
}

bool pv_holes_at(const struct pv_holes *h, uint64_t at)
{
    const uint64_t page = at >> PAGE_SHIFT_4K;
    return page < h->pages && !(h->data[page / 64] >> page % 64 & 1);
}
