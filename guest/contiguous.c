/* SPDX-License-Identifier: MIT */
/* Pages whose frames are neighbours in the machine: XENMEM_exchange (<xen/memory.h>). */
#include "internal.h"

#include <xen/memory.h>

#define ADDRESS_BITS 64u /* that any frame's address has at most */

/* ---- what may be exchanged */

static bool is_page_of(struct pvguest *g, uint64_t page, uint64_t va)
{
    return va && pvg_page_of(g, (const void *)va).n == page;
}

/* start_info and the rings: others have their frames' numbers. */
static bool is_known_outside(struct pvguest *g, uint64_t page)
{
    uint64_t store = pvg_start_info(g)->store_mfn;
    return is_page_of(g, page, g->si_va) || is_page_of(g, page, g->console_va) ||
           (store && pvg_m2p(g, pvg_mfn(store)).n == page);
}

static const char *not_callers(struct pvguest *g, uint64_t page)
{
    uint64_t entry = pvg_p2m_entry(g, pvg_pfn(page));
    struct pvg_walk w;
    if (entry == PVG_P2M_MISSING || (entry & PVG_P2M_MARKS))
        return "has no frame of its own";
    if (!pvg_regions_holds(&g->memblock.reserved, page))
        return "is free";
    if (!pvg_regions_holds(&g->direct, page) || !pvg_regions_holds(&g->memblock.memory, page))
        return "is not in the direct map";
    if (page >= g->image.from && page < g->image.to)
        return "is the kernel's image";
    if (is_known_outside(g, page))
        return "is known outside by its frame";
    pvg_walk(g, PVG_DIRECT_BASE + page * PVG_PAGE_BYTES, &w);
    return w.mapped && (w.at[1].entry & PVG_PTE_RW) ? NULL : "is read-only";
}

static int check(struct pvguest *g, struct pvg_range pages, unsigned order)
{
    if (!g->booted)
        return fail(g, -XEN_EINVAL, "pvg_boot() has not been done");
    if (order > PVG_CONTIGUOUS_ORDER_MAX || pages.from % (1ull << order) ||
        pages.from >= PVG_DIRECT_PFNS)
        return fail(g, -XEN_EINVAL, "order %u from page %lx on: no such pages", order, pages.from);
    int rc = flush_before(g);
    for (uint64_t page = pages.from; page < pages.to && rc == 0; page++) {
        const char *why = not_callers(g, page);
        if (why)
            rc = fail(g, -XEN_EINVAL, "page %lx %s", page, why);
    }
    return rc;
}

static struct pvg_range pages_of(pvg_pfn_t first, unsigned order)
{
    unsigned most = order > PVG_CONTIGUOUS_ORDER_MAX ? 0 : order;
    return (struct pvg_range){first.n, first.n + (1ull << most)};
}

/* ---- exchanging */

struct sizes {
    unsigned in, out; /* orders, one of which is 0 */
    unsigned flags;   /* XENMEMF_* of what comes */
};

static void list_frames(struct pvguest *g, struct pvg_range pages)
{
    for (uint64_t page = pages.from; page < pages.to; page++)
        g->balloon.frame[page - pages.from] = pvg_p2m_mfn(g, pvg_pfn(page)).n;
}

/* One extent for many, or many for one: all of it or nothing, as that is what Xen exchanges in one
 * piece. `to`: pages going in, frames coming out. */
static int exchange(struct pvguest *g, struct pvg_range pages, struct sizes s, xen_pfn_t *to)
{
    uint64_t count = pages.to - pages.from;
    struct xen_memory_exchange e = {
        .in = {.nr_extents = count >> s.in, .extent_order = s.in, .domid = DOMID_SELF},
        .out = {.nr_extents = count >> s.out,
                .extent_order = s.out,
                .mem_flags = s.flags,
                .domid = DOMID_SELF},
    };
    set_xen_guest_handle(e.in.extent_start, g->balloon.frame);
    set_xen_guest_handle(e.out.extent_start, to);
    for (uint64_t i = 0; i < e.out.nr_extents; i++)
        to[i] = pages.from + (i << s.out);
    int64_t rc = memory_op(g, XENMEM_exchange, &e);
    if (rc == 0 && e.nr_exchanged != e.in.nr_extents)
        rc = -XEN_EBUSY;
    return rc ? fail(g, (int)rc, "frames of pages %lx to %lx: not exchanged, %s", pages.from,
                     pages.to, error_name((int)rc))
              : 0;
}

/* Frames of extents become those of pages, in place: there is room for all. */
static void spread(xen_pfn_t *frame, uint64_t count, unsigned order)
{
    for (uint64_t i = count; i-- > 0;)
        frame[i] = frame[i >> order] + (i & ((1ull << order) - 1));
}

/* Missing, for those who look from outside, while the hypervisor has the frames. */
static int renew(struct pvguest *g, struct pvg_range pages, struct sizes s)
{
    xen_pfn_t *to = g->balloon.other;
    int rc = direct_unmap(g, pages);
    if (rc)
        return rc;
    list_frames(g, pages);
    p2m_put(g, pages, NULL);
    rc = exchange(g, pages, s, to);
    if (rc == 0)
        spread(to, pages.to - pages.from, s.out);
    p2m_put(g, pages, rc ? g->balloon.frame : to);
    int back = direct_restore(g, pages);
    return back ? back : rc;
}

int pvg_make_contiguous(struct pvguest *g, pvg_pfn_t first, unsigned order, unsigned address_bits,
                        pvg_mfn_t *frame)
{
    struct pvg_range pages = pages_of(first, order);
    struct sizes s = {0, order, XENMEMF_address_bits(address_bits)};
    if (address_bits >= ADDRESS_BITS)
        s.flags = 0;
    int rc = check(g, pages, order);
    if (rc == 0)
        rc = renew(g, pages, s);
    if (rc)
        return fail_in(g, rc, "contiguous frames");
    *frame = pvg_p2m_mfn(g, first);
    return 0;
}

int pvg_make_scattered(struct pvguest *g, pvg_pfn_t first, unsigned order)
{
    struct pvg_range pages = pages_of(first, order);
    int rc = check(g, pages, order);
    uint64_t frame = pvg_p2m_mfn(g, first).n;
    for (uint64_t page = pages.from; page < pages.to && rc == 0; page++)
        if (pvg_p2m_mfn(g, pvg_pfn(page)).n != frame + (page - pages.from))
            rc = fail(g, -XEN_EINVAL, "page %lx: its frame is not the next one", page);
    if (rc == 0)
        rc = renew(g, pages, (struct sizes){order, 0, 0});
    return fail_in(g, rc, "scattered frames");
}
