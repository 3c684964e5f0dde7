/* SPDX-License-Identifier: MIT */
/*
 * The queue of page-table updates.
 *
 * Outside lazy mode each change is made before its function returns. In lazy mode changes collect,
 * neighbouring ones in one mmu_update, all in one multicall, and are made when the queue is full, on
 * pvg_lazy_flush() or when the outermost pvg_lazy_leave() is reached. Whoever reads a table or
 * touches a mapping in between flushes first.
 */
#ifndef PVGUEST_BATCH_H
#define PVGUEST_BATCH_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

/* The first element of a batch that was refused. The elements before it stand (R10), those behind
 * it in the same batch were not made, or, in other calls of the multicall, were tried regardless. */
struct pvg_batch_error {
    int code;          /* the ABI's errno, negative */
    unsigned index;    /* of the element, counted over the batch */
    unsigned elements; /* of the batch */
    unsigned made;     /* elements that took effect */
    uint64_t where;    /* machine address of the entry, or the virtual address */
    uint64_t value;
};

void pvg_lazy_enter(struct pvguest *g); /* may be nested */
/* 0, or the first refusal since the last flush; pvg_reason() names the element. */
int pvg_lazy_flush(struct pvguest *g);
int pvg_lazy_leave(struct pvguest *g);
/* About the last flush that failed. */
const struct pvg_batch_error *pvg_batch_error(struct pvguest *g);

#pragma GCC visibility pop

#endif
