/* SPDX-License-Identifier: MIT */
/* p2m=tree: nodes are pages of pfns in the direct map, of which the hypervisor knows nothing. */
#include "p2m_nodes.h"

static uint64_t tree_word(struct pvguest *g, unsigned level, pvg_pfn_t child)
{
    (void)g, (void)level;
    return child.n;
}

static pvg_pfn_t tree_child(struct pvguest *g, uint64_t word)
{
    (void)g;
    return pvg_pfn(word);
}

static int tree_seal(struct pvguest *g, pvg_pfn_t page)
{
    (void)g, (void)page;
    return 0;
}

static int tree_hook(struct pvguest *g, const struct p2m_place *at, pvg_pfn_t child,
                     struct pvg_range changed)
{
    (void)changed;
    if (at->level == TOP_LEVEL)
        return 0; /* p2m.top is the caller's */
    unsigned slot = node_slot(at->base, at->level + 1);
    store(g, page_va(g, at->node) + slot * sizeof(uint64_t), child.n);
    return 0;
}

const struct p2m_shape p2m_tree = {tree_word, tree_child, tree_seal, tree_hook};
