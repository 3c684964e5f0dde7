/* SPDX-License-Identifier: MIT */
/* memory_op: the size of the guest's memory, and questions about the machine's (<xen/memory.h>). */
#include "hypercall.h"

#include <xen/memory.h>

#define COMMAND_BITS    6u /* of memory_op's first argument; above: extents done before this turn */
#define COMMAND_MASK    ((1u << COMMAND_BITS) - 1)
#define MAX_ORDER       9u         /* of an extent, for a domain without devices */
#define M2P_PIECE_BYTES (2u << 20) /* machphys_mfn_list tells one frame in each */

static bool order_allowed(uint32_t order)
{
    return order <= MAX_ORDER;
}

/* The highest machine frame and one. */
static uint64_t machine_frames(void)
{
    return the_core()->nr_frames;
}

/* The frames whose addresses have no more bits than were asked for: those below. 0 bits: any. */
static uint64_t frame_limit(uint32_t mem_flags)
{
    uint32_t bits = XENMEMF_get_address_bits(mem_flags);
    return bits == 0 || bits >= 64 ? CORE_NO_LIMIT : (1ull << bits) >> PAGE_SHIFT_4K;
}

static bool node_allowed(uint32_t mem_flags)
{
    return XENMEMF_get_node(mem_flags) == 0xff || !(mem_flags & XENMEMF_exact_node_request);
}

/* ---- populate, increase, decrease: a list of extents, done one by one */

struct extents {
    struct call *call;
    struct domain *d;
    gva_t list; /* 0: increase may leave the guest in the dark */
    uint64_t count;
    uint32_t order;
    uint64_t limit;
};

/* One extent: 0, CORE_RESTART, or negative to stop there. */
typedef int extent_step(struct extents *x, uint64_t index);

static gva_t extent_at(const struct extents *x, uint64_t index)
{
    return gva(x->list.a + index * sizeof(xen_pfn_t));
}

static int populate_one(struct extents *x, uint64_t index)
{
    xen_pfn_t number;
    mfn_t m = NO_MFN;
    if (!copy_from_guest(&number, extent_at(x, index), sizeof(number)))
        return -XEN_EFAULT;
    int rc = core_populate(the_core(), &x->call->v->mem, &x->d->mem, pfn(number), x->order,
                           x->limit, &m);
    if (rc)
        return rc;
    number = m.n;
    return copy_to_guest(extent_at(x, index), &number, sizeof(number)) ? 0 : -XEN_EFAULT;
}

static int increase_one(struct extents *x, uint64_t index)
{
    mfn_t m = NO_MFN;
    int rc = core_increase(the_core(), &x->call->v->mem, &x->d->mem, x->order, x->limit, &m);
    if (rc || x->list.a == 0)
        return rc;
    xen_pfn_t number = m.n;
    return copy_to_guest(extent_at(x, index), &number, sizeof(number)) ? 0 : -XEN_EFAULT;
}

/* An extent that is begun is finished: it could not be told apart when issued again. */
static int decrease_frame(struct extents *x, mfn_t m)
{
    struct core_vcpu *v = &x->call->v->mem;
    int rc;
    while ((rc = core_decrease(the_core(), v, &x->d->mem, m)) == CORE_RESTART)
        core_begin(the_core(), v);
    return rc;
}

static int decrease_one(struct extents *x, uint64_t index)
{
    xen_pfn_t number;
    if (!copy_from_guest(&number, extent_at(x, index), sizeof(number)))
        return -XEN_EFAULT;
    for (uint64_t i = 0; i < 1ull << x->order; i++) {
        int rc = decrease_frame(x, mfn(number + i));
        if (rc)
            return rc;
    }
    return 0;
}

static void note_extent(const struct extents *x, int rc, uint64_t index)
{
    uint64_t element[3] = {0};
    bool read = x->list.a && copy_from_guest(element, extent_at(x, index), sizeof(xen_pfn_t));
    note_refusal_at(x->call, rc, index, x->count, read ? element : NULL);
}

