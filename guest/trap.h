/* SPDX-License-Identifier: MIT */
/* Numbers that trap.c and trap_entry.S share. */
#ifndef PVGUEST_GUEST_TRAP_H
#define PVGUEST_GUEST_TRAP_H

#define TRAP_FAILSAFE    259 /* PVG_TRAP_FAILSAFE: the last */
#define TRAP_STUB_BYTES  16
#define TRAP_FRAME_WORDS 22 /* of struct pvg_trap */
#define HYPERCALL_IRET   23 /* __HYPERVISOR_iret */

#endif
