/* SPDX-License-Identifier: MIT */
/* memory_op (<xen/memory.h>), as far as a guest needs it. */
#include <stdint.h>
#include <string.h>

#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/memory.h>

#include "inside.h"

#define COMMAND_BITS 6u
#define ORDER_MAX    9u /* of an extent */

/* ---- extents */

typedef int extent_step(struct machine *m, xen_pfn_t *number, unsigned order);

static int populate_one(struct machine *m, xen_pfn_t *number, unsigned order)
{
    mfn_t n = NO_MFN;
    m->w->take_from = world_below(m->w, m->w->core.nr_frames);
    int rc = core_populate(&m->w->core, m->v, m->d, pfn(*number), order, CORE_NO_LIMIT, &n);
    if (rc == 0) {
        *number = n.n;
        m->populated += 1ull << order;
    }
    return rc;
}

static int increase_one(struct machine *m, xen_pfn_t *number, unsigned order)
{
    xen_pfn_t none = NO_PFN.n;
    int rc = populate_one(m, &none, order);
    if (rc == 0 && number)
        *number = none;
    return rc;
}

static int decrease_frame(struct machine *m, mfn_t n)
{
    bool was_ours = machine_owner(m, n.n) == MACHINE_GUEST && (m->w->frames[n.n].hold >> 48 & 1);
    int rc;
    while ((rc = core_decrease(&m->w->core, m->v, m->d, n)) == CORE_RESTART)
        core_begin(&m->w->core, m->v);
    m->released += rc == 0 && was_ours;
    return rc;
}

static int decrease_one(struct machine *m, xen_pfn_t *number, unsigned order)
{
    for (uint64_t i = 0; i < 1ull << order; i++) {
        int rc = decrease_frame(m, mfn(*number + i));
        if (rc)
            return rc;
    }
    return 0;
}

/* Returns how many extents are done; a failure shows only in that number. */
static int64_t reservation(struct machine *m, const struct xen_memory_reservation *r,
                           extent_step *step)
{
    xen_pfn_t *list = r->extent_start.p;
    uint64_t i = 0;
    if (r->domid != DOMID_SELF || r->nr_extents > UINT32_MAX >> COMMAND_BITS ||
        r->extent_order > ORDER_MAX)
        return 0;
    request_begin(m);
    for (; i < r->nr_extents; i++)
        if (element_next(m) || step(m, list ? &list[i] : NULL, r->extent_order))
            break;
    request_end(m);
    return (int64_t)i;
}

/* ---- exchange: one extent of the larger order at a time, which goes as a whole or not at all */

struct chunk {
    unsigned nr_in, nr_out; /* extents, one of the two numbers is 1 */
    mfn_t in[CORE_EXCHANGE_MAX], out[CORE_EXCHANGE_MAX];
    pfn_t pfns[CORE_EXCHANGE_MAX];
};

/* Frames whose addresses have no more bits. 0: any. */
static uint64_t frame_limit(unsigned flags)
{
    unsigned bits = XENMEMF_get_address_bits(flags);
    return bits == 0 || bits >= 64 ? CORE_NO_LIMIT : (1ull << bits) >> 12;
}

static int exchange_chunk(struct machine *m, const struct xen_memory_exchange *x, struct chunk *c,
                          uint64_t i)
{
    const xen_pfn_t *in = (const xen_pfn_t *)x->in.extent_start.p + i * c->nr_in;
    xen_pfn_t *out = (xen_pfn_t *)x->out.extent_start.p + i * c->nr_out;
    int rc = element_next(m);
    if (rc)
        return rc;
    for (unsigned k = 0; k < c->nr_in; k++)
        c->in[k] = mfn(in[k]);
    for (unsigned k = 0; k < c->nr_out; k++)
        c->pfns[k] = pfn(out[k]);
    m->w->take_from = world_below(m->w, m->w->core.nr_frames);
    rc = core_exchange(&m->w->core, m->v, m->d, c->in, c->nr_in, x->in.extent_order, c->pfns,
                       c->out, c->nr_out, x->out.extent_order, frame_limit(x->out.mem_flags));
    for (unsigned k = 0; rc == 0 && k < c->nr_out; k++)
        out[k] = c->out[k].n;
    return rc;
}

