/* SPDX-License-Identifier: MIT */
/* Guest entry and exit: who gets a trap, and how the guest is made to take one. */
#ifndef PVMM_HV_TRAPS_H
#define PVMM_HV_TRAPS_H

#include "vcpu.h"

/* An upcall is pending and not masked. */
static inline bool event_due(const struct vcpu *v)
{
    return *(volatile uint8_t *)&v->info->evtchn_upcall_pending &&
           !*(volatile uint8_t *)&v->info->evtchn_upcall_mask;
}

/* ---- from entry.S (traps.c) */

/* Every entry that came from the guest: traps and interrupts, SYSCALL, and SYSCALL from 32-bit
 * code. On return the guest goes on with *r. The commonest of what they call is not inlined, so
 * that none pays for what another has to save. */
void guest_entry(struct regs *r);
void guest_syscall(struct regs *r);
void guest_syscall32(struct regs *r);
/* An exception or interrupt inside the hypervisor itself. */
void host_entry(struct regs *r);
/* NMI, #MC, #DF, from anywhere. */
void ist_entry(struct regs *r);
/* Goes on with the guest; `r` at its place on the CPU's stack. */
_Noreturn void resume_guest(struct regs *r);

/* A trap of the guest's came on a stack of its own: its registers go where those of other traps
 * lie. */
struct regs *to_guest_stack(const struct regs *r);

/* Runs `v` for the first time; never returns. Loads roots, segments, GDT. */
_Noreturn void vcpu_start(struct vcpu *v);

/* ---- bounce.c: making the guest take something */

/* Delivers exception `vector` to the guest through its trap table: switches to guest-kernel mode,
 * builds the frame. For #PF, `address` goes to vcpu_info.arch.cr2. Kills the domain when it
 * has no handler or no stack for it. */
void bounce_exception(struct vcpu *v, struct regs *r, unsigned vector, uint32_t error_code);
void bounce_page_fault(struct vcpu *v, struct regs *r, uint32_t error_code, uint64_t address);
/* Delivers `INT vector`: like an exception, without an error code. */
void bounce_interrupt(struct vcpu *v, struct regs *r, unsigned vector);
/* Delivers an event upcall / a SYSCALL made in user mode. */
void bounce_event(struct vcpu *v, struct regs *r);
void bounce_syscall(struct vcpu *v, struct regs *r);

/* HYPERVISOR_iret: takes the frame from the guest's stack. */
void guest_iret(struct vcpu *v, struct regs *r);

/* Switches between guest-kernel and guest-user mode: GS bases and CR3. */
void enter_guest_kernel(struct vcpu *v);
void enter_guest_user(struct vcpu *v);

/* Something is to be seen to before the guest goes on; attend() sets it. */
extern bool attention;
/* Pending work, blocking, NMIs, the domain's end (sched.c). May idle the CPU. */
void see_to_guest(struct vcpu *v, struct regs *r);
/* On every way back into the guest: nearly always there is nothing to do. When it returns, *r may
 * run. */
static inline void before_guest(struct vcpu *v, struct regs *r)
{
    if (__builtin_expect(attention, false))
        see_to_guest(v, r);
    if (__builtin_expect(event_due(v), false))
        bounce_event(v, r);
}

/* domain.c: called by guest_iret on each return to user mode; notes the first one. */
void first_user_entry(struct vcpu *v);

/* ---- emulate.c, ptwrite.c */

/* A #GP or #UD from guest-kernel mode: privileged instruction or forced CPUID.
 * true: done, rip advanced. */
bool emulate_privileged(struct vcpu *v, struct regs *r);
/* A write fault from guest-kernel mode at `va`, page present: a store to an L1 table? */
enum table_write {
    TABLE_WRITE_NONE,    /* no: the fault is the guest's */
    TABLE_WRITE_DONE,    /* or to be tried again */
    TABLE_WRITE_REFUSED, /* and reported; the fault is the guest's */
};
enum table_write emulate_table_write(struct vcpu *v, struct regs *r, gva_t va);

/* ---- hypercall.c */

/* rax = number, rdi rsi rdx r10 r8 = arguments; result to rax, or rip rewound to restart. */
void do_hypercall(struct vcpu *v, struct regs *r);
/* HYPERVISOR_iret by itself: the commonest call has no result and no arguments but the stack. */
void do_iret(struct vcpu *v, struct regs *r);

#endif