/* Returns how many extents are done in all; a failure shows only in that number. */
static int64_t for_extents(struct extents *x, uint32_t command, uint64_t from, extent_step *step)
{
    struct call *c = x->call;
    uint64_t i = from;
    int rc = 0;
    if (!request_begin(c))
        return call_restart(c);
    while (rc == 0 && i < x->count) {
        rc = i > from && cpu_interrupt_pending() ? CORE_RESTART : step(x, i);
        i += rc == 0;
    }
    if (rc != 0 && rc != CORE_RESTART)
        note_extent(x, rc, i);
    request_end(c, 0);
    if (rc == CORE_RESTART) {
        c->arg[0] = command | i << COMMAND_BITS;
        return call_restart(c);
    }
    return (int64_t)i;
}

/* Decodes a reservation; false: nothing (more) can be done with it. */
static bool take_reservation(struct call *c, struct extents *x, uint64_t from, bool list_needed)
{
    struct xen_memory_reservation r;
    if (!copy_from_guest(&r, gva(c->arg[1]), sizeof(r)))
        return false;
    *x = (struct extents){
        .call = c,
        .d = domain_by_id(r.domid),
        .list = gva((uint64_t)r.extent_start.p),
        .count = r.nr_extents,
        .order = r.extent_order,
        .limit = frame_limit(r.mem_flags),
    };
    if (r.nr_extents > UINT32_MAX >> COMMAND_BITS || from >= r.nr_extents || !x->d)
        return false;
    if (x->limit <= 1 || !node_allowed(r.mem_flags) || (r.mem_flags & XENMEMF_populate_on_demand) ||
        !order_allowed(r.extent_order))
        return false;
    bool listed = list_needed || x->list.a != 0;
    return !listed || guest_range_ok(x->list, x->count * sizeof(xen_pfn_t));
}

static int64_t reservation(struct call *c, uint32_t command, uint64_t from)
{
    extent_step *step = command == XENMEM_populate_physmap       ? populate_one
                        : command == XENMEM_increase_reservation ? increase_one
                                                                 : decrease_one;
    struct extents x;
    if (!take_reservation(c, &x, from, command != XENMEM_increase_reservation))
        return (int64_t)from;
    return for_extents(&x, command, from, step);
}

/* ---- exchange */

/*
 * Done in chunks of the larger order's size: so many input extents for so many output extents, one
 * of the two numbers being 1. A chunk succeeds or fails as a whole.
 */
struct exchange {
    struct call *call;
    struct domain *d;
    struct xen_memory_exchange e;
    unsigned in_per_chunk, out_per_chunk;
};

/* Room for the largest chunk; one CPU makes hypercalls. */
static struct {
    xen_pfn_t numbers[CORE_EXCHANGE_MAX];
    mfn_t in[CORE_EXCHANGE_MAX], out[CORE_EXCHANGE_MAX];
    pfn_t pfns[CORE_EXCHANGE_MAX];
} room;

static gva_t list_at(const struct xen_memory_reservation *r, uint64_t index)
{
    return gva((uint64_t)r->extent_start.p + index * sizeof(xen_pfn_t));
}

static bool fetch_chunk(const struct exchange *x, uint64_t chunk)
{
    unsigned n_in = x->in_per_chunk, n_out = x->out_per_chunk;
    if (!copy_from_guest(room.numbers, list_at(&x->e.in, chunk * n_in), n_in * sizeof(xen_pfn_t)))
        return false;
    for (unsigned i = 0; i < n_in; i++)
        room.in[i] = mfn(room.numbers[i]);
    if (!copy_from_guest(room.numbers, list_at(&x->e.out, chunk * n_out),
                         n_out * sizeof(xen_pfn_t)))
        return false;
    for (unsigned i = 0; i < n_out; i++)
        room.pfns[i] = pfn(room.numbers[i]);
    return true;
}

