/* SPDX-License-Identifier: MIT */
/* mmuext_op: pins and roots as states, flushes, the LDT, commands that are none. */
#include "ask.h"

static void commands(void)
{
    for (unsigned cmd = 0; cmd < 24; cmd++) {
        if (cmd == MMUEXT_FLUSH_CACHE || cmd == MMUEXT_FLUSH_CACHE_GLOBAL)
            continue; /* a matter of privilege */
        ask_ext(cmd, NO_FRAME, NO_FRAME, "command %u of -1", cmd);
        if (cmd != MMUEXT_SET_LDT)
            ask_ext(cmd, 1ull << 38, 0, "command %u beyond", cmd);
        if (cmd != MMUEXT_NEW_BASEPTR && cmd != MMUEXT_COPY_PAGE)
            ask_ext(cmd, 1ull << 52, 0, "command %u far beyond", cmd);
    }
    ask_ext(0x80000000u, 0, 0, "command 80000000");
    ask_ext(~0u, 0, 0, "command ffffffff");
}

static void pins(void)
{
    make_ro(80);
    ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[80], 0, "unpin what is not pinned");
    for (unsigned level = 1; level <= 4; level++) {
        ask_ext(MMUEXT_PIN_L1_TABLE + level - 1, pool_mfn[80], 0, "pin L%u", level);
        for (unsigned other = 1; other <= 4; other++)
            ask_ext(MMUEXT_PIN_L1_TABLE + other - 1, pool_mfn[80], 0, "  then pin L%u", other);
        ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[80], 0, "  unpin");
        ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[80], 0, "  unpin again");
    }
    make_rw(80);
}

/* A tree by its top: what the lower tables become, and what they are afterwards. */
static void tree(void)
{
    for (unsigned i = 81; i <= 84; i++)
        make_ro(i); /* L4 81, L3 82, L2 83, L1 84 */
    ask_va(page_va(82), entry_for(82, RW_ENTRY), UVMF_INVLPG, "L3 writable for a moment");
    page(82)[1] = entry_for(83, TABLE_ENTRY);
    ask_va(page_va(82), entry_for(82, RO_ENTRY), UVMF_INVLPG, "L3 read-only");
    ask_update(slot_address(83, 1), entry_for(84, TABLE_ENTRY), DOMID_SELF, "L2 -> L1, untyped");
    ask_update(slot_address(81, 1), entry_for(82, TABLE_ENTRY), DOMID_SELF, "L4 -> L3, untyped");
    ask_update(slot_address(84, 1), entry_for(85, RW_ENTRY), DOMID_SELF, "L1 -> page, untyped");
    ask_ext(MMUEXT_PIN_L4_TABLE, pool_mfn[81], 0, "pin the tree");
    ask_va(page_va(84), entry_for(84, RW_ENTRY), UVMF_INVLPG, "L1 writable");
    ask_ext(MMUEXT_PIN_L1_TABLE, pool_mfn[84], 0, "pin the L1 too");
    ask_ext(MMUEXT_PIN_L3_TABLE, pool_mfn[84], 0, "pin the L1 as L3");
    ask_update(slot_address(83, 2), entry_for(84, TABLE_ENTRY), DOMID_SELF, "L1 twice");
    ask_update(slot_address(83, 3), entry_for(82, TABLE_ENTRY), DOMID_SELF, "L2 -> L3");
    ask_update(slot_address(83, 3), entry_for(83, TABLE_ENTRY), DOMID_SELF, "L2 -> itself");
    ask_update(slot_address(81, 3), entry_for(81, TABLE_ENTRY), DOMID_SELF, "L4 -> itself");
    ask_update(slot_address(81, 3), entry_for(81, P_ | US), DOMID_SELF, "L4 -> itself read-only");
    update1(slot_address(81, 3), 0);
    ask_ext(MMUEXT_NEW_USER_BASEPTR, pool_mfn[81], 0, "load it for user mode");
    ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[81], 0, "unpin the tree");
    ask_va(page_va(83), entry_for(83, RW_ENTRY), UVMF_INVLPG, "L2 writable");
    ask_ext(MMUEXT_NEW_USER_BASEPTR, 0, 0, "no user root");
    ask_va(page_va(83), entry_for(83, RW_ENTRY), UVMF_INVLPG, "L2 writable");
    ask_va(page_va(84), entry_for(84, RW_ENTRY), UVMF_INVLPG, "L1 writable");
    ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[84], 0, "unpin the L1");
    ask_va(page_va(84), entry_for(84, RW_ENTRY), UVMF_INVLPG, "L1 writable");
    for (unsigned i = 81; i <= 84; i++)
        make_rw(i);
}

