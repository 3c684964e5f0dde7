/* SPDX-License-Identifier: MIT */
/*
 * The oracle: recount derives every type and count from what holds them, compare sets the result
 * against the frame table.
 *
 * Holders: a domain's allocation, a share, pins of every level, loaded roots, descriptor pages, a
 * frame held writable for the hypervisor, leftovers, an orphan's reference on itself, and every
 * present entry of every table that is reached from these, as far as its entries hold references.
 */
#include "internal.h"

static void finding(const struct core *c, struct core_audit *a, enum core_finding_kind kind,
                    mfn_t m, uint64_t recorded, uint64_t derived, maddr_t at)
{
    const struct core_finding f = {kind, m, recorded, derived, at};
    if (a->findings < CORE_FINDINGS_KEPT)
        a->first[a->findings] = f;
    a->findings++;
    glue_finding(c, &f);
}

struct recount {
    struct core *c;
    struct core_count *count;
    struct core_audit *a;
};

static void walk_table(struct recount *r, mfn_t m, unsigned level);

/* A holder read from an image may name anything. */
static bool can_be_held(struct recount *r, mfn_t m)
{
    if (!frame_exists(r->c, m))
        finding(r->c, r->a, FINDING_OWNER, m, 0, 0, (maddr_t){0});
    return frame_exists(r->c, m);
}

static void count_hold(struct recount *r, mfn_t m)
{
    if (can_be_held(r, m))
        r->count[m.n].holds++;
}

/* No descriptor that the CPU may load raises privilege. */
static void check_descriptors(struct recount *r, mfn_t m)
{
    const uint64_t *at = glue_frame(r->c, m);
    for (unsigned i = 0; at && i < ENTRIES; i++) {
        uint64_t d = entry_load(&at[i]);
        uint64_t fixed = d;
        if (!core_descriptor_fix(&fixed) || fixed != d)
            finding(r->c, r->a, FINDING_ENTRY, m, d, fixed,
                    mfn_address(m, i * (unsigned)sizeof(uint64_t)));
    }
}

static void count_use(struct recount *r, mfn_t m, enum frame_type t)
{
    if (!can_be_held(r, m))
        return;
    struct core_count *n = &r->count[m.n];
    if (t == TYPE_DESC && n->type == TYPE_NONE)
        check_descriptors(r, m);
    n->holds++;
    n->uses++;
    if (n->type == TYPE_NONE)
        n->type = (uint8_t)t;
    else if (n->type != t)
        n->conflict = (uint8_t)t;
    if (type_is_table(t))
        walk_table(r, m, t);
}

/* May a table of owner `from` hold a reference on m? Other domains' frames are for L1 entries only.
 */
static bool may_hold(const struct recount *r, uint32_t from, unsigned level, mfn_t m)
{
    uint32_t owner = hold_owner(load_hold(r->c, m));
    if (owner == from)
        return true;
    const struct core_domain *d = domain_of_owner(r->c, from);
    return level == TYPE_L1 && d && d->controls_all && owner != OWNER_NOBODY;
}

static void count_entry(struct recount *r, mfn_t table, unsigned level, unsigned slot, uint64_t e)
{
    struct core *c = r->c;
    maddr_t at = mfn_address(table, slot * (unsigned)sizeof(uint64_t));
    uint32_t owner = hold_owner(load_hold(c, table));
    const struct core_domain *d = domain_of_owner(c, owner);
    mfn_t m = glue_entry_frame(c, level, e);
    if (!d || (e & ~entry_allowed(d, level)) || entry_adjust(level, e) != e)
        finding(r->c, r->a, FINDING_ENTRY, table, e, entry_adjust(level, e), at);
    bool device = !frame_exists(c, m) || hold_owner(load_hold(c, m)) == OWNER_DEVICE;
    if (device) {
        if (level != TYPE_L1 || !d || !d->has_devices)
            finding(r->c, r->a, FINDING_OWNER, m, e, owner, at);
        return;
    }
    if (!may_hold(r, owner, level, m))
        finding(r->c, r->a, FINDING_OWNER, m, e, owner, at);
    r->a->entries++;
    if (level > TYPE_L1)
        count_use(r, m, (enum frame_type)(level - 1));
    else if (e & PTE_RW)
        count_use(r, m, TYPE_WRITABLE);
    else
        count_hold(r, m);
}

