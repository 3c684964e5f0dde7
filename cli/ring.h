/* SPDX-License-Identifier: MIT */
/* A stream of bytes of which the last `size` are kept: byte i lies at data[i % size]. */
#ifndef PVMM_CLI_RING_H
#define PVMM_CLI_RING_H

#include <stddef.h>
#include <stdint.h>

struct ring {
    const volatile char *data; /* NULL: nothing was written yet */
    uint64_t size;
    uint64_t written; /* bytes ever */
};

/*
 * Copy what follows byte `*at`, at most `room` bytes, and move on. Bytes that are no longer kept
 * are skipped and added to `*lost`.
 */
size_t ring_read(const struct ring *r, uint64_t *at, uint64_t *lost, char *to, size_t room);

#endif
