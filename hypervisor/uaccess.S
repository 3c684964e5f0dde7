/* SPDX-License-Identifier: MIT */
/*
 * Copies that may fault. The exception table pairs the instruction that may fault with the place
 * to go on at; host_entry() looks faults of the hypervisor up in it.
 */

/* bool fallible_copy(void *to, const void *from, uint64_t bytes): false after a fault */
    .text
    .globl fallible_copy
fallible_copy:
    movq %rdx, %rcx
    shrq $3, %rcx
    andl $7, %edx
1:  rep movsq
    movl %edx, %ecx
2:  rep movsb
    movl $1, %eax
    ret
3:  xorl %eax, %eax
    ret

    .section .exception_table, "a", @progbits
    .quad 1b, 3b
    .quad 2b, 3b

    .section .note.GNU-stack, "", @progbits
