/* SPDX-License-Identifier: MIT */
/*
 * The tables below the roots of spaces: which are the library's, their pages, and single tables
 * that are attached and detached.
 *
 * What hangs from a space by the library's doing is made by pvg_space_map(), or was attached at
 * that very place. What else an entry names, in a table that the caller filled himself, is the
 * caller's, and is left alone.
 */
#include "roots.h"

/* ---- pages. They come to lie anywhere, and go in any order, which may take more ranges than the
 * lists have: those that cannot go wait for room. */

static bool let_go(struct pvguest *g, uint64_t first, uint64_t count)
{
    bool table = pvg_regions_holds(&g->tables, first);
    if (table && pvg_regions_remove(&g->tables, first, first + count))
        return false;
    if (pvg_memblock_free(&g->memblock, first, count) == 0)
        return true;
    if (table)
        pvg_regions_add(&g->tables, first, first + count);
    return false;
}

static void spare_push(struct pvguest *g, pvg_pfn_t page)
{
    store(g, page_va(g, page), g->spaces.spare.n);
    g->spaces.spare = page;
    g->spaces.nr_spares++;
}

static void settle_spares(struct pvguest *g)
{
    for (uint64_t n = g->spaces.nr_spares; n > 0; n--) {
        pvg_pfn_t page = g->spaces.spare;
        g->spaces.spare = pvg_pfn(load(g, page_va(g, page)));
        g->spaces.nr_spares--;
        if (let_go(g, page.n, 1))
            continue;
        spare_push(g, page);
        return;
    }
}

void tables_put(struct pvguest *g, pvg_pfn_t first, uint64_t count)
{
    if (count == 0 || let_go(g, first.n, count))
        return;
    for (uint64_t i = 0; i < count; i++)
        spare_push(g, pvg_pfn(first.n + i));
}

int tables_take(struct pvguest *g, uint64_t count, pvg_pfn_t *first)
{
    settle_spares(g);
    int rc = pvg_pages_take(g, count, 1, first);
    if (rc)
        return fail_in(g, rc, "pages for tables");
    rc = pvg_regions_add(&g->tables, first->n, first->n + count);
    if (rc) {
        pvg_memblock_free(&g->memblock, first->n, count);
        return fail(g, rc, "pages for tables: %s", error_name(rc));
    }
    for (uint64_t i = 0; i < count; i++)
        memset(port_at(g, page_va(g, pvg_pfn(first->n + i)), PORT_WRITE), 0, PVG_PAGE_BYTES);
    return 0;
}

/* Free memory that is in pieces is no reason to refuse: halves, and halves of these. */
int table_rows_take(struct pvguest *g, uint64_t count, struct table_rows *t)
{
    *t = (struct table_rows){0};
    for (uint64_t want = count; count > 0;) {
        pvg_pfn_t first;
        want = want < count ? want : count;
        int rc = t->nr < TABLE_ROWS ? tables_take(g, want, &first)
                                    : fail(g, -XEN_ENOMEM, "free pages are too scattered");
        if (rc == -XEN_ENOMEM && want > 1 && t->nr < TABLE_ROWS) {
            want /= 2;
            continue;
        }
        if (rc) {
            table_rows_put(g, t);
            return rc;
        }
        t->row[t->nr++] = (struct pvg_range){first.n, first.n + want};
        count -= want;
    }
    return 0;
}

void table_rows_put(struct pvguest *g, const struct table_rows *t)
{
    for (unsigned i = 0; i < t->nr; i++)
        tables_put(g, pvg_pfn(t->row[i].from), t->row[i].to - t->row[i].from);
}

pvg_pfn_t table_rows_at(const struct table_rows *t, uint64_t i)
{
    const struct pvg_range *r = t->row;
    for (; i >= r->to - r->from; r++)
        i -= r->to - r->from;
    return pvg_pfn(r->from + i);
}

/* ---- which hang where */

struct allocated *allocated_of(struct pvguest *g, pvg_pfn_t table)
{
    for (unsigned i = 0; i < g->spaces.nr_allocated; i++)
        if (same_pfn(g->spaces.allocated[i].table, table))
            return &g->spaces.allocated[i];
    return NULL;
}

