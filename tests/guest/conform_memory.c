/* SPDX-License-Identifier: MIT */
/* memory_op: taking, giving and exchanging frames, and questions. */
#include "ask.h"

#include <xen/memory.h>

static xen_pfn_t list[16];

static struct xen_memory_reservation some(uint64_t n, unsigned order)
{
    struct xen_memory_reservation r = {.nr_extents = n, .extent_order = order, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, list);
    return r;
}

#define MEMORY(cmd, arg, ...) ASK(__HYPERVISOR_memory_op, cmd, arg, 0, 0, __VA_ARGS__)

static int64_t frames_owned(void)
{
    domid_t self = DOMID_SELF;
    return call2(__HYPERVISOR_memory_op, XENMEM_current_reservation, &self);
}

static void tell_change(int64_t before)
{
    tell("frames %ld", frames_owned() - before);
}

/* Pages 130..: given away in every state, and taken back. */
static void decrease(void)
{
    struct xen_memory_reservation r = some(1, 0);
    int64_t before = frames_owned();
    uint64_t freed;
    list[0] = pool_mfn[130];
    MEMORY(XENMEM_decrease_reservation, &r, "give a mapped page");
    tell_change(before);
    tell("m2p %s", M2P[pool_mfn[130]] == pfn_of(pool[130]) ? "own" : "other");
    MEMORY(XENMEM_decrease_reservation, &r, "give it again");
    tell("page is %s", page(130)[0] == 0 ? "readable" : "changed");
    ask_va(page_va(131), entry_for(130, RO_ENTRY), UVMF_INVLPG, "map it once more");
    ask_va(page_va(131), 0, UVMF_INVLPG, "and not");
    ask_va(page_va(130), 0, UVMF_INVLPG, "unmap it");
    tell_change(before);
    freed = pool_mfn[130];
    ask_va(page_va(130), frame_entry(freed, RO_ENTRY), UVMF_INVLPG, "map it after that");
    list[0] = freed;
    MEMORY(XENMEM_decrease_reservation, &r, "give it a third time");
    ask_update(freed << 12 | MMU_MACHPHYS_UPDATE, 5, DOMID_SELF, "m2p of it");
    pool_mfn[130] = NO_FRAME;
    list[0] = pfn_of(pool[130]);
    MEMORY(XENMEM_populate_physmap, &r, "take one");
    pool_mfn[130] = list[0];
    tell("m2p %s", M2P[list[0]] == pfn_of(pool[130]) ? "own" : "other");
    tell_change(before);
    make_rw(130);
    make_rw(131);
    /* and the guest's own list follows */
    ((uint64_t *)start_info->mfn_list)[pfn_of(pool[130])] = list[0];
}

static void decrease_in_use(void)
{
    struct xen_memory_reservation r = some(1, 0);
    int64_t before = frames_owned();
    make_ro(132);
    pin(132, 1);
    list[0] = pool_mfn[132];
    MEMORY(XENMEM_decrease_reservation, &r, "give a pinned table");
    tell_change(before);
    ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[132], 0, "unpin it");
    tell_change(before);
    ask_ext(MMUEXT_PIN_L1_TABLE, pool_mfn[132], 0, "pin it, given but mapped");
    tell_change(before);
    ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[132], 0, "unpin it");
    ask_va(page_va(132), 0, UVMF_INVLPG, "unmap it");
    tell_change(before);
    pool_mfn[132] = NO_FRAME;
    list[0] = pfn_of(pool[132]);
    MEMORY(XENMEM_populate_physmap, &r, "take one");
    pool_mfn[132] = list[0];
    ((uint64_t *)start_info->mfn_list)[pfn_of(pool[132])] = list[0];
    make_rw(132);
    tell_change(before);
}

