/* SPDX-License-Identifier: MIT */
/* Frames of every kind in every role. */
#include "ask.h"

#include <xen/memory.h>

#define TARGET(n)    (100u + (n)) /* pool pages that become targets */
#define GONE         107u
#define TABLE(level) (110u + (level))

struct target targets[TARGETS];

static uint64_t make_gone(void)
{
    uint64_t mfn = pool_mfn[GONE];
    xen_pfn_t list = mfn;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, &list);
    set_va(page_va(GONE), 0);
    if (call2(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r) != 1)
        pvg_fatal(guest, "decrease_reservation");
    pool_mfn[GONE] = NO_FRAME;
    return mfn;
}

static void come_back(void)
{
    xen_pfn_t list = pfn_of(pool[GONE]);
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, &list);
    if (call2(__HYPERVISOR_memory_op, XENMEM_populate_physmap, &r) != 1)
        pvg_fatal(guest, "populate_physmap");
    pool_mfn[GONE] = list;
    make_rw(GONE);
}

void targets_make(void)
{
    unsigned long gdt;
    for (unsigned i = 1; i <= 6; i++)
        make_ro(TARGET(i));
    for (unsigned level = 1; level <= 4; level++)
        pin(TARGET(level), level);
    gdt = pool_mfn[TARGET(5)];
    if (call2(__HYPERVISOR_set_gdt, &gdt, 512))
        pvg_fatal(guest, "set_gdt");
    struct target all[TARGETS] = {
        {"writable", pool_mfn[TARGET(0)]},
        {"L1", pool_mfn[TARGET(1)]},
        {"L2", pool_mfn[TARGET(2)]},
        {"L3", pool_mfn[TARGET(3)]},
        {"L4", pool_mfn[TARGET(4)]},
        {"descriptors", pool_mfn[TARGET(5)]},
        {"untyped", pool_mfn[TARGET(6)]},
        {"shared_info", start_info->shared_info >> 12},
        {"live L1", live_table_mfn(page_va(0), 1)},
        {"live L4", root_mfn()},
        {"freed", make_gone()},
        {"beyond", 1ull << 38},
        {"all ones", ADDRESS >> 12},
    };
    memcpy(targets, all, sizeof(all));
}

void targets_undo(void)
{
    call2(__HYPERVISOR_set_gdt, 0, 0);
    come_back();
}

/* An entry of each level that names each target. */
static void by_entries(void)
{
    static const struct {
        const char *name;
        unsigned level;
        uint64_t flags;
    } ways[] = {{"L1 read-only", 1, P_},      {"L1 writable", 1, P_ | RW},
                {"L2", 2, TABLE_ENTRY},       {"L3", 3, TABLE_ENTRY},
                {"L4", 4, TABLE_ENTRY},       {"L2 read-only", 2, P_ | US},
                {"L3 read-only", 3, P_ | US}, {"L4 read-only", 4, P_ | US}};
    for (unsigned w = 0; w < sizeof(ways) / sizeof(ways[0]); w++)
        for (unsigned t = 0; t < TARGETS; t++) {
            uint64_t at = slot_address(TABLE(ways[w].level), 3);
            ask_update(at, frame_entry(targets[t].mfn, ways[w].flags), DOMID_SELF, "%s -> %s",
                       ways[w].name, targets[t].name);
            update1(at, 0);
        }
}

static void by_validation(void)
{
    for (unsigned level = 1; level <= 4; level++)
        for (unsigned t = 0; t < TARGETS; t++) {
            page(120)[5] = frame_entry(targets[t].mfn, TABLE_ENTRY);
            make_ro(120);
            ask_ext(MMUEXT_PIN_L1_TABLE + level - 1, pool_mfn[120], 0, "validate L%u with %s",
                    level, targets[t].name);
            unpin(120);
            make_rw(120);
            page(120)[5] = 0;
        }
}

