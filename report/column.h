/* SPDX-License-Identifier: MIT */
/* A column of numbers, compressed as it comes (docs/report-format.md). */
#ifndef PVMM_REPORT_COLUMN_H
#define PVMM_REPORT_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

struct column {
    const char *name;
    unsigned bytes; /* of an element: 1, 2, 4 */
    bool delta;
    uint64_t count;
    uint32_t last;
    z_stream z;
    bool open, failed; /* out of memory */
    uint8_t *out;      /* the zlib stream, once it is ended */
    size_t size, room;
    uint8_t pending[16384];
    size_t used;
};

bool column_begin(struct column *c, const char *name, unsigned bytes, bool delta);
void column_add(struct column *c, uint32_t value);
/* false: out of memory, now or before. */
bool column_end(struct column *c);
void column_free(struct column *c);

#endif
