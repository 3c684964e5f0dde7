/* SPDX-License-Identifier: MIT */
/* Pages of RAM: taking, giving, and whether they can be written. */
#include "internal.h"

/* ---- protection: a page has up to two addresses (R2: a table is writable at none of them) */

static unsigned views_of(struct pvguest *g, pvg_pfn_t pfn, uint64_t view[2], uint64_t flags[2])
{
    struct pvg_range linear = g->own_root ? g->image : g->boot;
    unsigned n = 0;
    if (pvg_regions_holds(&g->direct, pfn.n)) {
        view[n] = PVG_DIRECT_BASE + pfn.n * PVG_PAGE_BYTES;
        flags[n++] = PVG_PTE_DATA;
    }
    if (pfn.n >= linear.from && pfn.n < linear.to) {
        view[n] = PVG_VIRT_BASE + pfn.n * PVG_PAGE_BYTES;
        flags[n++] = PVG_PTE_IMAGE;
    }
    return n;
}

int page_protect(struct pvguest *g, pvg_pfn_t pfn, bool writable)
{
    uint64_t view[2], flags[2], drop = writable ? 0 : PVG_PTE_RW;
    unsigned n = views_of(g, pfn, view, flags);
    pvg_mfn_t mfn = pvg_p2m_mfn(g, pfn);
    for (unsigned i = 0; i < n; i++) {
        int rc = set_va_now(g, view[i], pvg_pte(mfn, flags[i] & ~drop));
        if (rc == 0)
            continue;
        undo_begin(g);
        while (i-- > 0)
            set_va_now(g, view[i], pvg_pte(mfn, flags[i] & ~(PVG_PTE_RW ^ drop)));
        undo_end(g);
        return fail_in(g, rc, "pfn %lx %s", pfn.n, writable ? "writable" : "read-only");
    }
    return 0;
}

void page_protect_queued(struct pvguest *g, pvg_pfn_t pfn, bool writable)
{
    uint64_t view[2], flags[2], drop = writable ? 0 : PVG_PTE_RW;
    unsigned n = views_of(g, pfn, view, flags);
    for (unsigned i = 0; i < n; i++)
        batch_set_va(g, view[i], pvg_pte(pvg_p2m_mfn(g, pfn), flags[i] & ~drop), UVMF_INVLPG);
}

int pages_protect(struct pvguest *g, struct pvg_range pages, bool writable)
{
    for (uint64_t p = pages.from; p < pages.to; p++) {
        int rc = page_protect(g, pvg_pfn(p), writable);
        if (rc == 0)
            continue;
        undo_begin(g);
        while (p-- > pages.from)
            page_protect(g, pvg_pfn(p), !writable);
        undo_end(g);
        return rc;
    }
    return 0;
}

static int checked_protect(struct pvguest *g, pvg_pfn_t pfn, bool writable)
{
    if (!pvg_regions_holds(&g->direct, pfn.n))
        return fail(g, -XEN_EINVAL, "pfn %lx is not in the direct map", pfn.n);
    return page_protect(g, pfn, writable);
}

int pvg_page_read_only(struct pvguest *g, pvg_pfn_t pfn)
{
    return checked_protect(g, pfn, false);
}

int pvg_page_writable(struct pvguest *g, pvg_pfn_t pfn)
{
    return checked_protect(g, pfn, true);
}

/* ---- taking and giving: what the direct map reaches */

int pvg_pages_take(struct pvguest *g, uint64_t count, uint64_t align, pvg_pfn_t *first)
{
    uint64_t found = PVG_NONE;
    if (count == 0 || (align & (align - 1)))
        return fail(g, -XEN_EINVAL, "%lu pages, aligned to %lu: no such run", count, align);
    for (unsigned i = g->direct.count; i-- > 0 && found == PVG_NONE;)
        found = pvg_memblock_find(&g->memblock, count, align, g->direct.at[i], PVG_TOP_DOWN);
    if (found == PVG_NONE)
        return fail(g, -XEN_ENOMEM, "no %lu free pages in a row", count);
    int rc = pvg_memblock_reserve(&g->memblock, found, count);
    if (rc)
        return fail(g, rc, "memblock: %s", error_name(rc));
    *first = pvg_pfn(found);
    return 0;
}

/* Nothing that is not in use may be given: it would be somebody else's, twice. */
static bool all_reserved(const struct pvguest *g, uint64_t from, uint64_t to)
{
    const struct pvg_regions *r = &g->memblock.reserved;
    unsigned i = pvg_regions_search(r, from);
    return i < r->count && r->at[i].from <= from && r->at[i].to >= to;
}

/* What is mapped elsewhere for as long as there is a guest. */
static const char *kept_for(const struct pvguest *g, uint64_t from, uint64_t to)
{
    unsigned i = pvg_regions_search(&g->tables, from);
    if (i < g->tables.count && g->tables.at[i].from < to)
        return "a page table";
    return from < g->image.to && g->image.from < to ? "the kernel's image" : NULL;
}

int pvg_pages_give(struct pvguest *g, pvg_pfn_t first, uint64_t count)
{
    uint64_t to;
    if (count == 0 || __builtin_add_overflow(first.n, count, &to) || !all_reserved(g, first.n, to))
        return fail(g, -XEN_EINVAL, "%lu pages from pfn %lx on are not in use", count, first.n);
    const char *kept = kept_for(g, first.n, to);
    if (kept)
        return fail(g, -XEN_EINVAL, "%lu pages from pfn %lx on: %s is there", count, first.n, kept);
    int rc = pvg_memblock_free(&g->memblock, first.n, count);
    return rc ? fail(g, rc, "memblock: %s", error_name(rc)) : 0;
}

uint64_t pvg_pages_free(struct pvguest *g)
{
    return pvg_memblock_free_pages(&g->memblock);
}