static void by_pinning(void)
{
    for (unsigned level = 1; level <= 4; level++)
        for (unsigned t = 0; t < TARGETS; t++)
            if (ask_ext(MMUEXT_PIN_L1_TABLE + level - 1, targets[t].mfn, 0, "pin L%u %s", level,
                        targets[t].name) == 0)
                ask_ext(MMUEXT_UNPIN_TABLE, targets[t].mfn, 0, "  and unpin");
}

static void by_other_ops(void)
{
    static const struct {
        const char *name;
        unsigned cmd;
    } ops[] = {{"user root", MMUEXT_NEW_USER_BASEPTR}, {"clear page", MMUEXT_CLEAR_PAGE}};
    for (unsigned o = 0; o < 2; o++)
        for (unsigned t = 0; t < TARGETS; t++)
            if (targets[t].mfn != start_info->shared_info >> 12)
                ask_ext(ops[o].cmd, targets[t].mfn, 0, "%s %s", ops[o].name, targets[t].name);
    ext1(MMUEXT_NEW_USER_BASEPTR, 0, 0);
    for (unsigned t = 0; t < TARGETS; t++) {
        ask_ext(MMUEXT_COPY_PAGE, pool_mfn[121], targets[t].mfn, "copy from %s", targets[t].name);
        if (targets[t].mfn != start_info->shared_info >> 12)
            ask_ext(MMUEXT_COPY_PAGE, targets[t].mfn, pool_mfn[122], "copy to %s", targets[t].name);
    }
    for (unsigned t = 0; t < TARGETS; t++)
        if (t != 4 && t != 9 && t != 6 && t != 0)
            ask_ext(MMUEXT_NEW_BASEPTR, targets[t].mfn, 0, "kernel root %s", targets[t].name);
    ask_ext(MMUEXT_NEW_BASEPTR, root_mfn(), 0, "kernel root again");
    ask_ext(MMUEXT_NEW_BASEPTR, 0, 0, "kernel root 0");
    ask_ext(MMUEXT_NEW_BASEPTR, NO_FRAME, 0, "kernel root -1");
    ask_ext(MMUEXT_NEW_USER_BASEPTR, NO_FRAME, 0, "user root -1");
}

static void by_address(void)
{
    for (unsigned t = 0; t < TARGETS; t++) {
        ask_va(page_va(123), frame_entry(targets[t].mfn, RO_ENTRY), UVMF_INVLPG, "va -> %s",
               targets[t].name);
        ask_va(page_va(123), frame_entry(targets[t].mfn, RW_ENTRY), UVMF_INVLPG,
               "va -> writable %s", targets[t].name);
        ask_va(page_va(123), 0, UVMF_INVLPG, "va -> nothing");
    }
}

static void by_tables(void)
{
    for (unsigned t = 0; t < TARGETS; t++) {
        uint64_t at = targets[t].mfn << 12 & ADDRESS;
        if (targets[t].mfn == root_mfn() || t == 8 || t == 7)
            continue; /* these must live on */
        for (unsigned cmd = 0; cmd < 5; cmd++)
            ask_update(at + 40 + cmd, 0x5550, DOMID_SELF, "update in %s, command %u",
                       targets[t].name, cmd);
    }
    for (unsigned t = 0; t < TARGETS; t++) {
        unsigned long frame[2] = {targets[t].mfn, pool_mfn[106]};
        if (t == 5 || t == 7)
            continue;
        ASK(__HYPERVISOR_set_gdt, frame, 512, 0, 0, "gdt of %s", targets[t].name);
        ASK(__HYPERVISOR_update_descriptor, (targets[t].mfn << 12 & ADDRESS) + 0x80,
            0x00cff3000000ffffull, 0, 0, "descriptor in %s", targets[t].name);
    }
}

void conform_types(void)
{
    for (unsigned level = 1; level <= 4; level++) {
        make_ro(TABLE(level));
        pin(TABLE(level), level);
    }
    targets_make();
    by_entries();
    by_validation();
    by_pinning();
    by_other_ops();
    by_address();
    by_tables();
    targets_undo();
}
