/* SPDX-License-Identifier: MIT */
/* Frames given to the hypervisor, asked for and exchanged (<xen/memory.h>), as a balloon would. */
#include "look.h"
#include "themes.h"

#include <xen/memory.h>

#define SOME     10u
#define NOBODY   0x1234u /* a domain that there is not */
#define FAR_AWAY (1ull << 38)

static int64_t memory_op(struct pvguest *g, unsigned command, void *arg)
{
    return pvg_hypercall(g, __HYPERVISOR_memory_op, command, (uintptr_t)arg, 0, 0, 0);
}

static int64_t change(struct pvguest *g, unsigned command, xen_pfn_t *frame, unsigned count)
{
    struct xen_memory_reservation r = {.nr_extents = count, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, frame);
    return memory_op(g, command, &r);
}

static int unmap(struct pvguest *g, uint64_t pfn)
{
    return pvg_set_va(g, PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES, 0);
}

static int map(struct pvguest *g, uint64_t pfn)
{
    return pvg_set_va(g, PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES,
                      pvg_pte(pvg_p2m_mfn(g, pvg_pfn(pfn)), PVG_PTE_DATA));
}

/* Out of the direct map, and their frames listed: a frame that is mapped is not let go. */
static void withdraw(struct tap *t, pvg_pfn_t first, unsigned count, xen_pfn_t *frame)
{
    for (unsigned i = 0; i < count; i++) {
        frame[i] = pvg_p2m_mfn(t->g, pvg_pfn(first.n + i)).n;
        CHECK_OK(t, unmap(t->g, first.n + i));
    }
}

/* With other frames: p2m, m2p and direct map say so. */
static void put_back(struct tap *t, pvg_pfn_t first, unsigned count, const xen_pfn_t *frame)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t pfn = first.n + i;
        CHECK_OK(t, pvg_p2m_set(t->g, pvg_pfn(pfn), frame[i]));
        CHECK_SAME(t, m2p_own(pvg_mfn(frame[i])), pfn);
        CHECK_OK(t, map(t->g, pfn));
        volatile uint64_t *word = pvg_page(t->g, pvg_pfn(pfn));
        *word = pfn;
        CHECK_SAME(t, *word, pfn);
    }
}

static void give_frames(struct tap *t, pvg_pfn_t first, xen_pfn_t *frame)
{
    int64_t before = reservation(t->g, XENMEM_current_reservation);
    struct pvg_p2m_info info, after;
    pvg_p2m_info(t->g, &info);
    withdraw(t, first, SOME, frame);
    if (t->failed)
        return;
    CHECK_SAME(t, change(t->g, XENMEM_decrease_reservation, frame, SOME), SOME);
    for (unsigned i = 0; i < SOME; i++)
        CHECK_OK(t, pvg_p2m_set(t->g, pvg_pfn(first.n + i), PVG_P2M_MISSING));
    pvg_p2m_info(t->g, &after);
    CHECK_SAME(t, reservation(t->g, XENMEM_current_reservation), before - SOME);
    CHECK_SAME(t, after.populated, info.populated - SOME);
    CHECK_SAME(t, page_of_frame(t->g, pvg_mfn(frame[0])).n, PVG_NO_PFN.n);
}

static void take_frames(struct tap *t, pvg_pfn_t first, xen_pfn_t *frame)
{
    int64_t before = reservation(t->g, XENMEM_current_reservation);
    for (unsigned i = 0; i < SOME; i++)
        frame[i] = first.n + i;
    CHECK_SAME(t, change(t->g, XENMEM_populate_physmap, frame, SOME), SOME);
    put_back(t, first, SOME, frame);
    if (!t->failed)
        CHECK_SAME(t, reservation(t->g, XENMEM_current_reservation), before + SOME);
}

static void balloon(struct tap *t)
{
    xen_pfn_t frame[SOME];
    pvg_pfn_t first;
    CHECK_OK(t, pvg_pages_take(t->g, SOME, 1, &first));
    give_frames(t, first, frame);
    if (!t->failed)
        take_frames(t, first, frame);
    if (!t->failed)
        CHECK_OK(t, pvg_pages_give(t->g, first, SOME));
}

