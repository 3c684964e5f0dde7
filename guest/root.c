/* SPDX-License-Identifier: MIT */
/*
 * The guest's own root, and the end of the builder's.
 *
 * The own root maps the image, the fixmap and the direct map, and nothing else. It is filled by
 * plain stores, made read-only, pinned, and loaded; then the initial root is unpinned. A pin that
 * stays keeps every table below typed, and whoever wants one of those pages is refused much later
 * (PVG_FAULT_INITIAL_PINNED).
 */
#include "internal.h"

#define DIRECT_SLOTS 128u /* of the L4: PVG_DIRECT_PFNS */

static uint64_t image_va(uint64_t pfn)
{
    return PVG_VIRT_BASE + pfn * PVG_PAGE_BYTES;
}

static void own_store(struct pvguest *g, enum image_table t, unsigned slot, uint64_t entry)
{
    store(g, port_image_table(t) + slot * sizeof(uint64_t), entry);
}

/* ---- the image */

static int fill_image_table(struct pvguest *g, uint64_t first)
{
    pvg_pfn_t table;
    uint64_t va;
    int rc = table_take(g, &table, &va);
    if (rc)
        return rc;
    for (uint64_t p = first; p < first + ENTRIES && p < g->image.to; p++) {
        uint64_t flags =
            pvg_regions_holds(&g->tables, p) ? PVG_PTE_IMAGE & ~PVG_PTE_RW : PVG_PTE_IMAGE;
        if (p >= g->image.from)
            store(g, va + p % ENTRIES * sizeof(uint64_t),
                  pvg_pte(pvg_p2m_mfn(g, pvg_pfn(p)), flags));
    }
    own_store(g, OWN_L2, slot_of(image_va(first), 2),
              pvg_pte(pvg_p2m_mfn(g, table), PVG_PTE_TABLE));
    return table_seal(g, table);
}

static int fill_image(struct pvguest *g)
{
    int rc = 0;
    for (uint64_t p = g->image.from & ~(uint64_t)(ENTRIES - 1); rc == 0 && p < g->image.to;
         p += ENTRIES)
        rc = fill_image_table(g, p);
    return fail_in(g, rc, "tables for the image");
}

static void drop_image(struct pvguest *g)
{
    for (unsigned slot = 0; slot < ENTRIES; slot++) {
        uint64_t at = port_image_table(OWN_L2) + slot * sizeof(uint64_t), e = load(g, at);
        if (!(e & PVG_PTE_PRESENT))
            continue;
        store(g, at, 0);
        table_give(g, pvg_m2p(g, pte_mfn(e)));
    }
}

/* ---- the rest of it */

static int copy_slots(struct pvguest *g, uint64_t va, unsigned count)
{
    unsigned first = slot_of(va, 4);
    pvg_mfn_t root = pvg_root(g);
    for (unsigned slot = first; slot < first + count; slot++) {
        uint64_t e;
        if (!read_entry(g, root, slot, &e))
            return fail(g, -XEN_EINVAL, "the root mfn %lx cannot be read", root.n);
        own_store(g, OWN_L4, slot, e & PVG_PTE_PRESENT ? pvg_pte(pte_mfn(e), PVG_PTE_TABLE) : 0);
    }
    return 0;
}

/* The builder's p2m list stays where it is for a while. */
static int fill_upper(struct pvguest *g)
{
    int rc = copy_slots(g, PVG_DIRECT_BASE, DIRECT_SLOTS);
    if (rc == 0 && p2m_initial_apart(g))
        rc = copy_slots(g, g->p2m.initial_va, 1);
    if (rc)
        return rc;
    image_table_store(g, OWN_L4, slot_of(PVG_VIRT_BASE, 4), OWN_L3);
    image_table_store(g, OWN_L3, slot_of(PVG_VIRT_BASE, 3), OWN_L2);
    image_table_store(g, OWN_L3, slot_of(PVG_FIXMAP_BASE, 3), FIX_L2);
    return 0;
}

