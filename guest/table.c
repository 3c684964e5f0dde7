/* SPDX-License-Identifier: MIT */
/* Single tables out of the direct map's pages. */
#include "internal.h"

int table_take(struct pvguest *g, pvg_pfn_t *pfn, uint64_t *va)
{
    int rc = pvg_pages_take(g, 1, 1, pfn);
    if (rc)
        return fail_in(g, rc, "a page for a table");
    *va = page_va(g, *pfn);
    memset(port_at(g, *va, PORT_WRITE), 0, PVG_PAGE_BYTES);
    return 0;
}

int table_seal(struct pvguest *g, pvg_pfn_t pfn)
{
    return page_protect(g, pfn, false);
}

int table_give(struct pvguest *g, pvg_pfn_t pfn)
{
    int rc = page_protect(g, pfn, true);
    return rc ? rc : pvg_pages_give(g, pfn, 1);
}

int table_hook(struct pvguest *g, uint64_t va, unsigned level, pvg_pfn_t table)
{
    struct pvg_walk w;
    pvg_walk_from(g, kernel_root(g), va, &w);
    if (level < 2 || level > 4 || w.level == 0 || w.level > level)
        return fail(g, -XEN_EINVAL, "no L%u table is there for %lx", level, va);
    uint64_t entry =
        same_pfn(table, PVG_NO_PFN) ? 0 : pvg_pte(pvg_p2m_mfn(g, table), PVG_PTE_TABLE);
    if (level == 4)
        return root_set_slot(g, slot_of(va, 4), entry);
    return batch_update(g, w.at[level].at.a, entry);
}
