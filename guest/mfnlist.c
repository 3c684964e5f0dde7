/* SPDX-License-Identifier: MIT */
/*
 * The p2m as tools read it from outside (<xen/arch-x86/xen.h>, pfn_to_mfn_frame_list_list): a page
 * of mfns of pages of mfns of the p2m's leaves. Three levels of 512 speak of 2^27 pages. All of it
 * are plain pages. What is not populated is shown as the missing leaf, identity too.
 */
#include "p2m_nodes.h"

static unsigned top_slot(uint64_t pfn)
{
    return pfn / ENTRIES / ENTRIES;
}

static unsigned mid_slot(uint64_t pfn)
{
    return pfn / ENTRIES % ENTRIES;
}

static uint64_t missing_leaf(struct pvguest *g)
{
    return pvg_p2m_mfn(g, g->p2m.missing.leaf).n;
}

/* With the fault short-mfn-list it ends where the builder's memory ends, and a tool that saves the
 * guest loses what was moved above. */
static bool listed(const struct pvguest *g, uint64_t pfn)
{
    if (!g->mfn_list.there || pfn >= PVG_MFN_LIST_PFNS)
        return false;
    return !(g->options.faults & PVG_FAULT_SHORT_MFN_LIST) ||
           pfn / ENTRIES * ENTRIES < g->p2m.initial_pages;
}

static void fill(struct pvguest *g, pvg_pfn_t page, uint64_t value)
{
    uint64_t *word = node_words(g, page, PORT_WRITE);
    for (unsigned i = 0; i < ENTRIES; i++)
        word[i] = value;
}

static int take_filled(struct pvguest *g, pvg_pfn_t *page, uint64_t value)
{
    uint64_t va;
    int rc = node_take(g, 1, page, &va);
    if (rc)
        return fail_in(g, rc, "mfn list");
    fill(g, *page, value);
    return 0;
}

static pvg_pfn_t mid_of(const struct pvguest *g, uint64_t pfn)
{
    return g->mfn_list.mid[top_slot(pfn)];
}

static void set_top(struct pvguest *g, unsigned slot, pvg_pfn_t mid)
{
    g->mfn_list.mid[slot] = mid;
    store(g, page_va(g, g->mfn_list.top) + slot * sizeof(uint64_t), pvg_p2m_mfn(g, mid).n);
}

static void set_mid(struct pvguest *g, pvg_pfn_t mid, uint64_t pfn, uint64_t mfn)
{
    store(g, page_va(g, mid) + mid_slot(pfn) * sizeof(uint64_t), mfn);
}

int mfn_list_set(struct pvguest *g, uint64_t pfn, pvg_pfn_t leaf)
{
    if (!listed(g, pfn))
        return 0;
    pvg_pfn_t mid = mid_of(g, pfn);
    uint64_t mfn = pvg_p2m_mfn(g, leaf).n;
    if (!same_pfn(mid, g->mfn_list.missing_mid)) {
        set_mid(g, mid, pfn, mfn);
        return 0;
    }
    int rc = take_filled(g, &mid, missing_leaf(g));
    if (rc)
        return rc;
    set_mid(g, mid, pfn, mfn); /* complete before it is to be seen */
    set_top(g, top_slot(pfn), mid);
    return 0;
}

static bool all_missing(struct pvguest *g, pvg_pfn_t mid)
{
    const uint64_t *word = node_words(g, mid, PORT_READ);
    uint64_t missing = missing_leaf(g);
    unsigned i = 0;
    while (i < ENTRIES && word[i] == missing)
        i++;
    return i == ENTRIES;
}

void mfn_list_clear(struct pvguest *g, uint64_t pfn)
{
    if (!listed(g, pfn))
        return;
    pvg_pfn_t mid = mid_of(g, pfn);
    if (same_pfn(mid, g->mfn_list.missing_mid))
        return;
    set_mid(g, mid, pfn, missing_leaf(g));
    if (!all_missing(g, mid))
        return;
    set_top(g, top_slot(pfn), g->mfn_list.missing_mid);
    node_give(g, 1, mid);
}

static int take_ends(struct pvguest *g)
{
    struct mfn_list *l = &g->mfn_list;
    int rc = take_filled(g, &l->missing_mid, missing_leaf(g));
    if (rc)
        return rc;
    rc = take_filled(g, &l->top, pvg_p2m_mfn(g, l->missing_mid).n);
    if (rc)
        node_give(g, 1, l->missing_mid);
    for (unsigned i = 0; i < ENTRIES; i++)
        l->mid[i] = l->missing_mid;
    l->there = rc == 0;
    return rc;
}

static void drop(struct pvguest *g)
{
    struct mfn_list *l = &g->mfn_list;
    for (uint64_t pfn = 0; pfn < PVG_MFN_LIST_PFNS; pfn += ENTRIES * ENTRIES) {
        pvg_pfn_t mid = mid_of(g, pfn);
        if (!same_pfn(mid, l->missing_mid))
            node_give(g, 1, mid);
    }
    node_give(g, 1, l->top);
    node_give(g, 1, l->missing_mid);
}

static int list_leaves(struct pvguest *g)
{
    int rc = 0;
    uint64_t pfn = p2m_next_leaf(g, 0);
    while (pfn < PVG_MFN_LIST_PFNS && rc == 0) {
        rc = mfn_list_set(g, pfn, p2m_leaf(g, pfn));
        pfn = p2m_next_leaf(g, pfn + ENTRIES);
    }
    return rc;
}

int mfn_list_build(struct pvguest *g)
{
    if (g->p2m.layout == PVG_P2M_INITIAL || g->mfn_list.there)
        return fail(g, -XEN_EINVAL, "mfn list: out of turn");
    int rc = take_ends(g);
    if (rc == 0) {
        rc = list_leaves(g);
        if (rc)
            drop(g);
    }
    if (rc)
        g->mfn_list = (struct mfn_list){0};
    return rc;
}

/* Each leaf that is listed has its mid page: nothing is taken, and nothing can fail. */
void mfn_list_renew(struct pvguest *g)
{
    const struct mfn_list *l = &g->mfn_list;
    if (!l->there)
        return;
    fill(g, l->missing_mid, missing_leaf(g));
    for (unsigned i = 0; i < ENTRIES; i++) {
        set_top(g, i, l->mid[i]);
        if (!same_pfn(l->mid[i], l->missing_mid))
            fill(g, l->mid[i], missing_leaf(g));
    }
    list_leaves(g);
}
