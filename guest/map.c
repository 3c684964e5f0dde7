/* SPDX-License-Identifier: MIT */
/* Mapping RAM anywhere else, and tables for who maps something else. */
#include "internal.h"

#define HV_FIRST 0xffff800000000000ull /* L4 slots 256..271 (R6) */
#define HV_LAST  0xffff87ffffffffffull
#define LOW_LAST 0x00007fffffffffffull

static bool any_page(const struct mapper *m, uint64_t va, uint64_t last)
{
    return va <= m->last && last >= m->from;
}

static uint64_t page_entry(const struct mapper *m, uint64_t va)
{
    pvg_pfn_t pfn = pvg_pfn(m->first_pfn + ((va - m->from) >> PVG_PAGE_SHIFT));
    return pvg_pte(pvg_p2m_mfn(m->g, pfn), m->flags);
}

int map_check(struct pvguest *g, uint64_t va, uint64_t count)
{
    uint64_t last = va + count * PVG_PAGE_BYTES - 1;
    if (!g->booted)
        return fail(g, -XEN_EINVAL, "pvg_boot() has not been done");
    if (va % PVG_PAGE_BYTES || count == 0 || count > LOW_LAST / PVG_PAGE_BYTES || last < va)
        return fail(g, -XEN_EINVAL, "no whole pages of the address space");
    if (va > LOW_LAST ? last < HV_FIRST || va < HV_FIRST : last > LOW_LAST)
        return fail(g, -XEN_EINVAL, "not canonical addresses");
    if (va <= HV_LAST && last >= HV_FIRST)
        return fail(g, -XEN_EINVAL, "the hypervisor's addresses");
    return 0;
}

static int check_pages(struct pvguest *g, pvg_pfn_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (pvg_p2m_entry(g, pvg_pfn(first.n + i)) == PVG_P2M_MISSING)
            return fail(g, -XEN_EINVAL, "pfn %lx is not populated", first.n + i);
    return 0;
}

static int map(struct mapper *m)
{
    struct pvguest *g = m->g;
    uint64_t tables;
    int rc = flush_before(g);
    if (rc == 0)
        rc = mapper_count(m, &tables);
    if (rc == 0)
        rc = pgt_buf_take(g, &m->buf, tables, (struct pvg_range){0, PVG_NONE});
    if (rc)
        return rc;
    rc = mapper_build(m);
    if (rc) {
        undo_begin(g);
        m->buf.end = m->buf.start;
        pgt_buf_trim(g, &m->buf);
        undo_end(g);
    }
    return rc;
}

int pvg_map(struct pvguest *g, uint64_t va, pvg_pfn_t first, uint64_t count, uint64_t flags)
{
    struct mapper m = {.g = g, .leaf = page_entry, .any = any_page};
    int rc = map_check(g, va, count);
    if (rc == 0)
        rc = check_pages(g, first, count);
    if (rc == 0 && (flags & PVG_PTE_FRAME))
        rc = fail(g, -XEN_EINVAL, "flags %lx name a frame", flags);
    if (rc == 0) {
        m.from = va;
        m.last = va + count * PVG_PAGE_BYTES - 1;
        m.first_pfn = first.n;
        m.flags = flags | PVG_PTE_PRESENT;
        rc = map(&m);
    }
    return fail_in(g, rc, "mapping %lu pages at %lx", count, va);
}

/* ---- tables alone */

static uint64_t no_entry(const struct mapper *m, uint64_t va)
{
    (void)m, (void)va;
    return 0;
}

int map_tables(struct mapper *m, struct pvguest *g, uint64_t va, uint64_t count)
{
    uint64_t tables;
    *m = (struct mapper){.g = g, .leaf = no_entry, .any = any_page, .from = va};
    m->last = va + count * PVG_PAGE_BYTES - 1;
    int rc = flush_before(g);
    if (rc == 0)
        rc = mapper_count(m, &tables);
    return rc || tables == 0 ? rc : map(m);
}

void map_tables_undo(struct mapper *m)
{
    if (m->buf.start == m->buf.end)
        return;
    undo_begin(m->g);
    mapper_undo(m);
    m->buf.end = m->buf.start;
    pgt_buf_trim(m->g, &m->buf);
    undo_end(m->g);
}

/* ---- unmapping */

static int check_tables(struct pvguest *g, uint64_t va, uint64_t count)
{
    struct pvg_walk w;
    for (uint64_t i = 0; i < count; i++) {
        pvg_walk(g, va + i * PVG_PAGE_BYTES, &w);
        if (w.level != 1)
            return fail(g, -XEN_EINVAL, "no L1 table is there for %lx", va + i * PVG_PAGE_BYTES);
    }
    return 0;
}

/* At once, in lazy mode too. */
static int clear(struct pvguest *g, uint64_t va, uint64_t count)
{
    pvg_lazy_enter(g);
    for (uint64_t i = 0; i < count; i++)
        pvg_set_va(g, va + i * PVG_PAGE_BYTES, 0);
    int rc = pvg_lazy_flush(g);
    pvg_lazy_leave(g);
    return rc;
}

int pvg_unmap(struct pvguest *g, uint64_t va, uint64_t count)
{
    int rc = map_check(g, va, count);
    if (rc == 0)
        rc = flush_before(g);
    if (rc == 0)
        rc = check_tables(g, va, count);
    if (rc == 0)
        rc = clear(g, va, count);
    return fail_in(g, rc, "unmapping %lu pages at %lx", count, va);
}
