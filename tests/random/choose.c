/* SPDX-License-Identifier: MIT */
/*
 * A guest that means well, most of the time: it has a use in mind for each of its frames and
 * chooses requests that fit, so that deep trees arise; now and then it does anything at all.
 */
#include "run.h"

static bool one_in(struct run *r, uint64_t n)
{
    return world_below(r->w, n) == 0;
}

static unsigned below(struct run *r, unsigned n)
{
    return (unsigned)world_below(r->w, n);
}

/* New intentions: about half of the frames are data, tables get rarer towards the top. */
void guest_likes(struct run *r)
{
    static const uint8_t likes[16] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4};
    for (uint64_t n = 0; n < WORLD_FRAMES_MAX; n++)
        r->likes[n] = likes[below(r, 16)];
}

/* ---- frames */

static bool owned(const struct run *r, uint64_t n, unsigned domain)
{
    return core_frame_owner(&r->w->core, mfn(n)) == (int)domain + 1;
}

static bool table_in_use(const struct run *r, uint64_t n)
{
    unsigned type = core_frame_type(&r->w->core, mfn(n));
    return type >= TYPE_L1 && type <= TYPE_L4 && core_frame_uses(&r->w->core, mfn(n)) > 0;
}

static bool fits(const struct run *r, uint64_t n, unsigned type)
{
    return core_frame_uses(&r->w->core, mfn(n)) == 0 ||
           core_frame_type(&r->w->core, mfn(n)) == type;
}

typedef bool wanted_fn(const struct run *r, uint64_t n, unsigned domain, unsigned arg);

static bool any_owned(const struct run *r, uint64_t n, unsigned domain, unsigned arg)
{
    (void)arg;
    return owned(r, n, domain);
}

static bool good_table(const struct run *r, uint64_t n, unsigned domain, unsigned level)
{
    return owned(r, n, domain) && r->likes[n] == level && fits(r, n, level);
}

static bool table_at(const struct run *r, uint64_t n, unsigned domain, unsigned level)
{
    return owned(r, n, domain) && table_in_use(r, n) &&
           core_frame_type(&r->w->core, mfn(n)) == level;
}

static bool for_tables(const struct run *r, uint64_t n, unsigned domain, unsigned arg)
{
    (void)arg;
    return owned(r, n, domain) && (r->likes[n] || table_in_use(r, n)) &&
           !(r->likes[n] && !fits(r, n, r->likes[n]) && !table_in_use(r, n));
}

static bool good_data(const struct run *r, uint64_t n, unsigned domain, unsigned arg)
{
    (void)arg;
    return owned(r, n, domain) && r->likes[n] == 0 && fits(r, n, TYPE_WRITABLE);
}

static bool good_descriptors(const struct run *r, uint64_t n, unsigned domain, unsigned arg)
{
    (void)arg;
    return owned(r, n, domain) && r->likes[n] == 0 && fits(r, n, TYPE_DESC);
}

static bool pinned(const struct run *r, uint64_t n, unsigned domain, unsigned arg)
{
    (void)arg;
    return owned(r, n, domain) && core_frame_pinned(&r->w->core, mfn(n));
}

static bool unused(const struct run *r, uint64_t n, unsigned domain, unsigned arg)
{
    (void)arg;
    return owned(r, n, domain) && core_frame_holds(&r->w->core, mfn(n)) == 1;
}

static bool unused_pair(const struct run *r, uint64_t n, unsigned domain, unsigned arg)
{
    return n + 1 < r->w->core.nr_frames && unused(r, n, domain, arg) &&
           unused(r, n + 1, domain, arg);
}

static bool clearable(const struct run *r, uint64_t n, unsigned domain, unsigned arg)
{
    (void)arg;
    return owned(r, n, domain) && r->likes[n] && fits(r, n, TYPE_WRITABLE);
}

