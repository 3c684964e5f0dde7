/* SPDX-License-Identifier: MIT */
/* What user*.c and live.c run in user mode: a page, wherever it is mapped. RDI, RSI are arguments. */
    .section .rodata
    .balign 4096
    .globl user_code
user_code:

    .globl user_sum, user_registers, user_read, user_write, user_jump, user_ud, user_bp, user_hlt
    .globl user_int, user_int80, user_spin, user_forever, user_flags, user_stack_use, user_tf

/* RAX: the sum of 1 to RDI; then, called again, that plus RSI. */
user_sum:
    xorl %eax, %eax
1:  addq %rdi, %rax
    decq %rdi
    jnz 1b
    syscall
    addq %rsi, %rax
    syscall
    ud2

/* Each register by another number. */
user_registers:
    addq $1, %rax
    addq $2, %rbx
    addq $3, %rdx
    addq $4, %rsi
    addq $5, %rdi
    addq $6, %rbp
    addq $7, %r8
    addq $8, %r9
    addq $9, %r10
    addq $10, %r12
    addq $11, %r13
    addq $12, %r14
    addq $13, %r15
    addq $14, %rcx
    addq $15, %r11
    int3
    syscall

user_read:
    movq (%rdi), %rax
    syscall

user_write:
    movq %rsi, (%rdi)
    syscall

user_jump:
    jmp *%rdi

user_ud:
    ud2

user_bp:
    int3
    syscall

user_hlt:
    hlt

user_int:
    int $0x81

user_int80:
    int $0x80

/* Until somebody writes to where RDI says; RAX counts. */
user_spin:
    xorl %eax, %eax
1:  incq %rax
    cmpq $0, (%rdi)
    je 1b
    syscall

user_forever:
    incq %rax
    jmp user_forever

user_flags:
    pushfq
    popq %rax
    syscall

user_stack_use:
    pushq %rsi
    call 1f
    syscall
1:  movq 8(%rsp), %rax
    ret

user_tf:
    nop
    nop
    syscall

    .balign 4096
    .section .note.GNU-stack, "", @progbits
