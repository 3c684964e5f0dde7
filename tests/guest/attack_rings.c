/* SPDX-License-Identifier: MIT */
/*
 * The rings that the hypervisor visits: indices out of range, and the frame below a ring turned
 * into a page table, given away, and kicked. The console's own ring stays sound as long as it is
 * needed to say so; the store's is there when the guest was started with one.
 */
#include "attack.h"
#include "chaos.h"

#include <xen/event_channel.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>

static void kick(unsigned port)
{
    struct evtchn_send send = {.port = port};
    call2(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &send);
    call2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
}

static void *ring_at(uint64_t mfn)
{
    return (void *)(VIRT_BASE + M2P[mfn] * PAGE);
}

static void bad_indices(struct xenstore_domain_interface *s, unsigned port)
{
    static const uint32_t edges[] = {0,          1,          1023, 1024,      1025,
                                     0x7fffffff, 0x80000000, ~0u,  ~0u - 1023};
    for (unsigned i = 0; i < 9 * 9; i++) {
        s->req_cons = s->rsp_cons = edges[i / 9];
        s->req_prod = s->rsp_prod = edges[i % 9];
        kick(port);
    }
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t *index[] = {&s->req_cons, &s->req_prod, &s->rsp_cons, &s->rsp_prod};
        *index[below(4)] = chance(50) ? (uint32_t)random64() : edges[below(9)];
        kick(port);
    }
    s->req_cons = s->req_prod = s->rsp_cons = s->rsp_prod = 0;
}

/* The ring's own indices would make fine entries: nothing may be written while it is a table. */
static void ring_as_table(uint64_t mfn, unsigned port)
{
    uint64_t *words = ring_at(mfn), va = (uint64_t)words;
    struct xenstore_domain_interface *s = ring_at(mfn);
    memset(words, 0, PAGE);
    set_va(va, frame_entry(mfn, RO_ENTRY));
    for (unsigned level = 1; level <= 4; level++) {
        set_va(va, frame_entry(mfn, RW_ENTRY));
        memset(words, 0, PAGE);
        s->req_prod = 512; /* not present: it may stand in a table */
        set_va(va, frame_entry(mfn, RO_ENTRY));
        int64_t rc = ext1(MMUEXT_PIN_L1_TABLE + level - 1, mfn, 0);
        uint32_t before = s->req_cons; /* of an L4 the hypervisor's own slots are here */
        for (unsigned i = 0; i < 100; i++)
            kick(port);
        say("ring as L%u: %ld\n", level, rc);
        if (s->req_cons != before)
            say("an entry appeared in the table of the ring\n");
        ext1(MMUEXT_UNPIN_TABLE, mfn, 0);
    }
    set_va(va, frame_entry(mfn, RW_ENTRY));
}

/* Whether the store is there at all: nothing that follows would show it. */
static void ring_as_ring(struct xenstore_domain_interface *s, unsigned port)
{
    s->req_prod = 512;
    kick(port);
    say("ring as a ring: consumer %u\n", s->req_cons);
}

static void ring_given_away(uint64_t mfn, unsigned port)
{
    uint64_t va = (uint64_t)ring_at(mfn);
    xen_pfn_t list = mfn;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, &list);
    set_va(va, 0);
    int64_t given = call2(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r);
    for (unsigned i = 0; i < 100; i++)
        kick(port);
    say("ring given away: %ld\n", given);
}

void attack_rings(void)
{
    unsigned port = start_info->store_evtchn;
    if (start_info->flags & SIF_INITDOMAIN)
        return;
    chaos_seed(option("seed", 7));
    say("store: port %u\n", port);
    ring_as_ring(ring_at(start_info->store_mfn), port);
    bad_indices(ring_at(start_info->store_mfn), port);
    ring_as_table(start_info->store_mfn, port);
    ring_given_away(start_info->store_mfn, port);
}
