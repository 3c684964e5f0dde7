/* SPDX-License-Identifier: MIT */
/* The p2m's interface, whatever the layout. */
#include "p2m_nodes.h"

/* ---- looking */

static uint64_t entry_by_nodes(struct pvguest *g, uint64_t pfn)
{
    pvg_pfn_t leaf = p2m_leaf(g, pfn);
    if (same_pfn(leaf, g->p2m.identity.leaf))
        return PVG_P2M_IDENTITY | pfn;
    return load(g, page_va(g, leaf) + pfn % ENTRIES * sizeof(uint64_t));
}

/* Missing and identity leaves are all ones both: which of them is mapped says what is meant. */
uint64_t pvg_p2m_entry_slow(struct pvguest *g, pvg_pfn_t pfn)
{
    return entry_by_nodes(g, pfn.n);
}

uint64_t pvg_p2m_entry(struct pvguest *g, pvg_pfn_t pfn)
{
    if (g->p2m.layout == PVG_P2M_INITIAL)
        return p2m_initial_entry(g, pfn.n);
    if (pfn.n >= PVG_P2M_PFNS)
        return PVG_P2M_MISSING;
    if (g->p2m.layout == PVG_P2M_TREE)
        return entry_by_nodes(g, pfn.n);
    uint64_t entry = load(g, PVG_P2M_BASE + pfn.n * sizeof(uint64_t));
    return entry != PVG_P2M_MISSING ? entry : pvg_p2m_entry_slow(g, pfn);
}

void pvg_p2m_info(struct pvguest *g, struct pvg_p2m_info *info)
{
    const struct p2m *p = &g->p2m;
    *info = (struct pvg_p2m_info){p->layout, p->max_pfn, p->populated, p->leaves, p->tables};
}

/* ---- changing */

static bool entry_fits(uint64_t pfn, uint64_t entry)
{
    if (entry == PVG_P2M_MISSING)
        return true;
    if (entry & PVG_P2M_IDENTITY)
        return entry == (PVG_P2M_IDENTITY | pfn);
    return (entry & ~PVG_P2M_FOREIGN) >> MFN_BITS == 0;
}

static int check_change(struct pvguest *g, struct pvg_range range)
{
    if (range.from > range.to || range.to > PVG_P2M_PFNS)
        return fail(g, -XEN_EINVAL, "p2m of pages %lx to %lx: there are %lx", range.from, range.to,
                    (uint64_t)PVG_P2M_PFNS);
    if (g->p2m.layout == PVG_P2M_INITIAL)
        return fail(g, -XEN_EROFS, "p2m of page %lx: the builder's list is in use", range.from);
    return 0;
}

/* A word of an own leaf, in one store: outside readers see the old or the new one. */
static void set_word(struct pvguest *g, pvg_pfn_t leaf, uint64_t pfn, uint64_t entry)
{
    uint64_t va = page_va(g, leaf) + pfn % ENTRIES * sizeof(uint64_t);
    g->p2m.populated -= entry_populated(load(g, va));
    g->p2m.populated += entry_populated(entry);
    store(g, va, entry);
}

static void settle_max_pfn(struct pvguest *g, struct pvg_range changed, bool populated)
{
    uint64_t max = g->p2m.max_pfn;
    if (populated && changed.to > max)
        max = changed.to;
    if (!populated && changed.from < max && max <= changed.to)
        max = p2m_highest(g, changed.from);
    if (max == g->p2m.max_pfn)
        return;
    g->p2m.max_pfn = max;
    publish_max_pfn(g);
}

