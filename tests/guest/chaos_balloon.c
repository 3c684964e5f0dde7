/* SPDX-License-Identifier: MIT */
/* Frames given away in whatever state, taken back, exchanged. */
#include "chaos.h"

#include <xen/memory.h>

#define SLOTS (CHAOS_PAGES - FIRST_BALLOON)

static struct {
    bool given, unmapped, pinned;
} slot[SLOTS];

static int64_t reservation(unsigned cmd, xen_pfn_t *frame)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, frame);
    return call2(__HYPERVISOR_memory_op, cmd, &r);
}

/* What a new frame holds is not said anywhere: it is cleared before anyone looks. */
static void take_new(unsigned i, uint64_t mfn)
{
    pool_mfn[i] = mfn;
    note_result(ext1(MMUEXT_CLEAR_PAGE, mfn, 0));
    ((uint64_t *)start_info->mfn_list)[pfn_of(pool[i])] = mfn;
}

static void give(unsigned s, unsigned i)
{
    xen_pfn_t frame = pool_mfn[i];
    note_request("give", i, 0);
    int64_t rc = reservation(XENMEM_decrease_reservation, &frame);
    note_result(rc);
    slot[s].given = rc == 1;
}

/* Only when nothing is left of the old frame: else the domain may be at its maximum. */
static void take(unsigned s, unsigned i)
{
    xen_pfn_t frame = pfn_of(pool[i]);
    if (!slot[s].given || !slot[s].unmapped || slot[s].pinned)
        return;
    note_request("take", i, 0);
    int64_t rc = reservation(XENMEM_populate_physmap, &frame);
    note_result(rc);
    if (rc == 1) {
        take_new(i, frame);
        note("m2p", M2P[frame] - pfn_of(pool[i]));
        slot[s].given = false;
    }
}

static void exchange(unsigned i)
{
    xen_pfn_t in = pool_mfn[i], out = pfn_of(pool[i]);
    struct xen_memory_exchange e = {.in = {.nr_extents = 1, .domid = DOMID_SELF},
                                    .out = {.nr_extents = 1, .domid = DOMID_SELF}};
    set_xen_guest_handle(e.in.extent_start, &in);
    set_xen_guest_handle(e.out.extent_start, &out);
    note_request("exchange", i, 0);
    int64_t rc = call2(__HYPERVISOR_memory_op, XENMEM_exchange, &e);
    note_result(rc);
    note("exchanged", e.nr_exchanged);
    if (rc == 0)
        take_new(i, out);
}

/* A frame that was given away is named no more: its number may come back as another's. */
static void map(unsigned s, unsigned i)
{
    bool none = slot[s].given || chance(40);
    uint64_t entry = none ? 0 : entry_for(i, chance(50) ? RO_ENTRY : RW_ENTRY);
    note_request("map", i, entry ? entry & RW : 8);
    int64_t rc = set_va(page_va(i), entry);
    note_result(rc);
    if (rc == 0)
        slot[s].unmapped = !entry;
}

static void pin_or_not(unsigned s, unsigned i)
{
    unsigned level = 1 + below(3); /* a root keeps the hypervisor's entries when it is none */
    if (slot[s].given && !slot[s].pinned)
        return;
    note_request(slot[s].pinned ? "unpin" : "pin", i, level);
    int64_t rc = slot[s].pinned ? unpin(i) : pin(i, level);
    note_result(rc);
    if (rc == 0)
        slot[s].pinned = !slot[s].pinned;
}

void balloon_step(void)
{
    unsigned s = below(SLOTS), i = FIRST_BALLOON + s;
    switch (below(5)) {
    case 0:
        if (!slot[s].given)
            give(s, i);
        break;
    case 1:
        take(s, i);
        break;
    case 2:
        if (!slot[s].given)
            exchange(i);
        break;
    case 3:
        map(s, i);
        break;
    default:
        pin_or_not(s, i);
    }
}

void balloon_reset(void)
{
    for (unsigned s = 0; s < SLOTS; s++) {
        unsigned i = FIRST_BALLOON + s;
        if (slot[s].pinned)
            unpin(i);
        set_va(page_va(i), 0);
        slot[s].pinned = false;
        slot[s].unmapped = true;
        take(s, i);
        slot[s].unmapped = false;
    }
}
