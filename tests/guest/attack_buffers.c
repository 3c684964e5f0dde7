/* SPDX-License-Identifier: MIT */
/* Hypercalls with absurd pointers, counts and nesting. */
#include "attack.h"

#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define EDGE  164u /* the page after it is not mapped */
#define TABLE 166u /* a pinned L1 table: read-only */

static uint64_t places[40];
static unsigned nr_places;

static void make_places(void)
{
    static const uint64_t absurd[] = {
        0,
        8,
        0x1000,
        0x00007ffffffff000ull,
        0x00007ffffffffff8ull,
        0x0000800000000000ull,
        0x8000000000000000ull,
        0xffff7ffffffffff8ull,
        0xffff800000000000ull,
        0xffff820000000000ull,
        0xffff82000000e000ull,
        0xffff82d040200000ull,
        0xffff830000000000ull,
        0xffff830000001000ull,
        0xffff87fffffffff0ull,
        0xffff880000000000ull,
        0xfffffffffffff000ull,
        0xfffffffffffffff0ull,
        0xfffffffffffffff8ull,
        0xffffffffffffffffull,
    };
    nr_places = sizeof(absurd) / sizeof(absurd[0]);
    memcpy(places, absurd, sizeof(absurd));
    make_rw(EDGE);
    memset(pool[EDGE], 0, PAGE);
    set_va(page_va(EDGE + 1), 0);
    make_ro(TABLE);
    pin(TABLE, 1);
    for (unsigned back = 1; back <= 64; back *= 2)
        places[nr_places++] = page_va(EDGE + 1) - back;
    places[nr_places++] = page_va(TABLE) + 8;
    places[nr_places++] = page_va(TABLE) + 4092;
}

/* Calls that would end the run, or wait for ever. */
static bool is_harmless(unsigned nr, unsigned cmd)
{
    switch (nr) {
    case __HYPERVISOR_iret:
    case __HYPERVISOR_sched_op_compat:
        return false;
    case __HYPERVISOR_sched_op:
        return cmd != SCHEDOP_block && cmd != SCHEDOP_shutdown && cmd != SCHEDOP_poll;
    case __HYPERVISOR_vcpu_op:
        return cmd != VCPUOP_down;
    case __HYPERVISOR_event_channel_op:
        return cmd != EVTCHNOP_reset;
    default:
        return true;
    }
}

struct request {
    uint64_t nr, a, b, c, d;
};

static void perform(void *arg)
{
    const struct request *q = arg;
    call4(q->nr, q->a, q->b, q->c, q->d);
}

static void absurd_pointers(void)
{
    make_places();
    for (unsigned nr = 0; nr < 42; nr++) {
        for (unsigned cmd = 0; cmd < 40; cmd++)
            for (unsigned i = 0; i < nr_places; i++) {
                struct request q[] = {{nr, cmd, places[i], 0, 0},
                                      {nr, cmd, 0, places[i], 0},
                                      {nr, cmd, 1, places[i], places[i]},
                                      {nr, places[i], 1 + cmd, places[i], DOMID_SELF},
                                      {nr, places[i], places[i], places[i], places[i]}};
                for (unsigned k = 0; k < 5; k++)
                    if (is_harmless(nr, (unsigned)q[k].a))
                        attempt_quietly(perform, &q[k]);
                if (nr == __HYPERVISOR_set_trap_table)
                    pvg_trap_table(guest);
            }
        defaults();
    }
    set_va(page_va(EDGE + 1), entry_for(EDGE + 1, RW_ENTRY));
    attempts_sum("absurd pointers");
}

/* Four elements of zeros, and then no page: what else lies there must not be taken for requests. */
static void *four_of(unsigned bytes)
{
    return (void *)(page_va(EDGE + 1) - 4 * bytes);
}

static void huge_counts(void)
{
    mmu_update_t *u = four_of(sizeof(*u));
    struct mmuext_op *ops = four_of(sizeof(*ops));
    multicall_entry_t *calls = four_of(sizeof(*calls));
    static const uint64_t n[] = {5, 100000, 0x7fffffff, 0xffffffff, ~0ull, 1ull << 60};
    make_rw(EDGE);
    memset(pool[EDGE], 0, PAGE);
    set_va(page_va(EDGE + 1), 0);
    for (unsigned i = 0; i < 6; i++) {
        struct request q[] = {{__HYPERVISOR_mmu_update, (uint64_t)u, n[i], 0, DOMID_SELF},
                              {__HYPERVISOR_mmuext_op, (uint64_t)ops, n[i], 0, DOMID_SELF},
                              {__HYPERVISOR_multicall, (uint64_t)calls, n[i], 0, 0},
                              {__HYPERVISOR_set_gdt, (uint64_t)u, n[i], 0, 0},
                              {__HYPERVISOR_console_io, 0, n[i], (uint64_t)0x1000, 0}};
        for (unsigned k = 0; k < 4; k++)
            attempt_quietly(perform, &q[k]);
        pvg_trap_table(guest); /* a multicall of zeros says: no traps */
    }
    make_rw(EDGE + 1);
    for (unsigned order = 0; order < 70; order++) {
        xen_pfn_t list[2] = {pool_mfn[170], 0};
        struct xen_memory_exchange e = {
            .in = {.nr_extents = ~0ull >> (order & 63), .extent_order = order, .domid = DOMID_SELF},
            .out = {
                .nr_extents = ~0ull >> (order & 63), .extent_order = order, .domid = DOMID_SELF}};
        set_xen_guest_handle(e.in.extent_start, list);
        set_xen_guest_handle(e.out.extent_start, list);
        call2(__HYPERVISOR_memory_op, XENMEM_exchange, &e);
        call2(__HYPERVISOR_memory_op, XENMEM_populate_physmap, &e.in);
        call2(__HYPERVISOR_memory_op, XENMEM_increase_reservation | 7 << 6, &e.in);
    }
    attempts_sum("huge counts");
}

/* A multicall that changes what it lies on, that calls itself. */
static void multicalls(void)
{
    static multicall_entry_t calls[3];
    calls[0] = (multicall_entry_t){.op = __HYPERVISOR_update_va_mapping,
                                   .args = {page_va(172), 0, UVMF_INVLPG}};
    memcpy(pool[172], calls, sizeof(calls));
    say("multicall that unmaps itself: %ld\n", call2(__HYPERVISOR_multicall, pool[172], 3));
    make_rw(172);
    calls[0] = (multicall_entry_t){.op = __HYPERVISOR_multicall, .args = {(uint64_t)calls, 3}};
    say("nested: %ld\n", call2(__HYPERVISOR_multicall, calls, 2));
    say("result in a table: %ld\n", call2(__HYPERVISOR_multicall, page_va(TABLE), 2));
    pvg_trap_table(guest);
}

void attack_buffers(void)
{
    absurd_pointers();
    huge_counts();
    multicalls();
}
