/* SPDX-License-Identifier: MIT */
/*
 * The tree that both layouts are. What changes the tree never changes it in place: the nodes along
 * the edges of the change are made anew, and all of it is hung in by one update. So each change is
 * made or not made, and there is nothing to take back.
 */
#include "p2m_nodes.h"

/* A top and, on both edges, two nodes and a leaf. */
#define FRESH_MAX 7u

struct fresh {
    pvg_pfn_t page;
    unsigned level;
    uint64_t base;
};

struct change {
    struct pvg_range range;
    const struct p2m_shared *to; /* what whole nodes become; NULL: none is to */
    unsigned count;
    struct fresh fresh[FRESH_MAX];
};

uint64_t *node_words(struct pvguest *g, pvg_pfn_t page, enum port_access access)
{
    return port_at(g, page_va(g, page), access);
}

pvg_pfn_t node_child(struct pvguest *g, pvg_pfn_t node, unsigned slot)
{
    uint64_t word = load(g, page_va(g, node) + slot * sizeof(uint64_t));
    return g->p2m.shape->child(g, word);
}

static uint64_t *counter(struct pvguest *g, unsigned level)
{
    return level == 0 ? &g->p2m.leaves : &g->p2m.tables;
}

/* ---- pages that memblock has no room to take back: for the next nodes */

static void spare_push(struct pvguest *g, struct p2m_spare *s, pvg_pfn_t page)
{
    store(g, page_va(g, page), s->first.n);
    s->first = page;
    s->count++;
}

static pvg_pfn_t spare_pop(struct pvguest *g, struct p2m_spare *s)
{
    pvg_pfn_t page = s->first;
    s->first = pvg_pfn(load(g, page_va(g, page)));
    s->count--;
    return page;
}

/* A page can go where its neighbour went before it. Those that cannot are in the other order
 * afterwards, so that of two rounds one has the neighbour first. */
static bool give_spares(struct pvguest *g)
{
    struct p2m_spare *s = &g->p2m.spare, kept = {.first = PVG_NO_PFN};
    uint64_t before = s->count;
    while (s->count > 0) {
        pvg_pfn_t page = spare_pop(g, s);
        if (pvg_pages_give(g, page, 1))
            spare_push(g, &kept, page);
    }
    s->first = kept.first;
    s->count = kept.count;
    return s->count < before;
}

/* Not before an eighth has come to those that were stuck: they are not tried again for each one. */
static void settle_spares(struct pvguest *g)
{
    struct p2m_spare *s = &g->p2m.spare;
    if (s->count <= s->stuck + s->stuck / 8)
        return;
    undo_begin(g);
    while (s->count > 0 && give_spares(g))
        ;
    undo_end(g);
    s->stuck = s->count;
}

/* ---- pages */

int node_take(struct pvguest *g, unsigned level, pvg_pfn_t *page, uint64_t *va)
{
    int rc = 0;
    if (g->p2m.spare.count > 0) {
        *page = spare_pop(g, &g->p2m.spare);
        *va = page_va(g, *page);
        memset(port_at(g, *va, PORT_WRITE), 0, PVG_PAGE_BYTES);
    } else {
        rc = table_take(g, page, va);
    }
    if (rc == 0)
        ++*counter(g, level);
    return fail_in(g, rc, "a page for level %u of the p2m", level);
}

/* Comes when the change is made, or undone: what the hypervisor refuses here stays taken, and is
 * counted. -XEN_ENOSPC is not its word: nodes come to lie anywhere, and go in any order, which may
 * take more ranges than memblock has. */
void node_give(struct pvguest *g, unsigned level, pvg_pfn_t page)
{
    --*counter(g, level);
    undo_begin(g);
    int rc = table_give(g, page);
    undo_end(g);
    if (rc == -XEN_ENOSPC)
        spare_push(g, &g->p2m.spare, page);
    else if (rc)
        g->p2m.lost++;
}

static void drop_leaf(struct pvguest *g, uint64_t base, pvg_pfn_t leaf)
{
    const uint64_t *word = node_words(g, leaf, PORT_READ);
    for (unsigned i = 0; i < ENTRIES; i++)
        g->p2m.populated -= entry_populated(word[i]);
    mfn_list_clear(g, base);
    node_give(g, 0, leaf);
}

