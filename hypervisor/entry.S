/* SPDX-License-Identifier: MIT */
/*
 * Entries from the guest and from the hypervisor itself, and the one way back to the guest.
 *
 * Every entry builds a struct regs. From the guest it lies at the top of the CPU's stack, right
 * below struct cpu: the hardware (TSS.RSP0) and the SYSCALL stubs start pushing there.
 */
#include "layout.h"
#include "asm_offsets.h"

    .macro SAVE_REGS
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
    .endm

    /* Leaves the stack at the words that IRETQ takes. */
    .macro RESTORE_CALLER_REGS
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
    .endm

    .macro RESTORE_REGS
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    RESTORE_CALLER_REGS
    .endm

    /* The same after C functions that change none of the guest's rbx, rbp and r12 to r15: these are
     * what they were, as calls preserve them. */
    .macro RESTORE_REGS_AFTER_CALL
    addq $(6 * 8), %rsp
    RESTORE_CALLER_REGS
    .endm

    .text

/* ---- exceptions and interrupts: 256 stubs of 16 bytes, vector = (stub - trap_stubs) / 16 */

    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    /* the CPU pushes an error code for #DF #TS #NP #SS #GP #PF #AC #CP */
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
    pushq $0
    .endif
    pushq $vector
    .if vector == 2 || vector == 8 || vector == 18
    jmp ist_common
    .elseif vector == 1
    jmp debug_common
    .else
    jmp trap_common
    .endif
    .set vector, vector + 1
    .endr

    .balign 16
trap_common:
    cld
    SAVE_REGS
    movq %rsp, %rdi
    testb $3, REGS_cs(%rsp)
    jz 1f
    call guest_entry
guest_return:
    RESTORE_REGS
    /* A fault here means that the guest's state cannot be loaded: host_entry() knows the label. */
    .globl iret_to_guest
iret_to_guest:
    iretq

1:  call host_entry
    RESTORE_REGS
    iretq

/* NMI, #MC, #DF and #DB come on stacks of their own, because they may hit between SYSCALL and the
 * stub's switch of stacks: the guest delays a #DB that far with MOV to SS. */
ist_common:
    cld
    SAVE_REGS
    movq %rsp, %rdi
    call ist_entry
    RESTORE_REGS
    iretq

debug_common:
    cld
    SAVE_REGS
    movq %rsp, %rdi
    testb $3, REGS_cs(%rsp)
    jz 1f
    call to_guest_stack
    movq %rax, %rsp
    movq %rax, %rdi
    call guest_entry
    jmp guest_return
1:  call host_entry
    RESTORE_REGS
    iretq

/* resume_guest(struct regs *r): r at its place on the CPU's stack */
    .globl resume_guest
resume_guest:
    movq %rdi, %rsp
    jmp guest_return

/* ---- SYSCALL: RCX = rip, R11 = rflags, the stack and GS are still the guest's. Each CPU has a
 * stub that knows its CPU's block by address. */

    .macro SYSCALL_STUB cpu, selector, vector, common
    .balign 64
    movq %rsp, (cpu_blocks + (\cpu + 1) * CPU_BLOCK_BYTES - CPU_SIZE + CPU_syscall_rsp)(%rip)
    leaq (cpu_blocks + (\cpu + 1) * CPU_BLOCK_BYTES - CPU_SIZE)(%rip), %rsp
    pushq $SELECTOR_FLAT_SS
    pushq CPU_syscall_rsp + 8(%rsp)
    pushq %r11
    pushq $\selector
    pushq %rcx
    pushq $0
    pushq $\vector
    jmp \common
    .endm

    .balign 64
    .globl syscall_stubs, syscall32_stubs
syscall_stubs:
    .set cpu, 0
    .rept MAX_CPUS
    SYSCALL_STUB cpu, SELECTOR_FLAT_CS64, VECTOR_SYSCALL, syscall_common
    .set cpu, cpu + 1
    .endr

    .balign 64
syscall32_stubs:
    .set cpu, 0
    .rept MAX_CPUS
    SYSCALL_STUB cpu, SELECTOR_FLAT_CS32, VECTOR_SYSCALL32, syscall32_common
    .set cpu, cpu + 1
    .endr

syscall_common:
    SAVE_REGS
    movq %rsp, %rdi
    call guest_syscall
    RESTORE_REGS_AFTER_CALL
    jmp iret_to_guest

syscall32_common:
    SAVE_REGS
    movq %rsp, %rdi
    call guest_syscall32
    jmp guest_return

/* ---- loads that may fault: uaccess.S tells how. These return 1 after a fault. */

/* int load_selector_gs(uint16_t): the inactive GS base is the one that changes */
    .globl load_selector_gs
load_selector_gs:
    xorl %eax, %eax
    swapgs
1:  movl %edi, %gs
2:  swapgs
    ret
3:  incl %eax
    xorl %edi, %edi
    movl %edi, %gs
    jmp 2b

    .section .exception_table, "a", @progbits
    .quad 1b, 3b

/* ---- the CPUs' blocks */

    .section .bss.page, "aw", @nobits
    .balign CPU_BLOCK_BYTES
    .globl cpu_blocks
cpu_blocks:
    .skip CPU_BLOCK_BYTES * MAX_CPUS

    .section .note.GNU-stack, "", @progbits
