/* SPDX-License-Identifier: MIT */
/*
 * The builder's list, and the p2m that is made of it.
 *
 * Where the list lies is said in <xen/xen.h>, "Start-of-day memory layout": in the region from
 * VIRT_BASE on, where page i is pfn i, or, with XEN_ELFNOTE_INIT_P2M, apart: at an address of its
 * own, in the pfns that start_info names, the tables that map it among them. In which order they
 * lie there is the builder's affair (Xen's own, for the initial domain, mixes list and tables): so
 * the list is read at its address, whose slot of the root stays until the list is given up.
 */
#include "p2m_nodes.h"

static uint64_t list_pages(const struct pvguest *g)
{
    return (g->p2m.initial_pages + ENTRIES - 1) / ENTRIES;
}

static int find_list(struct pvguest *g, const start_info_t *si)
{
    uint64_t pages = list_pages(g);
    if (si->mfn_list >= PVG_VIRT_BASE) {
        g->p2m.initial.from = (si->mfn_list - PVG_VIRT_BASE) >> PVG_PAGE_SHIFT;
        g->p2m.initial.to = g->p2m.initial.from + pages;
    } else {
        if (si->nr_p2m_frames < pages)
            return fail(g, -XEN_EINVAL, "start_info: %lu p2m frames, the list has %lu",
                        si->nr_p2m_frames, pages);
        g->p2m.initial.from = si->first_p2m_pfn;
        g->p2m.initial.to = si->first_p2m_pfn + si->nr_p2m_frames;
    }
    if (g->p2m.initial.to < g->p2m.initial.from || g->p2m.initial.to > si->nr_pages)
        return fail(g, -XEN_EINVAL, "start_info: the p2m's frames %lx to %lx are not ours",
                    g->p2m.initial.from, g->p2m.initial.to);
    return 0;
}

int p2m_init(struct pvguest *g)
{
    const start_info_t *si = pvg_start_info(g);
    g->p2m = (struct p2m){.layout = PVG_P2M_INITIAL, .top = PVG_NO_PFN, .spare.first = PVG_NO_PFN};
    if (si->nr_pages == 0 || si->nr_pages > PVG_P2M_PFNS)
        return fail(g, -XEN_EINVAL, "start_info: %lu pages", si->nr_pages);
    if (si->mfn_list % PVG_PAGE_BYTES)
        return fail(g, -XEN_EINVAL, "start_info: mfn_list %lx is not aligned", si->mfn_list);
    g->p2m.initial_va = si->mfn_list;
    g->p2m.initial_pages = si->nr_pages;
    return find_list(g, si);
}

/* Where the list's page lies now. The region goes with the builder's root. 0: nowhere. */
static uint64_t list_va(struct pvguest *g, uint64_t page)
{
    if (!g->own_root || p2m_initial_apart(g))
        return g->p2m.initial_va + page * PVG_PAGE_BYTES;
    return page_va(g, pvg_pfn(g->p2m.initial.from + page));
}

/* What is no mfn is no frame. */
static uint64_t list_entry(uint64_t word)
{
    return word >> MFN_BITS ? PVG_P2M_MISSING : word;
}

uint64_t p2m_initial_entry(struct pvguest *g, uint64_t pfn)
{
    if (pfn >= g->p2m.initial_pages)
        return PVG_P2M_MISSING;
    uint64_t va = list_va(g, pfn / ENTRIES);
    return va ? list_entry(load(g, va + pfn % ENTRIES * sizeof(uint64_t))) : PVG_P2M_MISSING;
}

/* ---- out of the list */

static void count_leaf(struct pvguest *g, uint64_t base, const uint64_t *word)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (!entry_populated(word[i]))
            continue;
        g->p2m.populated++;
        g->p2m.max_pfn = base + i + 1;
    }
}

/* The list's words for the leaf at `base`; the last page of the list may go on behind its end. */
static bool copy_list(struct pvguest *g, uint64_t base, uint64_t *to)
{
    const uint64_t *list = port_at(g, list_va(g, base / ENTRIES), PORT_READ);
    uint64_t left = g->p2m.initial_pages - base;
    bool any = false;
    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t entry = i < left ? list_entry(list[i]) : PVG_P2M_MISSING;
        any |= entry != PVG_P2M_MISSING;
        if (to)
            to[i] = entry;
    }
    return any;
}

