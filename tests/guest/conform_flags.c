/* SPDX-License-Identifier: MIT */
/* Each bit of an entry at each level, alone and with others. */
#include "ask.h"

#define TABLE(level) (level)        /* pool pages 1..4 are tables of that level */
#define CHILD(level) (10 + (level)) /* and these what their entries may name */

static void make_tables(void)
{
    make_ro(CHILD(2));
    make_ro(CHILD(3));
    make_ro(CHILD(4));
    for (unsigned level = 1; level <= 4; level++) {
        make_ro(TABLE(level));
        ASK(__HYPERVISOR_mmuext_op,
            &((struct mmuext_op){.cmd = MMUEXT_PIN_L1_TABLE + level - 1,
                                 .arg1.mfn = pool_mfn[TABLE(level)]}),
            1, 0, DOMID_SELF, "pin L%u", level);
    }
}

static bool is_flag(unsigned bit)
{
    return bit < 12 || bit >= 52;
}

static void one_bit(unsigned level, unsigned bit, uint64_t with, const char *name)
{
    uint64_t ptr = slot_address(TABLE(level), bit);
    uint64_t child = level == 1 ? 20 : CHILD(level);
    uint64_t value = entry_for((unsigned)child, with | 1ull << bit);
    ask_update(ptr, value, DOMID_SELF, "L%u %s bit %u", level, name, bit);
    update1(ptr, 0);
}

static void bits_of_level(unsigned level)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!is_flag(bit))
            continue;
        one_bit(level, bit, P_, "present");
        one_bit(level, bit, 0, "absent");
        if (level == 1)
            one_bit(level, bit, P_ | RW | US, "writable user");
    }
}

/* From one present entry to another: what may change without the references being taken anew. */
static void change_bits(unsigned level)
{
    uint64_t ptr = slot_address(TABLE(level), 100);
    unsigned child = level == 1 ? 20 : CHILD(level);
    static const uint64_t flags[] = {P_,           P_ | A_, P_ | RW,    P_ | RW | D_,    P_ | US,
                                     P_ | US | G_, P_ | NX, P_ | KMARK, P_ | KMARK | US, P_ | 0xe00,
                                     P_ | PWT,     0,       RW | US,    P_ | PSE,        KMARK,
                                     P_ | RW | NX, P_};
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        ask_update(ptr, entry_for(child, flags[i]), DOMID_SELF, "L%u change to %lx", level,
                   flags[i]);
    for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        ask_update(ptr | MMU_PT_UPDATE_PRESERVE_AD, entry_for(child, flags[i]), DOMID_SELF,
                   "L%u keep A D, change to %lx", level, flags[i]);
    update1(ptr, 0);
}

/* The same bits met by validation instead. */
static void validate_bits(unsigned level)
{
    unsigned table = 30;
    unsigned child = level == 1 ? 20 : CHILD(level);
    char text[48];
    for (unsigned bit = 0; bit < 64; bit++) {
        if (!is_flag(bit))
            continue;
        page(table)[7] = entry_for(child, P_ | 1ull << bit);
        make_ro(table);
        ask_ext(MMUEXT_PIN_L1_TABLE + level - 1, pool_mfn[table], 0, "validate L%u bit %u", level,
                bit);
        entry_text(text, sizeof(text), page(table)[7]);
        tell("left %s", text);
        unpin(table);
        make_rw(table);
        page(table)[7] = 0;
    }
}

void conform_flags(void)
{
    make_tables();
    for (unsigned level = 1; level <= 4; level++)
        bits_of_level(level);
    for (unsigned level = 1; level <= 4; level++)
        change_bits(level);
    for (unsigned level = 1; level <= 4; level++)
        validate_bits(level);
}