/* A promotion that fails below the first entry of an L3 table: everything must be as before. */
static void failed_tree(void)
{
    enum { L4 = 87, L3 = 88, L2 = 89, GOOD = 95, BAD = 96 };
    page(L4)[1] = entry_for(L3, TABLE_ENTRY);
    page(L3)[0] = entry_for(L2, TABLE_ENTRY);
    page(L2)[1] = entry_for(GOOD, TABLE_ENTRY);
    page(L2)[2] = entry_for(BAD, TABLE_ENTRY);
    page(BAD)[1] = entry_for(L2, P_ | RW);
    make_ro(L4);
    make_ro(L3);
    make_ro(L2);
    make_ro(GOOD);
    make_ro(BAD);
    ask_ext(MMUEXT_PIN_L4_TABLE, pool_mfn[L4], 0, "pin a tree with a bad leaf");
    ask_va(page_va(L4), entry_for(L4, RW_ENTRY), UVMF_INVLPG, "its L4 writable");
    ask_va(page_va(L3), entry_for(L3, RW_ENTRY), UVMF_INVLPG, "its L3 writable");
    ask_va(page_va(L2), entry_for(L2, RW_ENTRY), UVMF_INVLPG, "its L2 writable");
    ask_va(page_va(GOOD), entry_for(GOOD, RW_ENTRY), UVMF_INVLPG, "its L1 writable");
    make_ro(L2);
    make_ro(GOOD);
    update1(slot_address(BAD, 1), 0);
    ask_ext(MMUEXT_PIN_L2_TABLE, pool_mfn[L2], 0, "pin the L2, mended");
    ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[L2], 0, "unpin it");
    ask_va(page_va(L2), entry_for(L2, RW_ENTRY), UVMF_INVLPG, "L2 writable");
    make_rw(GOOD);
    make_rw(BAD);
}

/* The live root copied, its own slots kept: it can be loaded. */
static void other_root(void)
{
    volatile uint64_t *live = (volatile uint64_t *)start_info->pt_base;
    for (unsigned i = 0; i < ENTRIES; i++)
        page(86)[i] = live[i];
    page(86)[260] = 0x1234567; /* the hypervisor's: whatever is there is ignored */
    make_ro(86);
    ask_ext(MMUEXT_NEW_BASEPTR, pool_mfn[86], 0, "load a copy of the root");
    tell("slot 260 %s", page(86)[260] == live[260] ? "as in the live one" : "differs");
    ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[86], 0, "unpin it, though never pinned");
    ask_va(page_va(86), entry_for(86, RW_ENTRY), UVMF_INVLPG, "writable while loaded");
    ask_ext(MMUEXT_NEW_BASEPTR, root_mfn(), 0, "load the first root");
    ask_va(page_va(86), entry_for(86, RW_ENTRY), UVMF_INVLPG, "writable afterwards");
}

static void flushes(void)
{
    static const uint64_t vas[] = {0,
                                   0xffffffff80000000ull,
                                   0xffff800000000000ull,
                                   0xffff830000000000ull,
                                   0x0000800000000000ull,
                                   ~0ull};
    static uint64_t mask[2] = {1, 0};
    static const uint64_t masks[] = {0, 0x1000, 0xffff830000000000ull, 0x0000800000000000ull};
    for (unsigned i = 0; i < 6; i++) {
        ask_ext(MMUEXT_INVLPG_LOCAL, vas[i], 0, "invlpg %lx", vas[i]);
        ask_ext(MMUEXT_INVLPG_ALL, vas[i], 0, "invlpg of all %lx", vas[i]);
        ask_ext(MMUEXT_INVLPG_MULTI, vas[i], (uint64_t)mask, "invlpg of some %lx", vas[i]);
    }
    for (unsigned i = 0; i < 4; i++) {
        ask_ext(MMUEXT_TLB_FLUSH_MULTI, 0, masks[i], "flush, mask at %lx", masks[i]);
        ask_ext(MMUEXT_INVLPG_MULTI, page_va(0), masks[i], "invlpg, mask at %lx", masks[i]);
    }
    mask[0] = 0;
    ask_ext(MMUEXT_TLB_FLUSH_MULTI, 0, (uint64_t)mask, "flush of nobody");
    mask[0] = ~0ull;
    ask_ext(MMUEXT_TLB_FLUSH_MULTI, 0, (uint64_t)mask, "flush of everybody");
}

static void ldt(void)
{
    static const struct {
        uint64_t base, entries;
    } sets[] = {{0, 0},
                {1, 0},
                {0x1000, 1},
                {0x1000, 8192},
                {0x1000, 8193},
                {0x1001, 1},
                {0x1008, 0},
                {0xffff830000000000ull, 1},
                {0x0000800000000000ull, 1},
                {0x00007ffffffff000ull, 8192},
                {0xfffffffffffff000ull, 8192},
                {0x1000, ~0ull},
                {0x2000, 1ull << 32},
                {0, 0}};
    for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        ask_ext(MMUEXT_SET_LDT, sets[i].base, sets[i].entries, "ldt at %lx, %lx entries",
                sets[i].base, sets[i].entries);
}

void conform_ext(void)
{
    commands();
    pins();
    tree();
    failed_tree();
    other_root();
    flushes();
    ldt();
}