/* Anything a guest may put into a register, beyond memory included. */
static mfn_t choose_any(struct run *r)
{
    if (one_in(r, 16))
        return one_in(r, 2) ? NO_MFN : mfn(PTE_FRAME_MASK >> PAGE_SHIFT_4K);
    return mfn(world_below(r->w, r->w->core.nr_frames + 1));
}

static mfn_t choose(struct run *r, unsigned domain, wanted_fn *wanted, unsigned arg)
{
    uint64_t nr = r->w->core.nr_frames;
    uint64_t start = world_below(r->w, nr);
    if (one_in(r, 64))
        return choose_any(r);
    for (uint64_t i = 0; i < nr; i++)
        if (wanted(r, (start + i) % nr, domain, arg))
            return mfn((start + i) % nr);
    return choose_any(r);
}

mfn_t choose_owned(struct run *r, unsigned domain)
{
    return choose(r, domain, any_owned, 0);
}

/* ---- entries */

static uint64_t choose_flags(struct run *r, unsigned level)
{
    static const uint64_t harmless[] = {PTE_USER,   PTE_ACCESSED, PTE_DIRTY,  1ull << 9,
                                        1ull << 11, 1ull << 52,   1ull << 60, PTE_NX};
    uint64_t flags = PTE_PRESENT;
    for (unsigned i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        flags |= one_in(r, 3) ? harmless[i] : 0;
    if (level == 1 && one_in(r, 4))
        flags |= PTE_GLOBAL;
    if (one_in(r, 200))
        flags |= 1ull << (3 + below(r, 6));
    return flags;
}

static uint64_t choose_l1_entry(struct run *r, unsigned domain, unsigned frame_domain)
{
    uint64_t flags = choose_flags(r, 1);
    bool writable = one_in(r, 2);
    if (one_in(r, 100))
        return pte_make(choose_any(r), flags | (writable ? PTE_RW : 0));
    if (r->w->domain[domain].has_devices && one_in(r, 20))
        return pte_make(mfn(r->w->core.nr_frames - 1), flags | (writable ? PTE_PWT : 0));
    if (writable)
        return pte_make(choose(r, frame_domain, good_data, 0), flags | PTE_RW);
    return pte_make(choose(r, frame_domain, any_owned, 0), flags);
}

static uint64_t choose_entry(struct run *r, unsigned domain, unsigned frame_domain, unsigned level)
{
    if (one_in(r, 4))
        return one_in(r, 4) ? world_random(r->w) & ~PTE_PRESENT : 0;
    if (level == 1)
        return choose_l1_entry(r, domain, frame_domain);
    uint64_t flags = choose_flags(r, level) | PTE_RW;
    return pte_make(choose(r, domain, good_table, level - 1), flags);
}

/* A word for that place: an entry if the frame is a table or is meant to become one. */
uint64_t choose_word(struct run *r, unsigned domain, mfn_t m, unsigned slot)
{
    (void)slot;
    if (m.n >= r->w->core.nr_frames)
        return world_random(r->w);
    unsigned level = table_in_use(r, m.n) ? core_frame_type(&r->w->core, m) : r->likes[m.n];
    if (level == 0 || one_in(r, 100))
        return one_in(r, 2) ? 0 : world_random(r->w) & ~(1ull << 47);
    return choose_entry(r, domain, domain, level);
}

/* ---- requests */

static uint64_t choose_pfn(struct run *r)
{
    return one_in(r, 20) ? world_random(r->w) : world_below(r->w, 1024);
}

static unsigned other_domain(unsigned domain)
{
    return (domain + 1) % WORLD_DOMAINS;
}

/* The controlling domain edits the other's tables, or maps its frames into its own. */
static void choose_domains(struct run *r, unsigned domain, struct request *q)
{
    q->owner = q->frame_domain = (uint8_t)domain;
    if (!r->w->domain[domain].controls_all || !one_in(r, 6))
        return;
    q->frame_domain = (uint8_t)other_domain(domain);
    if (one_in(r, 2))
        q->owner = q->frame_domain;
}

static unsigned choose_slot(struct run *r, const struct request *q, mfn_t m)
{
    unsigned slot = below(r, WORLD_TABLE_ENTRIES);
    bool l4 = m.n < r->w->core.nr_frames && table_at(r, m.n, q->owner, TYPE_L4);
    bool reserved = slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
    if (l4 && reserved && !one_in(r, 8))
        return 0;
    return one_in(r, 300) ? WORLD_TABLE_ENTRIES : slot;
}

/* Fills one table, a few entries at once. */
static void choose_updates(struct run *r, unsigned domain, struct request *q, unsigned command)
{
    choose_domains(r, domain, q);
    bool foreign = q->frame_domain != q->owner;
    mfn_t m = foreign ? choose(r, q->owner, table_at, TYPE_L1) : choose(r, q->owner, for_tables, 0);
    q->n = (uint8_t)(1 + below(r, foreign ? 2 : one_in(r, 16) ? REQUEST_LIST_MAX : 4));
    for (unsigned i = 0; i < q->n; i++) {
        unsigned slot = choose_slot(r, q, m);
        q->update[i].ptr = (m.n << PAGE_SHIFT_4K) + slot * 8 + command;
        q->update[i].val = foreign ? choose_l1_entry(r, q->owner, q->frame_domain)
                                   : choose_word(r, q->owner, m, slot);
    }
}

static void choose_m2p(struct run *r, unsigned domain, struct request *q)
{
    choose_domains(r, domain, q);
    q->n = (uint8_t)(1 + below(r, 3));
    for (unsigned i = 0; i < q->n; i++) {
        q->update[i].ptr = (choose(r, q->frame_domain, any_owned, 0).n << PAGE_SHIFT_4K) + 1;
        q->update[i].val = choose_pfn(r);
    }
}

/* An address that the vCPU's tables map, as far as one can be found by walking down at random. */
static uint64_t choose_va(struct run *r, const struct core_vcpu *v)
{
    const unsigned bits = (unsigned)__builtin_ctz(WORLD_TABLE_ENTRIES);
    uint64_t va = 0;
    mfn_t m = v->kernel_root;
    for (unsigned level = 4; level >= 1; level--) {
        unsigned slot = below(r, WORLD_TABLE_ENTRIES);
        bool readable = m.n < r->w->core.nr_frames;
        for (unsigned i = 0; readable && level > 1 && i < WORLD_TABLE_ENTRIES; i++)
            if (!pte_present(r->w->memory[m.n][slot]))
                slot = (slot + 1) % WORLD_TABLE_ENTRIES;
        va |= (uint64_t)slot << (PAGE_SHIFT_4K + (level - 1) * bits);
        m = readable ? pte_frame(r->w->memory[m.n][slot]) : m;
    }
    unsigned unused = 64 - (PAGE_SHIFT_4K + 4 * bits);
    va = (uint64_t)((int64_t)(va << unused) >> unused);
    return one_in(r, 64) ? world_random(r->w) : va;
}

static void choose_write_l1(struct run *r, unsigned domain, struct request *q)
{
    mfn_t m = choose(r, domain, table_at, TYPE_L1);
    unsigned slot = below(r, WORLD_TABLE_ENTRIES);
    q->at = ((m.n << PAGE_SHIFT_4K) + slot * 8) | (one_in(r, 200) ? 4 : 0);
    q->value = choose_entry(r, domain, domain, 1);
    q->conditional = one_in(r, 2);
    if (m.n < r->w->core.nr_frames)
        q->expected = r->w->memory[m.n][slot] ^ (one_in(r, 4) ? PTE_DIRTY : 0);
}

static void choose_pin(struct run *r, unsigned domain, struct request *q)
{
    q->level = one_in(r, 50) ? below(r, 8) : 1 + below(r, 4);
    q->m = choose(r, q->owner, good_table, q->level);
    (void)domain;
}

static void choose_gdt(struct run *r, unsigned domain, struct request *q)
{
    q->n = one_in(r, 30) ? CORE_GDT_FRAMES + 1 : (uint8_t)below(r, 4);
    q->level = below(r, 512);
    for (unsigned i = 0; i < q->n; i++)
        q->list[i] = choose(r, domain, good_descriptors, 0);
}

static void choose_ldt(struct run *r, const struct core_vcpu *v, struct request *q)
{
    struct core_walk walk;
    bool good = false;
    for (unsigned tries = 0; !good && tries < 8; tries++) {
        q->at = choose_va(r, v) & ~(uint64_t)(PAGE_BYTES - 1);
        good = core_walk(&r->w->core, v->kernel_root, gva(q->at), &walk) &&
               !(walk.at[TYPE_L1].entry & PTE_RW);
    }
    q->at |= one_in(r, 50) ? 8 : 0;
    q->level = one_in(r, 50) ? 8193 : below(r, 2048);
}

static void choose_ldt_page(struct run *r, const struct core_vcpu *v, struct request *q)
{
    unsigned pages = (v->ldt_entries + 511) / 512;
    q->level = pages && !one_in(r, 8) ? below(r, pages) : below(r, CORE_LDT_FRAMES + 1);
}

static void choose_descriptor(struct run *r, unsigned domain, struct request *q)
{
    mfn_t m = choose(r, domain, good_descriptors, 0);
    q->at = (m.n << PAGE_SHIFT_4K) + below(r, WORLD_TABLE_ENTRIES) * 8;
    q->at |= one_in(r, 100) ? 2 : 0;
    q->value = world_random(r->w);
    q->value &= one_in(r, 2) ? ~(1ull << 47) : ~0ull;
}

static void choose_populate(struct run *r, unsigned domain, struct request *q)
{
    (void)domain;
    q->level = one_in(r, 40) ? below(r, 80) : one_in(r, 3);
    q->value = choose_pfn(r);
}

/* An unused frame that is not in the list yet, if one is found soon; now and then any. */
static mfn_t choose_apart(struct run *r, unsigned domain, const struct request *q, unsigned n)
{
    mfn_t m = NO_MFN;
    bool again = true;
    for (unsigned tries = 0; again && tries < 4; tries++) {
        m = choose(r, domain, q->level ? unused_pair : unused, 0);
        again = false;
        for (unsigned i = 0; i < n; i++)
            again = again || mfn_eq(q->list[i], m);
    }
    return m;
}

/* One frame and another apart, or two that are neighbours, against as many of the other order. */
static void choose_exchange(struct run *r, unsigned domain, struct request *q)
{
    bool pairs_in = one_in(r, 3);
    bool pairs_out = one_in(r, 3);
    unsigned frames = pairs_in || pairs_out ? 2 : 1 + below(r, 4);
    q->n = (uint8_t)(frames >> pairs_in);
    q->level = pairs_in;
    q->done = (uint8_t)(frames >> pairs_out);
    q->conditional = pairs_out;
    if (one_in(r, 50))
        q->level = below(r, 12);
    for (unsigned i = 0; i < q->n; i++)
        q->list[i] = choose_apart(r, domain, q, i);
    for (unsigned i = 0; i < q->done; i++)
        q->pfn[i] = pfn(choose_pfn(r));
}

static void choose_arguments(struct run *r, unsigned worker, struct request *q)
{
    unsigned domain = r->worker[worker].domain;
    struct core_vcpu *v = r->worker[worker].vcpu;
    q->owner = q->frame_domain = (uint8_t)domain;
    switch (q->kind) {
    case KIND_UPDATE:
        choose_updates(r, domain, q, 0);
        break;
    case KIND_UPDATE_AD:
        choose_updates(r, domain, q, 2);
        break;
    case KIND_UPDATE_M2P:
        choose_m2p(r, domain, q);
        break;
    case KIND_UPDATE_OTHER:
        choose_updates(r, domain, q, one_in(r, 2) ? 3 : below(r, 8));
        break;
    case KIND_UPDATE_VA:
        q->at = choose_va(r, v);
        q->value = choose_entry(r, domain, domain, 1);
        break;
    case KIND_WRITE_L1:
        choose_write_l1(r, domain, q);
        break;
    case KIND_PIN:
        choose_domains(r, domain, q);
        choose_pin(r, domain, q);
        break;
    case KIND_UNPIN:
        choose_domains(r, domain, q);
        q->m = choose(r, q->owner, pinned, 0);
        break;
    case KIND_KERNEL_ROOT:
        q->m = choose(r, domain, good_table, TYPE_L4);
        break;
    case KIND_USER_ROOT:
        q->m = one_in(r, 3) ? mfn(0) : choose(r, domain, good_table, TYPE_L4);
        break;
    case KIND_CLEAR:
        q->m = choose(r, domain, clearable, 0);
        break;
    case KIND_COPY:
        q->m = choose(r, domain, clearable, 0);
        q->other = choose(r, domain, any_owned, 0);
        break;
    case KIND_COPY_BYTES:
        q->m = choose(r, domain, one_in(r, 2) ? clearable : any_owned, 0);
        q->other = choose(r, domain, any_owned, 0);
        q->at = below(r, WORLD_TABLE_ENTRIES * 8);
        q->value = below(r, WORLD_TABLE_ENTRIES * 8);
        q->level = below(r, WORLD_TABLE_ENTRIES * 8 / 2);
        break;
    case KIND_HOLD:
        q->m = choose(r, domain, good_data, 0);
        break;
    case KIND_SET_GDT:
        choose_gdt(r, domain, q);
        break;
    case KIND_SET_LDT:
        choose_ldt(r, v, q);
        break;
    case KIND_LDT_PAGE:
        choose_ldt_page(r, v, q);
        break;
    case KIND_DESCRIPTOR:
        choose_descriptor(r, domain, q);
        break;
    case KIND_POPULATE:
    case KIND_INCREASE:
        choose_populate(r, domain, q);
        break;
    case KIND_DECREASE:
        q->m = choose(r, domain, one_in(r, 2) ? unused : any_owned, 0);
        break;
    case KIND_EXCHANGE:
        choose_exchange(r, domain, q);
        break;
    case KIND_DROP:
    case KIND_COUNT:
        break;
    }
}

static const uint8_t weight[KIND_COUNT] = {
    [KIND_UPDATE] = 60,     [KIND_UPDATE_AD] = 10, [KIND_UPDATE_M2P] = 4, [KIND_UPDATE_OTHER] = 2,
    [KIND_UPDATE_VA] = 20,  [KIND_WRITE_L1] = 20,  [KIND_PIN] = 34,       [KIND_UNPIN] = 22,
    [KIND_KERNEL_ROOT] = 9, [KIND_USER_ROOT] = 6,  [KIND_CLEAR] = 12,     [KIND_COPY] = 3,
    [KIND_HOLD] = 2,        [KIND_DROP] = 1,       [KIND_SET_GDT] = 3,    [KIND_SET_LDT] = 2,
    [KIND_LDT_PAGE] = 3,    [KIND_DESCRIPTOR] = 2, [KIND_POPULATE] = 8,   [KIND_INCREASE] = 3,
    [KIND_DECREASE] = 9,    [KIND_EXCHANGE] = 4,   [KIND_COPY_BYTES] = 3,
};

static enum kind choose_kind(struct run *r)
{
    static unsigned total;
    if (total == 0)
        for (unsigned k = 0; k < KIND_COUNT; k++)
            total += weight[k];
    unsigned at = below(r, total);
    unsigned k = 0;
    while (at >= weight[k])
        at -= weight[k++];
    return (enum kind)k;
}

void choose_request(struct run *r, unsigned worker, struct request *q)
{
    *q = (struct request){.kind = choose_kind(r), .m = NO_MFN, .other = NO_MFN};
    choose_arguments(r, worker, q);
}
