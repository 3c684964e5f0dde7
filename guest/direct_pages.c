/* SPDX-License-Identifier: MIT */
/* Pages of the direct map whose frames come and go: entries of one L1 table, which is there. */
#include "internal.h"

static uint64_t address_of(uint64_t pfn)
{
    return PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES;
}

/* Where the page's entry lies. */
static bool entry_of(struct pvguest *g, uint64_t pfn, pvg_maddr_t *at)
{
    struct pvg_walk w;
    pvg_walk(g, address_of(pfn), &w);
    *at = w.at[1].at;
    return w.level == 1;
}

bool direct_has_table(struct pvguest *g, uint64_t pfn)
{
    pvg_maddr_t at;
    return entry_of(g, pfn, &at);
}

static uint64_t wanted(struct pvguest *g, uint64_t pfn, bool mapped)
{
    return mapped ? pvg_pte(pvg_p2m_mfn(g, pvg_pfn(pfn)), PVG_PTE_DATA) : 0;
}

/* All of them; the last by a call that can flush. */
static int set_all(struct pvguest *g, struct pvg_range pages, bool mapped)
{
    uint64_t last = pages.to - 1;
    pvg_maddr_t at;
    int rc = flush_before(g);
    if (rc)
        return rc;
    if (!entry_of(g, pages.from, &at))
        return fail(g, -XEN_EINVAL, "no L1 table of the direct map is there");
    pvg_lazy_enter(g);
    for (uint64_t pfn = pages.from; pfn < last; pfn++, at.a += sizeof(uint64_t))
        batch_update(g, at.a | MMU_NORMAL_PT_UPDATE, wanted(g, pfn, mapped));
    batch_set_va(g, address_of(last), wanted(g, last, mapped), mapped ? UVMF_NONE : UVMF_TLB_FLUSH);
    rc = pvg_lazy_flush(g);
    pvg_lazy_leave(g);
    return rc;
}

/* By itself: a refusal must not stop the others (R10). */
static bool set_one(struct pvguest *g, uint64_t pfn, bool mapped)
{
    return set_va_now(g, address_of(pfn), wanted(g, pfn, mapped)) == 0;
}

/* Not to be reached by the direct map, and nobody's to take. */
static void give_up(struct pvguest *g, uint64_t pfn)
{
    pvg_regions_remove(&g->direct, pfn, pfn + 1);
    pvg_regions_remove(&g->memblock.memory, pfn, pfn + 1);
}

static uint64_t restore_each(struct pvguest *g, struct pvg_range pages)
{
    uint64_t lost = 0;
    for (uint64_t pfn = pages.from; pfn < pages.to; pfn++)
        if (!set_one(g, pfn, true)) {
            give_up(g, pfn);
            lost++;
        }
    return lost;
}

int direct_unmap(struct pvguest *g, struct pvg_range pages)
{
    int rc = set_all(g, pages, false);
    if (rc == 0)
        return 0;
    undo_begin(g);
    uint64_t lost = restore_each(g, pages);
    undo_end(g);
    if (lost)
        fail_in(g, rc, "%lu pages could not be mapped again", lost);
    return fail_in(g, rc, "pages %lx to %lx out of the direct map", pages.from, pages.to);
}

int direct_remap(struct pvguest *g, struct pvg_range pages)
{
    int rc = set_all(g, pages, true);
    if (rc == 0)
        return 0;
    undo_begin(g);
    for (uint64_t pfn = pages.from; pfn < pages.to; pfn++)
        set_one(g, pfn, false);
    undo_end(g);
    return fail_in(g, rc, "pages %lx to %lx into the direct map", pages.from, pages.to);
}

int direct_restore(struct pvguest *g, struct pvg_range pages)
{
    undo_begin(g);
    int rc = set_all(g, pages, true);
    uint64_t lost = rc ? restore_each(g, pages) : 0;
    undo_end(g);
    return lost ? fail(g, rc, "%lu of pages %lx to %lx could not be mapped: %s", lost, pages.from,
                       pages.to, error_name(rc))
                : 0;
}
