/* SPDX-License-Identifier: MIT */
/* What the readers of a kernel's file share. Every offset and length in it is checked before use.
 */
#ifndef PVMM_BUILDER_READER_H
#define PVMM_BUILDER_READER_H

#include <stddef.h>

#include "guest_image.h"

#define PHDR_BYTES 56u
#define SHDR_BYTES 64u

struct reader {
    const uint8_t *file;
    uint64_t bytes;
    struct guest_image *image;
    struct builder_error *error;
};

/* A table of headers in the file. */
struct header_table {
    const uint8_t *at;
    uint64_t count;
};

/* guest_image.c: finds the program headers or the sections; there may be none. */
bool guest_find_headers(const struct reader *r, bool sections, struct header_table *table);

/* guest_notes.c: what the kernel says of itself, in whatever way it does. */
bool guest_notes_read(const struct reader *r, const struct header_table *segments);

/* The number of `bytes` bytes, at most 8. */
static inline uint64_t number_at(const uint8_t *p, unsigned bytes)
{
    uint64_t n = 0;
    for (unsigned i = bytes; i-- > 0;)
        n = n << 8 | p[i];
    return n;
}

static inline bool in_file(const struct reader *r, uint64_t offset, uint64_t bytes)
{
    return offset <= r->bytes && bytes <= r->bytes - offset;
}

static inline bool same_bytes(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

#endif
