/* SPDX-License-Identifier: MIT */
/*
 * The registers of an interrupted guest or of the hypervisor, as entry.S pushes them: this layout
 * and the pushes there must agree (entry.S takes the offsets from asm_offsets.h, which is generated
 * from this header).
 */
#ifndef PVMM_HV_REGS_H
#define PVMM_HV_REGS_H

#include <stdint.h>

struct regs {
    uint64_t r15, r14, r13, r12, rbp, rbx;
    uint64_t r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector;     /* trap vector; VECTOR_SYSCALL for SYSCALL */
    uint64_t error_code; /* 0 where the CPU pushes none */
    uint64_t rip, cs, rflags, rsp, ss;
};

#define VECTOR_SYSCALL   0x100u
#define VECTOR_SYSCALL32 0x101u /* SYSCALL from compatibility mode */
#define VECTOR_UPCALL    0x102u /* an event, of which the guest died */

#endif
