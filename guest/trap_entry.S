/* SPDX-License-Identifier: MIT */
/* Ways in from the hypervisor, and back; calls that may trap. */
#include "trap.h"

/*
 * RCX and R11 lie lowest in the frame, as SYSRET may have brought us here; then the error code, of
 * those exceptions that have one (AMD64 APM vol. 2, 8.2), and what IRETQ would take.
 */
    .text
    .globl trap_stubs
    .hidden trap_stubs
    .balign 16
trap_stubs:
    .set vector, 0
    .rept TRAP_FAILSAFE
    .balign TRAP_STUB_BYTES
    popq %rcx
    popq %r11
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    pushq $0
    .endif
    pushq $vector
    jmp enter
    .set vector, vector + 1
    .endr
/* The last, as it is longer: four selectors more, those of the data segments. */
    .balign TRAP_STUB_BYTES
    popq %rcx
    popq %r11
    addq $32, %rsp
    pushq $0
    pushq $TRAP_FAILSAFE

enter:
    cld
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %rdi
    call trap_entry
leave:
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi

/*
 * HYPERVISOR_iret (struct iret_context of <xen/arch-x86/xen-x86_64.h>): RFLAGS.IF becomes the event
 * mask in the same step, so that no event comes between unmasking and returning. Privilege 3 in CS
 * means user mode, as it did on the way in; above CS the event mask may stand. The error's word takes
 * the flags, none, and the vector's takes RCX.
 */
    movq $0, 8(%rsp)
    movq %rcx, (%rsp)
    movzwl 24(%rsp), %ecx
    movq %rcx, 24(%rsp)
    pushq %r11
    pushq %rax
    movl $HYPERCALL_IRET, %eax
    syscall
    ud2

/* What a callee must keep, and RSP at a multiple of 16 for calls. */
    .macro KEEP_REGISTERS
    .irp r, rbx, rbp, r12, r13, r14, r15
    pushq %\r
    .endr
    subq $8, %rsp
    .endm

    .macro RETURN_WITH_REGISTERS
    addq $8, %rsp
    .irp r, r15, r14, r13, r12, rbp, rbx
    popq %\r
    .endr
    ret
    .endm

/* bool guarded_call(void (*f)(void *), void *arg): true when f came back. */
    .globl guarded_call, guarded_out
    .hidden guarded_call, guarded_out
guarded_call:
    KEEP_REGISTERS
    movq %rsp, guard_rsp(%rip)
    movq %rdi, %rax
    movq %rsi, %rdi
    call *%rax
    movl $1, %eax
    jmp 1f
/* Where trap_entry() lets an exception return to instead, with guard_rsp in RSP. */
guarded_out:
    xorl %eax, %eax
1:  movq $0, guard_rsp(%rip)
    RETURN_WITH_REGISTERS

/*
 * int user_enter(struct pvguest *g, const struct pvg_trap *frame): to user mode with a copy of the frame,
 * lowest on the stack. What lies above it is kept for user_out, where trap_entry() lets a trap out of user
 * mode return to, with RSP as user_stack() was told. That one refuses: back with what it said.
 */
    .globl user_enter, user_out
    .hidden user_enter, user_out
user_enter:
    KEEP_REGISTERS
    movq %rsi, %rbx
    movq %rsp, %rsi
    call user_stack
    testl %eax, %eax
    jnz 1f
    subq $(TRAP_FRAME_WORDS * 8), %rsp
    movq %rbx, %rsi
    movq %rsp, %rdi
    movl $TRAP_FRAME_WORDS, %ecx
    rep movsq
    jmp leave
user_out:
    xorl %eax, %eax
1:  RETURN_WITH_REGISTERS

/* uint64_t pvg_safe_load(uint64_t va, uint64_t otherwise): a page fault goes to the second half. */
    .globl pvg_safe_load, safe_load_missed
    .hidden pvg_safe_load, safe_load_missed
pvg_safe_load:
    movq (%rdi), %rax
    ret
safe_load_missed:
    movq %rsi, %rax
    ret

    .section .bss
    .balign 8
    .globl guard_rsp
    .hidden guard_rsp
guard_rsp:
    .skip 8

    .section .note.GNU-stack, "", @progbits
