/* SPDX-License-Identifier: MIT */
/*
 * Exceptions, events and the other callbacks (<xen/arch-x86/xen.h>, trap_info; <xen/callback.h>).
 *
 * Whatever comes without a handler is fatal: registers and a walk of the faulting address are
 * printed, and the domain crashes.
 */
#ifndef PVGUEST_TRAP_H
#define PVGUEST_TRAP_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

/* The processor's 256 vectors, and the callbacks as vectors of ours. */
#define PVG_TRAP_EVENT     256u /* an event channel's upcall */
#define PVG_TRAP_SYSCALL   257u /* out of user mode */
#define PVG_TRAP_SYSCALL32 258u /* out of 32-bit user mode */
#define PVG_TRAP_FAILSAFE  259u /* selectors could not be loaded on the way back */
#define PVG_TRAPS          260u

struct pvg_trap {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error; /* 0 where the vector has no error code */
    uint64_t rip, cs, rflags, rsp, ss;
};

/* true: handled, the registers are as they shall be, and the return goes there: to user mode where
 * cs has privilege 3 (user.h), else to the kernel. Handlers begin with events masked; the return
 * restores what was. The library is not to be called in a
 * handler that may have interrupted it, but for what only looks, prints or ends: the queue and the
 * lists in the middle of a change are nobody's to see. */
typedef bool pvg_trap_handler(struct pvguest *g, struct pvg_trap *t);

/* Sets a handler (NULL: none), returns the one before. Vectors are below PVG_TRAPS; for others
 * nothing is set, and NULL returned. */
pvg_trap_handler *pvg_trap_set(struct pvguest *g, unsigned vector, pvg_trap_handler *handler);
/*
 * Tells the hypervisor the library's trap table and callbacks, as pvg_start() does: for whoever
 * told it others. All entries are for the kernel alone, but #BP and #OF.
 */
int pvg_trap_table(struct pvguest *g);
/* Where the hypervisor is to enter for a vector, in tables of one's own (INT n for user mode,
 * another vCPU's context). 0: there is no such vector. */
uint64_t pvg_trap_stub(unsigned vector);
/* The address of the last page fault, as the hypervisor reports it (<xen/arch-x86/xen.h>,
 * arch_vcpu_info).
 */
uint64_t pvg_fault_address(struct pvguest *g);

/*
 * Calls f(arg). An exception in it that no handler takes comes back here: *t is what was met, and
 * the result false; otherwise true, and *t is as it was. Not nested: that is fatal. So is an event
 * that no handler takes, as it would come again at once, unless a handler has masked events for the
 * way back (IF of t->rflags).
 */
bool pvg_guarded(struct pvguest *g, void (*f)(void *), void *arg, struct pvg_trap *t);

#pragma GCC visibility pop

#endif
