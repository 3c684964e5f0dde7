/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls, through the hypercall page when the domain builder filled it, else a bare SYSCALL.
 * What they return is the ABI's: negative errno of <xen/errno.h>, or a result.
 */
#ifndef PVGUEST_HYPERCALL_H
#define PVGUEST_HYPERCALL_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

/*
 * `number` is one of __HYPERVISOR_* of <xen/xen.h>, below 128; then its arguments, those not needed
 * as 0, pointers as virtual addresses. Negative: an errno; else what that hypercall results in.
 * Page tables are better changed by pagetable.h, which knows what it has queued.
 */
int64_t pvg_hypercall(struct pvguest *g, unsigned number, uint64_t a, uint64_t b, uint64_t c,
                      uint64_t d, uint64_t e);

#pragma GCC visibility pop

#endif
