/* SPDX-License-Identifier: MIT */
/*
 * User mode, for a kernel without a scheduler: a call that runs user code until it comes back.
 */
#ifndef PVGUEST_USER_H
#define PVGUEST_USER_H

#include <pvguest/space.h>
#include <pvguest/trap.h>

#pragma GCC visibility push(default)

#define PVG_USER_CS 0xe033u /* FLAT_RING3_CS64 of <xen/arch-x86/xen-x86_64.h> */
#define PVG_USER_SS 0xe02bu /* FLAT_RING3_SS64 */

/*
 * Runs user code in the space that is loaded, with the registers of *t: rip, rsp, rflags (IF is
 * always set: events are not masked in user mode), and the general ones; cs and ss are the
 * library's choice. Comes back when the code makes a system call, takes an exception that no
 * handler takes, or meets an event that none takes: *t has its registers and t->vector says which
 * (PVG_TRAP_SYSCALL, PVG_TRAP_SYSCALL32, PVG_TRAP_EVENT, or the processor's vector, with t->error,
 * and of a page fault pvg_fault_address()); events are masked, or not, as they were before. Called
 * again with *t it goes on; after SYSCALL rip is behind the instruction, and rcx and r11 are what
 * the instruction made of them.
 *
 * Events that a handler takes do not end it. One that none takes does so once: its port stays
 * pending for who asks (pvg_event_take()), and the code can go on with that.
 *
 * 0; -XEN_EINVAL: no space with a user root is loaded, or rip or rsp is not in the lower half;
 * -XEN_EBUSY: inside itself or pvg_guarded(); or what the hypervisor said. Floating point and
 * vector registers are whatever they were: the library saves none.
 */
int pvg_user_run(struct pvguest *g, struct pvg_trap *t);

#pragma GCC visibility pop

#endif
