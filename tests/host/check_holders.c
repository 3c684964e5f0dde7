/* SPDX-License-Identifier: MIT */
/*
 * What the core tells of a frame's holders, against the frame's own words, which an audit before
 * has found right; and where entries are seen, against walks from above through every address.
 */
#include "world.h"

struct tally {
    struct world *w;
    uint64_t n;
    uint32_t uses, holds;
    struct core_holder entry; /* one of the entries; kind 0: there is none */
    uint64_t entries;
    const char *wrong;
};

static const char *judge_entry(const struct tally *t, const struct core_holder *h)
{
    uint64_t is = t->w->memory[h->table.n][h->slot];
    if (h->at.a != h->table.n * PAGE_BYTES + h->slot * sizeof(uint64_t) || is != h->entry)
        return "a holder is said to be where it is not";
    return pte_present(is) && pte_frame(is).n == t->n ? NULL : "an entry holds another frame";
}

static bool add(void *context, const struct core_holder *h)
{
    struct tally *t = context;
    uint64_t use = t->w->frames[t->n].use;
    t->holds++;
    t->uses += h->as != TYPE_NONE;
    if (h->as != TYPE_NONE && h->as != use >> 60)
        t->wrong = "a holder needs another type than the frame has";
    if (h->kind != HOLDER_ENTRY)
        return true;
    if (judge_entry(t, h))
        t->wrong = judge_entry(t, h);
    t->entries++;
    if (world_below(t->w, t->entries) == 0)
        t->entry = *h;
    return true;
}

/* Is the entry seen at `va` from that root? */
static bool seen_at(struct world *w, mfn_t root, gva_t va, const struct core_holder *h)
{
    struct core_walk walk;
    core_walk(&w->core, root, va, &walk);
    return walk.level <= h->level && walk.at[h->level].at.a == h->at.a;
}

/* The address of slots (of L4 first) `way`, read as a number to the base of WORLD_TABLE_ENTRIES. */
static gva_t address_of(uint64_t way)
{
    const unsigned unused = 64 - (PAGE_SHIFT_4K + 4 * (unsigned)__builtin_ctz(WORLD_TABLE_ENTRIES));
    return gva((uint64_t)((int64_t)(way << PAGE_SHIFT_4K << unused) >> unused));
}

/* By trying each way from the root down to the entry's table. */
static bool seen_anywhere(struct world *w, mfn_t root, const struct core_holder *h)
{
    const unsigned bits = (unsigned)__builtin_ctz(WORLD_TABLE_ENTRIES);
    uint64_t below = h->level - 1, ways = 1ull << (4 - h->level) * bits;
    if (mfn_eq(root, NO_MFN))
        return false;
    for (uint64_t i = 0; i < ways; i++)
        if (seen_at(w, root, address_of((i << bits | h->slot) << below * bits), h))
            return true;
    return false;
}

static bool seen_from_loaded_root(struct world *w, const struct core_holder *h)
{
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        if (seen_anywhere(w, w->cpu[i].vcpu.kernel_root, h) ||
            seen_anywhere(w, w->cpu[i].vcpu.user_root, h))
            return true;
    return false;
}

static bool is_loaded(const struct world *w, mfn_t m)
{
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        if (mfn_eq(w->cpu[i].vcpu.kernel_root, m) || mfn_eq(w->cpu[i].vcpu.user_root, m))
            return true;
    return false;
}

static const char *check_place(struct world *w, const struct core_holder *h, mfn_t prefer)
{
    struct core_place p = core_place_of(&w->core, h->table, h->level, h->slot, prefer);
    bool whole = p.top_level == 4 && (w->frames[p.top.n].use >> 42 & 1);
    if (p.top_level < h->level || p.top_level > 4 || w->frames[p.top.n].use >> 60 != p.top_level)
        return "a place below its own table";
    if (whole && !seen_at(w, p.top, p.va, h))
        return "an entry is not seen where it is said to be";
    if (!mfn_eq(p.top, prefer) && seen_anywhere(w, prefer, h))
        return "the preferred root was passed over";
    if (!is_loaded(w, p.top) && seen_from_loaded_root(w, h))
        return "a loaded root was passed over";
    return NULL;
}

const char *world_check_holders(struct world *w, uint64_t n)
{
    struct tally t = {.w = w, .n = n};
    uint64_t hold = w->frames[n].hold;
    bool allocation = (hold >> 48 & 1) && !(hold >> 49 & 1);
    core_holders(&w->core, mfn(n), add, &t);
    if (t.wrong)
        return t.wrong;
    if (t.uses != (uint32_t)w->frames[n].use)
        return "a frame has another number of uses than of holders that need its type";
    if (t.holds + allocation != (uint32_t)hold)
        return "a frame has another number of references than of holders";
    if (!t.entry.kind || WORLD_TABLE_ENTRIES > 8)
        return NULL; /* there are too many ways through larger tables */
    return check_place(w, &t.entry, w->cpu[world_below(w, WORLD_CPUS)].vcpu.kernel_root);
}
