/* SPDX-License-Identifier: MIT */
/* Looking: where a page can be reached, and what the page tables say of an address. */
#include "internal.h"

#define CANONICAL_SHIFT 47

static bool in_range(struct pvg_range r, uint64_t page)
{
    return page >= r.from && page < r.to;
}

/* m2p alone proves nothing: a frame that was given away, or another's, may name one of our pages.
 * An entry with a mark is of no frame of ours either. */
pvg_pfn_t pvg_m2p(struct pvguest *g, pvg_mfn_t mfn)
{
    if (mfn.n >= g->m2p_entries)
        return PVG_NO_PFN;
    pvg_pfn_t pfn = pvg_pfn(port_m2p(g->m2p_base, mfn.n));
    return pvg_p2m_entry(g, pfn) == mfn.n ? pfn : PVG_NO_PFN;
}

uint64_t page_va(struct pvguest *g, pvg_pfn_t pfn)
{
    if (pvg_regions_holds(&g->direct, pfn.n))
        return PVG_DIRECT_BASE + pfn.n * PVG_PAGE_BYTES;
    if (in_range(g->own_root ? g->image : g->boot, pfn.n))
        return PVG_VIRT_BASE + pfn.n * PVG_PAGE_BYTES;
    return 0;
}

void *pvg_page(struct pvguest *g, pvg_pfn_t pfn)
{
    return pvg_regions_holds(&g->direct, pfn.n) ? (void *)(PVG_DIRECT_BASE + pfn.n * PVG_PAGE_BYTES)
                                                : NULL;
}

pvg_pfn_t pvg_page_of(struct pvguest *g, const void *va)
{
    uint64_t a = (uint64_t)va, page;
    if (a >= PVG_VIRT_BASE) {
        page = (a - PVG_VIRT_BASE) >> PVG_PAGE_SHIFT;
        return in_range(g->own_root ? g->image : g->boot, page) ? pvg_pfn(page) : PVG_NO_PFN;
    }
    page = (a - PVG_DIRECT_BASE) >> PVG_PAGE_SHIFT;
    return pvg_regions_holds(&g->direct, page) ? pvg_pfn(page) : PVG_NO_PFN;
}

pvg_mfn_t pvg_root(struct pvguest *g)
{
    (void)g;
    return pvg_mfn(port_cr3() >> PVG_PAGE_SHIFT);
}

bool read_entry(struct pvguest *g, pvg_mfn_t table, unsigned slot, uint64_t *entry)
{
    pvg_pfn_t pfn = pvg_m2p(g, table);
    uint64_t va = same_pfn(pfn, PVG_NO_PFN) ? 0 : page_va(g, pfn);
    if (!va)
        return false;
    *entry = load(g, va + slot * sizeof(uint64_t));
    return true;
}

static bool canonical(uint64_t va)
{
    int64_t top = (int64_t)va >> CANONICAL_SHIFT;
    return top == 0 || top == -1;
}

void pvg_walk_from(struct pvguest *g, pvg_mfn_t root, uint64_t va, struct pvg_walk *w)
{
    pvg_mfn_t table = root;
    *w = (struct pvg_walk){0};
    for (unsigned level = 4; level > 0 && canonical(va); level--) {
        uint64_t e;
        if (!read_entry(g, table, slot_of(va, level), &e))
            return;
        w->level = level;
        w->at[level].at = entry_address(table, slot_of(va, level));
        w->at[level].entry = e;
        if (!(e & PVG_PTE_PRESENT))
            return;
        if (level == 1 || (level < 4 && e & PVG_PTE_PSE)) {
            w->mapped = true;
            return;
        }
        table = pte_mfn(e);
    }
}

void pvg_walk(struct pvguest *g, uint64_t va, struct pvg_walk *w)
{
    pvg_walk_from(g, pvg_root(g), va, w);
}

/* ---- for people */

static void print_frame(struct pvguest *g, pvg_mfn_t mfn)
{
    pvg_pfn_t pfn = pvg_m2p(g, mfn);
    if (same_pfn(pfn, PVG_NO_PFN))
        pvg_print(g, "mfn %lx, not one of ours", mfn.n);
    else
        pvg_print(g, "mfn %lx = pfn %lx", mfn.n, pfn.n);
}

static void print_entry(struct pvguest *g, const struct pvg_walk *w, unsigned level, uint64_t va)
{
    uint64_t e = w->at[level].entry;
    pvg_print(g, "  L%u slot %3u at %lx: %016lx", level, slot_of(va, level), w->at[level].at.a, e);
    if (!(e & PVG_PTE_PRESENT)) {
        pvg_print(g, ", not present\n");
        return;
    }
    pvg_print(g, " %s%s%s, ", e & PVG_PTE_RW ? "rw" : "ro", e & PVG_PTE_USER ? " user" : "",
              e & PVG_PTE_NX ? " nx" : "");
    print_frame(g, pte_mfn(e));
    pvg_print(g, "\n");
}

void pvg_walk_print(struct pvguest *g, uint64_t va)
{
    struct pvg_walk w;
    pvg_walk(g, va, &w);
    pvg_print(g, "walk of %lx from root ", va);
    print_frame(g, pvg_root(g));
    pvg_print(g, "\n");
    if (!canonical(va))
        pvg_print(g, "  not a canonical address\n");
    for (unsigned level = 4; level >= w.level && level > 0; level--)
        if (w.level)
            print_entry(g, &w, level, va);
    if (!w.mapped && canonical(va) && (!w.level || w.at[w.level].entry & PVG_PTE_PRESENT))
        pvg_print(g, "  L%u table cannot be read\n", w.level ? w.level - 1 : 4);
}
