/* SPDX-License-Identifier: MIT */
/*
 * p2m=linear: nodes are page tables, the top is the L3 of PVG_P2M_BASE's slot in the root. Leaves
 * are data, the shared ones mapped read-only; tables are read-only wherever they are mapped (R2).
 */
#include "p2m_nodes.h"

static uint64_t linear_word(struct pvguest *g, unsigned level, pvg_pfn_t child)
{
    uint64_t flags = PVG_PTE_TABLE;
    if (level == 1)
        flags = node_own(g, 0, child) ? PVG_PTE_DATA : PVG_PTE_RO_DATA;
    return pvg_pte(pvg_p2m_mfn(g, child), flags);
}

static pvg_pfn_t linear_child(struct pvguest *g, uint64_t word)
{
    return pvg_m2p(g, pte_mfn(word));
}

static uint64_t linear_va(uint64_t pfn)
{
    return PVG_P2M_BASE + pfn * sizeof(uint64_t);
}

/* Now, lazy mode or not. */
static int set_place(struct pvguest *g, const struct p2m_place *at, pvg_pfn_t child)
{
    int rc;
    if (at->level == TOP_LEVEL) {
        rc = table_hook(g, PVG_P2M_BASE, TOP_LEVEL + 1, child);
    } else {
        unsigned slot = node_slot(at->base, at->level + 1);
        rc = pvg_set_entry(g, entry_address(pvg_p2m_mfn(g, at->node), slot),
                           linear_word(g, at->level + 1, child));
    }
    return rc ? rc : pvg_lazy_flush(g);
}

/* What the shared leaves say is the same by either address: it is an own leaf, new or gone, that
 * must not be missed. */
static int forget(struct pvguest *g, struct pvg_range changed)
{
    if (changed.from / ENTRIES == (changed.to - 1) / ENTRIES)
        return mmuext(g, MMUEXT_INVLPG_LOCAL, linear_va(changed.from), 0);
    return mmuext(g, MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
}

static int change_mapping(struct pvguest *g, const struct p2m_place *at, pvg_pfn_t child,
                          struct pvg_range changed)
{
    int rc = set_place(g, at, child);
    if (rc)
        return fail_in(g, rc, "hooking level %u of the p2m for page %lx", at->level, at->base);
    rc = forget(g, changed);
    if (rc && set_place(g, at, at->child))
        pvg_fatal(g, "p2m: a mapping can be neither flushed nor taken back");
    return fail_in(g, rc, "flushing the p2m");
}

static int linear_hook(struct pvguest *g, const struct p2m_place *at, pvg_pfn_t child,
                       struct pvg_range changed)
{
    int rc = pvg_lazy_flush(g); /* what others have queued is not to be taken for ours */
    if (rc)
        return fail_in(g, rc, "updates before a change of the p2m");
    publish_begin_change(g);
    rc = change_mapping(g, at, child, changed);
    publish_end_change(g);
    return rc;
}

const struct p2m_shape p2m_linear = {linear_word, linear_child, table_seal, linear_hook};
