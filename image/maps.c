/* SPDX-License-Identifier: MIT */
/*
 * What maps a frame: the way of pv_walk(), backwards. Tables are shared by many roots, and in an
 * image made to hurt by many entries of each other: so each frame is looked through once for every
 * level it is used at, and only tables that lead to the frame are gone down again. What is done
 * without telling anything is thereby bounded by the number of tables; loops end with the levels.
 */
#include "internal.h"

#include <stdlib.h>

#include "pte.h"

#define TABLE_ENTRIES 512u
/* The hypervisor's slots of a root: what they map is not the guest's to use. */
#define RESERVED_FIRST 256u
#define RESERVED_LAST  271u

struct search {
    const struct pv_view *v;
    mfn_t wanted;
    uint8_t *memo; /* by frame: bit level - 1: looked through; bit level + 3: it leads there */
    uint64_t frames;
    pv_each_mapping *each;
    void *context;
};

/* ---- tables */

static const uint64_t *table_words(const struct pv_view *v, mfn_t table, uint64_t *buffer)
{
    const uint64_t *words = v->backend->words ? v->backend->words(v, table) : NULL;
    if (words)
        return words;
    return v->backend->read(v, table, 0, buffer, PAGE_BYTES) ? buffer : NULL;
}

/* A guest's tables are its own frames. NULL: this is none. */
static uint8_t *memo_of(const struct search *s, mfn_t table)
{
    const struct pv_backend *b = s->v->backend;
    if (!b->owned(s->v, table))
        return NULL;
    uint64_t i = b->index_of ? b->index_of(s->v, table) : table.n;
    return i < s->frames ? &s->memo[i] : NULL;
}

static unsigned entries_of(const struct pv_view *v, unsigned level)
{
    return v->width == 4 && level == 3 ? 4 : TABLE_ENTRIES;
}

static bool is_reserved(unsigned level, unsigned slot)
{
    return level == 4 && slot >= RESERVED_FIRST && slot <= RESERVED_LAST;
}

static bool maps_it(const struct search *s, unsigned level, uint64_t entry)
{
    unsigned shift = 9 * (level - 1);
    return pv_is_leaf(level, entry) && pte_frame(entry).n >> shift == s->wanted.n >> shift;
}

static bool leads(const struct search *s, mfn_t table, unsigned level);

static bool entry_leads(const struct search *s, unsigned level, unsigned slot, uint64_t entry)
{
    if (!pte_present(entry) || is_reserved(level, slot))
        return false;
    return pv_is_leaf(level, entry) ? maps_it(s, level, entry)
                                    : leads(s, pte_frame(entry), level - 1);
}

static bool look_through(const struct search *s, mfn_t table, unsigned level)
{
    uint64_t buffer[TABLE_ENTRIES];
    const uint64_t *words = table_words(s->v, table, buffer);
    for (unsigned i = 0; words && i < entries_of(s->v, level); i++)
        if (entry_leads(s, level, i, words[i]))
            return true;
    return false;
}

static bool leads(const struct search *s, mfn_t table, unsigned level)
{
    uint8_t *memo = memo_of(s, table);
    if (!memo)
        return false;
    uint8_t seen = (uint8_t)(1u << (level - 1)), yes = (uint8_t)(seen << 4);
    if (!(*memo & seen)) {
        *memo |= seen;
        if (look_through(s, table, level))
            *memo |= yes;
    }
    return *memo & yes;
}

/* ---- telling */

/* Entries of a 32-bit guest's L3 have none of these bits: they allow everything. */
static void add_entry(const struct pv_view *v, struct pv_mapping *m, uint64_t entry)
{
    bool has_flags = !(v->width == 4 && m->level == 3);
    m->entry = entry;
    m->writable &= !has_flags || (entry & PTE_RW);
    m->user &= !has_flags || (entry & PTE_USER);
    m->executable &= !has_flags || !(entry & PTE_NX);
}

static uint64_t canonical(const struct pv_view *v, uint64_t va)
{
    return v->width == 8 && va >> 47 ? va | 0xffffull << 48 : va;
}