static void bad_reservations(void)
{
    static const unsigned cmds[] = {XENMEM_increase_reservation, XENMEM_decrease_reservation,
                                    XENMEM_populate_physmap};
    static const char *const names[] = {"increase", "decrease", "populate"};
    for (unsigned i = 0; i < 3; i++) {
        struct xen_memory_reservation r = some(0, 0);
        list[0] = NO_FRAME;
        MEMORY(cmds[i], &r, "%s of none", names[i]);
        MEMORY(cmds[i], 0, "%s, no argument", names[i]);
        MEMORY(cmds[i], 0xffff830000000000ull, "%s, bad argument", names[i]);
        r = some(1, 64);
        MEMORY(cmds[i], &r, "%s, order 64", names[i]);
        r = some(1, ~0u);
        MEMORY(cmds[i], &r, "%s, order -1", names[i]);
        r = some(1, 20);
        MEMORY(cmds[i], &r, "%s, order 20", names[i]);
        r = some(1ull << 40, 0);
        MEMORY(cmds[i], &r, "%s, 2^40 extents", names[i]);
        r = some(1ull << 26, 0);
        MEMORY(cmds[i], &r, "%s, 2^26 extents", names[i]);
        r = some(1, 0);
        r.domid = 0x123;
        MEMORY(cmds[i], &r, "%s, no such domain", names[i]);
        r = some(1, 0);
        r.extent_start.p = (void *)0xffff830000000000ull;
        MEMORY(cmds[i], &r, "%s, bad list", names[i]);
        r = some(1, 0);
        MEMORY(cmds[i] | 1 << 6, &r, "%s, all done before", names[i]);
        MEMORY(cmds[i] | 5 << 6, &r, "%s, more done than asked", names[i]);
    }
    struct xen_memory_reservation r = some(2, 0);
    list[0] = 1ull << 38;
    MEMORY(XENMEM_decrease_reservation, &r, "decrease beyond memory");
    list[0] = NO_FRAME;
    MEMORY(XENMEM_decrease_reservation, &r, "decrease -1");
    list[0] = start_info->shared_info >> 12;
    MEMORY(XENMEM_decrease_reservation, &r, "decrease shared_info");
}

/* Give away, then take as increase does: without a pfn. */
static void increase(void)
{
    struct xen_memory_reservation r = some(1, 0);
    int64_t before = frames_owned();
    set_va(page_va(133), 0);
    list[0] = pool_mfn[133];
    MEMORY(XENMEM_decrease_reservation, &r, "give one");
    list[0] = 0;
    MEMORY(XENMEM_increase_reservation, &r, "increase by one");
    tell_change(before);
    pool_mfn[133] = list[0];
    tell("m2p %s", M2P[list[0]] == pfn_of(pool[133]) ? "own" : "other");
    ask_va(page_va(133), entry_for(133, RW_ENTRY), 0, "map it");
    ask_update(pool_mfn[133] << 12 | MMU_MACHPHYS_UPDATE, pfn_of(pool[133]), DOMID_SELF,
               "and number it");
    ((uint64_t *)start_info->mfn_list)[pfn_of(pool[133])] = list[0];
}

static struct xen_memory_exchange exchange_of(uint64_t n_in, unsigned in, uint64_t n_out,
                                              unsigned out, xen_pfn_t *from, xen_pfn_t *to)
{
    struct xen_memory_exchange e = {
        .in = {.nr_extents = n_in, .extent_order = in, .domid = DOMID_SELF},
        .out = {.nr_extents = n_out, .extent_order = out, .domid = DOMID_SELF},
    };
    set_xen_guest_handle(e.in.extent_start, from);
    set_xen_guest_handle(e.out.extent_start, to);
    return e;
}

static void exchange_one(unsigned i, const char *state)
{
    xen_pfn_t in = pool_mfn[i], out = pfn_of(pool[i]);
    struct xen_memory_exchange e = exchange_of(1, 0, 1, 0, &in, &out);
    int64_t before = frames_owned();
    if (MEMORY(XENMEM_exchange, &e, "exchange %s", state) == 0) {
        pool_mfn[i] = out;
        ((uint64_t *)start_info->mfn_list)[pfn_of(pool[i])] = out;
    }
    tell("exchanged %lu, frames %ld, m2p %s", e.nr_exchanged, frames_owned() - before,
         M2P[pool_mfn[i]] == pfn_of(pool[i]) ? "own" : "other");
}