static int make_leaf(struct pvguest *g, uint64_t base, pvg_pfn_t *leaf)
{
    uint64_t va;
    *leaf = g->p2m.missing.leaf;
    if (list_va(g, base / ENTRIES) == 0)
        return fail(g, -XEN_EFAULT, "the builder's p2m list is not mapped for page %lx", base);
    if (!copy_list(g, base, NULL))
        return 0;
    int rc = node_take(g, 0, leaf, &va);
    if (rc)
        return rc;
    uint64_t *word = port_at(g, va, PORT_WRITE);
    copy_list(g, base, word);
    count_leaf(g, base, word);
    return 0;
}

static void fill(struct pvguest *g, uint64_t va, unsigned level, pvg_pfn_t child)
{
    uint64_t *word = port_at(g, va, PORT_WRITE);
    uint64_t value = g->p2m.shape->word(g, level, child);
    for (unsigned i = 0; i < ENTRIES; i++)
        word[i] = value;
}

static int make(struct pvguest *g, unsigned level, uint64_t base, pvg_pfn_t *out);

static int make_children(struct pvguest *g, unsigned level, uint64_t base, uint64_t va)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t below = base + i * node_pfns(level - 1);
        pvg_pfn_t child;
        if (below >= g->p2m.initial_pages)
            break;
        int rc = make(g, level - 1, below, &child);
        if (rc)
            return rc;
        store(g, va + i * sizeof(uint64_t), g->p2m.shape->word(g, level, child));
    }
    return 0;
}

/* The node for what the list says of the pages from `base` on. */
static int make(struct pvguest *g, unsigned level, uint64_t base, pvg_pfn_t *out)
{
    uint64_t va;
    if (level == 0)
        return make_leaf(g, base, out);
    int rc = node_take(g, level, out, &va);
    if (rc)
        return rc;
    fill(g, va, level, shared_node(&g->p2m.missing, level - 1));
    rc = make_children(g, level, base, va);
    if (rc == 0)
        rc = g->p2m.shape->seal(g, *out);
    if (rc)
        node_drop(g, level, base, *out);
    return rc;
}

/* ---- the shared ones */

static int make_shared_leaf(struct pvguest *g, struct p2m_shared *s)
{
    uint64_t va;
    int rc = node_take(g, 1, &s->leaf, &va); /* counted as a table: it is nobody's own leaf */
    if (rc)
        return rc;
    memset(port_at(g, va, PORT_WRITE), 0xff, PVG_PAGE_BYTES);
    return g->p2m.shape->seal(g, s->leaf);
}

static int make_shared(struct pvguest *g, struct p2m_shared *s)
{
    int rc = make_shared_leaf(g, s);
    for (unsigned level = 1; level < TOP_LEVEL && rc == 0; level++) {
        uint64_t va;
        rc = node_take(g, level, &s->table[level], &va);
        if (rc)
            return rc;
        fill(g, va, level, shared_node(s, level - 1));
        rc = g->p2m.shape->seal(g, s->table[level]);
    }
    return rc;
}

static void drop_shared(struct pvguest *g, const struct p2m_shared *s)
{
    for (unsigned level = TOP_LEVEL; level-- > 0;)
        if (!same_pfn(shared_node(s, level), PVG_NO_PFN))
            node_give(g, 1, shared_node(s, level));
}

/* ---- the list's frames */

/* The L3 of the slot of the root that only maps the list; PVG_NO_PFN: it has none. */
static int find_list_l3(struct pvguest *g, pvg_pfn_t *l3)
{
    struct pvg_walk w;
    *l3 = PVG_NO_PFN;
    if (!p2m_initial_apart(g))
        return 0;
    pvg_walk(g, g->p2m.initial_va, &w);
    if (w.level > 0 && w.at[4].entry & PVG_PTE_PRESENT)
        *l3 = pvg_m2p(g, pte_mfn(w.at[4].entry));
    return same_pfn(*l3, PVG_NO_PFN) ? fail(g, -XEN_EFAULT, "its tables are not there") : 0;
}

static int hook_list(struct pvguest *g, pvg_pfn_t l3)
{
    int rc = p2m_initial_apart(g) ? table_hook(g, g->p2m.initial_va, 4, l3) : 0;
    return fail_in(g, rc ? rc : pvg_lazy_flush(g), "its mapping");
}

static int flush_list(struct pvguest *g)
{
    int rc = p2m_initial_apart(g) ? mmuext(g, MMUEXT_TLB_FLUSH_LOCAL, 0, 0) : 0;
    return fail_in(g, rc, "flushing its mapping");
}