int pvg_p2m_set(struct pvguest *g, pvg_pfn_t pfn, uint64_t entry)
{
    if (pfn.n >= PVG_P2M_PFNS)
        return fail(g, -XEN_EINVAL, "p2m of page %lx: too large", pfn.n);
    struct pvg_range range = {pfn.n, pfn.n + 1};
    int rc = check_change(g, range);
    if (rc)
        return rc;
    if (!entry_fits(pfn.n, entry))
        return fail(g, -XEN_EINVAL, "p2m of page %lx: %lx is no entry of it", pfn.n, entry);
    if (pvg_p2m_entry(g, pfn) == entry)
        return 0;
    pvg_pfn_t leaf = p2m_leaf(g, pfn.n);
    if (!node_own(g, 0, leaf)) {
        rc = p2m_reshape(g, range, NULL);
        if (rc)
            return fail_in(g, rc, "p2m of page %lx", pfn.n);
        leaf = p2m_leaf(g, pfn.n);
    }
    set_word(g, leaf, pfn.n, entry);
    settle_max_pfn(g, range, entry_populated(entry));
    return 0;
}

/* The pages of one leaf, if it is an own one; a shared one is that of `to` already. */
static void set_words(struct pvguest *g, uint64_t from, uint64_t to, bool identity)
{
    pvg_pfn_t leaf = p2m_leaf(g, from);
    if (!node_own(g, 0, leaf))
        return;
    for (uint64_t pfn = from; pfn < to; pfn++)
        set_word(g, leaf, pfn, identity ? PVG_P2M_IDENTITY | pfn : PVG_P2M_MISSING);
}

/* Whole leaves are exchanged; words are stored in what is left of one at either end. */
static int set_all(struct pvguest *g, struct pvg_range range, bool identity)
{
    int rc = check_change(g, range);
    if (rc || range.from == range.to)
        return rc;
    rc = p2m_reshape(g, range, identity ? &g->p2m.identity : &g->p2m.missing);
    if (rc)
        return fail_in(g, rc, "%s pages %lx to %lx", identity ? "identity" : "missing", range.from,
                       range.to);
    uint64_t head_end = (range.from / ENTRIES + 1) * ENTRIES;
    set_words(g, range.from, head_end < range.to ? head_end : range.to, identity);
    if (head_end < range.to)
        set_words(g, (range.to - 1) / ENTRIES * ENTRIES, range.to, identity);
    settle_max_pfn(g, range, false);
    return 0;
}

int pvg_p2m_set_identity(struct pvguest *g, struct pvg_range range)
{
    return set_all(g, range, true);
}

int p2m_set_missing(struct pvguest *g, struct pvg_range range)
{
    return set_all(g, range, false);
}

/* ---- pages that come and go */

void p2m_put(struct pvguest *g, struct pvg_range range, const xen_pfn_t *frame)
{
    pvg_pfn_t leaf = p2m_leaf(g, range.from);
    for (uint64_t i = 0; i < range.to - range.from; i++)
        set_word(g, leaf, range.from + i, frame ? frame[i] : PVG_P2M_MISSING);
    settle_max_pfn(g, range, frame != NULL);
}

static bool all_missing(struct pvguest *g, unsigned level, pvg_pfn_t node)
{
    if (!node_own(g, level, node))
        return same_pfn(node, shared_node(&g->p2m.missing, level));
    const uint64_t *word = node_words(g, node, PORT_READ);
    bool missing = true;
    for (unsigned i = 0; i < ENTRIES && missing; i++)
        missing = level == 0 ? word[i] == PVG_P2M_MISSING
                             : all_missing(g, level - 1, g->p2m.shape->child(g, word[i]));
    return missing;
}

void p2m_trim(struct pvguest *g, uint64_t pfn)
{
    pvg_pfn_t node = g->p2m.top;
    unsigned level = TOP_LEVEL;
    do {
        node = node_child(g, node, node_slot(pfn, level));
        level--;
    } while (level > 0 && node_own(g, level, node) && !all_missing(g, level, node));
    if (!node_own(g, level, node) || !all_missing(g, level, node))
        return;
    uint64_t base = pfn & ~(node_pfns(level) - 1);
    undo_begin(g);
    p2m_set_missing(g, (struct pvg_range){base, base + node_pfns(level)});
    undo_end(g);
}
