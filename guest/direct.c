/* SPDX-License-Identifier: MIT */
/* The direct map: every page of RAM at PVG_DIRECT_BASE, by pfn. */
#include "internal.h"

static uint64_t address_of(uint64_t pfn)
{
    return PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES;
}

static uint64_t page_at(uint64_t va)
{
    return (va - PVG_DIRECT_BASE) >> PVG_PAGE_SHIFT;
}

/* ---- what is mapped how */

/* The first page at or above `pfn` that is RAM and not mapped yet; PVG_NONE: none before `to`. */
static uint64_t next_unmapped(const struct pvguest *g, uint64_t pfn, uint64_t to)
{
    const struct pvg_regions *ram = &g->memblock.memory;
    while (pfn < to) {
        unsigned i = pvg_regions_search(ram, pfn), k = pvg_regions_search(&g->direct, pfn);
        if (i == ram->count || ram->at[i].from >= to)
            break;
        if (ram->at[i].from > pfn)
            pfn = ram->at[i].from;
        else if (k < g->direct.count && g->direct.at[k].from <= pfn)
            pfn = g->direct.at[k].to;
        else
            return pfn;
    }
    return PVG_NONE;
}

static bool any_page(const struct mapper *m, uint64_t va, uint64_t last)
{
    return next_unmapped(m->g, page_at(va), page_at(last) + 1) != PVG_NONE;
}

/* Any page of the buffer may be a table before long. The mistake: only those that are. */
static bool is_table(const struct mapper *m, uint64_t pfn)
{
    if ((m->g->options.faults & PVG_FAULT_HIGH_TABLES_RW) && pfn >= m->buf.end && pfn < m->buf.top)
        return false;
    return pvg_regions_holds(&m->g->tables, pfn);
}

static uint64_t page_entry(const struct mapper *m, uint64_t va)
{
    uint64_t pfn = page_at(va);
    if (next_unmapped(m->g, pfn, pfn + 1) == PVG_NONE)
        return 0;
    return pvg_pte(pvg_p2m_mfn(m->g, pvg_pfn(pfn)),
                   is_table(m, pfn) ? PVG_PTE_RO_DATA : PVG_PTE_DATA);
}

/* ---- what is to be mapped, and with how many tables: never too few, whatever is there already */

/* The RAM of the range that is not mapped yet, as regions of its own. */
static int wanted(struct pvguest *g, struct pvg_range range, struct pvg_regions *todo)
{
    const struct pvg_regions *ram = &g->memblock.memory;
    int rc = 0;
    todo->count = 0;
    for (unsigned i = pvg_regions_search(ram, range.from);
         rc == 0 && i < ram->count && ram->at[i].from < range.to; i++) {
        uint64_t from = ram->at[i].from, to = ram->at[i].to;
        rc = pvg_regions_add(todo, from > range.from ? from : range.from,
                             to < range.to ? to : range.to);
    }
    for (unsigned i = 0; rc == 0 && i < g->direct.count; i++)
        rc = pvg_regions_remove(todo, g->direct.at[i].from, g->direct.at[i].to);
    return rc ? fail(g, rc, "memblock: %s", error_name(rc)) : 0;
}

/* Tables of a level that the regions lie behind. A table of several of them counts once: maps of
 * hundreds of small regions would want more pages in a row than there are. */
static uint64_t tables_of_level(const struct pvg_regions *todo, unsigned level)
{
    uint64_t n = 0, next = 0;
    for (unsigned i = 0; i < todo->count; i++) {
        uint64_t first = todo->at[i].from >> 9 * level, last = (todo->at[i].to - 1) >> 9 * level;
        if (first < next)
            first = next;
        next = last + 1;
        n += next - first;
    }
    return n;
}

/* One of each level is to spare, so that there always is a tail to be given back (pgtbuf.c). */
static uint64_t estimate(const struct pvg_regions *todo)
{
    uint64_t n = 3;
    for (unsigned level = 1; level <= 3; level++)
        n += tables_of_level(todo, level);
    return n;
}

/* ---- mapping it */

static int check(struct pvguest *g, struct pvg_range range)
{
    if (range.from >= range.to || range.to > PVG_DIRECT_PFNS)
        return fail(g, -XEN_EINVAL, "no range of RAM, or one beyond 0x%llx", PVG_DIRECT_PFNS);
    if (!g->fixmap)
        return fail(g, -XEN_EINVAL, "the fixmap is not there yet");
    return 0;
}

/* From here on its pages are reached by the direct map. */
static int enter(struct pvguest *g, const struct pvg_regions *todo)
{
    struct pvg_regions *d = &g->direct;
    if (d->count + todo->count > PVG_REGIONS_MAX)
        return fail(g, -XEN_ENOSPC, "more than %u separate regions", PVG_REGIONS_MAX);
    for (unsigned i = 0; i < todo->count; i++)
        pvg_regions_add(d, todo->at[i].from, todo->at[i].to);
    return 0;
}

static void leave(struct pvguest *g, const struct pvg_regions *todo)
{
    for (unsigned i = 0; i < todo->count; i++)
        pvg_regions_remove(&g->direct, todo->at[i].from, todo->at[i].to);
}

static void give_up(struct mapper *m)
{
    undo_begin(m->g);
    mapper_undo(m);
    m->buf.end = m->buf.start;
    pgt_buf_trim(m->g, &m->buf);
    undo_end(m->g);
}

static int build(struct mapper *m, const struct pvg_regions *todo)
{
    struct pvguest *g = m->g;
    int rc = mapper_build(m);
    if (rc == 0)
        rc = enter(g, todo);
    if (rc == 0) {
        rc = pgt_buf_trim(g, &m->buf);
        if (rc)
            leave(g, todo);
    }
    if (rc)
        give_up(m);
    return rc;
}

static int map_wanted(struct pvguest *g, struct pvg_range range, const struct pvg_regions *todo)
{
    struct mapper m = {.g = g, .leaf = page_entry, .any = any_page};
    m.from = address_of(todo->at[0].from);
    m.last = address_of(todo->at[todo->count - 1].to) - 1;
    int rc = pgt_buf_take(g, &m.buf, estimate(todo), range);
    return rc ? rc : build(&m, todo);
}

int pvg_direct_map(struct pvguest *g, struct pvg_range range)
{
    int rc = check(g, range);
    if (rc == 0)
        rc = wanted(g, range, &g->todo);
    if (rc == 0 && g->todo.count)
        rc = map_wanted(g, range, &g->todo);
    return fail_in(g, rc, "direct map of pfn %lx to %lx", range.from, range.to);
}
