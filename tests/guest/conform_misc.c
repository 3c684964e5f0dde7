/* SPDX-License-Identifier: MIT */
/* What belongs to memory only at the edge: assists, stacks, trap tables, segment bases, numbers. */
#include "ask.h"

#define HYPERVISOR_VA 0xffff830000000000ull
#define NOT_CANONICAL 0x0000800000000000ull

static void assists(void)
{
    for (unsigned type = 0; type < 8; type++)
        for (unsigned cmd = 0; cmd < 3; cmd++)
            if (type != 4 /* the m2p out of user mode: a matter of defaults */)
                ASK(__HYPERVISOR_vm_assist, cmd, type, 0, 0, "assist %u command %u", type, cmd);
    ASK(__HYPERVISOR_vm_assist, 0, 63, 0, 0, "assist 63");
    ASK(__HYPERVISOR_vm_assist, 0, 64, 0, 0, "assist 64");
    ASK(__HYPERVISOR_vm_assist, 0, ~0u, 0, 0, "assist -1");
    ASK(__HYPERVISOR_vm_assist, 7, 2, 0, 0, "assist 2 command 7");
}

static void stacks(void)
{
    static const uint64_t at[] = {0, HYPERVISOR_VA, NOT_CANONICAL, ~0ull};
    for (unsigned i = 0; i < 4; i++)
        ASK(__HYPERVISOR_stack_switch, FLAT_DS, at[i], 0, 0, "stack at %lx", at[i]);
    ASK(__HYPERVISOR_stack_switch, 0, KERNEL_STACK_END, 0, 0, "stack segment 0");
    ASK(__HYPERVISOR_stack_switch, 0x1ffff, KERNEL_STACK_END, 0, 0, "stack segment 1ffff");
    ASK(__HYPERVISOR_stack_switch, FLAT_DS, KERNEL_STACK_END, 0, 0, "stack");
}

static void trap_tables(void)
{
    static trap_info_t t[3];
    static const uint64_t at[] = {HYPERVISOR_VA, NOT_CANONICAL, 0xffff800000000000ull, ~0ull};
    for (unsigned i = 0; i < 4; i++) {
        t[0] = (trap_info_t){.vector = 200, .cs = FLAT_KERNEL_CS, .address = at[i]};
        ASK(__HYPERVISOR_set_trap_table, t, 0, 0, 0, "trap 200 at %lx", at[i]);
    }
    t[0] = (trap_info_t){.vector = 200, .flags = 0xff, .cs = 0, .address = pvg_trap_stub(200)};
    ASK(__HYPERVISOR_set_trap_table, t, 0, 0, 0, "trap 200, all flags, selector 0");
    t[0].cs = 0xe008;
    ASK(__HYPERVISOR_set_trap_table, t, 0, 0, 0, "trap 200, the hypervisor's selector");
    ASK(__HYPERVISOR_set_trap_table, 0x1000, 0, 0, 0, "table not mapped");
    ASK(__HYPERVISOR_set_trap_table, HYPERVISOR_VA, 0, 0, 0, "table of the hypervisor's");
    ASK(__HYPERVISOR_set_trap_table, NOT_CANONICAL, 0, 0, 0, "table not canonical");
    ASK(__HYPERVISOR_set_trap_table, 0, 0, 0, 0, "no table");
    pvg_trap_table(guest);
}

static void segment_bases(void)
{
    static const uint64_t bases[] = {
        0,    0x1000, 0x00007fffffffffffull, NOT_CANONICAL, 0xffff7fffffffffffull, HYPERVISOR_VA,
        ~0ull};
    for (unsigned which = 0; which < 3; which++)
        for (unsigned i = 0; i < 7; i++)
            ASK(__HYPERVISOR_set_segment_base, which, bases[i], 0, 0, "base %u := %lx", which,
                bases[i]);
    for (unsigned selector = 0; selector < 4; selector++)
        ASK(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, selector, 0, 0, "user selector %u",
            selector);
    ASK(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, FLAT_DS, 0, 0, "user selector flat");
    ASK(__HYPERVISOR_set_segment_base, SEGBASE_GS_USER_SEL, 0, 0, 0, "user selector 0");
    ASK(__HYPERVISOR_set_segment_base, 4, 0, 0, 0, "base 4");
    ASK(__HYPERVISOR_set_segment_base, ~0u, 0, 0, 0, "base -1");
    for (unsigned which = 0; which < 3; which++)
        ASK(__HYPERVISOR_set_segment_base, which, 0, 0, 0, "base %u := 0", which);
}

static void debug_registers(void)
{
    for (unsigned n = 0; n < 9; n++) {
        ASK(__HYPERVISOR_set_debugreg, n, n == 7 || n == 5 ? 0x400 : 0, 0, 0, "dr%u", n);
        ASK(__HYPERVISOR_set_debugreg, n, HYPERVISOR_VA, 0, 0, "dr%u := the hypervisor's", n);
        ASK(__HYPERVISOR_set_debugreg, n, NOT_CANONICAL, 0, 0, "dr%u := not canonical", n);
        ASK(__HYPERVISOR_get_debugreg, n, 0, 0, 0, "get dr%u", n);
    }
}

static void numbers(void)
{
    static const unsigned n[] = {22, 43, 44, 45, 46, 47, 50, 51, 52,
                                 53, 54, 55, 56, 57, 63, 64, 65, 1000};
    for (unsigned i = 0; i < sizeof(n) / sizeof(n[0]); i++)
        ASK(n[i], 0, 0, 0, 0, "hypercall %u", n[i]);
    ASK(1ull << 32, 0, 0, 0, 0, "hypercall 2^32");
    ASK(~0ull, 0, 0, 0, 0, "hypercall -1");
}

void conform_misc(void)
{
    assists();
    stacks();
    trap_tables();
    segment_bases();
    debug_registers();
    numbers();
}
