/* SPDX-License-Identifier: MIT */
/* From start_info to a running memory system: the steps, in their order. */
#include "internal.h"

int map_shared_info(struct pvguest *g)
{
    pvg_mfn_t mfn = pvg_mfn(pvg_start_info(g)->shared_info >> PVG_PAGE_SHIFT);
    int rc = fixmap_set(g, FIX_SHARED_INFO, pvg_pte(mfn, PVG_PTE_DATA));
    if (rc)
        return rc;
    g->shared_va = fixmap_va(FIX_SHARED_INFO);
    return 0;
}

static bool slot_is_ours(unsigned slot)
{
    unsigned direct = slot_of(PVG_DIRECT_BASE, 4);
    return slot == slot_of(PVG_VIRT_BASE, 4) || slot == slot_of(PVG_P2M_BASE, 4) ||
           (slot >= direct && slot < direct + PVG_DIRECT_PFNS / (1ull << 27));
}

/* Where the builder put its list: by a note of the kernel's. */
static int check_list(struct pvguest *g)
{
    uint64_t first = g->p2m.initial_va, last = first + g->p2m.initial_pages * sizeof(uint64_t) - 1;
    if (!p2m_initial_apart(g))
        return 0;
    if (slot_of(first, 4) != slot_of(last, 4) || slot_is_ours(slot_of(first, 4)))
        return fail(g, -XEN_EINVAL,
                    "the builder's p2m list at %lx to %lx is in the way: INIT_P2M "
                    "wants an L4 slot of its own",
                    first, last);
    return 0;
}

/* What must never be mapped writable: known before anything is mapped. */
static int mark_tables(struct pvguest *g)
{
    int rc = pvg_regions_add(&g->tables, g->initial_tables.from, g->initial_tables.to);
    if (rc == 0 && p2m_initial_apart(g))
        rc = pvg_regions_add(&g->tables, g->p2m.initial.from, g->p2m.initial.to);
    for (enum image_table t = 0; rc == 0 && t < IMAGE_TABLES; t++) {
        uint64_t pfn = image_table_pfn(t).n;
        rc = pvg_regions_add(&g->tables, pfn, pfn + 1);
    }
    return rc ? fail(g, rc, "%s", error_name(rc)) : 0;
}

static int map_ram(struct pvguest *g)
{
    const struct pvg_regions *ram = &g->memblock.memory;
    uint64_t end = ram->at[ram->count - 1].to;
    int rc = pvg_direct_map(g, (struct pvg_range){0, end < PFN_4G ? end : PFN_4G});
    return rc || end <= PFN_4G ? rc : pvg_direct_map(g, (struct pvg_range){PFN_4G, end});
}

static int build_p2m(struct pvguest *g)
{
    return p2m_build(g, g->options.p2m);
}

static int map_moved(struct pvguest *g, struct pvg_range r)
{
    int rc = pvg_memblock_add(&g->memblock, r.from, r.to - r.from);
    if (rc)
        return fail(g, rc, "memblock: %s", error_name(rc));
    rc = pvg_direct_map(g, r);
    if (rc)
        pvg_memblock_remove(&g->memblock, r.from, r.to - r.from);
    return rc;
}

static int arrange(struct pvguest *g)
{
    int rc = memory_arrange(g, &g->moved);
    for (unsigned i = 0; rc == 0 && i < g->moved.count; i++)
        rc = map_moved(g, g->moved.at[i]);
    return rc;
}

static int tell(struct pvguest *g)
{
    int rc = mfn_list_build(g);
    if (rc == 0)
        publish(g);
    return rc;
}

static const struct {
    const char *name;
    int (*take)(struct pvguest *g);
} step[] = {
    {"memory map", memory_discover},
    {"p2m list", check_list},
    {"tables", mark_tables},
    {"fixmap", fixmap_init},
    {"shared_info", map_shared_info},
    {"RAM", map_ram},
    {"own root", root_switch},
    {"boot region", boot_region_free},
    {"p2m", build_p2m},
    {"memory outside RAM", arrange},
    {"mfn_list_list", tell},
};

static int check_options(struct pvguest *g, const struct pvg_options *o)
{
    if (g->booted || g->fixmap)
        return fail(g, -XEN_EBUSY, "pvg_boot() was called before");
    if (g->batch.lazy)
        return fail(g, -XEN_EBUSY, "pvg_boot() in lazy mode");
    if (o->p2m != PVG_P2M_LINEAR && o->p2m != PVG_P2M_TREE)
        return fail(g, -XEN_EINVAL, "p2m layout %u is none", o->p2m);
    return 0;
}

int pvg_boot(struct pvguest *g, const struct pvg_options *o)
{
    int rc = check_options(g, o);
    if (rc)
        return rc;
    g->options = *o;
    for (unsigned i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
        rc = step[i].take(g);
        if (rc)
            return fail_in(g, rc, "%s", step[i].name);
    }
    g->booted = true;
    return 0;
}
