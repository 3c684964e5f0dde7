/* SPDX-License-Identifier: MIT */
#ifndef PVMM_IMAGE_SYMBOLS_CALLS_H
#define PVMM_IMAGE_SYMBOLS_CALLS_H

#include "symbols.h"

#define CALL_BYTES                                                                                 \
    8u /* the longest: SIB, displacement of 32 bits, REX; a prefix may be left out                 \
        */

struct call {
    bool direct;
    uint64_t target; /* of a direct one */
};

/* Is the last instruction of `code`, which ends at `end`, a call? */
bool call_before(const uint8_t *code, size_t bytes, uint64_t end, struct call *out);

#endif