/* The list's pages as they are to be from now on: plain ones, or read-only for its tables' sake. */
static int list_writable(struct pvguest *g, bool writable)
{
    struct pvg_range r = g->p2m.initial;
    if (!p2m_initial_apart(g))
        return 0;
    int rc = pages_protect(g, r, writable);
    if (rc)
        return rc;
    return writable ? pvg_regions_remove(&g->tables, r.from, r.to)
                    : pvg_regions_add(&g->tables, r.from, r.to);
}

/* From here on pages of it may be taken again. */
static int give_list(struct pvguest *g)
{
    struct pvg_range r = g->p2m.initial;
    int rc = list_writable(g, true);
    if (rc)
        return rc;
    rc = pvg_pages_give(g, pvg_pfn(r.from), r.to - r.from);
    if (rc) {
        undo_begin(g);
        if (list_writable(g, false))
            g->p2m.lost += r.to - r.from;
        undo_end(g);
    }
    return rc;
}

/* ---- all of it */

static int build_nodes(struct pvguest *g)
{
    int rc = make_shared(g, &g->p2m.missing);
    if (rc == 0)
        rc = make_shared(g, &g->p2m.identity);
    if (rc == 0)
        rc = make(g, TOP_LEVEL, 0, &g->p2m.top);
    if (rc)
        g->p2m.top = PVG_NO_PFN; /* make() has given it back */
    return rc;
}

static void drop_nodes(struct pvguest *g)
{
    if (!same_pfn(g->p2m.top, PVG_NO_PFN))
        node_drop(g, TOP_LEVEL, 0, g->p2m.top);
    drop_shared(g, &g->p2m.missing);
    drop_shared(g, &g->p2m.identity);
}

static int hook_top(struct pvguest *g, pvg_pfn_t was, pvg_pfn_t top)
{
    struct p2m_place at = {PVG_NO_PFN, TOP_LEVEL, 0, was};
    return g->p2m.shape->hook(g, &at, top, (struct pvg_range){0, PVG_P2M_PFNS});
}

/* The list is last: its frames cannot be had back. */
static int drop_list(struct pvguest *g)
{
    pvg_pfn_t l3;
    int rc = find_list_l3(g, &l3);
    if (rc == 0)
        rc = hook_list(g, PVG_NO_PFN);
    if (rc)
        return rc;
    rc = flush_list(g);
    if (rc == 0)
        rc = give_list(g);
    if (rc) {
        undo_begin(g);
        if (hook_list(g, l3))
            pvg_fatal(g, "p2m: the builder's list cannot be mapped again");
        undo_end(g);
    }
    return rc;
}

static int change_over(struct pvguest *g, enum pvg_p2m_layout layout)
{
    int rc = hook_top(g, PVG_NO_PFN, g->p2m.top);
    if (rc)
        return rc;
    g->p2m.layout = layout;
    rc = fail_in(g, drop_list(g), "the builder's list");
    if (rc) {
        g->p2m.layout = PVG_P2M_INITIAL;
        undo_begin(g);
        if (hook_top(g, g->p2m.top, PVG_NO_PFN))
            pvg_fatal(g, "p2m: cannot be unhooked");
        undo_end(g);
    }
    return rc;
}

int p2m_build(struct pvguest *g, enum pvg_p2m_layout layout)
{
    const struct p2m_shared none = {PVG_NO_PFN, {PVG_NO_PFN, PVG_NO_PFN, PVG_NO_PFN, PVG_NO_PFN}};
    const struct p2m before = g->p2m;
    if (g->p2m.layout != PVG_P2M_INITIAL || layout == PVG_P2M_INITIAL)
        return fail(g, -XEN_EINVAL, "from layout %d to %d", g->p2m.layout, layout);
    g->p2m.shape = layout == PVG_P2M_LINEAR ? &p2m_linear : &p2m_tree;
    g->p2m.missing = g->p2m.identity = none;
    int rc = build_nodes(g);
    if (rc == 0)
        rc = change_over(g, layout);
    if (rc == 0)
        return 0;
    undo_begin(g);
    drop_nodes(g);
    undo_end(g);
    const struct p2m now = g->p2m;
    g->p2m = before;
    g->p2m.lost = now.lost;
    g->p2m.spare = now.spare;
    return rc;
}