static int exchange_chunk(const struct exchange *x, uint64_t chunk)
{
    unsigned n_in = x->in_per_chunk, n_out = x->out_per_chunk;
    if (!fetch_chunk(x, chunk))
        return -XEN_EFAULT;
    int rc = core_exchange(the_core(), &x->call->v->mem, &x->d->mem, room.in, n_in,
                           x->e.in.extent_order, room.pfns, room.out, n_out, x->e.out.extent_order,
                           frame_limit(x->e.out.mem_flags));
    if (rc)
        return rc;
    for (unsigned i = 0; i < n_out; i++)
        room.numbers[i] = room.out[i].n;
    return copy_to_guest(list_at(&x->e.out, chunk * n_out), room.numbers, n_out * sizeof(xen_pfn_t))
               ? 0
               : -XEN_EFAULT;
}

static int exchange_check(struct exchange *x)
{
    const struct xen_memory_reservation *in = &x->e.in, *out = &x->e.out;
    if (!order_allowed(in->extent_order) || !order_allowed(out->extent_order))
        return -XEN_EPERM;
    if (x->e.nr_exchanged > in->nr_extents || in->domid != out->domid ||
        in->nr_extents > ~0ul >> in->extent_order || out->nr_extents > ~0ul >> out->extent_order ||
        in->nr_extents << in->extent_order != out->nr_extents << out->extent_order)
        return -XEN_EINVAL;
    if (!guest_range_ok(list_at(in, 0), in->nr_extents * sizeof(xen_pfn_t)) ||
        !guest_range_ok(list_at(out, 0), out->nr_extents * sizeof(xen_pfn_t)))
        return -XEN_EFAULT;
    if (!node_allowed(out->mem_flags))
        return -XEN_EINVAL;
    x->d = domain_by_id(in->domid);
    return x->d ? 0 : -XEN_ESRCH;
}

static int exchange_chunks(struct exchange *x)
{
    uint64_t from = x->e.nr_exchanged / x->in_per_chunk;
    uint64_t chunks = x->e.in.nr_extents / x->in_per_chunk;
    int rc = 0;
    for (uint64_t i = from; rc == 0 && i < chunks; i++) {
        rc = i > from && cpu_interrupt_pending() ? CORE_RESTART : exchange_chunk(x, i);
        x->e.nr_exchanged = (i + (rc == 0)) * x->in_per_chunk;
    }
    return rc;
}

static int64_t exchange(struct call *c)
{
    struct exchange x = {.call = c};
    gva_t counter = gva(c->arg[1] + offsetof(struct xen_memory_exchange, nr_exchanged));
    if (!copy_from_guest(&x.e, gva(c->arg[1]), sizeof(x.e)))
        return -XEN_EFAULT;
    int rc = exchange_check(&x);
    if (rc == 0 && x.e.nr_exchanged < x.e.in.nr_extents) {
        uint32_t in = x.e.in.extent_order, out = x.e.out.extent_order;
        x.in_per_chunk = in < out ? 1u << (out - in) : 1;
        x.out_per_chunk = out < in ? 1u << (in - out) : 1;
        if (!request_begin(c))
            return call_restart(c);
        rc = exchange_chunks(&x);
        if (rc != 0 && rc != CORE_RESTART)
            note_refusal_at(c, rc, x.e.nr_exchanged, x.e.in.nr_extents, NULL);
        request_end(c,
                    rc == CORE_RESTART ? rc : 0); /* leaves rc == CORE_RESTART to be issued again */
    }
    if (!copy_to_guest(counter, &x.e.nr_exchanged, sizeof(x.e.nr_exchanged))) {
        c->restart = false;
        return -XEN_EFAULT;
    }
    return rc;
}

/* ---- questions */

static int64_t about_domain(struct call *c, uint32_t command)
{
    struct xen_memory_domain about;
    if (!copy_from_guest(&about, gva(c->arg[1]), sizeof(about)))
        return -XEN_EFAULT;
    struct domain *d = domain_by_id(about.domid);
    if (!d)
        return -XEN_ESRCH;
    if (command == XENMEM_current_reservation)
        return (int64_t)__atomic_load_n((uint64_t *)&d->mem.frames, __ATOMIC_RELAXED);
    if (command == XENMEM_maximum_reservation)
        return (int64_t)d->mem.max_frames;
    uint64_t max_pfn = d->shared->arch.max_pfn; /* the guest's own count */
    return (int64_t)((max_pfn ? max_pfn : 1) - 1);
}

