/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and events (<xen/arch-x86/xen.h>, trap_info; <xen/callback.h>).
 *
 * Without a handler an exception is fatal: registers and a walk of the faulting address are
 * printed, and the domain crashes.
 */
#ifndef PVGUEST_TRAP_H
#define PVGUEST_TRAP_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

#define PVG_TRAP_EVENT 32u /* an event channel's upcall, as a vector of ours */
#define PVG_TRAPS      33u

struct pvg_trap {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error; /* 0 where the vector has no error code */
    uint64_t rip, cs, rflags, rsp, ss;
};

/* true: handled, the registers are as they shall be. A page fault's handler, like an event's,
 * begins with events masked; the return restores what was. The library is not to be called in a
 * handler that may have interrupted it, but for what only looks, prints or ends: the queue and the
 * lists in the middle of a change are nobody's to see. */
typedef bool pvg_trap_handler(struct pvguest *g, struct pvg_trap *t);

/* Sets a handler (NULL: none), returns the one before. Vectors are 0..31 of the processor, and
 * PVG_TRAP_EVENT; for others nothing is set, and NULL returned. */
pvg_trap_handler *pvg_trap_set(struct pvguest *g, unsigned vector, pvg_trap_handler *handler);
/* The address of the last page fault, as the hypervisor reports it (<xen/arch-x86/xen.h>,
 * arch_vcpu_info).
 */
uint64_t pvg_fault_address(struct pvguest *g);

/*
 * Calls f(arg). An exception in it that no handler takes comes back here: *t is what was met, and
 * the result false; otherwise true, and *t is as it was. Not nested: that is fatal.
 */
bool pvg_guarded(struct pvguest *g, void (*f)(void *), void *arg, struct pvg_trap *t);

#pragma GCC visibility pop

#endif
