/* SPDX-License-Identifier: MIT */
/*
 * TEMPORARY: stands in for walk.c, batch.c, p2m.c and boot.c until they are there; to be deleted
 * then.
 */
#include "internal.h"

int p2m_init(struct pvguest *g)
{
    (void)g;
    return 0;
}

void batch_init(struct pvguest *g)
{
    (void)g;
}

pvg_pfn_t m2p(struct pvguest *g, pvg_mfn_t mfn)
{
    uint64_t pfn = mfn.n < g->m2p_entries ? port_m2p(g->m2p_base, mfn.n) : PVG_NONE;
    return pfn < g->info.nr_pages ? pvg_pfn(pfn) : PVG_NO_PFN;
}

uint64_t page_va(struct pvguest *g, pvg_pfn_t pfn)
{
    return pfn.n < g->boot.to ? PVG_VIRT_BASE + pfn.n * PVG_PAGE_BYTES : 0;
}

void pvg_walk_print(struct pvguest *g, uint64_t va)
{
    pvg_print(g, "  (walk.c is not there: no walk of %lx)\n", va);
}

int pvg_boot(struct pvguest *g, const struct pvg_options *o)
{
    (void)o;
    pvg_print(g, "# boot.c is not there: nothing was booted\n");
    return 0;
}
