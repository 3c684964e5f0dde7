/* SPDX-License-Identifier: MIT */
/* A guest's memory: arrays at virtual addresses, behind pv_read_va() and pv_walk(). */
#ifndef PVMM_TESTS_SYMBOLS_FAKE_H
#define PVMM_TESTS_SYMBOLS_FAKE_H

#include "symbols.h"

void fake_clear(void);
/* `bytes` of zeroes at `va` (both multiples of 4096), or what is there already. */
uint8_t *fake_map(uint64_t va, size_t bytes, bool executable);
/* Where `va` lies; the test fails if it is not mapped. */
uint8_t *fake_at(uint64_t va);
void fake_put(uint64_t va, const void *from, size_t n);
void fake_put64(uint64_t va, uint64_t value);

#endif
