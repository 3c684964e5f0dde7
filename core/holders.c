/* SPDX-License-Identifier: MIT */
/*
 * Who holds a frame (R1-R5), and where the guest sees an entry. For reports: nothing here counts,
 * takes or changes anything, and nothing is remembered from one question to the next.
 */
#include "internal.h"

/* ---- holders */

struct asking {
    struct core *c;
    mfn_t m;
    core_each_holder *each;
    void *context;
};

static bool tell(const struct asking *q, enum core_holder_kind kind, enum frame_type as,
                 const struct core_vcpu *v, unsigned slot)
{
    const struct core_holder h = {.kind = kind, .as = as, .vcpu = v, .table = NO_MFN, .slot = slot};
    return q->each(q->context, &h);
}

/* What the frame's own words say of its holders. An orphan holds a reference on itself. */
static bool tell_own(const struct asking *q)
{
    uint64_t use = load_use(q->c, q->m);
    uint64_t hold = load_hold(q->c, q->m);
    if ((hold & HOLD_ALLOCATED) && (hold & HOLD_SHARED) &&
        !tell(q, HOLDER_LOAN, TYPE_WRITABLE, NULL, 0))
        return false;
    if ((use & USE_PINNED) && !tell(q, HOLDER_PIN, use_type(use), NULL, 0))
        return false;
    return !use_is_orphan(use) || tell(q, HOLDER_LEFTOVER, TYPE_NONE, NULL, 0);
}

static bool tell_if(const struct asking *q, mfn_t held, enum core_holder_kind kind,
                    enum frame_type as, const struct core_vcpu *v, unsigned slot)
{
    return !mfn_eq(held, q->m) || tell(q, kind, as, v, slot);
}

static bool tell_vcpu(const struct asking *q, const struct core_vcpu *v)
{
    bool more = tell_if(q, v->kernel_root, HOLDER_KERNEL_ROOT, TYPE_L4, v, 0) &&
                tell_if(q, v->user_root, HOLDER_USER_ROOT, TYPE_L4, v, 0);
    for (unsigned i = 0; i < CORE_GDT_FRAMES && more; i++)
        more = tell_if(q, v->gdt[i], HOLDER_GDT, TYPE_DESC, v, i);
    for (unsigned i = 0; i < CORE_LDT_FRAMES && more; i++)
        more = tell_if(q, v->ldt[i], HOLDER_LDT, TYPE_DESC, v, i);
    more = more && tell_if(q, v->held, HOLDER_HELD, TYPE_WRITABLE, v, 0);
    for (unsigned i = 0; i < v->leftovers && more; i++)
        if (v->leftover[i].counted)
            more = tell_if(q, v->leftover[i].table, HOLDER_LEFTOVER, use_type(load_use(q->c, q->m)),
                           v, 0);
    return more;
}

/* How many entries of m, as a table of `level`, hold references: 0 if it is none. */
static unsigned entries_held(const struct core *c, mfn_t m, unsigned level)
{
    uint64_t use = load_use(c, m);
    if (use_type(use) != level)
        return 0;
    unsigned held = use & USE_VALIDATED ? ENTRIES : use_held(use);
    return held < ENTRIES ? held : ENTRIES;
}

/* The first entry of [slot, held) that leads to m; `held`: none. */
static unsigned find_entry(struct core *c, const uint64_t *table, unsigned level, unsigned slot,
                           unsigned held, mfn_t m)
{
    for (; slot < held; slot++) {
        uint64_t e = entry_load(&table[slot]);
        if (pte_present(e) && mfn_eq(glue_entry_frame(c, level, e), m) &&
            !slot_is_reserved(level, slot))
            break;
    }
    return slot;
}

/* The type that an entry holds its frame in (R3). */
static enum frame_type entry_holds_as(unsigned level, uint64_t e)
{
    if (level > TYPE_L1)
        return (enum frame_type)(level - 1);
    return e & PTE_RW ? TYPE_WRITABLE : TYPE_NONE;
}

static bool tell_entries(const struct asking *q, mfn_t table, unsigned level)
{
    const uint64_t *at = glue_frame(q->c, table);
    unsigned held = at ? entries_held(q->c, table, level) : 0;
    for (unsigned slot = 0; (slot = find_entry(q->c, at, level, slot, held, q->m)) < held; slot++) {
        uint64_t e = entry_load(&at[slot]);
        const struct core_holder h = {
            .kind = HOLDER_ENTRY,
            .as = entry_holds_as(level, e),
            .table = table,
            .level = level,
            .slot = slot,
            .at = mfn_address(table, slot * (unsigned)sizeof(uint64_t)),
            .entry = e,
        };
        if (!q->each(q->context, &h))
            return false;
    }
    return true;
}