/* What a validated table or a root leads to must be validated itself, all of it. */
static void check_whole(struct recount *r, mfn_t m, uint64_t e, maddr_t at)
{
    if (frame_exists(r->c, m) && !(load_use(r->c, m) & USE_VALIDATED))
        finding(r->c, r->a, FINDING_ENTRY, m, load_use(r->c, m), e, at);
}

/* The slot is the hypervisor's (R6). */
static void check_reserved(struct recount *r, mfn_t m, unsigned slot, uint64_t e)
{
    uint64_t own = glue_l4_reserved(r->c, m, slot);
    uint64_t differ = (e ^ own) & ~(PTE_ACCESSED | PTE_DIRTY);
    if (differ)
        finding(r->c, r->a, FINDING_ENTRY, m, e, own,
                mfn_address(m, slot * (unsigned)sizeof(uint64_t)));
}

static void walk_table(struct recount *r, mfn_t m, unsigned level)
{
    struct core_count *n = &r->count[m.n];
    if (n->walked)
        return;
    n->walked = (uint8_t)level;
    const uint64_t *table = glue_frame(r->c, m);
    if (!table) {
        n->missing = 1;
        r->a->missing++;
        return;
    }
    uint64_t use = load_use(r->c, m);
    bool validated = use & USE_VALIDATED;
    unsigned held = validated || use_held(use) > ENTRIES ? ENTRIES : use_held(use);
    r->a->tables++;
    for (unsigned slot = 0; slot < held; slot++) {
        uint64_t e = entry_load(&table[slot]);
        if (slot_is_reserved(level, slot)) {
            if (validated)
                check_reserved(r, m, slot, e);
        } else if (pte_present(e)) {
            count_entry(r, m, level, slot, e);
            if (validated && level > TYPE_L1)
                check_whole(r, glue_entry_frame(r->c, level, e), e,
                            mfn_address(m, slot * (unsigned)sizeof(e)));
        }
    }
}

/* What the frame's own words say of its holders. */
static void count_own_holders(struct recount *r, mfn_t m)
{
    uint64_t use = load_use(r->c, m);
    uint64_t hold = load_hold(r->c, m);
    if ((hold & HOLD_ALLOCATED) && (hold & HOLD_SHARED))
        count_use(r, m, TYPE_WRITABLE);
    else if (hold & HOLD_ALLOCATED)
        count_hold(r, m);
    if (use & USE_PINNED)
        count_use(r, m, use_type(use));
    if (use_is_orphan(use) && type_is_table(use_type(use))) {
        count_hold(r, m);
        walk_table(r, m, use_type(use));
    }
}

static void count_root(struct recount *r, mfn_t m)
{
    if (mfn_eq(m, NO_MFN))
        return;
    count_use(r, m, TYPE_L4);
    check_whole(r, m, m.n, mfn_address(m, 0));
}

static void count_vcpu(struct recount *r, const struct core_vcpu *v)
{
    count_root(r, v->kernel_root);
    count_root(r, v->user_root);
    for (unsigned i = 0; i < CORE_GDT_FRAMES; i++)
        if (!mfn_eq(v->gdt[i], NO_MFN))
            count_use(r, v->gdt[i], TYPE_DESC);
    for (unsigned i = 0; i < CORE_LDT_FRAMES; i++)
        if (!mfn_eq(v->ldt[i], NO_MFN))
            count_use(r, v->ldt[i], TYPE_DESC);
    if (!mfn_eq(v->held, NO_MFN))
        count_use(r, v->held, TYPE_WRITABLE);
    for (unsigned i = 0; i < v->leftovers; i++)
        if (v->leftover[i].counted && can_be_held(r, v->leftover[i].table))
            count_use(r, v->leftover[i].table, use_type(load_use(r->c, v->leftover[i].table)));
}

void core_recount(struct core *c, struct core_count *scratch, struct core_audit *a)
{
    struct recount r = {c, scratch, a};
    for (uint64_t n = 0; n < c->nr_frames; n++)
        scratch[n] = (struct core_count){0};
    for (uint64_t n = 0; n < c->nr_frames; n++)
        count_own_holders(&r, mfn(n));
    for (struct core_domain *d = c->domains; d; d = d->next)
        for (struct core_vcpu *v = d->vcpus; v; v = v->next)
            count_vcpu(&r, v);
}

