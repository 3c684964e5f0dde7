/* SPDX-License-Identifier: MIT */
/* A vCPU's state out of other hands: each field that must not be as it is, and what becomes of the
 * rest. */
#include <string.h>

#include "hosted.h"

#include "asm.h"
#include "context.h"

#define FAR        0x0000800000000000ull /* the first address that is not canonical */
#define MXCSR_MASK 0xffffu

struct domain the_domain;

static vcpu_guest_context_t c;
static struct pvmm_extended x;
static struct vcpu v;
static char why[160];

static int fresh(void **state)
{
    (void)state;
    memset(&c, 0, sizeof(c));
    memset(&x, 0, sizeof(x));
    memset(&v, 0, sizeof(v));
    c.flags = VGCF_i387_valid | VGCF_in_kernel | VGCF_online;
    c.ctrlreg[3] = 5 * PAGE_BYTES;
    c.user_regs.rip = 0xffffffff81000000;
    v.domain = &the_domain;
    return 0;
}

static bool fits(void)
{
    why[0] = 0;
    return context_check(&c, &x, MXCSR_MASK, why, sizeof(why));
}

static void expect_refused(const char *text)
{
    assert_false(fits());
    assert_contains(why, text);
}

/* Sets a word, sees it refused, and puts back what was there. */
static void refuses(uint64_t *word, uint64_t value, const char *text)
{
    const uint64_t before = *word;
    assert_true(fits());
    *word = value;
    expect_refused(text);
    *word = before;
}

static void test_addresses(void **state)
{
    (void)state;
    struct {
        uint64_t *at;
        const char *name;
    } all[] = {
        {&c.user_regs.rip, "rip is"},
        {&c.user_regs.rsp, "rsp is"},
        {&c.kernel_sp, "kernel_sp is"},
        {&c.event_callback_eip, "the event callback is"},
        {&c.failsafe_callback_eip, "the failsafe callback is"},
        {&c.syscall_callback_eip, "the syscall callback is"},
        {&x.syscall32_eip, "the syscall32 callback is"},
        {&x.sysenter_eip, "the sysenter callback is"},
        {&c.fs_base, "fs_base is"},
        {&c.gs_base_kernel, "gs_base_kernel is"},
        {&c.gs_base_user, "gs_base_user is"},
        {&c.trap_ctxt[0].address, "the handler of a trap is"},
        {&c.trap_ctxt[255].address, "the handler of a trap is"},
    };
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        refuses(all[i].at, FAR, all[i].name);
        refuses(all[i].at, ~FAR & ~0ull >> 1, "is not canonical");
    }
}

static void test_tables(void **state)
{
    (void)state;
    refuses(&c.gdt_ents, FIRST_RESERVED_GDT_ENTRY + 1, "the GDT's length is out of range");
    refuses(&c.ldt_ents, 8193, "the LDT's length is out of range: 2001");
    c.ldt_ents = 8192;
    c.gdt_ents = FIRST_RESERVED_GDT_ENTRY;
    refuses(&c.ldt_base, 8, "the LDT's address is no page of the guest's: 8");
    refuses(&c.ldt_base, HV_SLOTS_START, "the LDT's address");
    refuses(&c.ldt_base, FAR, "the LDT's address");
    c.ldt_ents = 0;
    c.ldt_base = FAR; /* without entries it is nowhere */
    assert_true(fits());
}

static void test_roots(void **state)
{
    (void)state;
    refuses(&c.ctrlreg[3], 0, "cr3 is no frame's address: 0");
    refuses(&c.ctrlreg[3], 0x5001, "cr3 is no frame's address: 5001");
    refuses(&c.ctrlreg[1], 0x5001, "the user root is no frame's address: 5001");
    refuses(&c.flags, VGCF_online, "in user mode and the user root is none");
    c.ctrlreg[1] = 0x6000;
    c.flags = VGCF_online;
    assert_true(fits());
}

static void set_mxcsr(uint32_t value)
{
    memcpy((uint8_t *)&c.fpu_ctxt + 24, &value, sizeof(value));
}