void node_drop(struct pvguest *g, unsigned level, uint64_t base, pvg_pfn_t node)
{
    if (!node_own(g, level, node))
        return;
    if (level == 0) {
        drop_leaf(g, base, node);
        return;
    }
    for (unsigned i = 0; i < ENTRIES; i++)
        node_drop(g, level - 1, base + i * node_pfns(level - 1), node_child(g, node, i));
    node_give(g, level, node);
}

/* ---- the new nodes */

/* There is no shared top: the linear layout's would have to be own all the same. */
static bool covers(const struct change *c, unsigned level, uint64_t base)
{
    return c->to && level < TOP_LEVEL && c->range.from <= base &&
           base + node_pfns(level) <= c->range.to;
}

static bool touches(const struct change *c, unsigned level, uint64_t base)
{
    return c->range.from < base + node_pfns(level) && base < c->range.to;
}

static bool is_already(const struct change *c, unsigned level, pvg_pfn_t node)
{
    return c->to && same_pfn(node, shared_node(c->to, level));
}

static int fresh_take(struct pvguest *g, struct change *c, unsigned level, uint64_t base,
                      pvg_pfn_t *page, uint64_t *va)
{
    int rc = node_take(g, level, page, va);
    if (rc == 0)
        c->fresh[c->count++] = (struct fresh){*page, level, base};
    return rc;
}

/* A leaf of our own that says what the shared one says. */
static int fresh_leaf(struct pvguest *g, struct change *c, uint64_t base, pvg_pfn_t old,
                      pvg_pfn_t *leaf)
{
    uint64_t va;
    int rc = fresh_take(g, c, 0, base, leaf, &va);
    if (rc)
        return rc;
    bool identity = same_pfn(old, g->p2m.identity.leaf);
    uint64_t *word = port_at(g, va, PORT_WRITE);
    for (unsigned i = 0; i < ENTRIES; i++)
        word[i] = identity ? PVG_P2M_IDENTITY | (base + i) : PVG_P2M_MISSING;
    return 0;
}

static int remake(struct pvguest *g, struct change *c, unsigned level, uint64_t base, pvg_pfn_t old,
                  pvg_pfn_t *out);

static int fresh_node(struct pvguest *g, struct change *c, unsigned level, uint64_t base,
                      pvg_pfn_t old, pvg_pfn_t *node)
{
    uint64_t va;
    int rc = fresh_take(g, c, level, base, node, &va);
    if (rc)
        return rc;
    memcpy(port_at(g, va, PORT_WRITE), node_words(g, old, PORT_READ), PVG_PAGE_BYTES);
    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t below = base + i * node_pfns(level - 1);
        pvg_pfn_t child;
        if (!touches(c, level - 1, below))
            continue;
        rc = remake(g, c, level - 1, below, node_child(g, old, i), &child);
        if (rc)
            return rc;
        store(g, va + i * sizeof(uint64_t), g->p2m.shape->word(g, level, child));
    }
    return g->p2m.shape->seal(g, *node);
}

/* What is to hang where `old` hangs. */
static int remake(struct pvguest *g, struct change *c, unsigned level, uint64_t base, pvg_pfn_t old,
                  pvg_pfn_t *out)
{
    *out = old;
    if (is_already(c, level, old))
        return 0;
    if (covers(c, level, base)) {
        *out = shared_node(c->to, level);
        return 0;
    }
    if (level > 0)
        return fresh_node(g, c, level, base, old, out);
    return node_own(g, 0, old) ? 0 : fresh_leaf(g, c, base, old, out);
}

/* remake() would change something here. */
static bool differs(struct pvguest *g, const struct change *c, unsigned level, uint64_t base,
                    pvg_pfn_t old)
{
    if (!node_own(g, level, old))
        return !is_already(c, level, old);
    if (level == 0 || covers(c, level, base))
        return covers(c, level, base);
    bool any = false;
    for (unsigned i = 0; i < ENTRIES && !any; i++) {
        uint64_t below = base + i * node_pfns(level - 1);
        if (touches(c, level - 1, below))
            any = differs(g, c, level - 1, below, node_child(g, old, i));
    }
    return any;
}

static int list_fresh(struct pvguest *g, const struct change *c)
{
    int rc = 0;
    for (unsigned i = 0; i < c->count && rc == 0; i++)
        if (c->fresh[i].level == 0)
            rc = mfn_list_set(g, c->fresh[i].base, c->fresh[i].page);
    return rc;
}