/* Two frames for two others. */
static void exchange(struct tap *t)
{
    xen_pfn_t in[2], out[2];
    pvg_pfn_t first;
    int64_t before = reservation(t->g, XENMEM_current_reservation);
    CHECK_OK(t, pvg_pages_take(t->g, 2, 1, &first));
    withdraw(t, first, 2, in);
    if (t->failed)
        return;
    struct xen_memory_exchange e = {.in = {.nr_extents = 2, .domid = DOMID_SELF},
                                    .out = {.nr_extents = 2, .domid = DOMID_SELF}};
    set_xen_guest_handle(e.in.extent_start, in);
    set_xen_guest_handle(e.out.extent_start, out);
    out[0] = first.n;
    out[1] = first.n + 1;
    CHECK_SAME(t, memory_op(t->g, XENMEM_exchange, &e), 0);
    CHECK_SAME(t, e.nr_exchanged, 2);
    put_back(t, first, 2, out);
    if (t->failed)
        return;
    CHECK_OK(t, pvg_pages_give(t->g, first, 2));
    CHECK_SAME(t, reservation(t->g, XENMEM_current_reservation), before);
}

/* No more than the maximum: what is beyond is not done, which is no error. */
static void maximum(struct tap *t)
{
    int64_t now = reservation(t->g, XENMEM_current_reservation);
    bool room = reservation(t->g, XENMEM_maximum_reservation) > now;
    struct pvg_p2m_info info;
    pvg_p2m_info(t->g, &info);
    xen_pfn_t frame = missing_page(t->g, info.max_pfn + 5000).n, asked = frame;
    int64_t got = change(t->g, XENMEM_populate_physmap, &frame, 1);
    int64_t with = reservation(t->g, XENMEM_current_reservation);
    CHECK_SAME(t, got, room);
    CHECK_SAME(t, with, now + room);
    if (room) {
        CHECK_SAME(t, m2p_own(pvg_mfn(frame)), asked);
        CHECK_SAME(t, change(t->g, XENMEM_decrease_reservation, &frame, 1), 1);
    } else {
        CHECK_SAME(t, frame, asked);
    }
    CHECK_SAME(t, reservation(t->g, XENMEM_current_reservation), now);
}

/* A frame that is none of ours is not taken back, which is no error either. */
static void not_ours(struct tap *t)
{
    int64_t now = reservation(t->g, XENMEM_current_reservation);
    xen_pfn_t frame = FAR_AWAY, out = 0x100;
    CHECK_SAME(t, change(t->g, XENMEM_decrease_reservation, &frame, 1), 0);
    struct xen_memory_exchange e = {.in = {.nr_extents = 1, .domid = DOMID_SELF},
                                    .out = {.nr_extents = 1, .domid = DOMID_SELF}};
    set_xen_guest_handle(e.in.extent_start, &frame);
    set_xen_guest_handle(e.out.extent_start, &out);
    CHECK_SAME(t, memory_op(t->g, XENMEM_exchange, &e), -XEN_EINVAL);
    CHECK_SAME(t, e.nr_exchanged, 0);
    CHECK_SAME(t, reservation(t->g, XENMEM_current_reservation), now);
}

static void nonsense(struct tap *t)
{
    struct xen_memory_domain nobody = {.domid = NOBODY};
    CHECK_SAME(t, memory_op(t->g, XENMEM_current_reservation, (void *)0x1000), -XEN_EFAULT);
    CHECK_SAME(t, memory_op(t->g, XENMEM_maximum_reservation, (void *)0x1000), -XEN_EFAULT);
    CHECK_SAME(t, memory_op(t->g, XENMEM_exchange, (void *)0x1000), -XEN_EFAULT);
    CHECK_SAME(t, memory_op(t->g, XENMEM_current_reservation, &nobody), -XEN_ESRCH);
    CHECK_SAME(t, memory_op(t->g, 63, &nobody), -XEN_ENOSYS);
}

static const struct test tests[] = {
    {"balloon", balloon},   {"exchange", exchange}, {"maximum", maximum},
    {"not_ours", not_ours}, {"nonsense", nonsense},
};

const struct theme reservation_theme = THEME("reservation", tests);
