/* SPDX-License-Identifier: MIT */
/*
 * The p2m over a suspend. Tools write the leaves below max_pfn afresh, from what they know: a page
 * has a frame, or is missing. Marks are lost there; so are mfns in what tools take for data: the
 * MFN list, and page tables that hang nowhere at the time.
 */
#include "p2m_nodes.h"

/* ---- marks: a chain of pages with ranges that are identity */

#define MARKS 255u

struct marks {
    uint64_t next, count;
    struct pvg_range at[MARKS];
};
_Static_assert(sizeof(struct marks) == PVG_PAGE_BYTES, "a page of them");

static struct marks *marks_of(struct pvguest *g, enum port_access access)
{
    return port_at(g, page_va(g, g->suspend.marks), access);
}

static int marks_grow(struct pvguest *g)
{
    pvg_pfn_t page;
    int rc = pvg_pages_take(g, 1, 1, &page);
    if (rc)
        return rc;
    uint64_t next = g->suspend.marks.n;
    g->suspend.marks = page;
    struct marks *m = marks_of(g, PORT_WRITE);
    m->next = next;
    m->count = 0;
    return 0;
}

/* In the order in which they came to be taken, backwards: memblock has room for each. */
static void marks_drop(struct pvguest *g)
{
    while (!same_pfn(g->suspend.marks, PVG_NO_PFN)) {
        pvg_pfn_t page = g->suspend.marks;
        g->suspend.marks = pvg_pfn(marks_of(g, PORT_READ)->next);
        if (pvg_pages_give(g, page, 1))
            g->p2m.lost++;
    }
}

static int marks_add(struct pvguest *g, struct pvg_range range)
{
    int rc = 0;
    if (same_pfn(g->suspend.marks, PVG_NO_PFN) || marks_of(g, PORT_READ)->count == MARKS)
        rc = marks_grow(g);
    if (rc)
        return rc;
    struct marks *m = marks_of(g, PORT_WRITE);
    m->at[m->count++] = range;
    return 0;
}

/* How many words from the i-th on are identity. */
static unsigned run_of(const uint64_t *word, unsigned i)
{
    unsigned first = i;
    while (i < ENTRIES && word[i] != PVG_P2M_MISSING && (word[i] & PVG_P2M_IDENTITY))
        i++;
    return i - first;
}

static int keep_leaf(struct pvguest *g, uint64_t base)
{
    pvg_pfn_t leaf = p2m_leaf(g, base);
    int rc = 0;
    for (unsigned i = 0; i < ENTRIES && rc == 0;) {
        const uint64_t *word = node_words(g, leaf, PORT_READ);
        unsigned run = run_of(word, i);
        if (run == 0 && word[i] != PVG_P2M_MISSING && (word[i] & PVG_P2M_FOREIGN))
            return fail(g, -XEN_EBUSY, "page %lx is another domain's", base + i);
        if (run > 0 && base < g->p2m.max_pfn)
            rc = marks_add(g, (struct pvg_range){base + i, base + i + run});
        i += run > 0 ? run : 1;
    }
    return rc;
}

static int marks_keep(struct pvguest *g)
{
    int rc = 0;
    g->suspend.marks = PVG_NO_PFN;
    for (uint64_t base = p2m_next_leaf(g, 0); base != PVG_NONE && rc == 0;
         base = p2m_next_leaf(g, base + ENTRIES))
        rc = keep_leaf(g, base);
    if (rc)
        marks_drop(g);
    return fail_in(g, rc, "its marks");
}

static void mark_again(struct pvguest *g, struct pvg_range range)
{
    uint64_t *word = node_words(g, p2m_leaf(g, range.from), PORT_WRITE);
    for (uint64_t pfn = range.from; pfn < range.to; pfn++)
        word[pfn % ENTRIES] = PVG_P2M_IDENTITY | pfn;
}

static void marks_store(struct pvguest *g)
{
    pvg_pfn_t page = g->suspend.marks;
    while (!same_pfn(page, PVG_NO_PFN)) {
        const struct marks *m = port_at(g, page_va(g, page), PORT_READ);
        for (uint64_t i = 0; i < m->count; i++)
            mark_again(g, m->at[i]);
        page = pvg_pfn(m->next);
    }
}

/* ---- the shared tables: pinned, tools know and translate them, whether or not they are in use */

#define PINS (2u * (TOP_LEVEL - 1))

static pvg_mfn_t shared_table(struct pvguest *g, unsigned i, unsigned *level)
{
    const struct p2m_shared *s = i % 2 ? &g->p2m.identity : &g->p2m.missing;
    *level = i / 2 + 1;
    return pvg_p2m_mfn(g, s->table[*level]);
}

static int unpin_tables(struct pvguest *g, unsigned count)
{
    int rc = 0;
    unsigned level;
    while (count-- > 0 && rc == 0)
        rc = mmuext(g, MMUEXT_UNPIN_TABLE, shared_table(g, count, &level).n, 0);
    return fail_in(g, rc, "unpinning a shared table");
}

static int pin_tables(struct pvguest *g)
{
    int rc = 0;
    unsigned i = 0;
    while (g->p2m.layout == PVG_P2M_LINEAR && i < PINS && rc == 0) {
        unsigned level;
        pvg_mfn_t table = shared_table(g, i, &level);
        rc = mmuext(g, MMUEXT_PIN_L1_TABLE + level - 1, table.n, 0);
        i += rc == 0;
    }
    if (rc == 0)
        return 0;
    undo_begin(g);
    if (unpin_tables(g, i))
        pvg_fatal(g, "p2m: a shared table stays pinned");
    undo_end(g);
    return fail_in(g, rc, "pinning a shared table");
}

/* ---- all of it */

int p2m_suspend(struct pvguest *g)
{
    int rc = marks_keep(g);
    if (rc)
        return rc;
    rc = pin_tables(g);
    if (rc)
        marks_drop(g);
    return rc;
}

int p2m_resume(struct pvguest *g, bool elsewhere)
{
    if (elsewhere) {
        marks_store(g);
        mfn_list_renew(g);
        publish(g);
    }
    marks_drop(g);
    return g->p2m.layout == PVG_P2M_LINEAR ? unpin_tables(g, PINS) : 0;
}
