/* SPDX-License-Identifier: MIT */
/*
 * The fixmap: one L1 table of the image at the top of the address space.
 *
 * Its place is found from CR3. At first the guest runs on the tables that the domain builder made;
 * its own root is empty then, and a table hooked there maps nothing. (Linux took its own for
 * granted in early ioremap, and died under Xen: PVG_FAULT_IOREMAP_SWAPPER.)
 */
#include "internal.h"

static pvg_pfn_t image_page(uint64_t va)
{
    return pvg_pfn((va - PVG_VIRT_BASE) >> PVG_PAGE_SHIFT);
}

pvg_mfn_t image_table_mfn(struct pvguest *g, enum image_table t)
{
    return pvg_p2m_mfn(g, image_page(port_image_table(t)));
}

pvg_pfn_t image_table_pfn(enum image_table t)
{
    return image_page(port_image_table(t));
}

void image_table_store(struct pvguest *g, enum image_table t, unsigned slot, enum image_table to)
{
    store(g, port_image_table(t) + slot * sizeof(uint64_t),
          pvg_pte(image_table_mfn(g, to), PVG_PTE_TABLE));
}

/* Plain stores: nobody has validated these yet. */
static void link_image_tables(struct pvguest *g)
{
    image_table_store(g, OWN_L4, slot_of(PVG_FIXMAP_BASE, 4), OWN_L3);
    image_table_store(g, FIX_L2, slot_of(PVG_FIXMAP_BASE, 2), FIX_L1);
}

static int fix_tables_writable(struct pvguest *g, bool writable)
{
    uint64_t flags = writable ? PVG_PTE_IMAGE : PVG_PTE_IMAGE & ~PVG_PTE_RW;
    int rc = 0;
    for (enum image_table t = FIX_L2; t <= FIX_L1 && rc == 0; t++)
        rc = set_va_now(g, port_image_table(t), pvg_pte(image_table_mfn(g, t), flags));
    return rc;
}

/* The root that the fixmap goes into. */
static pvg_mfn_t chosen_root(struct pvguest *g)
{
    if (g->options.faults & PVG_FAULT_IOREMAP_SWAPPER)
        return image_table_mfn(g, OWN_L4);
    return pvg_root(g);
}

/* The own tables are validated with the switch; before, they take plain stores. */
static int hook(struct pvguest *g, pvg_maddr_t at, uint64_t entry)
{
    pvg_mfn_t own_l3 = image_table_mfn(g, OWN_L3);
    if (at.a >> PVG_PAGE_SHIFT != own_l3.n || g->own_root)
        return batch_update(g, at.a, entry);
    store(g, port_image_table(OWN_L3) + at.a % PVG_PAGE_BYTES, entry);
    return 0;
}

int fixmap_init(struct pvguest *g)
{
    struct pvg_walk w;
    link_image_tables(g);
    pvg_walk_from(g, chosen_root(g), PVG_FIXMAP_BASE, &w);
    if (w.level != 3 || w.at[3].entry & PVG_PTE_PRESENT)
        return fail(g, -XEN_EINVAL, "the walk of %lx ends at level %u, not at an empty L3",
                    (unsigned long)PVG_FIXMAP_BASE, w.level);
    int rc = fix_tables_writable(g, false);
    if (rc == 0)
        rc = hook(g, w.at[3].at, pvg_pte(image_table_mfn(g, FIX_L2), PVG_PTE_TABLE));
    if (rc) {
        undo_begin(g);
        fix_tables_writable(g, true);
        undo_end(g);
        return rc;
    }
    g->fixmap = true;
    return 0;
}

int fixmap_set(struct pvguest *g, unsigned slot, uint64_t entry)
{
    return fail_in(g, set_va_now(g, fixmap_va(slot), entry), "fixmap slot %u", slot);
}

uint64_t fixmap_entry(struct pvguest *g, unsigned slot)
{
    return load(g, port_image_table(FIX_L1) + slot * sizeof(uint64_t));
}

/* ---- windows */

int window_open(struct pvguest *g, unsigned level, pvg_pfn_t pfn, uint64_t *va)
{
    *va = fixmap_va(FIX_WINDOW + level);
    return fixmap_set(g, FIX_WINDOW + level, pvg_pte(pvg_p2m_mfn(g, pfn), PVG_PTE_DATA));
}

int window_close(struct pvguest *g, unsigned level)
{
    return fixmap_set(g, FIX_WINDOW + level, 0);
}