static int64_t memory_map(struct call *c)
{
    const struct e820_map *own = &c->v->domain->e820;
    struct xen_memory_map map;
    if (!copy_from_guest(&map, gva(c->arg[1]), sizeof(map)))
        return -XEN_EFAULT;
    if (map.nr_entries > own->count)
        map.nr_entries = own->count;
    if (!copy_to_guest(gva((uint64_t)map.buffer.p), own->at, map.nr_entries * sizeof(own->at[0])) ||
        !copy_to_guest(gva(c->arg[1]), &map, sizeof(map)))
        return -XEN_EFAULT;
    return 0;
}

/* As Xen tells it: the place for the table of any machine, not how far this one's goes. A guest
 * asks once, and keeps the answer on larger machines to which it moves. */
static int64_t machphys_mapping(struct call *c)
{
    struct xen_machphys_mapping mapping = {
        .v_start = M2P_GUEST_BASE,
        .v_end = MACH2PHYS_VIRT_END,
        .max_mfn = (MACH2PHYS_VIRT_END - M2P_GUEST_BASE) / sizeof(uint64_t) - 1,
    };
    return copy_to_guest(gva(c->arg[1]), &mapping, sizeof(mapping)) ? 0 : -XEN_EFAULT;
}

/* The table is contiguous in the machine's memory, seen here through the direct map. */
static int64_t machphys_mfn_list(struct call *c)
{
    struct xen_machphys_mfn_list list;
    uint64_t bytes = machine_frames() * sizeof(uint64_t), i = 0;
    if (!copy_from_guest(&list, gva(c->arg[1]), sizeof(list)))
        return -XEN_EFAULT;
    for (; i < list.max_extents && i * M2P_PIECE_BYTES < bytes; i++) {
        maddr_t at = direct_address((uint8_t *)the_core()->m2p + i * M2P_PIECE_BYTES);
        xen_pfn_t number = maddr_frame(at).n;
        gva_t to = gva((uint64_t)list.extent_start.p + i * sizeof(number));
        if (!copy_to_guest(to, &number, sizeof(number)))
            return -XEN_EFAULT;
    }
    list.nr_extents = (uint32_t)i;
    return copy_to_guest(gva(c->arg[1]), &list, sizeof(list)) ? 0 : -XEN_EFAULT;
}

/* For guests whose pages the hypervisor maps; this one has tables of its own. */
static int64_t add_to_physmap(struct call *c)
{
    struct xen_add_to_physmap add;
    if (!copy_from_guest(&add, gva(c->arg[1]), sizeof(add)))
        return -XEN_EFAULT;
    return domain_by_id(add.domid) ? -XEN_EACCES : -XEN_ESRCH;
}

static int64_t single_question(struct call *c, uint32_t command)
{
    switch (command) {
    case XENMEM_exchange:
        return exchange(c);
    case XENMEM_maximum_ram_page:
        return (int64_t)machine_frames();
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return about_domain(c, command);
    case XENMEM_add_to_physmap:
        return add_to_physmap(c);
    case XENMEM_memory_map:
        return memory_map(c);
    case XENMEM_machine_memory_map:
    case XENMEM_set_memory_map:
        return -XEN_EPERM;
    case XENMEM_machphys_mapping:
        return machphys_mapping(c);
    case XENMEM_machphys_mfn_list:
        return machphys_mfn_list(c);
    default:
        return -XEN_ENOSYS;
    }
}

int64_t hc_memory_op(struct call *c)
{
    uint32_t command = (uint32_t)c->arg[0] & COMMAND_MASK;
    uint64_t from = c->arg[0] >> COMMAND_BITS;
    switch (command) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return reservation(c, command, from);
    default:
        return from ? -XEN_EINVAL : single_question(c, command);
    }
}
