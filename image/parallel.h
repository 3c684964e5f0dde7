/* SPDX-License-Identifier: MIT */
/* Work that falls into parts, done on all cores at once. */
#ifndef PVMM_IMAGE_PARALLEL_H
#define PVMM_IMAGE_PARALLEL_H

#include <stdint.h>

/* Does the part [from, end): any thread, in any order. */
typedef void pv_work(void *context, uint64_t from, uint64_t end);

/* 0..total in parts of `step`; returns when all are done. `threads`: 0: one for each core that this
 * process may use. Threads that cannot be had are done without. */
void pv_parallel(unsigned threads, uint64_t total, uint64_t step, pv_work *work, void *context);
unsigned pv_cores(void);

#endif
