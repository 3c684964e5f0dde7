/* SPDX-License-Identifier: MIT */
/*
 * A guest of a dozen pages that was never booted: transfer.py puts it together. It looks at what it
 * finds, says a letter for each thing that is right, and '!' for one that is not:
 *
 *   r registers  c flags  x FPU  s g segment bases  d GDT  m m2p  w the page of the other half
 *   t a trap  e an event  u user root   and, of a suspend that r13 asks for, its result: 0 or 1
 */
#define __ASSEMBLY__
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>

#define BASE       0xffffffff80000000
#define PAGE(n)    (BASE + (n) * 4096)
#define START_INFO PAGE(0)
#define CONSOLE    PAGE(1)
#define DATA       PAGE(5)
#define SHARED     PAGE(64)
#define M2P        0xffff800000000000

/* struct xencons_interface */
#define OUT      1024
#define OUT_PROD 3084

/* What transfer.py puts into the data page. */
#define WORD     (DATA + 0)  /* at fs:0 and gs:0 */
#define XMM      (DATA + 8)
#define RBX      (DATA + 16)
#define CODE_MFN (DATA + 24)
#define PORT     (DATA + 32)
#define SELECTOR (DATA + 40)
#define SI_MFN   (DATA + 48)
/* and what this one does */
#define ARGUMENT (DATA + 1024)
#define MULTI    (DATA + 2048)

#define EVTCHNOP_bind_virq 1
#define EVTCHNOP_send      4
#define EVTCHNOP_unmask    9
#define SCHEDOP_block      1
#define SCHEDOP_shutdown   2
#define SHUTDOWN_poweroff  0
#define SHUTDOWN_suspend   2

    .text
    .globl _start
_start: /* at offset 0 */
    jmp begin
    .org 16
    jmp trap
    .org 32
    jmp event

/* al: a letter if ZF, else '!' */
right:
    je say
    movb $'!', %al
say:
    push %rcx
    push %rdx
    movzbl %al, %edx
    movl CONSOLE + OUT_PROD, %ecx
    andl $2047, %ecx
    movb %dl, CONSOLE + OUT(%rcx)
    incl CONSOLE + OUT_PROD
    pop %rdx
    pop %rcx
    ret

begin:
    mov %rax, %r15 /* as it came */
    pushfq
    cmp %rbx, RBX
    movb $'r', %al
    call right
    pop %rax /* CF and ID were set, IOPL was 3 */
    and $0x203201, %eax
    cmp $0x200201, %eax
    movb $'c', %al
    call right
    movq %xmm3, %rax
    cmp %rax, XMM
    movb $'x', %al
    call right
    movq $WORD, %rcx
    movq (%rcx), %rcx
    cmp %fs:0, %rcx
    movb $'s', %al
    call right
    cmp %gs:0, %rcx
    movb $'g', %al
    call right
    movw SELECTOR, %ax
    movw %ax, %ds
    movw %ds, %cx
    cmpw %cx, %ax
    movb $'d', %al
    call right
    movq CODE_MFN, %rcx
    movabs $M2P, %rax
    movq (%rax, %rcx, 8), %rcx
    cmp $3, %rcx
    movb $'m', %al
    call right
    movl $0xa5, %ecx
    cmp WORD + 56, %rcx
    movb $'w', %al
    call right

    ud2
    call send

/* the timer, by an event */
    movl $0, ARGUMENT     /* VIRQ_TIMER */
    movl $0, ARGUMENT + 4 /* of vCPU 0 */
    movl $EVTCHNOP_bind_virq, %edi
    movq $ARGUMENT, %rsi
    movl $__HYPERVISOR_event_channel_op, %eax
    syscall
    movl ARGUMENT + 8, %ecx
    movl %ecx, ARGUMENT
    movl $EVTCHNOP_unmask, %edi
    movq $ARGUMENT, %rsi
    movl $__HYPERVISOR_event_channel_op, %eax
    syscall
    movl $1, %edi /* long ago */
    movl $__HYPERVISOR_set_timer_op, %eax
    syscall
    movl $SCHEDOP_block, %edi
    movl $__HYPERVISOR_sched_op, %eax
    syscall

    cmp $0, %r13
    je over
    movl $SHUTDOWN_suspend, ARGUMENT
    movl $SCHEDOP_shutdown, %edi
    movq $ARGUMENT, %rsi
    movq SI_MFN, %rdx
    movl $__HYPERVISOR_sched_op, %eax
    cmp $1, %r13
    je suspend
    movl $SHUTDOWN_suspend, %esi
    movl $__HYPERVISOR_sched_op_compat, %eax
    cmp $2, %r13
    je suspend
    movq $__HYPERVISOR_sched_op_compat, MULTI /* multicall_entry: op, result, arguments */
    movq $-1, MULTI + 8
    movq $SCHEDOP_shutdown, MULTI + 16
    movq $SHUTDOWN_suspend, MULTI + 24
    movq $MULTI, %rdi
    movl $1, %esi
    movl $__HYPERVISOR_multicall, %eax
    syscall
    movq MULTI + 8, %rax
    jmp said
suspend:
    syscall
said:
    addb $'0', %al
    call say
    call send

over:
    movb $'\n', %al
    call say
    call send
    movl $SHUTDOWN_poweroff, ARGUMENT
    movl $SCHEDOP_shutdown, %edi
    movq $ARGUMENT, %rsi
    movl $__HYPERVISOR_sched_op, %eax
    syscall

send:
    movl PORT, %ecx
    movl %ecx, ARGUMENT
    movl $EVTCHNOP_send, %edi
    movq $ARGUMENT, %rsi
    movl $__HYPERVISOR_event_channel_op, %eax
    syscall
    ret

/* behind UD2, with the hypervisor's frame: rcx r11 rip cs rflags rsp ss */
trap:
    pop %rcx
    pop %r11
    addq $2, (%rsp)
    movb $'t', %al
    call say
    jmp back

event:
    pop %rcx
    pop %r11
    movb $'e', %al
    call say
    movb $0, SHARED  /* vcpu_info.evtchn_upcall_pending */
    movq $0, SHARED + 8
    jmp back

back:
    push $0
    push %rcx
    push %r11
    push %rax
    movl $__HYPERVISOR_iret, %eax
    syscall
