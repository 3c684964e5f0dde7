/* SPDX-License-Identifier: MIT */
/* The test guest's notes, entry, hypercalls and traps. */

    .macro NOTE_WORD type, value
    .balign 4
    .long 4, 8, \type
    .asciz "Xen"
    .quad \value
    .endm

    .macro NOTE_TEXT type, text
    .balign 4
    .long 4, 9f - 8f, \type
    .asciz "Xen"
8:  .asciz "\text"
9:
    .balign 4
    .endm

    .section .note.Xen, "a", @note
    NOTE_TEXT 6, "pvmm-test"        /* GUEST_OS */
    NOTE_TEXT 5, "xen-3.0"          /* XEN_VERSION */
    NOTE_TEXT 8, "generic"          /* LOADER */
    NOTE_TEXT 9, "yes"              /* PAE_MODE */
    NOTE_WORD 1, start              /* ENTRY */
    NOTE_WORD 3, 0xffffffff80000000 /* VIRT_BASE */
    NOTE_WORD 4, 0                  /* PADDR_OFFSET */
    NOTE_WORD 17, 1 << 11           /* SUPPORTED_FEATURES: may be the initial domain */

    .text
    .globl start
start:
    cld
    leaq stack_end(%rip), %rsp
    xorl %ebp, %ebp
    movq %rsi, %rdi
    call guest_main
1:  jmp 1b

/* ---- traps: the frame has rcx and r11 lowest, then the error code if there is one */

    .globl trap_stubs
    .balign 16
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    popq %rcx
    popq %r11
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    pushq $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
    .endr

    .macro ENTRY_STUB name, number
    .globl \name
    .balign 16
\name:
    popq %rcx
    popq %r11
    pushq $0
    pushq $\number
    jmp trap_common
    .endm

    ENTRY_STUB event_entry, 256
    ENTRY_STUB syscall_entry, 257
    ENTRY_STUB syscall32_entry, 258

    /* Four selectors more. */
    .globl failsafe_entry
    .balign 16
failsafe_entry:
    popq %rcx
    popq %r11
    addq $32, %rsp
    pushq $0
    pushq $259
    jmp trap_common

trap_common:
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
    addq $16, %rsp
    orl $3, 8(%rsp)
    iretq

/* ---- running what may trap */

/* uint64_t guarded(void (*f)(void *), void *arg): 0, or whatever trap_entry() gave to unguard */
    .globl guarded, unguard
guarded:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, guard_rsp(%rip)
    movq %rdi, %rax
    movq %rsi, %rdi
    call *%rax
    xorl %eax, %eax
    jmp 1f
unguard:
    cld
    movq guard_rsp(%rip), %rsp
1:  movq $0, guard_rsp(%rip)
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

/* ---- for the hostile guest */

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

    .section .bss
    .balign 4096
    .globl stack, stack_end, kernel_stack_end, guard_rsp
stack:
    .skip 32768
stack_end:
    .skip 8192
kernel_stack_end:
    .skip 8192 /* room above, for whoever reads a frame past the end */
guard_rsp:
    .skip 8

    .section .note.GNU-stack, "", @progbits