static int protect_own(struct pvguest *g, bool writable)
{
    int rc = 0;
    for (enum image_table t = OWN_L4; rc == 0 && t <= OWN_L2; t++)
        rc = page_protect(g, image_table_pfn(t), writable);
    return rc;
}

static void drop_own(struct pvguest *g)
{
    undo_begin(g);
    protect_own(g, true);
    drop_image(g);
    undo_end(g);
}

static int make_own(struct pvguest *g)
{
    int rc = fill_image(g);
    if (rc == 0)
        rc = fill_upper(g);
    if (rc == 0)
        rc = fail_in(g, protect_own(g, false), "the own tables");
    if (rc)
        drop_own(g);
    return rc;
}

/* ---- switching */

static int switch_to(struct pvguest *g, pvg_mfn_t own, pvg_mfn_t initial)
{
    int rc = fail_in(g, mmuext(g, MMUEXT_PIN_L4_TABLE, own.n, 0), "pinning the own root");
    if (rc)
        return rc;
    rc = fail_in(g, mmuext(g, MMUEXT_NEW_BASEPTR, own.n, 0), "loading the own root");
    if (rc == 0 && !(g->options.faults & PVG_FAULT_INITIAL_PINNED)) {
        rc = mmuext(g, MMUEXT_UNPIN_TABLE, initial.n, 0);
        fail_in(g, rc, "unpinning the initial root mfn %lx", initial.n);
    }
    if (rc) {
        undo_begin(g);
        mmuext(g, MMUEXT_NEW_BASEPTR, initial.n, 0);
        mmuext(g, MMUEXT_UNPIN_TABLE, own.n, 0);
        undo_end(g);
    }
    return rc;
}

int root_switch(struct pvguest *g)
{
    pvg_mfn_t initial = pvg_root(g);
    int rc = make_own(g);
    if (rc)
        return rc;
    rc = switch_to(g, image_table_mfn(g, OWN_L4), initial);
    if (rc) {
        drop_own(g);
        return rc;
    }
    g->own_root = true;
    g->si_va = page_va(g, pvg_pfn((g->si_va - PVG_VIRT_BASE) >> PVG_PAGE_SHIFT));
    console_moved(g);
    return 0;
}

/* ---- what the boot region leaves */

static int keep(struct pvguest *g, uint64_t from, uint64_t to)
{
    return from < to ? pvg_memblock_reserve(&g->memblock, from, to - from) : 0;
}

static int keep_frame(struct pvguest *g, uint64_t mfn)
{
    pvg_pfn_t pfn = pvg_m2p(g, pvg_mfn(mfn));
    return same_pfn(pfn, PVG_NO_PFN) ? 0 : keep(g, pfn.n, pfn.n + 1);
}

/* Page 0 stays in use: an address of 0 means "none" to too many. */
static int keep_needed(struct pvguest *g)
{
    const start_info_t *si = pvg_start_info(g);
    pvg_pfn_t si_pfn = pvg_page_of(g, (const void *)g->si_va);
    int rc = keep(g, 0, 1);
    if (rc == 0)
        rc = keep(g, g->image.from, g->image.to);
    if (rc == 0)
        rc = keep(g, si_pfn.n, si_pfn.n + 1);
    if (rc == 0)
        rc = keep(g, g->module.from, g->module.to);
    if (rc == 0)
        rc = keep(g, g->p2m.initial.from, g->p2m.initial.to);
    if (rc == 0 && !pvg_is_initial_domain(g)) {
        rc = keep_frame(g, si->console.domU.mfn);
        if (rc == 0)
            rc = keep_frame(g, si->store_mfn);
    }
    return rc;
}

int boot_region_free(struct pvguest *g)
{
    int rc = pages_protect(g, g->initial_tables, true);
    if (rc)
        return fail_in(g, rc, "the initial tables");
    pvg_regions_remove(&g->tables, g->initial_tables.from, g->initial_tables.to);
    rc = pvg_memblock_free(&g->memblock, g->boot.from, g->boot.to - g->boot.from);
    if (rc == 0)
        rc = keep_needed(g);
    return rc ? fail(g, rc, "memblock: %s", error_name(rc)) : 0;
}
