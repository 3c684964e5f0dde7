/* SPDX-License-Identifier: MIT */
/*
 * The queue of page-table updates.
 *
 * Outside lazy mode each change is made before its function returns. In lazy mode changes collect,
 * neighbouring ones in one mmu_update, all in one multicall, and are made when the queue is full,
 * on pvg_lazy_flush() or when the outermost pvg_lazy_leave() is reached. Whoever reads a table or
 * touches a mapping in between flushes first.
 */
#ifndef PVGUEST_BATCH_H
#define PVGUEST_BATCH_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

/* In a batch: pvg_set_va() and pvg_set_entry(). All else that changes mappings is made at once,
 * what is queued before it. */

/* The first element of a batch that was refused. The elements before it stand (R10), those behind
 * it in the same batch were not made, or, in other calls of the multicall, were tried regardless.
 */
struct pvg_batch_error {
    int code;          /* the ABI's errno, negative */
    unsigned index;    /* of the element, counted over the batch */
    unsigned elements; /* of the batch */
    unsigned made;     /* elements that took effect */
    uint64_t where; /* machine address of the entry (its low bits: MMU_*), or the virtual address */
    uint64_t value; /* the entry that was to be stored there */
};

/* May be nested; each needs its pvg_lazy_leave(). Cannot fail, and makes nothing. */
void pvg_lazy_enter(struct pvguest *g);
/* Makes what is queued, in lazy mode or not. 0, or the first refusal since the last call of this
 * kind, as the hypervisor gave it (negative errno); pvg_reason() names the element. */
int pvg_lazy_flush(struct pvguest *g);
/* As pvg_lazy_flush() when it is the outermost, else 0. -XEN_EINVAL: lazy mode was not entered. */
int pvg_lazy_leave(struct pvguest *g);
/* About the last refusal; all 0: there was none. The pointer stays good, its content until the
 * next. */
const struct pvg_batch_error *pvg_batch_error(struct pvguest *g);

#pragma GCC visibility pop

#endif
