/* SPDX-License-Identifier: MIT */
/*
 * What the guest finds on its stack when it has to take something, what it goes on with, and what
 * HYPERVISOR_iret makes of it. And where the guest's memory ends, for every copy goes through that.
 */
#include <string.h>

#include "hosted.h"

#include "asm.h"
#include "cpu.h"
#include "traps.h"

#define HANDLER   0xffffffff81111000ull
#define STACK     0xffffc90000001000ull
#define SP        (STACK + 0x7f8)
#define KERNEL_SP (STACK + 0x1000)
#define RIP       0xffffffff81222222ull
#define ADDRESS   0xdeadbeef000ull
#define FLAGS     (RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF | RFLAGS_DF | RFLAGS_IOPL)
#define FLAGS_OFF (RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_AC)

unsigned hosted_swapgs;
struct domain the_domain;

static struct vcpu vcpu;
static vcpu_info_t info;
static struct regs regs;
static unsigned roots_loaded, user_entries;

void cpu_load_root(struct vcpu *v)
{
    (void)v;
    roots_loaded++;
}

void first_user_entry(struct vcpu *v)
{
    (void)v;
    user_entries++;
}

uint64_t now_ns(void)
{
    return 1;
}

static int fresh(void **state)
{
    (void)state;
    memset(&vcpu, 0, sizeof(vcpu));
    memset(&info, 0, sizeof(info));
    memset(&hosted_memory, 0, sizeof(hosted_memory));
    hosted_memory.base = STACK;
    hosted_memory.bytes = 0x1000;
    hosted_swapgs = roots_loaded = user_entries = 0;
    vcpu.info = &info;
    vcpu.in_kernel = true;
    vcpu.kernel_sp = KERNEL_SP;
    vcpu.mem.user_root = mfn(5);
    for (unsigned i = 0; i < 256; i++)
        vcpu.traps[i] = (struct guest_trap){.address = HANDLER + i * 16, .cs = 0xe033};
    regs = (struct regs){.rcx = 0xcc,
                         .r11 = 0x11,
                         .rip = RIP,
                         .cs = 0xe033,
                         .rflags = FLAGS | FLAGS_OFF,
                         .rsp = SP,
                         .ss = 0xe02b};
    return 0;
}

static const uint64_t *frame(void)
{
    assert_true(regs.rsp >= STACK && regs.rsp < KERNEL_SP);
    return (const uint64_t *)(const void *)(hosted_memory.byte + (regs.rsp - STACK));
}

/* The words from `at` on: rip, cs, rflags, rsp, ss. */
static void check_iret_words(unsigned at, uint64_t cs, uint64_t rflags, uint64_t rsp)
{
    assert_int_equal(frame()[at], RIP);
    assert_int_equal(frame()[at + 1], cs);
    assert_int_equal(frame()[at + 2], rflags);
    assert_int_equal(frame()[at + 3], rsp);
    assert_int_equal(frame()[at + 4], 0xe02b);
}

static void check_entry(uint64_t handler, unsigned words, uint64_t top)
{
    assert_int_equal(regs.rip, handler);
    assert_int_equal(regs.cs, 0xe033);
    assert_int_equal(regs.ss, 0xe02b);
    assert_int_equal(regs.rsp, (top & ~15ull) - words * 8);
    assert_int_equal(regs.rflags, RFLAGS_ONE | RFLAGS_IF | RFLAGS_CF | RFLAGS_DF);
    assert_int_equal(frame()[0], 0xcc);
    assert_int_equal(frame()[1], 0x11);
}

/* ---- frames */

static void test_trap_with_error_code(void **state)
{
    (void)state;
    bounce_exception(&vcpu, &regs, TRAP_GP, 0x18);
    check_entry(HANDLER + 13 * 16, 8, SP);
    assert_int_equal(frame()[2], 0x18);
    check_iret_words(3, 0xe030, (FLAGS | FLAGS_OFF) & ~RFLAGS_IOPL, SP);
    assert_int_equal(hosted_swapgs, 0);
    assert_int_equal(info.evtchn_upcall_mask, 0);
}

static void test_trap_without_error_code(void **state)
{
    static const unsigned none[] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 16, 18, 19, 20};
    static const unsigned some[] = {8, 10, 11, 12, 13, 14, 17, 21};

    for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        fresh(state);
        bounce_exception(&vcpu, &regs, none[i], 0);
        check_entry(HANDLER + none[i] * 16, 7, SP);
        check_iret_words(2, 0xe030, (FLAGS | FLAGS_OFF) & ~RFLAGS_IOPL, SP);
    }
    for (unsigned i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        fresh(state);
        bounce_exception(&vcpu, &regs, some[i], 0);
        check_entry(HANDLER + some[i] * 16, 8, SP);
    }
}

