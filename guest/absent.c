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

/* Maps shared_info, by which events are told, over a page of the image. */
int pvg_boot(struct pvguest *g, const struct pvg_options *o)
{
    static uint8_t page[PVG_PAGE_BYTES] __attribute__((aligned(4096)));
    uint64_t entry = (pvg_start_info(g)->shared_info & PVG_PTE_FRAME) | PVG_PTE_DATA;
    (void)o;
    pvg_print(g, "# boot.c is not there: only shared_info is mapped\n");
    int rc = (int)pvg_hypercall(g, __HYPERVISOR_update_va_mapping, (uintptr_t)page, entry,
                                UVMF_INVLPG, 0, 0);
    if (rc)
        return fail(g, rc, "shared_info: %s", error_name(rc));
    g->shared_va = (uintptr_t)page;
    return 0;
}