static void test_registers(void **state)
{
    (void)state;
    set_mxcsr(MXCSR_MASK);
    assert_true(fits());
    set_mxcsr(MXCSR_MASK + 1);
    expect_refused("MXCSR has bits that this CPU does not know: 10000");
    c.flags &= ~(uint64_t)VGCF_i387_valid; /* then nobody looks at it */
    assert_true(fits());
    refuses(&c.debugreg[0], HV_SLOTS_START, "a debug register holds");
    refuses(&c.debugreg[3], FAR, "a debug register holds");
    refuses(&c.debugreg[6], 1ull << 32, "a debug register holds");
    refuses(&c.debugreg[7], 0x2000, "a debug register holds");
    refuses(&c.debugreg[7], 0x20001, "a debug register holds"); /* a port */
    c.debugreg[4] = c.debugreg[5] = ~0ull;                      /* other names of 6 and 7 */
    assert_true(fits());
    refuses(&c.ctrlreg[4], 1ull << 16, "cr4 has FSGSBASE or OSXSAVE");
    refuses(&c.ctrlreg[4], 1ull << 18, "cr4 has FSGSBASE or OSXSAVE");
    c.ctrlreg[4] = ~(1ull << 16 | 1ull << 18); /* of the rest a guest notices nothing */
    assert_true(fits());
    refuses(&c.vm_assist, 1ull << 32, "vm_assist has types");
    refuses(&c.vm_assist, 1ull << 7, "vm_assist has types");
}

static void test_extended(void **state)
{
    (void)state;
    x.syscall32_disables_events = x.sysenter_disables_events = 1;
    x.syscall32_cs = x.sysenter_cs = 0xffff;
    assert_true(fits());
    x.sysenter_disables_events = 2;
    expect_refused("a flag of the extended callbacks");
    x.sysenter_disables_events = 0;
    x.zero[1] = 1;
    expect_refused("a flag of the extended callbacks");
}

/* Selectors for ring 3, interrupts on, IOPL aside, and no bit that IRETQ does not expect. */
static void test_load(void **state)
{
    (void)state;
    c.user_regs.rflags = ~0ull;
    c.user_regs.cs = 0xe030;
    c.user_regs.ss = 0xe028;
    c.user_regs.r8 = 8;
    c.kernel_ss = 0xe028;
    c.trap_ctxt[14] = (trap_info_t){.vector = 3, .flags = 4 | 3, .cs = 0xe030, .address = 0x1234};
    c.event_callback_eip = 1;
    c.syscall_callback_eip = 2;
    c.flags |= VGCF_syscall_disables_events;
    c.ctrlreg[0] = ~0ull;
    c.ctrlreg[4] = ~0ull;
    c.vm_assist = 4;
    context_load(&v, &c, &x);
    assert_int_equal(v.regs.rflags, 0x254fd7);
    assert_int_equal(v.iopl, 3);
    assert_int_equal(v.regs.cs, 0xe033);
    assert_int_equal(v.regs.ss, 0xe02b);
    assert_int_equal(v.regs.r8, 8);
    assert_int_equal(v.regs.rip, c.user_regs.rip);
    assert_int_equal(v.kernel_ss, 0xe02b);
    assert_int_equal(v.traps[14].address, 0x1234); /* by its place, as real Xen has it */
    assert_int_equal(v.traps[14].cs, 0xe033);
    assert_int_equal(v.traps[14].dpl, 3);
    assert_true(v.traps[14].mask_events);
    assert_int_equal(v.traps[3].address, 0);
    assert_true(v.event.mask_events);
    assert_true(v.syscall.mask_events);
    assert_false(v.failsafe.mask_events);
    assert_int_equal(v.guest_cr0, CR0_START);
    assert_int_equal(v.guest_cr4, CR4_START);
    assert_true(v.in_kernel);
    assert_int_equal(the_domain.vm_assist, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_addresses, fresh),
        cmocka_unit_test_setup(test_tables, fresh),
        cmocka_unit_test_setup(test_roots, fresh),
        cmocka_unit_test_setup(test_registers, fresh),
        cmocka_unit_test_setup(test_extended, fresh),
        cmocka_unit_test_setup(test_load, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