static void abandon(struct pvguest *g, struct change *c)
{
    while (c->count > 0) {
        const struct fresh *f = &c->fresh[--c->count];
        if (f->level == 0)
            mfn_list_clear(g, f->base);
        node_give(g, f->level, f->page);
    }
}

/* The counterpart of remake(): what of `old` nothing names any more. */
static void release(struct pvguest *g, const struct change *c, unsigned level, uint64_t base,
                    pvg_pfn_t old)
{
    if (!node_own(g, level, old))
        return;
    if (covers(c, level, base)) {
        node_drop(g, level, base, old);
        return;
    }
    if (level == 0)
        return;
    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t below = base + i * node_pfns(level - 1);
        if (touches(c, level - 1, below))
            release(g, c, level - 1, below, node_child(g, old, i));
    }
    node_give(g, level, old);
}

/* The lowest place with all of the change at or below it, where one update makes it. */
static void find_place(struct pvguest *g, const struct change *c, struct p2m_place *at)
{
    *at = (struct p2m_place){PVG_NO_PFN, TOP_LEVEL, 0, g->p2m.top};
    while (at->level > 0 && node_own(g, at->level, at->child) && !covers(c, at->level, at->base)) {
        unsigned slot = node_slot(c->range.from, at->level);
        if (slot != node_slot(c->range.to - 1, at->level))
            return;
        pvg_pfn_t node = at->child;
        at->level--;
        at->node = node;
        at->base += slot * node_pfns(at->level);
        at->child = node_child(g, node, slot);
    }
}

int p2m_reshape(struct pvguest *g, struct pvg_range range, const struct p2m_shared *to)
{
    struct change c = {.range = range, .to = to};
    struct p2m_place at;
    pvg_pfn_t child;
    find_place(g, &c, &at);
    if (!differs(g, &c, at.level, at.base, at.child))
        return 0;
    int rc = remake(g, &c, at.level, at.base, at.child, &child);
    if (rc == 0)
        rc = list_fresh(g, &c);
    if (rc == 0)
        rc = g->p2m.shape->hook(g, &at, child, range);
    if (rc) {
        abandon(g, &c);
        return rc;
    }
    if (at.level == TOP_LEVEL)
        g->p2m.top = child;
    release(g, &c, at.level, at.base, at.child);
    settle_spares(g);
    return 0;
}

/* ---- going through it */

pvg_pfn_t p2m_leaf(struct pvguest *g, uint64_t pfn)
{
    if (g->p2m.layout == PVG_P2M_INITIAL || pfn >= PVG_P2M_PFNS)
        return PVG_NO_PFN;
    pvg_pfn_t node = g->p2m.top;
    for (unsigned level = TOP_LEVEL; level > 0; level--)
        node = node_child(g, node, node_slot(pfn, level));
    return node;
}

uint64_t p2m_next_leaf(struct pvguest *g, uint64_t from)
{
    while (from < PVG_P2M_PFNS) {
        pvg_pfn_t node = g->p2m.top;
        unsigned level = TOP_LEVEL;
        while (level > 0 && node_own(g, level, node)) {
            node = node_child(g, node, node_slot(from, level));
            level--;
        }
        from &= ~(node_pfns(level) - 1);
        if (node_own(g, level, node))
            return from;
        from += node_pfns(level);
    }
    return PVG_NONE;
}

static uint64_t highest_in_leaf(struct pvguest *g, uint64_t base, pvg_pfn_t leaf, uint64_t below)
{
    const uint64_t *word = node_words(g, leaf, PORT_READ);
    unsigned i = below - base < ENTRIES ? below - base : ENTRIES;
    while (i > 0 && !entry_populated(word[i - 1]))
        i--;
    return i > 0 ? base + i : 0;
}

static uint64_t highest_in(struct pvguest *g, unsigned level, uint64_t base, pvg_pfn_t node,
                           uint64_t below)
{
    if (!node_own(g, level, node))
        return 0;
    if (level == 0)
        return highest_in_leaf(g, base, node, below);
    uint64_t span = node_pfns(level - 1), found = 0;
    uint64_t i = below - base < node_pfns(level) ? (below - base + span - 1) / span : ENTRIES;
    while (i-- > 0 && found == 0)
        found = highest_in(g, level - 1, base + i * span, node_child(g, node, i), below);
    return found;
}

uint64_t p2m_highest(struct pvguest *g, uint64_t below)
{
    return highest_in(g, TOP_LEVEL, 0, g->p2m.top, below);
}