/* The event mask stands in bits 39:32 of cs, and IF of the saved flags says the same. */
static void test_event_mask(void **state)
{
    (void)state;
    info.evtchn_upcall_mask = 1;
    vcpu.traps[3].mask_events = true;
    bounce_interrupt(&vcpu, &regs, 3);
    check_iret_words(2, 1ull << 32 | 0xe030, (FLAGS | FLAGS_OFF) & ~(RFLAGS_IOPL | RFLAGS_IF), SP);
    assert_int_equal(info.evtchn_upcall_mask, 1);
    fresh(state);
    vcpu.traps[3].mask_events = true;
    bounce_interrupt(&vcpu, &regs, 3);
    check_iret_words(2, 0xe030, (FLAGS | FLAGS_OFF) & ~RFLAGS_IOPL, SP);
    assert_int_equal(info.evtchn_upcall_mask, 1);
}

/* From user mode: the kernel's stack, both bases swapped, the kernel's root, RPL 3 kept. */
static void test_from_user_mode(void **state)
{
    (void)state;
    vcpu.in_kernel = false;
    bounce_page_fault(&vcpu, &regs, PFEC_WRITE, ADDRESS);
    check_entry(HANDLER + 14 * 16, 8, KERNEL_SP);
    assert_int_equal(frame()[2], PFEC_WRITE | PFEC_USER);
    check_iret_words(3, 0xe033, (FLAGS | FLAGS_OFF) & ~RFLAGS_IOPL, SP);
    assert_int_equal(info.arch.cr2, ADDRESS);
    assert_true(vcpu.in_kernel);
    assert_int_equal(hosted_swapgs, 1);
    assert_int_equal(roots_loaded, 1);
}

/* Both modes run at CPL 3, so the processor says "user" for both. */
static void test_page_fault_of_the_kernel(void **state)
{
    (void)state;
    bounce_page_fault(&vcpu, &regs, PFEC_PRESENT | PFEC_WRITE | PFEC_USER, ADDRESS);
    assert_int_equal(frame()[2], PFEC_PRESENT | PFEC_WRITE);
}

static void test_event(void **state)
{
    (void)state;
    vcpu.event.address = HANDLER;
    bounce_event(&vcpu, &regs);
    check_entry(HANDLER, 7, SP);
    assert_int_equal(info.evtchn_upcall_mask, 1);
}

static void test_system_call(void **state)
{
    (void)state;
    vcpu.in_kernel = false;
    vcpu.syscall = (struct guest_callback){.address = HANDLER, .mask_events = true};
    regs.vector = VECTOR_SYSCALL;
    bounce_syscall(&vcpu, &regs);
    assert_int_equal(regs.rip, HANDLER);
    check_iret_words(2, 0xe033, (FLAGS | FLAGS_OFF) & ~RFLAGS_IOPL, SP);
    assert_int_equal(info.evtchn_upcall_mask, 1);
    fresh(state);
    vcpu.in_kernel = false;
    regs.vector = VECTOR_SYSCALL32; /* nobody wants that one: it is undefined, where it stands */
    bounce_syscall(&vcpu, &regs);
    assert_int_equal(regs.rip, HANDLER + TRAP_UD * 16);
    assert_int_equal(frame()[2], RIP - 2);
}

/* ---- ends */

#define KILLED(action, text) ASSERT_ENDS(action, PVMM_OUTCOME_KILLED, text)

/* The report explains the address that faulted; for any other trap, the instruction's. */
static void test_no_handler(void **state)
{
    (void)state;
    vcpu.traps[TRAP_PF].address = vcpu.traps[TRAP_UD].address = 0;
    KILLED(bounce_page_fault(&vcpu, &regs, PFEC_WRITE, ADDRESS),
           "no handler for trap 14 (error 2) at rip ffffffff81222222, address deadbeef000");
    assert_int_equal(hosted_end.address.a, ADDRESS);
    KILLED(bounce_page_fault(&vcpu, &regs, 0, 0), "address 0");
    assert_int_equal(hosted_end.address.a, 0);
    KILLED(bounce_exception(&vcpu, &regs, TRAP_UD, 0),
           "trap 6 (error 0) at rip ffffffff81222222");
    assert_int_equal(hosted_end.address.a, RIP);
    info.arch.cr2 = ADDRESS;
    KILLED(bounce_interrupt(&vcpu, &regs, TRAP_PF), "trap 14"); /* INT 14 is no page fault */
    assert_int_equal(hosted_end.address.a, RIP);
    KILLED(bounce_event(&vcpu, &regs), "no handler for an event");
}

static void test_no_stack(void **state)
{
    (void)state;
    regs.rsp = STACK + 0x30;
    KILLED(bounce_exception(&vcpu, &regs, TRAP_GP, 0),
           "stack at ffffc90000000ff0 cannot take the frame for trap 13");
    assert_int_equal(hosted_end.address.a, STACK - 0x10);
}

