/* SPDX-License-Identifier: MIT */
/* What a guest does not survive, or need not: one in each run. */
#include "attack.h"

#include <xen/event_channel.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define HYPERVISOR_VA 0xffff82d040200000ull
#define NOT_CANONICAL 0x0000800000000000ull

static void fault_on(uint64_t rsp)
{
    __asm__ volatile("movq %0, %%rsp; ud2" : : "r"(rsp));
}

static void user_fault(uint64_t kernel_sp)
{
    static const uint8_t hlt[] = {0xf4};
    struct iret_frame f = {.rip = (uint64_t)code_of(hlt, 1),
                           .cs = 0xe033,
                           .rflags = 2,
                           .rsp = LOW_STACK,
                           .ss = 0xe02b};
    ext1(MMUEXT_NEW_USER_BASEPTR, root_mfn(), 0);
    call2(__HYPERVISOR_stack_switch, FLAT_DS, kernel_sp);
    raw_iret(&f);
}

static void bad_iret(uint64_t rip, uint64_t cs, uint64_t rsp, bool failsafe)
{
    struct iret_frame f = {.rip = rip, .cs = cs, .rflags = 2, .rsp = rsp, .ss = 0xe02b};
    if (!failsafe)
        call3(__HYPERVISOR_set_callbacks, pvg_trap_stub(PVG_TRAP_EVENT), 0,
              pvg_trap_stub(PVG_TRAP_SYSCALL));
    raw_iret(&f);
}

static void handlers_at(uint64_t address, unsigned vector)
{
    trap_info_t t[2] = {{.vector = (uint8_t)vector, .cs = FLAT_KERNEL_CS, .address = address}};
    call1(__HYPERVISOR_set_trap_table, t);
    __asm__ volatile("ud2");
}

static void event_to(uint64_t address)
{
    struct evtchn_bind_ipi b = {.vcpu = 0};
    struct evtchn_send s;
    call3(__HYPERVISOR_set_callbacks, address, 0, 0);
    shared_info->vcpu_info[0].evtchn_upcall_mask = 0;
    call2(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_ipi, &b);
    s.port = b.port;
    call2(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &s);
}

static void without_root_in_user_mode(void)
{
    ext1(MMUEXT_NEW_USER_BASEPTR, 0, 0);
    bad_iret(pvg_trap_stub(0), 0xe033, LOW_STACK, true);
}

/* User mode whose root knows nothing of the kernel: its trap must still find the kernel. */
static void lone_user_root(void)
{
    unsigned l4 = 186;
    page(l4)[0] = ((volatile uint64_t *)start_info->pt_base)[0];
    make_ro(l4);
    say("user root: %ld\n", ext1(MMUEXT_NEW_USER_BASEPTR, pool_mfn[l4], 0));
    bad_iret(LOW_CODE, 0xe033, LOW_STACK, true);
}

static void no_kernel_in_root(void)
{
    make_ro(187);
    say("root: %ld\n", ext1(MMUEXT_NEW_BASEPTR, pool_mfn[187], 0));
}

static void shut_down(unsigned reason)
{
    struct sched_shutdown s = {.reason = reason};
    call2(__HYPERVISOR_sched_op, SCHEDOP_shutdown, &s);
}

static void stack_walks_down(void)
{
    call1(__HYPERVISOR_set_trap_table, 0);
    handlers_at(HYPERVISOR_VA, 6);
}

/* The same fault again and again: the handler of #PF is itself not there. */
static void handler_faults(void)
{
    trap_info_t t[3] = {{.vector = 14, .cs = FLAT_KERNEL_CS, .address = HYPERVISOR_VA},
                        {.vector = 6, .cs = FLAT_KERNEL_CS, .address = HYPERVISOR_VA}};
    call1(__HYPERVISOR_set_trap_table, t);
    __asm__ volatile("ud2");
}

static void stop_vcpu(void)
{
    call3(__HYPERVISOR_vcpu_op, VCPUOP_down, 0, 0);
}

static void reset_events(void)
{
    struct evtchn_reset r = {.dom = DOMID_SELF};
    call2(__HYPERVISOR_event_channel_op, EVTCHNOP_reset, &r);
}

static void send_nmi(void)
{
    struct evtchn_reset r = {.dom = DOMID_SELF};
    call3(__HYPERVISOR_vcpu_op, VCPUOP_send_nmi, 0, 0);
    call1(__HYPERVISOR_set_trap_table, 0);
    call3(__HYPERVISOR_vcpu_op, VCPUOP_send_nmi, 0, 0);
    call2(__HYPERVISOR_event_channel_op, EVTCHNOP_reset, &r);
}

void attack_fatal(unsigned which)
{
    static const uint64_t stacks[] = {0,
                                      8,
                                      64,
                                      0x1000,
                                      0x00007ffffffffff8ull,
                                      NOT_CANONICAL,
                                      0xffff800000000008ull,
                                      HYPERVISOR_VA,
                                      0xffff830000100000ull,
                                      0xffff880000000010ull,
                                      ~0ull};
    if (which < 11)
        fault_on(stacks[which]);
    if (which >= 11 && which < 22)
        user_fault(stacks[which - 11]);
    if (which >= 22 && which < 33)
        bad_iret(pvg_trap_stub(0), 0xe030, stacks[which - 22], true);
    switch (which) {
    case 33:
        fault_on(start_info->pt_base + 2048); /* a page table: read-only */
        break;
    case 34:
        user_fault(start_info->pt_base + 2048);
        break;
    case 35:
        bad_iret(NOT_CANONICAL, 0xe030, LOW_STACK, false);
        break;
    case 36:
        bad_iret(pvg_trap_stub(0), 0x10, LOW_STACK, false);
        break;
    case 37:
        bad_iret(pvg_trap_stub(0), 0xe033, NOT_CANONICAL, true);
        break;
    case 38:
        stack_walks_down();
        break;
    case 39:
        handler_faults();
        break;
    case 40:
        event_to(0);
        break;
    case 41:
        event_to(HYPERVISOR_VA);
        break;
    case 42:
        without_root_in_user_mode();
        break;
    case 43:
        lone_user_root();
        break;
    case 44:
        no_kernel_in_root();
        break;
    case 45:
        shut_down(77);
        break;
    case 46:
        shut_down(SHUTDOWN_suspend);
        break;
    case 47:
        stop_vcpu();
        break;
    case 48:
        reset_events();
        break;
    case 49:
        send_nmi();
        break;
    case 50:
        raw_iret((const struct iret_frame *)NOT_CANONICAL);
    case 51:
        raw_iret((const struct iret_frame *)0x1000);
    case 52:
        raw_iret((const struct iret_frame *)HYPERVISOR_VA);
    default:
        break;
    }
}
