/* SPDX-License-Identifier: MIT */
#include "chaos.h"

#define LIVE_TARGETS 5u

/* What was ever asked of each page since the last reset. */
static struct {
    unsigned level; /* the highest it may have become a table of */
    bool read_only; /* it may hold present entries without RW */
    uint64_t names; /* pages its entries may lead to */
} plan[SUBJECTS];

unsigned class_of_page(unsigned i)
{
    return i < FIRST_L2 ? 1 : i < FIRST_L3 ? 2 : i < FIRST_L4 ? 3 : i < FIRST_WINDOW ? 4 : 1;
}

void plan_reset(void)
{
    for (unsigned i = 0; i < SUBJECTS; i++) {
        plan[i].level = class_of_page(i);
        plan[i].read_only = false;
        plan[i].names = 0;
    }
}

bool plan_level(unsigned i, unsigned level)
{
    if (level <= plan[i].level)
        return class_of_page(i) != 4 || level == 4;
    if (level == 4 || plan[i].read_only)
        return false;
    for (unsigned t = 0; t < SUBJECTS; t++)
        if ((plan[i].names >> t & 1) && !plan_level(t, level - 1))
            return false;
    plan[i].level = level;
    return true;
}

static bool plan_name(unsigned i, unsigned target, bool writable)
{
    if (plan[i].level > 1 && (!writable || !plan_level(target, plan[i].level - 1)))
        return false;
    if (!writable)
        plan[i].read_only = true;
    plan[i].names |= 1ull << target;
    return true;
}

static uint64_t random_flags(void)
{
    uint64_t flags = P_ | (random64() & (US | A_ | D_ | 0xe00));
    if (chance(65))
        flags |= RW;
    if (chance(10))
        flags |= NX;
    if (chance(10))
        flags |= G_;
    if (chance(10))
        flags |= KMARK;
    return flags;
}

static unsigned random_target(unsigned i)
{
    unsigned class = class_of_page(i);
    if (chance(6))
        return below(SUBJECTS);
    switch (class) {
    case 2:
        return below(FIRST_L2);
    case 3:
        return FIRST_L2 + below(FIRST_L3 - FIRST_L2);
    case 4:
        return FIRST_L3 + below(FIRST_L4 - FIRST_L3);
    default:
        return chance(70) ? FIRST_WINDOW + below(SUBJECTS - FIRST_WINDOW) : below(SUBJECTS);
    }
}

/* A table in use, a page of the image, or a frame that is none. */
static uint64_t outside_entry(unsigned i, uint64_t flags)
{
    unsigned which = below(LIVE_TARGETS + 3);
    if (plan[i].level > 1)
        flags |= RW;
    if (which < 4)
        return frame_entry(live_table_mfn(page_va(0), which + 1), flags);
    if (which == 4)
        return frame_entry(mfn_of(pvg_image_start), flags);
    if (which == 5)
        return frame_entry(start_info->shared_info >> 12, flags);
    return frame_entry(which == 6 ? 1ull << 38 : ADDRESS >> 12, flags);
}

uint64_t plan_entry(unsigned i)
{
    uint64_t flags = random_flags();
    unsigned target = random_target(i);
    if (target < FIRST_WINDOW && plan[i].level == 1 && chance(93))
        flags &= ~RW; /* tables are mostly mapped as they may be */
    if (chance(20))
        return chance(50) ? 0 : (random64() & 0xffffff000ull) | 1ull << 45; /* no real frame */
    if (chance(4))
        return outside_entry(i, flags | (plan[i].level > 1 ? RW : 0));
    if (plan[i].level > 1)
        flags |= RW;
    return plan_name(i, target, flags & RW) ? entry_for(target, flags) : 0;
}

/* Never slot 0: when a promotion fails below the first entry of an L3 table, real Xen 4.17 loses a
 * reference (docs/compatibility.md), and everything after would differ. */
unsigned plan_slot(unsigned i)
{
    static const uint16_t of_roots[] = {4,   1,   2,   3,   100, 254, 255, 256,
                                        257, 260, 271, 272, 273, 300, 509, 510};
    return class_of_page(i) == 4 && i < FIRST_WINDOW ? of_roots[below(16)] : 1 + below(16);
}

bool plan_copy(unsigned to, unsigned from)
{
    if ((class_of_page(to) == 4) != (class_of_page(from) == 4))
        return false;
    if (plan[to].level > 1 && plan[from].read_only)
        return false;
    for (unsigned t = 0; t < SUBJECTS; t++)
        if ((plan[from].names >> t & 1) && plan[to].level > 1 && !plan_level(t, plan[to].level - 1))
            return false;
    plan[to].read_only |= plan[from].read_only;
    plan[to].names |= plan[from].names;
    return true;
}

bool plan_clear_rw(unsigned i)
{
    if (plan[i].level > 1)
        return false;
    plan[i].read_only = true;
    return true;
}
