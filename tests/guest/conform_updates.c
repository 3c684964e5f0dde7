/* SPDX-License-Identifier: MIT */
/* mmu_update and update_va_mapping: commands, places, domains, flags; and direct stores. */
#include "ask.h"

#define UNUSED_VA 0x0000123456789000ull /* no table leads there */

static void commands(void)
{
    static const char *const kinds[] = {"writable", "L1", "L2", "L3", "L4"};
    for (unsigned level = 0; level <= 4; level++) {
        unsigned table = 40 + level;
        if (level > 0) {
            make_ro(table);
            pin(table, level);
        }
        for (unsigned cmd = 0; cmd < 8; cmd++) {
            ask_update(slot_address(table, 9) + cmd, 0, DOMID_SELF, "%s command %u value 0",
                       kinds[level], cmd);
            ask_update(slot_address(table, 9) + cmd, 0x123456000, DOMID_SELF,
                       "%s command %u absent", kinds[level], cmd);
        }
        update1(slot_address(table, 9), 0);
        ask_update(slot_address(table, 511), 0, DOMID_SELF, "%s last slot", kinds[level]);
    }
    for (unsigned i = 40; i < 45; i++)
        update1(slot_address(i, 0) | MMU_MACHPHYS_UPDATE, pfn_of(pool[i]));
}

static void reserved_slots(void)
{
    static const unsigned slots[] = {255, 256, 257, 260, 271, 272, 511};
    for (unsigned i = 0; i < 7; i++) {
        mmu_update_t u = {slot_address(44, slots[i]), 0};
        ASK(__HYPERVISOR_mmu_update, &u, 1, 0, DOMID_SELF, "root slot %u := 0", slots[i]);
        u.val = 0x1230;
        ASK(__HYPERVISOR_mmu_update, &u, 1, 0, DOMID_SELF, "root slot %u := absent", slots[i]);
    }
}

static void m2p(void)
{
    static const uint64_t values[] = {0, 1, 0x12345, 1ull << 62, ~0ull};
    for (unsigned i = 0; i < 5; i++)
        ask_update(slot_address(46, 0) | MMU_MACHPHYS_UPDATE, values[i], DOMID_SELF, "m2p := %lx",
                   values[i]);
    ask_update(slot_address(46, 77) | MMU_MACHPHYS_UPDATE, pfn_of(pool[46]), DOMID_SELF,
               "m2p := own, with an offset");
    ask_update(1ull << 50 | MMU_MACHPHYS_UPDATE, 5, DOMID_SELF, "m2p beyond memory");
    ask_update(~7ull | MMU_MACHPHYS_UPDATE, 5, DOMID_SELF, "m2p all ones");
}

static void domains(void)
{
    static const struct {
        const char *name;
        uint64_t id;
    } ids[] = {{"none", 0x123},
               {"self as tables", 0x7ff1u << 16 | DOMID_SELF},
               {"IO", DOMID_IO},
               {"invalid", DOMID_INVALID},
               {"cow", DOMID_COW},
               {"idle", DOMID_IDLE},
               {"above", 0x7fff},
               {"tables of none", 0x124u << 16 | DOMID_SELF},
               {"tables of IO", (DOMID_IO + 1u) << 16 | DOMID_SELF},
               {"high bits", 1ull << 32 | DOMID_SELF}};
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        ask_update(slot_address(41, 3), 0, ids[i].id, "domain %s, absent entry", ids[i].name);
        ask_update(slot_address(41, 3), entry_for(50, P_), ids[i].id, "domain %s, present entry",
                   ids[i].name);
        update1(slot_address(41, 3), 0);
        ASK(__HYPERVISOR_mmuext_op,
            &((struct mmuext_op){.cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = pool_mfn[51]}), 1, 0,
            ids[i].id, "mmuext for domain %s", ids[i].name);
        ASK(__HYPERVISOR_update_va_mapping_otherdomain, page_va(52), entry_for(52, RW_ENTRY), 0,
            ids[i].id, "va mapping for domain %s", ids[i].name);
    }
}

static void va_flags(void)
{
    static uint64_t mask[2] __attribute__((aligned(16))) = {1, 0};
    static const uint64_t kinds[] = {UVMF_NONE, UVMF_TLB_FLUSH, UVMF_INVLPG, 3};
    for (unsigned k = 0; k < 4; k++) {
        ask_va(page_va(53), entry_for(53, RO_ENTRY), kinds[k], "va flags %lu", kinds[k]);
        ask_va(page_va(53), entry_for(53, RW_ENTRY), kinds[k] | UVMF_ALL, "va flags %lu all",
               kinds[k]);
        ask_va(page_va(53), entry_for(53, RO_ENTRY), kinds[k] | (uint64_t)mask, "va flags %lu mask",
               kinds[k]);
        ask_va(page_va(53), entry_for(53, RW_ENTRY), kinds[k] | 0xffff900000000000ull,
               "va flags %lu mask nowhere", kinds[k]);
        ask_va(page_va(53), entry_for(53, RO_ENTRY), kinds[k] | 0xffff800000000000ull,
               "va flags %lu mask of the hypervisor's", kinds[k]);
        ask_va(page_va(53), entry_for(53, RO_ENTRY), kinds[k] | 0x8000000000000000ull,
               "va flags %lu mask not canonical", kinds[k]);
    }
    ask_va(page_va(53), entry_for(53, RW_ENTRY), 8, "va flags mask at 8");
    ask_va(page_va(53), entry_for(53, RW_ENTRY), 0, "va writable again");
}

