/* SPDX-License-Identifier: MIT */
/*
 * Building the direct map's tables, which it maps itself, for a range of virtual addresses.
 *
 * Where a table is missing a whole new subtree is filled by plain stores, each table through a
 * window of its level, and hooked into the live tables when it is complete: only then it is
 * validated. Slots are taken from the top down, as the tables themselves are: the pages that are
 * to become tables are among the first that the new tables map.
 */
#include "internal.h"

static uint64_t span(unsigned level)
{
    return 1ull << (PVG_PAGE_SHIFT + 9 * (level - 1)); /* bytes behind an entry */
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The part of [from, last] behind one entry of a table: entry by entry, downwards. */
struct step {
    unsigned level;
    uint64_t low; /* of the whole walk */
    uint64_t from, last;
    bool more;
};

static struct step step_first(unsigned level, uint64_t from, uint64_t last)
{
    uint64_t base = last & ~(span(level) - 1);
    return (struct step){level, from, larger(base, from), last, true};
}

static void step_next(struct step *s)
{
    s->more = s->from > s->low;
    s->last = s->from - 1;
    s->from = larger(s->last & ~(span(s->level) - 1), s->low);
}

#define for_entries(s, level, from, last)                                                          \
    for (struct step s = step_first(level, from, last); s.more; step_next(&s))

/* ---- building */

static int take(struct mapper *m, pvg_pfn_t *pfn)
{
    if (m->buf.end == m->buf.top)
        return fail(m->g, -XEN_ENOMEM, "all %lu pages for tables are used up",
                    m->buf.top - m->buf.start);
    *pfn = pvg_pfn(m->buf.end++);
    return 0;
}

static int fill_new(struct mapper *m, unsigned level, uint64_t from, uint64_t last,
                    pvg_pfn_t *table);

static int fill_entries(struct mapper *m, unsigned level, uint64_t window, uint64_t from,
                        uint64_t last)
{
    memset(port_at(m->g, window, PORT_WRITE), 0, PVG_PAGE_BYTES);
    for_entries(s, level, from, last)
    {
        uint64_t at = window + slot_of(s.from, level) * sizeof(uint64_t);
        pvg_pfn_t below;
        if (level == 1) {
            store(m->g, at, m->leaf(m, s.from));
            continue;
        }
        if (!m->any(m, s.from, s.last))
            continue;
        int rc = fill_new(m, level - 1, s.from, s.last, &below);
        if (rc)
            return rc;
        store(m->g, at, pvg_pte(pvg_p2m_mfn(m->g, below), PVG_PTE_TABLE));
    }
    return 0;
}

static int fill_new(struct mapper *m, unsigned level, uint64_t from, uint64_t last,
                    pvg_pfn_t *table)
{
    uint64_t window;
    int rc = take(m, table);
    if (rc == 0)
        rc = window_open(m->g, level, *table, &window);
    return rc ? rc : fill_entries(m, level, window, from, last);
}

/* A window is a writable mapping, so none may be open when a table is hooked (R2). The next table
 * of a level takes the window over from the one before: here alone they are closed. */
static int close_windows(struct pvguest *g)
{
    int rc = 0;
    for (unsigned level = 1; level <= 4; level++) {
        int closed = fixmap_entry(g, FIX_WINDOW + level) ? window_close(g, level) : 0;
        rc = rc ? rc : closed;
    }
    return rc;
}

/* An L4 entry is every root's. */
static int set_upper(struct pvguest *g, unsigned level, pvg_maddr_t at, uint64_t entry)
{
    if (level == 4)
        return root_set_slot(g, at.a % PVG_PAGE_BYTES / sizeof(uint64_t), entry);
    int rc = batch_update(g, at.a, entry);
    return rc ? rc : pvg_lazy_flush(g);
}

static int hook_new(struct mapper *m, unsigned level, pvg_maddr_t at, const struct step *s)
{
    pvg_pfn_t table;
    int rc = fill_new(m, level - 1, s->from, s->last, &table);
    if (rc == 0)
        rc = close_windows(m->g);
    if (rc)
        return rc;
    rc = set_upper(m->g, level, at, pvg_pte(pvg_p2m_mfn(m->g, table), PVG_PTE_TABLE));
    return fail_in(m->g, rc, "hooking the L%u table pfn %lx for %lx", level - 1, table.n, s->from);
}

static int fill_live(struct mapper *m, unsigned level, pvg_mfn_t table, uint64_t from,
                     uint64_t last)
{
    int rc = 0;
    for_entries(s, level, from, last)
    {
        uint64_t e;
        pvg_maddr_t at = entry_address(table, slot_of(s.from, level));
        if (!m->any(m, s.from, s.last))
            continue;
        if (!read_entry(m->g, table, slot_of(s.from, level), &e))
            return fail(m->g, -XEN_EINVAL, "the L%u table mfn %lx cannot be read", level, table.n);
        if (level == 1)
            rc = batch_update(m->g, at.a, m->leaf(m, s.from));
        else if (e & PVG_PTE_PRESENT)
            rc = fill_live(m, level - 1, pte_mfn(e), s.from, s.last);
        else
            rc = hook_new(m, level, at, &s);
        if (rc)
            return rc;
    }
    return rc;
}

int mapper_build(struct mapper *m)
{
    struct pvguest *g = m->g;
    int rc = flush_before(g), made;
    if (rc)
        return rc;
    pvg_lazy_enter(g);
    rc = fill_live(m, 4, kernel_root(g), m->from, m->last);
    if (rc)
        undo_begin(g);
    made = pvg_lazy_flush(g);
    if (rc)
        undo_end(g);
    rc = rc ? rc : made;
    if (rc)
        mapper_undo(m);
    undo_begin(g);
    pvg_lazy_leave(g);
    undo_end(g);
    return rc;
}

/* ---- undoing: an entry is ours when it names one of our tables, or is an L1 entry of the range */

static bool ours(const struct mapper *m, uint64_t e)
{
    pvg_pfn_t pfn = pvg_m2p(m->g, pte_mfn(e));
    return pfn.n >= m->buf.start && pfn.n < m->buf.end;
}

static void undo_live(struct mapper *m, unsigned level, pvg_mfn_t table, uint64_t from,
                      uint64_t last)
{
    for_entries(s, level, from, last)
    {
        uint64_t e;
        pvg_maddr_t at = entry_address(table, slot_of(s.from, level));
        if (!m->any(m, s.from, s.last) || !read_entry(m->g, table, slot_of(s.from, level), &e) ||
            !(e & PVG_PTE_PRESENT))
            continue;
        if (level == 1 || ours(m, e))
            set_upper(m->g, level, at, 0); /* by itself: a refusal must not stop the others (R10) */
        else
            undo_live(m, level - 1, pte_mfn(e), s.from, s.last);
    }
}

void mapper_undo(struct mapper *m)
{
    struct pvguest *g = m->g;
    undo_begin(g);
    close_windows(g);
    undo_live(m, 4, kernel_root(g), m->from, m->last);
    mmuext(g, MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    undo_end(g);
}