static bool tell(const struct search *s, const struct pv_mapping *from)
{
    struct pv_mapping m = *from;
    uint64_t within = s->wanted.n & ((1ull << 9 * (m.level - 1)) - 1);
    m.va = gva(canonical(s->v, m.va.a + (within << PAGE_SHIFT_4K)));
    return s->each(s->context, &m);
}

/* `way` is how the table, of way->level, was come to. false: enough. */
static bool tell_below(const struct search *s, mfn_t table, const struct pv_mapping *way)
{
    uint64_t buffer[TABLE_ENTRIES];
    const uint64_t *words = table_words(s->v, table, buffer);
    for (unsigned i = 0; words && i < entries_of(s->v, way->level); i++) {
        uint64_t entry = words[i];
        if (!entry_leads(s, way->level, i, entry))
            continue;
        struct pv_mapping m = *way;
        m.at = mfn_address(table, i * (unsigned)sizeof(entry));
        m.va.a |= (uint64_t)i << (PAGE_SHIFT_4K + 9 * (m.level - 1));
        add_entry(s->v, &m, entry);
        bool leaf = pv_is_leaf(m.level, entry);
        m.level -= !leaf;
        if (leaf ? !tell(s, &m) : !tell_below(s, pte_frame(entry), &m))
            return false;
    }
    return true;
}

static int search_new(struct search *s, struct pv_error *e)
{
    s->frames = s->v->backend->index_of ? s->v->nr_pages : s->v->nr_frames;
    s->memo = calloc(s->frames ? s->frames : 1, sizeof(*s->memo));
    return s->memo ? 0 : pv_no_memory(e);
}

int pv_find_maps(const struct pv_view *v, const mfn_t *root, size_t roots, mfn_t m,
                 pv_each_mapping *each, void *context, struct pv_error *e)
{
    struct search s = {.v = v, .wanted = m, .each = each, .context = context};
    bool go_on = true;
    if (search_new(&s, e))
        return pv_context(e, "cannot look for what maps frame %llx", (unsigned long long)m.n);
    for (size_t i = 0; i < roots && go_on; i++) {
        const struct pv_mapping way = {.root = root[i],
                                       .level = pv_top_level(v),
                                       .writable = true,
                                       .user = true,
                                       .executable = true};
        if (leads(&s, root[i], way.level))
            go_on = tell_below(&s, root[i], &way);
    }
    free(s.memo);
    return 0;
}

/* ---- roots */

static bool add_root(struct pv_pairs *p, mfn_t root)
{
    return mfn_eq(root, NO_MFN) || pv_pairs_add(p, root.n, 0);
}

static bool gather(const struct pv_view *v, struct pv_pairs *p)
{
    bool ok = add_root(p, v->kernel_root);
    for (unsigned i = 0; ok && i < v->nr_vcpus; i++)
        if (v->vcpu[i].valid)
            ok = add_root(p, v->vcpu[i].kernel_root) && add_root(p, v->vcpu[i].user_root);
    mfn_t m = v->backend->next_pinned_root(v, mfn(0));
    for (; ok && !mfn_eq(m, NO_MFN); m = v->backend->next_pinned_root(v, mfn(m.n + 1)))
        ok = add_root(p, m);
    return ok && pv_pairs_sort(p);
}

static mfn_t *each_once(const struct pv_pairs *p, size_t *n)
{
    mfn_t *roots = calloc(p->n ? p->n : 1, sizeof(*roots));
    *n = 0;
    for (size_t i = 0; roots && i < p->n; i++)
        if (i == 0 || p->pair[i].key != p->pair[i - 1].key)
            roots[(*n)++] = mfn(p->pair[i].key);
    return roots;
}

int pv_roots(const struct pv_view *v, mfn_t **out, size_t *n, struct pv_error *e)
{
    struct pv_pairs found = {0};
    mfn_t *roots = gather(v, &found) ? each_once(&found, n) : NULL;
    pv_pairs_free(&found);
    if (!roots)
        return pv_no_memory(e);
    *out = roots;
    return 0;
}
