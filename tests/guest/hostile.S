/* SPDX-License-Identifier: MIT */
/* What only a hostile kernel does: attack.h. */

    .text
    .globl raw_call
raw_call:
    movq %rdi, %rsp
    movl %esi, %eax
    movq %rdx, %rdi
    movq %rcx, %rsi
    syscall
    ud2

    .globl bare_run
bare_run:
    pushq %rdi
    xorl %eax, %eax
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %ebx, %ebx
    xorl %ebp, %ebp
    xorl %esi, %esi
    xorl %edi, %edi
    ret

    .globl far_jump
far_jump:
    pushq $0xe02b
    pushq %rdx
    pushq %rcx
    pushq %rdi
    pushq %rsi
    iretq

    .section .note.GNU-stack, "", @progbits