/* Flags that cannot be while nothing runs. */
static bool state_fits(uint64_t use, uint64_t hold)
{
    bool uses = use_count(use) > 0;
    bool table = type_is_table(use_type(use));
    if (use & (USE_BUSY | USE_LOCKED))
        return false;
    if ((use & USE_PINNED) && !(uses && table && (use & USE_VALIDATED)))
        return false;
    if (use_held(use) > 0 && (!table || (use & USE_VALIDATED) || use_held(use) > ENTRIES))
        return false;
    if (table && !uses && (use & USE_VALIDATED))
        return false;
    if (!table && uses && !(use & USE_VALIDATED))
        return false;
    bool owned = hold_owner(hold) != OWNER_NOBODY && hold_owner(hold) != OWNER_DEVICE;
    return owned == (hold_count(hold) > 0) && (owned || use == 0);
}

static void compare_frame(const struct core *c, mfn_t m, const struct core_count *n,
                          struct core_audit *a)
{
    uint64_t use = load_use(c, m);
    uint64_t hold = load_hold(c, m);
    maddr_t at = mfn_address(m, 0);
    if (n->conflict)
        finding(c, a, FINDING_CONFLICT, m, n->type, n->conflict, at);
    if (use_count(use) > 0 && n->uses > 0 && use_type(use) != n->type)
        finding(c, a, FINDING_TYPE, m, use_type(use), n->type, at);
    if (use_count(use) != n->uses)
        finding(c, a, FINDING_USES, m, use_count(use), n->uses, at);
    if (hold_count(hold) != n->holds)
        finding(c, a, FINDING_HOLDS, m, hold_count(hold), n->holds, at);
    if (!state_fits(use, hold))
        finding(c, a, FINDING_STATE, m, use, hold, at);
    if (hold_owner(hold) == OWNER_NOBODY && c->m2p[m.n] != NO_PFN.n)
        finding(c, a, FINDING_M2P, m, c->m2p[m.n], NO_PFN.n, at);
}

static void compare_domain(const struct core *c, const struct core_domain *d, struct core_audit *a)
{
    uint64_t owned = 0;
    for (uint64_t n = 0; n < c->nr_frames; n++) {
        uint64_t hold = load_hold(c, mfn(n));
        owned += hold_owner(hold) == owner_of_domain(d) && !(hold & HOLD_SHARED);
    }
    if (owned != d->frames)
        finding(c, a, FINDING_DOMAIN, NO_MFN, d->frames, owned, (maddr_t){d->id});
}

void core_compare(struct core *c, const struct core_count *scratch, struct core_audit *a)
{
    for (uint64_t n = 0; n < c->nr_frames; n++)
        compare_frame(c, mfn(n), &scratch[n], a);
    for (const struct core_domain *d = c->domains; d; d = d->next)
        compare_domain(c, d, a);
    a->frames += c->nr_frames;
}

bool core_audit(struct core *c, struct core_count *scratch, struct core_audit *a)
{
    *a = (struct core_audit){0};
    core_recount(c, scratch, a);
    core_compare(c, scratch, a);
    return a->findings == 0;
}

const char *core_finding_text(enum core_finding_kind k)
{
    static const char *const text[] = {
        [FINDING_TYPE] = "type differs from what its holders need",
        [FINDING_USES] = "type count differs from its holders",
        [FINDING_HOLDS] = "reference count differs from its holders",
        [FINDING_CONFLICT] = "two holders need different types",
        [FINDING_OWNER] = "held by a table of another owner, or free",
        [FINDING_ENTRY] = "a validated table holds an entry that validation would refuse",
        [FINDING_STATE] = "its flags contradict each other",
        [FINDING_DOMAIN] = "the domain's frame counter differs from the frames it owns",
        [FINDING_M2P] = "nobody owns it and yet it has a pfn",
    };
    return (unsigned)k < sizeof(text) / sizeof(text[0]) ? text[k] : "unknown finding";
}
