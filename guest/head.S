/* SPDX-License-Identifier: MIT */
/* The way in, the stack, and the page that the domain builder fills with hypercalls. */

    .set STACK_BYTES, 32768

    .text
    .globl pvg_entry
    .type pvg_entry, @function
/* <xen/xen.h>, start-of-day: RSI is start_info; the stack given may lie anywhere, and goes away. */
pvg_entry:
    cld
    leaq stack_top(%rip), %rsp
    xorl %ebp, %ebp
    movq %rsi, %rdi
    call kernel_main
    ud2 /* it does not return */
    .size pvg_entry, . - pvg_entry

    .globl pvg_hypercall_page
    .type pvg_hypercall_page, @object
    .balign 4096, 0
pvg_hypercall_page:
    .skip 4096, 0
    .size pvg_hypercall_page, 4096

    .section .bss
    .balign 16
stack:
    .skip STACK_BYTES
stack_top:

    .section .note.GNU-stack, "", @progbits
