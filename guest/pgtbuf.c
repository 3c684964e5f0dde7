/* SPDX-License-Identifier: MIT */
/*
 * The buffer that tables are taken from while a range is being mapped:
 *
 *     start ......... end .......... top
 *       tables in use  |  to be used, or not
 *
 * All of it is read-only wherever it is mapped, from before the first table is hooked: what is not
 * a table yet may be one a moment later (R2). What is left over is made writable again before it is
 * anybody else's. Both were once forgotten in Linux, and it did not boot under Xen:
 * PVG_FAULT_HIGH_TABLES_RW, PVG_FAULT_HIGH_TAIL_RO.
 */
#include "internal.h"

static uint64_t find(struct pvguest *g, uint64_t pages, struct pvg_range within)
{
    uint64_t first = pvg_memblock_find(&g->memblock, pages, 1, within, PVG_TOP_DOWN);
    if (first == PVG_NONE)
        first = pvg_memblock_find(&g->memblock, pages, 1, (struct pvg_range){0, PVG_NONE},
                                  PVG_TOP_DOWN);
    return first;
}

static int reserve(struct pvguest *g, uint64_t first, uint64_t pages)
{
    int rc = pvg_memblock_reserve(&g->memblock, first, pages);
    if (rc == 0) {
        rc = pvg_regions_add(&g->tables, first, first + pages);
        if (rc)
            pvg_memblock_free(&g->memblock, first, pages);
    }
    return rc ? fail(g, rc, "memblock: %s", error_name(rc)) : 0;
}

static void give(struct pvguest *g, uint64_t from, uint64_t to)
{
    pvg_memblock_free(&g->memblock, from, to - from);
    pvg_regions_remove(&g->tables, from, to);
}

int pgt_buf_take(struct pvguest *g, struct pgt_buf *b, uint64_t pages, struct pvg_range within)
{
    *b = (struct pgt_buf){0};
    if (pages == 0)
        return 0;
    uint64_t first = find(g, pages, within);
    if (first == PVG_NONE)
        return fail(g, -XEN_ENOMEM, "no %lu free pages in a row for tables", pages);
    int rc = reserve(g, first, pages);
    if (rc)
        return rc;
    rc = pages_protect(g, (struct pvg_range){first, first + pages}, false);
    if (rc)
        give(g, first, first + pages);
    else
        *b = (struct pgt_buf){first, first, first + pages};
    return fail_in(g, rc, "pages for tables");
}

int pgt_buf_trim(struct pvguest *g, struct pgt_buf *b)
{
    int rc = 0;
    if (b->end == b->top)
        return 0;
    if (!(g->options.faults & PVG_FAULT_HIGH_TAIL_RO))
        rc = pages_protect(g, (struct pvg_range){b->end, b->top}, true);
    if (rc)
        return fail_in(g, rc, "unused pages for tables");
    give(g, b->end, b->top);
    b->top = b->end;
    return 0;
}