void core_holders(struct core *c, mfn_t m, core_each_holder *each, void *context)
{
    const struct asking q = {c, m, each, context};
    if (!frame_exists(c, m) || hold_owner(load_hold(c, m)) == OWNER_DEVICE || !tell_own(&q))
        return;
    for (const struct core_domain *d = c->domains; d; d = d->next)
        for (const struct core_vcpu *v = d->vcpus; v; v = v->next)
            if (!tell_vcpu(&q, v))
                return;
    for (uint64_t n = 0; n < c->nr_frames; n++) {
        enum frame_type t = use_type(load_use(c, mfn(n)));
        if (type_is_table(t) && !tell_entries(&q, mfn(n), t))
            return;
    }
}

/* ---- places (docs/tricks.md: "Where an entry is seen") */

struct search {
    struct core *c;
    mfn_t target; /* a table of `level` */
    unsigned level;
    uint64_t effort; /* words that may still be looked at */
    struct core_place found;
};

/* A whole look at the frame table for each level, and a number of tables. */
static uint64_t effort_for(const struct core *c)
{
    return 8 * c->nr_frames + (1ull << 24);
}

static bool spend(struct search *s, uint64_t words)
{
    bool enough = s->effort >= words;
    s->effort -= enough ? words : s->effort;
    return enough;
}

static uint64_t address_of_slot(unsigned level, unsigned slot)
{
    return (uint64_t)slot << (PAGE_SHIFT_4K + (level - 1) * (unsigned)__builtin_ctz(ENTRIES));
}

/* The table's content, if it is a table of that level and the effort reaches. */
static const uint64_t *look_into(struct search *s, mfn_t m, unsigned level, unsigned *held)
{
    *held = frame_exists(s->c, m) ? entries_held(s->c, m, level) : 0;
    return *held > 0 && spend(s, *held) ? glue_frame(s->c, m) : NULL;
}

/* Is there a way from `top`, a table above the target's level, down to the target? Its slots are
 * added to the address found. Calls itself at most twice deep. */
static bool descend(struct search *s, mfn_t top, unsigned level)
{
    unsigned held;
    const uint64_t *table = look_into(s, top, level, &held);
    if (!table)
        return false;
    unsigned slot = 0;
    if (level == s->level + 1) {
        slot = find_entry(s->c, table, level, 0, held, s->target);
    } else {
        for (; slot < held; slot++) {
            uint64_t e = entry_load(&table[slot]);
            if (pte_present(e) && !slot_is_reserved(level, slot) &&
                descend(s, glue_entry_frame(s->c, level, e), level - 1))
                break;
        }
    }
    if (slot < held)
        s->found.va.a |= address_of_slot(level, slot);
    return slot < held;
}

static bool seen_from(struct search *s, mfn_t root)
{
    bool seen = s->level < TYPE_L4 && descend(s, root, TYPE_L4);
    if (seen)
        s->found = (struct core_place){s->found.va, root, TYPE_L4};
    return seen;
}

static bool seen_from_a_loaded_root(struct search *s)
{
    for (const struct core_domain *d = s->c->domains; d; d = d->next)
        for (const struct core_vcpu *v = d->vcpus; v; v = v->next)
            if (seen_from(s, v->kernel_root) || seen_from(s, v->user_root))
                return true;
    return false;
}

/* From `m`, a table of `level` whose entries on the way to the target make up `va`, to any L4 above
 * it; or as high as there are tables. Calls itself at most three deep. */
static bool rise(struct search *s, mfn_t m, unsigned level, uint64_t va)
{
    if (level > s->found.top_level)
        s->found = (struct core_place){gva(va), m, level};
    if (level == TYPE_L4)
        return true;
    if (!spend(s, s->c->nr_frames))
        return false;
    for (uint64_t n = 0; n < s->c->nr_frames; n++) {
        unsigned held;
        const uint64_t *table = look_into(s, mfn(n), level + 1, &held);
        unsigned slot = table ? find_entry(s->c, table, level + 1, 0, held, m) : 0;
        if (table && slot < held &&
            rise(s, mfn(n), level + 1, va | address_of_slot(level + 1, slot)))
            return true;
    }
    return false;
}

static uint64_t canonical(uint64_t va)
{
    unsigned unused = 64 - (PAGE_SHIFT_4K + 4 * (unsigned)__builtin_ctz(ENTRIES));
    return (uint64_t)((int64_t)(va << unused) >> unused);
}

struct core_place core_place_of(struct core *c, mfn_t table, unsigned level, unsigned slot,
                                mfn_t prefer)
{
    struct search s = {.c = c, .target = table, .level = level, .effort = effort_for(c)};
    if (!seen_from(&s, prefer) && !seen_from_a_loaded_root(&s)) {
        s.effort = effort_for(c); /* a way up is mostly short */
        rise(&s, table, level, 0);
    }
    s.found.va.a |= address_of_slot(level, slot);
    if (s.found.top_level == TYPE_L4)
        s.found.va.a = canonical(s.found.va.a);
    return s.found;
}

struct core_place core_place_of_path(struct core *c, const struct core_step *path, unsigned steps,
                                     mfn_t prefer)
{
    struct core_place p = core_place_of(c, path[0].table, path[0].level, path[0].slot, prefer);
    for (unsigned i = 1; i < steps; i++)
        p.va.a |= address_of_slot(path[i].level, path[i].slot);
    return p;
}