static void va_places(void)
{
    static const struct {
        const char *name;
        uint64_t va;
    } places[] = {{"0", 0},
                  {"no table", UNUSED_VA},
                  {"not canonical", 0x0000800000000000ull},
                  {"not canonical high", 0xffff7ffffffff000ull},
                  {"m2p", 0xffff800000000000ull},
                  {"hypervisor", 0xffff82d040200000ull},
                  {"hypervisor's last", 0xffff87fffffff000ull},
                  {"after it", 0xffff880000000000ull},
                  {"the end", 0xfffffffffffff000ull}};
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        ask_va(places[i].va, 0, 0, "va %s := 0", places[i].name);
        ask_va(places[i].va, entry_for(54, RO_ENTRY), 0, "va %s := page", places[i].name);
    }
    ask_va(page_va(54) + 0x123, entry_for(54, RO_ENTRY), UVMF_INVLPG, "va with an offset");
    ask_va(page_va(54), entry_for(54, RW_ENTRY), UVMF_INVLPG, "va writable again");
}

/* Two mappings, a pin between. */
static void mapped_tables(void)
{
    ask_ext(MMUEXT_PIN_L1_TABLE, pool_mfn[55], 0, "pin while writable");
    ask_va(page_va(55), entry_for(55, RO_ENTRY), 0, "read-only without flush");
    ask_ext(MMUEXT_PIN_L1_TABLE, pool_mfn[55], 0, "pin then");
    ask_va(page_va(55), entry_for(55, RW_ENTRY), 0, "writable while pinned");
    ask_va(page_va(55), entry_for(55, P_ | RW | D_), 0, "writable while pinned, dirty");
    ask_va(page_va(55), 0, UVMF_INVLPG, "no mapping at all");
    ask_ext(MMUEXT_UNPIN_TABLE, pool_mfn[55], 0, "unpin unmapped");
    ask_va(page_va(55), entry_for(55, RW_ENTRY), 0, "writable");
    ask_va(page_va(55), entry_for(56, RW_ENTRY), UVMF_INVLPG, "another page there");
    ask_va(page_va(55), entry_for(55, RW_ENTRY), UVMF_INVLPG, "and back");
}

/* Stores of the guest itself into tables. */
static void store(const char *name, unsigned table, unsigned slot, uint64_t value)
{
    char text[48];
    bool done = try_write(page_va(table) + slot * 8, value);
    entry_text(text, sizeof(text), page(table)[slot]);
    tell("store %s: %s, entry %s", name, done ? "done" : "fault", text);
}

static void stores(void)
{
    make_ro(57);
    make_ro(58);
    store("untyped read-only", 57, 1, 0);
    pin(57, 1);
    store("L1 := 0", 57, 1, 0);
    store("L1 := absent", 57, 2, 0x1230);
    store("L1 := page", 57, 3, entry_for(60, P_ | US));
    store("L1 := writable page", 57, 4, entry_for(60, P_ | RW));
    store("L1 := itself", 57, 5, entry_for(57, P_));
    store("L1 := itself writable", 57, 6, entry_for(57, P_ | RW));
    store("L1 := beyond", 57, 7, frame_entry(1ull << 38, P_));
    pin(58, 2);
    store("L2 := 0", 58, 1, 0);
    store("L2 := L1", 58, 2, entry_for(57, TABLE_ENTRY));
    call2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    store("assisted: L1 := 0", 57, 1, 0);
    store("assisted: L1 := absent", 57, 2, 0x1230);
    store("assisted: L1 := page", 57, 3, entry_for(60, P_ | US));
    store("assisted: L1 := writable page", 57, 4, entry_for(60, P_ | RW));
    store("assisted: L1 := itself", 57, 5, entry_for(57, P_));
    store("assisted: L1 := itself writable", 57, 6, entry_for(57, P_ | RW));
    store("assisted: L1 := beyond", 57, 8, frame_entry(1ull << 38, P_));
    store("assisted: L2 := 0", 58, 1, 0);
    store("assisted: L2 := L1", 58, 2, entry_for(57, TABLE_ENTRY));
    store("assisted: untyped read-only", 59, 1, 0);
}

void conform_updates(void)
{
    commands();
    reserved_slots();
    m2p();
    domains();
    va_flags();
    va_places();
    mapped_tables();
    stores();
}