/* ---- iret */

static void put_iret(uint64_t cs, uint64_t rflags)
{
    const uint64_t f[] = {0xaa, 0xbb, 0xdd, 0, RIP + 7, cs, rflags, SP + 8, 0xe028};

    memcpy(hosted_memory.byte + (regs.rsp - STACK), f, sizeof(f));
}

static void test_iret_to_the_kernel(void **state)
{
    (void)state;
    regs.rsp = STACK + 0x100;
    put_iret(0xe030, FLAGS | RFLAGS_VM);
    guest_iret(&vcpu, &regs);
    assert_int_equal(regs.rax, 0xaa);
    assert_int_equal(regs.r11, 0xbb);
    assert_int_equal(regs.rcx, 0xdd);
    assert_int_equal(regs.rip, RIP + 7);
    assert_int_equal(regs.cs, 0xe033);
    assert_int_equal(regs.ss, 0xe02b);
    assert_int_equal(regs.rsp, SP + 8);
    assert_int_equal(regs.rflags, FLAGS & ~RFLAGS_IOPL);
    assert_true(vcpu.in_kernel);
    assert_int_equal(info.evtchn_upcall_mask, 0);
}

/* The flag that masks events is IF of the frame; the real one stays on. */
static void test_iret_to_user_mode(void **state)
{
    (void)state;
    regs.rsp = STACK + 0x100;
    put_iret(0x33, 0);
    guest_iret(&vcpu, &regs);
    assert_int_equal(regs.cs, 0x33);
    assert_int_equal(regs.rflags, RFLAGS_ONE | RFLAGS_IF);
    assert_int_equal(info.evtchn_upcall_mask, 1);
    assert_false(vcpu.in_kernel);
    assert_int_equal(hosted_swapgs, 1);
    assert_int_equal(user_entries, 1);
}

static void test_iret_that_cannot_be(void **state)
{
    (void)state;
    regs.rsp = STACK + 0x100;
    put_iret(0x33, 0);
    vcpu.mem.user_root = NO_MFN;
    KILLED(guest_iret(&vcpu, &regs), "without a user page table");
    regs.rsp = STACK + 0xfc0;
    KILLED(guest_iret(&vcpu, &regs), "iret: the frame at ffffc90000001fc0 is not readable");
    assert_int_equal(hosted_end.address.a, STACK + 0xfc0);
}

/* ---- where the guest's memory ends */

struct range_row {
    uint64_t start, bytes;
    bool ok;
};

static void test_ranges(void **state)
{
    static const struct range_row rows[] = {
        {0, 0, true},
        {0, 1, true},
        {0, 0x800000000000, true},
        {0, 0x800000000001, false},
        {0, ~0ull, false},
        {1, ~0ull, false},
        {0x7fffffffffff, 1, true},
        {0x7fffffffffff, 2, false},
        {0x7ffffffffff8, 1ull << 63, false},
        {0x800000000000, 0, false},
        {0x800000000000, 1, false},
        {0xffff7fffffffffff, 1, false},
        {HV_SLOTS_START, 1, false},
        {HV_SLOTS_START - 1, 2, false},
        {HV_SLOTS_END - 1, 1, false},
        {HV_SLOTS_END - 1, 2, false},
        {HV_SLOTS_END, 1, true},
        {HV_SLOTS_END, -HV_SLOTS_END, true}, /* to the last byte */
        {HV_SLOTS_END, -HV_SLOTS_END + 1, false},
        {HV_SLOTS_END, ~0ull, false},
        {~0ull, 1, true},
        {~0ull, 2, false},
        {~0ull, ~0ull, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (guest_range_ok(gva(rows[i].start), rows[i].bytes) != rows[i].ok)
            fail_msg("%lx + %lx", rows[i].start, rows[i].bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_trap_with_error_code, fresh),
        cmocka_unit_test_setup(test_trap_without_error_code, fresh),
        cmocka_unit_test_setup(test_event_mask, fresh),
        cmocka_unit_test_setup(test_from_user_mode, fresh),
        cmocka_unit_test_setup(test_page_fault_of_the_kernel, fresh),
        cmocka_unit_test_setup(test_event, fresh),
        cmocka_unit_test_setup(test_system_call, fresh),
        cmocka_unit_test_setup(test_no_handler, fresh),
        cmocka_unit_test_setup(test_no_stack, fresh),
        cmocka_unit_test_setup(test_iret_to_the_kernel, fresh),
        cmocka_unit_test_setup(test_iret_to_user_mode, fresh),
        cmocka_unit_test_setup(test_iret_that_cannot_be, fresh),
        cmocka_unit_test(test_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
