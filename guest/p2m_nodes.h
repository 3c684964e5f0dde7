/* SPDX-License-Identifier: MIT */
/*
 * Both layouts of the p2m are trees of one form: a leaf is 512 entries, a node of level 1..3 names
 * 512 of the level below, the top is the one node of level 3. They differ in what a node is: a page
 * table, or a page of pfns. Ranges that are all alike hang from shared nodes.
 */
#ifndef PVGUEST_P2M_NODES_H
#define PVGUEST_P2M_NODES_H

#include "internal.h"

#define TOP_LEVEL 3u
#define MFN_BITS  40u /* what PVG_PTE_FRAME has room for */

/* Where a node or leaf hangs. */
struct p2m_place {
    pvg_pfn_t node;  /* the one above; PVG_NO_PFN: this is the top */
    unsigned level;  /* of what hangs here: 0..3 */
    uint64_t base;   /* the first pfn below it */
    pvg_pfn_t child; /* what hangs here; PVG_NO_PFN: nothing */
};

/* A layout. */
struct p2m_shape {
    /* The word in a node of `level` that names `child`, and back. */
    uint64_t (*word)(struct pvguest *g, unsigned level, pvg_pfn_t child);
    pvg_pfn_t (*child)(struct pvguest *g, uint64_t word);
    /* The page is not written by plain stores from here on. */
    int (*seal)(struct pvguest *g, pvg_pfn_t page);
    /* Hangs `child` where at->child hangs: one change, made or not made. `changed`: the pfns for
     * which there may be another leaf now. */
    int (*hook)(struct pvguest *g, const struct p2m_place *at, pvg_pfn_t child,
                struct pvg_range changed);
};

extern const struct p2m_shape p2m_linear, p2m_tree;

static inline uint64_t node_pfns(unsigned level)
{
    return 1ull << 9 * (level + 1);
}
static inline unsigned node_slot(uint64_t pfn, unsigned level)
{
    return pfn >> 9 * level & (ENTRIES - 1);
}
static inline pvg_pfn_t shared_node(const struct p2m_shared *s, unsigned level)
{
    return level == 0 ? s->leaf : s->table[level];
}
static inline bool entry_populated(uint64_t entry)
{
    return entry != PVG_P2M_MISSING && !(entry & PVG_P2M_MARKS);
}
/* Neither of the shared ones. */
static inline bool node_own(const struct pvguest *g, unsigned level, pvg_pfn_t node)
{
    return !same_pfn(node, shared_node(&g->p2m.missing, level)) &&
           !same_pfn(node, shared_node(&g->p2m.identity, level));
}

/* The words of a page of ours, by the direct map. Not to be kept over a change of mappings. */
uint64_t *node_words(struct pvguest *g, pvg_pfn_t page, enum port_access access);
pvg_pfn_t node_child(struct pvguest *g, pvg_pfn_t node, unsigned slot);

/* Pages of the p2m, counted: leaves at level 0, tables above. */
int node_take(struct pvguest *g, unsigned level, pvg_pfn_t *page, uint64_t *va);
void node_give(struct pvguest *g, unsigned level, pvg_pfn_t page);
/* Gives a node that hangs nowhere back, with all that is its own below it. */
void node_drop(struct pvguest *g, unsigned level, uint64_t base, pvg_pfn_t node);

/*
 * Sees to it that the words of the range's first and last page can be stored to, and, if
 * `identity`, that what lies between them is identity. No entry outside changes, and no word of a
 * leaf that stays. On failure nothing changed.
 */
int p2m_reshape(struct pvguest *g, struct pvg_range range, const struct p2m_shared *to);

/* The first pfn from `from` on that has a leaf of its own, rounded down to the leaf's first;
 * PVG_NONE: there is none. */
uint64_t p2m_next_leaf(struct pvguest *g, uint64_t from);
/* The highest populated pfn below `below`, and one; 0: there is none. */
uint64_t p2m_highest(struct pvguest *g, uint64_t below);

#endif