enum belongs table_belongs(struct pvguest *g, pvg_pfn_t parent, pvg_pfn_t table)
{
    const struct allocated *a = allocated_of(g, table);
    if (a)
        return same_pfn(a->parent, parent) ? BELONGS_ATTACHED : BELONGS_NOT;
    return pvg_regions_holds(&g->tables, table.n) ? BELONGS_MADE : BELONGS_NOT;
}

/* false: the entry names no table of the library's. */
static bool link_at(struct pvguest *g, pvg_pfn_t parent, unsigned level, unsigned slot,
                    struct table_link *l)
{
    uint64_t e = load(g, page_va(g, parent) + slot * sizeof(uint64_t));
    if (!(e & PVG_PTE_PRESENT) || (level < 4 && (e & PVG_PTE_PSE)))
        return false;
    *l = (struct table_link){parent, pvg_m2p(g, pte_mfn(e)), slot, level - 1, BELONGS_NOT};
    if (page_va(g, l->table) == 0)
        return false;
    l->belongs = table_belongs(g, parent, l->table);
    return l->belongs != BELONGS_NOT;
}

int tables_visit(struct pvguest *g, pvg_pfn_t top, unsigned level, each_table *each, void *arg)
{
    struct table_link l;
    int rc = 0;
    for (unsigned slot = 0; rc == 0 && level > 1 && slot < (level == 4 ? ENTRIES / 2 : ENTRIES);
         slot++) {
        if (!link_at(g, top, level, slot, &l))
            continue;
        rc = tables_visit(g, l.table, l.level, each, arg);
        if (rc == 0)
            rc = each(g, &l, arg);
    }
    return rc;
}

/* ---- read-only and pinned, or not */

void mmuext_again(struct pvguest *g, unsigned command, pvg_pfn_t table)
{
    uint64_t mfn = pvg_p2m_mfn(g, table).n;
    if (mmuext(g, command, mfn, 0) && mmuext(g, command, mfn, 0))
        pvg_fatal(g, "a pin can be neither changed nor put back");
}

static int protect_one(struct pvguest *g, const struct table_link *l, void *arg)
{
    page_protect_queued(g, l->table, *(bool *)arg);
    return 0;
}

static int protect_all(struct pvguest *g, pvg_pfn_t top, unsigned level, bool writable)
{
    pvg_lazy_enter(g);
    tables_visit(g, top, level, protect_one, &writable);
    int rc = pvg_lazy_flush(g);
    pvg_lazy_leave(g);
    return rc;
}

int tables_protect(struct pvguest *g, pvg_pfn_t top, unsigned level, bool writable)
{
    int rc = protect_all(g, top, level, writable);
    if (rc == 0)
        return 0;
    undo_begin(g);
    if (protect_all(g, top, level, !writable) && protect_all(g, top, level, !writable))
        pvg_fatal(g, "tables can be neither protected nor what they were");
    undo_end(g);
    return fail_in(g, rc, "tables %s", writable ? "writable" : "read-only");
}

static unsigned pin_command(unsigned level)
{
    return MMUEXT_PIN_L1_TABLE + level - 1;
}

static int pin_one(struct pvguest *g, const struct table_link *l, void *arg)
{
    bool pin = *(bool *)arg;
    struct allocated *a = l->belongs == BELONGS_ATTACHED ? allocated_of(g, l->table) : NULL;
    if (a == NULL || a->pinned == pin)
        return 0;
    int rc =
        mmuext(g, pin ? pin_command(l->level) : MMUEXT_UNPIN_TABLE, pvg_p2m_mfn(g, l->table).n, 0);
    if (rc == 0)
        a->pinned = pin;
    return fail_in(g, rc, "the L%u table pfn %lx", l->level, l->table.n);
}

int tables_pin(struct pvguest *g, pvg_pfn_t top, unsigned level, bool pin)
{
    int rc = tables_visit(g, top, level, pin_one, &pin);
    if (rc == 0)
        return 0;
    bool before = !pin;
    undo_begin(g);
    if (tables_visit(g, top, level, pin_one, &before) &&
        tables_visit(g, top, level, pin_one, &before))
        pvg_fatal(g, "tables can be neither pinned nor what they were");
    undo_end(g);
    return rc;
}