static int exchange_check(const struct xen_memory_exchange *x)
{
    if (x->in.extent_order > ORDER_MAX || x->out.extent_order > ORDER_MAX)
        return -XEN_EPERM;
    if (x->nr_exchanged > x->in.nr_extents || x->in.domid != x->out.domid ||
        x->in.nr_extents << x->in.extent_order != x->out.nr_extents << x->out.extent_order)
        return -XEN_EINVAL;
    return x->in.domid == DOMID_SELF ? 0 : -XEN_ESRCH;
}

static int64_t exchange(struct machine *m, struct xen_memory_exchange *x)
{
    static struct chunk c;
    int in = (int)x->in.extent_order, out = (int)x->out.extent_order, rc = exchange_check(x);
    if (rc || x->nr_exchanged == x->in.nr_extents)
        return rc;
    c.nr_in = in < out ? 1u << (out - in) : 1;
    c.nr_out = out < in ? 1u << (in - out) : 1;
    request_begin(m);
    while (rc == 0 && x->nr_exchanged < x->in.nr_extents) {
        rc = exchange_chunk(m, x, &c, x->nr_exchanged / c.nr_in);
        x->nr_exchanged += rc == 0 ? c.nr_in : 0;
    }
    request_end(m);
    return rc;
}

/* ---- questions */

struct map_entry {
    uint64_t address, bytes;
    uint32_t type;
} __attribute__((packed));

static int64_t give_map(struct machine *m, struct xen_memory_map *map)
{
    const struct machine_e820 whole = {0, m->params.max_pages * PAGE_BYTES, 1};
    const struct machine_e820 *e = m->params.e820 ? m->params.e820 : &whole;
    unsigned count = m->params.e820 ? m->params.nr_e820 : 1;
    struct map_entry *to = map->buffer.p;
    if (map->nr_entries < count && m->params.initial_domain)
        return -XEN_EINVAL;
    if (map->nr_entries > count)
        map->nr_entries = count;
    for (unsigned i = 0; i < map->nr_entries; i++)
        to[i] = (struct map_entry){e[i].address, e[i].bytes, e[i].type};
    return 0;
}

/* The initial domain sees the machine's map, any other the one that was made for it. */
static int64_t memory_map(struct machine *m, uint64_t command, struct xen_memory_map *map)
{
    if (command == XENMEM_machine_memory_map && !m->params.initial_domain)
        return -XEN_EPERM;
    if (m->params.no_memory_map || (command == XENMEM_memory_map && m->params.initial_domain))
        return -XEN_ENOSYS;
    return give_map(m, map);
}

static int64_t machphys_mapping(struct machine *m, struct xen_machphys_mapping *mapping)
{
    *mapping = (struct xen_machphys_mapping){
        .v_start = M2P_BASE,
        .v_end = M2P_BASE + m->w->core.nr_frames * sizeof(uint64_t),
        .max_mfn = m->w->core.nr_frames - 1,
    };
    return 0;
}

static int64_t about_domain(struct machine *m, uint64_t command, const domid_t *id)
{
    if (*id != DOMID_SELF)
        return -XEN_ESRCH;
    return (int64_t)(command == XENMEM_current_reservation ? m->d->frames : m->d->max_frames);
}

int64_t do_memory_op(struct machine *m, const uint64_t arg[5])
{
    void *at = (void *)arg[1];
    switch (arg[0]) {
    case XENMEM_increase_reservation:
        return reservation(m, at, increase_one);
    case XENMEM_decrease_reservation:
        return reservation(m, at, decrease_one);
    case XENMEM_populate_physmap:
        return reservation(m, at, populate_one);
    case XENMEM_exchange:
        return exchange(m, at);
    case XENMEM_maximum_ram_page:
        return (int64_t)m->w->core.nr_frames;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
        return about_domain(m, arg[0], at);
    case XENMEM_memory_map:
    case XENMEM_machine_memory_map:
        return memory_map(m, arg[0], at);
    case XENMEM_machphys_mapping:
        return machphys_mapping(m, at);
    default:
        return -XEN_ENOSYS;
    }
}
