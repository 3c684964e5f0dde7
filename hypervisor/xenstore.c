/* SPDX-License-Identifier: MIT */
/*
 * The guest's store: the hypervisor's end of the ring (<xen/io/xs_wire.h>). The store itself is the
 * host's; what the guest writes goes to the mailbox, what the host sends over COM2 to the guest
 * (<pvmm/channel.h>), and nobody here looks at the bytes.
 *
 * The ring lies in an ordinary frame of the guest, which domain_page() checks before each visit.
 */
#include "domain.h"

#include <xen/io/xs_wire.h>

#include "log.h"

/* What the host sent and the guest's ring had no room for: byte i, of all that ever arrived, lies
 * at waiting[i % PVMM_STORE_RING]; mailbox.store_in_taken of them have gone on. */
static uint8_t waiting[PVMM_STORE_RING];
static uint64_t arrived;
static uint64_t host_took; /* of store_out, as the host says */
static volatile bool input_waits;

bool xenstore_input_waits(void)
{
    return input_waits;
}

/* ---- from the host */

void xenstore_receive(uint8_t byte)
{
    static unsigned dropped;
    input_waits = true;
    if (arrived - mailbox.store_in_taken < PVMM_STORE_RING)
        waiting[arrived++ % PVMM_STORE_RING] = byte;
    else if (log_worthwhile(&dropped))
        log_line("store: the host sent more than %u bytes ahead; %u dropped so far",
                 PVMM_STORE_RING, dropped);
}

void xenstore_taken(unsigned n)
{
    static unsigned wrong;
    uint64_t out = mailbox.store_out_written - host_took;
    input_waits = true;
    if (n > out && log_worthwhile(&wrong))
        log_line("store: the host says it took %u bytes where %lu were to be had", n, out);
    host_took += n < out ? n : out;
}

/* ---- the guest's ring. The indices are the guest's to write, all four of them. */

/* Bytes between two indices; what is out of range is said, and 0. */
static uint32_t distance(uint32_t prod, uint32_t cons, const char *what)
{
    static unsigned wrong;
    if (prod - cons <= XENSTORE_RING_SIZE)
        return prod - cons;
    if (log_worthwhile(&wrong))
        log_line("store: the guest's %s indices are out of range: producer %x, consumer %x", what,
                 prod, cons);
    return 0;
}

/* req[] -> mailbox, as far as the host keeps up. Indices out of range empty the ring. */
static bool carry_requests(struct xenstore_domain_interface *ring)
{
    uint32_t cons = ring->req_cons;
    uint32_t prod = __atomic_load_n(&ring->req_prod, __ATOMIC_ACQUIRE);
    uint64_t to = mailbox.store_out_written;
    uint64_t room = PVMM_STORE_RING - (to - host_took);
    uint32_t n = distance(prod, cons, "request");
    if (n == 0 && prod != cons)
        cons = prod;
    if (n > room)
        n = (uint32_t)room;
    for (uint32_t i = 0; i < n; i++)
        mailbox.store_out[to++ % PVMM_STORE_RING] = (uint8_t)ring->req[MASK_XENSTORE_IDX(cons++)];
    __atomic_store_n(&ring->req_cons, cons, __ATOMIC_RELEASE);
    __atomic_store_n(&mailbox.store_out_written, to, __ATOMIC_RELEASE);
    return n > 0;
}

/* What waits -> rsp[], as far as there is room. Indices out of range leave it waiting. */
static bool carry_replies(struct xenstore_domain_interface *ring)
{
    uint32_t prod = ring->rsp_prod;
    uint32_t cons = __atomic_load_n(&ring->rsp_cons, __ATOMIC_ACQUIRE);
    uint64_t from = mailbox.store_in_taken;
    uint32_t used = distance(prod, cons, "reply");
    uint32_t room = used == 0 && prod != cons ? 0 : XENSTORE_RING_SIZE - used;
    uint64_t n = arrived - from < room ? arrived - from : room;
    for (uint64_t i = 0; i < n; i++)
        ring->rsp[MASK_XENSTORE_IDX(prod++)] = (char)waiting[from++ % PVMM_STORE_RING];
    __atomic_store_n(&ring->rsp_prod, prod, __ATOMIC_RELEASE);
    __atomic_store_n(&mailbox.store_in_taken, from, __ATOMIC_RELEASE);
    return n > 0;
}

void xenstore_serve(struct domain *d)
{
    input_waits = false;
    struct xenstore_domain_interface *ring =
        d->store_port == 0 ? NULL : domain_page(d, d->xenstore_mfn);
    if (!ring)
        return;
    bool moved = carry_requests(ring);
    if (carry_replies(ring))
        moved = true;
    if (!moved)
        return;
    event_raise(d, d->store_port);
    channel_bell();
}