static void exchange(void)
{
    xen_pfn_t in[4], out[4];
    exchange_one(134, "a mapped page");
    set_va(page_va(134), 0);
    exchange_one(134, "an unmapped page");
    make_rw(134);
    make_ro(135);
    exchange_one(135, "a read-only page");
    pin(135, 1);
    set_va(page_va(135), 0);
    exchange_one(135, "a pinned table");
    for (unsigned i = 0; i < 4; i++) {
        set_va(page_va(136 + i), 0);
        in[i] = pool_mfn[136 + i];
        out[i] = pfn_of(pool[136 + i]);
    }
    struct xen_memory_exchange e = exchange_of(4, 0, 1, 2, in, out);
    if (MEMORY(XENMEM_exchange, &e, "four for one of order 2") == 0)
        for (unsigned i = 0; i < 4; i++)
            pool_mfn[136 + i] = out[0] + i;
    tell("exchanged %lu", e.nr_exchanged);
    for (unsigned i = 0; i < 4; i++) {
        tell("m2p %s", M2P[pool_mfn[136 + i]] == pfn_of(pool[136 + i]) ? "own" : "other");
        in[i] = pool_mfn[136 + i];
    }
    e = exchange_of(1, 2, 4, 0, in, out);
    for (unsigned i = 0; i < 4; i++)
        out[i] = pfn_of(pool[136 + i]);
    if (MEMORY(XENMEM_exchange, &e, "one of order 2 for four") == 0)
        for (unsigned i = 0; i < 4; i++)
            pool_mfn[136 + i] = out[i];
    tell("exchanged %lu", e.nr_exchanged);
    for (unsigned i = 0; i < 4; i++) {
        ((uint64_t *)start_info->mfn_list)[pfn_of(pool[136 + i])] = pool_mfn[136 + i];
        make_rw(136 + i);
    }
}

static void bad_exchanges(void)
{
    xen_pfn_t in[2] = {NO_FRAME, NO_FRAME}, out[2] = {0, 0};
    struct xen_memory_exchange e = exchange_of(1, 0, 1, 0, in, out);
    MEMORY(XENMEM_exchange, &e, "exchange of no frame");
    in[0] = 1ull << 38;
    MEMORY(XENMEM_exchange, &e, "exchange beyond memory");
    in[0] = start_info->shared_info >> 12;
    MEMORY(XENMEM_exchange, &e, "exchange of shared_info");
    e = exchange_of(0, 0, 0, 0, in, out);
    MEMORY(XENMEM_exchange, &e, "exchange of none");
    e = exchange_of(2, 0, 1, 0, in, out);
    MEMORY(XENMEM_exchange, &e, "exchange of two for one");
    e = exchange_of(1, 0, 1, 0, in, out);
    e.nr_exchanged = 1;
    MEMORY(XENMEM_exchange, &e, "exchange that is done");
    e.nr_exchanged = 2;
    MEMORY(XENMEM_exchange, &e, "exchange that is more than done");
    e = exchange_of(1, 0, 1, 0, in, out);
    e.out.domid = 0x123;
    MEMORY(XENMEM_exchange, &e, "exchange between domains");
    e.in.domid = 0x123;
    MEMORY(XENMEM_exchange, &e, "exchange of another's");
    e = exchange_of(1, 63, 1, 63, in, out);
    MEMORY(XENMEM_exchange, &e, "exchange of order 63");
    e = exchange_of(~0ull, 1, ~0ull, 1, in, out);
    MEMORY(XENMEM_exchange, &e, "exchange of -1 extents");
    e = exchange_of(1, 0, 1, 0, (void *)0xffff830000000000ull, out);
    MEMORY(XENMEM_exchange, &e, "exchange, bad list");
    e = exchange_of(1, 0, 1, 0, in, (void *)0xffff830000000000ull);
    MEMORY(XENMEM_exchange, &e, "exchange, bad output list");
    MEMORY(XENMEM_exchange, 0, "exchange, no argument");
}

static void questions(void)
{
    static const unsigned cmds[] = {XENMEM_current_reservation, XENMEM_maximum_reservation,
                                    XENMEM_maximum_gpfn};
    for (unsigned i = 0; i < 3; i++) {
        domid_t id = 0x123;
        MEMORY(cmds[i], &id, "question %u about none", cmds[i]);
        MEMORY(cmds[i], 0, "question %u, no argument", cmds[i]);
        MEMORY(cmds[i] | 1 << 6, &id, "question %u continued", cmds[i]);
    }
    struct xen_machphys_mapping m = {0, 0, 0};
    MEMORY(XENMEM_machphys_mapping, &m, "machphys_mapping");
    tell("from %lx", m.v_start);
    MEMORY(XENMEM_machphys_mapping, 0xffff830000000000ull, "machphys_mapping, bad argument");
    MEMORY(XENMEM_memory_map, 0xffff830000000000ull, "memory_map, bad argument");
    for (unsigned cmd = 29; cmd < 64; cmd++)
        MEMORY(cmd, 0, "command %u", cmd);
}

void conform_memory(void)
{
    decrease();
    decrease_in_use();
    bad_reservations();
    increase();
    exchange();
    bad_exchanges();
    questions();
}
