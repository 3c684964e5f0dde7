/* SPDX-License-Identifier: MIT */
/*
 * grant_table_op: questions about the table, copying by grant, swapping (<xen/grant_table.h>).
 *
 * The table has version 1 alone, as under Xen started with gnttab=max-ver:1: what version 2 adds,
 * grants of parts of pages and of others' grants, is of no use to a domain that is alone.
 */
#include "dirty.h"
#include "hypercall.h"

#include <xen/grant_table.h>

#define COMMAND_MASK 0xfffu /* of grant_table_op's first argument; above: where a flush goes on */
#define VERSION      1u

/* ---- about the table: one element, no batch */

/* The table's frames that the guest wants to know, in a list of its own. */
static int16_t give_frames(const struct domain *d, gva_t list, uint32_t n)
{
    int16_t status = GNTST_okay;
    for (uint32_t i = 0; i < n; i++) {
        xen_pfn_t number = d->grants.frame[i].n;
        if (!copy_to_guest(gva(list.a + i * sizeof(number)), &number, sizeof(number)))
            status = GNTST_bad_virt_addr;
    }
    return status;
}

static bool give_status(gva_t at, size_t offset, int16_t status)
{
    return copy_to_guest(gva(at.a + offset), &status, sizeof(status));
}

static int64_t setup_table(gva_t at, uint32_t count)
{
    struct gnttab_setup_table op;
    if (count != 1)
        return -XEN_EINVAL;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    gva_t list = gva((uint64_t)op.frame_list.p);
    if (!guest_range_ok(list, 1))
        return -XEN_EFAULT;
    struct domain *d = domain_by_id(op.dom);
    if (!d)
        op.status = GNTST_bad_domain;
    else if (!grant_grow(d, op.nr_frames))
        op.status = GNTST_general_error;
    else
        op.status = give_frames(d, list, op.nr_frames);
    return give_status(at, offsetof(struct gnttab_setup_table, status), op.status) ? 0
                                                                                   : -XEN_EFAULT;
}

static int64_t query_size(gva_t at, uint32_t count)
{
    struct gnttab_query_size op;
    if (count != 1)
        return -XEN_EINVAL;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    const struct domain *d = domain_by_id(op.dom);
    op.status = d ? GNTST_okay : GNTST_bad_domain;
    if (d) {
        op.nr_frames = d->grants.frames;
        op.max_nr_frames = GRANT_FRAMES_MAX;
    }
    return copy_to_guest(at, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t set_version(gva_t at)
{
    struct gnttab_set_version op;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    int rc = op.version == VERSION ? 0 : op.version == 2 ? -XEN_ENOSYS : -XEN_EINVAL;
    op.version = VERSION;
    return copy_to_guest(at, &op, sizeof(op)) ? rc : -XEN_EFAULT;
}

static int64_t get_version(gva_t at)
{
    struct gnttab_get_version op;
    uint32_t version = VERSION;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    if (!domain_by_id(op.dom))
        return -XEN_ESRCH;
    gva_t to = gva(at.a + offsetof(struct gnttab_get_version, version));
    return copy_to_guest(to, &version, sizeof(version)) ? 0 : -XEN_EFAULT;
}

/* Status frames belong to version 2: there are none. */
static int64_t get_status_frames(gva_t at, uint32_t count)
{
    struct gnttab_get_status_frames op;
    if (count != 1)
        return -XEN_EINVAL;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    if (!guest_range_ok(gva((uint64_t)op.frame_list.p), 1))
        return -XEN_EFAULT;
    if (!domain_by_id(op.dom))
        op.status = GNTST_bad_domain;
    else
        op.status = op.nr_frames == 0 ? GNTST_okay : GNTST_general_error;
    return give_status(at, offsetof(struct gnttab_get_status_frames, status), op.status)
               ? 0
               : -XEN_EFAULT;
}

/* ---- copying */

/* One side of a copy: whose, by grant or by frame, and what that comes to. */
struct side {
    const struct gnttab_copy_ptr *ptr;
    bool by_grant, is_source;
    struct domain *d;
    mfn_t frame;
    bool acquired;
};

/* By frame a domain names its own only, and in no other way than this. */
static int side_domain(struct side *s)
{
    s->d = domain_by_id(s->ptr->domid);
    if (!s->d)
        return GNTST_bad_domain;
    return s->by_grant || s->ptr->domid == DOMID_SELF ? GNTST_okay : GNTST_permission_denied;
}

static int side_acquire(struct side *s)
{
    if (s->by_grant) {
        int status = grant_acquire(s->d, s->ptr->u.ref, !s->is_source, false, &s->frame);
        s->acquired = status == GNTST_okay;
        return status;
    }
    s->frame = mfn(s->ptr->u.gmfn);
    bool own = core_frame_owner(the_core(), s->frame) == s->d->mem.id;
    return own ? GNTST_okay : GNTST_bad_page;
}

static void side_release(struct side *s)
{
    if (s->acquired)
        grant_release(s->d, s->ptr->u.ref, !s->is_source);
}

/* The frame written to must take it as one that is writable; that is checked before the bounds
 * are, as real Xen does. */
static int copy_bytes(struct call *c, const struct gnttab_copy *op, const struct side *from,
                      const struct side *to)
{
    bool fits =
        op->source.offset + op->len <= PAGE_BYTES && op->dest.offset + op->len <= PAGE_BYTES;
    dirty_mark(to->frame);
    int rc =
        core_copy_bytes(the_core(), &c->v->mem, &to->d->mem, to->frame, fits ? op->dest.offset : 0,
                        from->frame, fits ? op->source.offset : 0, fits ? op->len : 0);
    if (rc == CORE_RESTART)
        return rc;
    if (rc) {
        note_refusal_at(c, rc, c->v->grant_index, c->v->grant_count, NULL);
        return GNTST_general_error;
    }
    return fits ? GNTST_okay : GNTST_bad_copy_arg;
}

static int copy_one(struct call *c, const struct gnttab_copy *op)
{
    struct side from = {&op->source, op->flags & GNTCOPY_source_gref, true, NULL, NO_MFN, false};
    struct side to = {&op->dest, op->flags & GNTCOPY_dest_gref, false, NULL, NO_MFN, false};
    int status = side_domain(&from);
    if (status == GNTST_okay)
        status = side_domain(&to);
    if (status == GNTST_okay)
        status = side_acquire(&from);
    if (status == GNTST_okay)
        status = side_acquire(&to);
    if (status == GNTST_okay)
        status = copy_bytes(c, op, &from, &to);
    side_release(&to);
    side_release(&from);
    return status;
}

/* ---- steps of batches */

static int64_t copy_step(struct call *c, gva_t at)
{
    struct gnttab_copy op;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    int status = copy_one(c, &op);
    if (status == CORE_RESTART)
        return status;
    bool told = give_status(at, offsetof(struct gnttab_copy, status), (int16_t)status);
    return told ? 0 : -XEN_EFAULT;
}

static int64_t swap_step(struct call *c, gva_t at)
{
    struct gnttab_swap_grant_ref op;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    int status = grant_swap(c->v->domain, op.ref_a, op.ref_b);
    bool told = give_status(at, offsetof(struct gnttab_swap_grant_ref, status), (int16_t)status);
    return told ? 0 : -XEN_EFAULT;
}

/* No device of this domain sees memory past the caches: nothing needs writing back. What would be
 * thrown away cannot be, on this processor. */
static int64_t flush_step(struct call *c, gva_t at)
{
    const uint32_t known = GNTTAB_CACHE_INVAL | GNTTAB_CACHE_CLEAN;
    bool goes_on = (uint32_t)c->arg[0] & ~COMMAND_MASK;
    struct gnttab_cache_flush op;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    if (op.offset >= PAGE_BYTES || op.offset + op.length > PAGE_BYTES || (op.op & ~known))
        return -XEN_EINVAL;
    if (op.length == 0 || op.op == 0)
        return goes_on ? -XEN_EILSEQ : 0;
    int owner = core_frame_owner(the_core(), maddr_frame((maddr_t){op.a.dev_bus_addr}));
    if (owner != c->v->domain->mem.id)
        return owner == -2 ? -XEN_EINVAL : -XEN_EPERM;
    return op.op & GNTTAB_CACHE_CLEAN ? 0 : -XEN_EOPNOTSUPP;
}

/* Nobody takes pages: no entry of an only domain accepts what it would itself give. The page stays
 * where it is; real Xen frees one that could be given and is not taken. */
static int transfer_status(const struct domain *d, const struct gnttab_transfer *op)
{
    mfn_t m = mfn(op->mfn);
    if (core_frame_owner(the_core(), m) != d->mem.id || core_frame_holds(the_core(), m) != 1)
        return GNTST_bad_page; /* another's, or in use */
    return domain_by_id(op->domid) ? GNTST_general_error : GNTST_bad_domain;
}

static int64_t transfer_step(struct call *c, gva_t at)
{
    struct gnttab_transfer op;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    int status = transfer_status(c->v->domain, &op);
    bool told = give_status(at, offsetof(struct gnttab_transfer, status), (int16_t)status);
    return told ? 0 : -XEN_EFAULT;
}

/* ---- dispatch */

typedef int64_t grant_step(struct call *c, gva_t at);

/* Performs one element. CORE_RESTART: it is still to be done. */
static int64_t perform(struct call *c, gva_t at, grant_step *step)
{
    if (!request_open(c->v))
        return CORE_RESTART;
    int64_t rc = step(c, at);
    request_close(c->v);
    return rc;
}

/* Elements in order, each with a status of its own; only what cannot be read or answered stops. */
static int64_t for_each(struct call *c, gva_t list, uint32_t count, uint32_t bytes,
                        grant_step *step)
{
    int64_t rc = 0;
    uint32_t i = 0;
    if (!guest_range_ok(list, 1)) /* where it ends shows element by element */
        return -XEN_EFAULT;
    uint64_t before = progress_take(&c->v->batch, list.a);
    c->v->grant_count = before + count;
    c->arg[1] = list.a - before * bytes; /* as issued first */
    c->arg[2] = before + count;
    while (rc == 0 && i < count) {
        bool stop = i > 0 && cpu_interrupt_pending();
        c->v->grant_index = before + i;
        rc = stop ? CORE_RESTART : perform(c, gva(list.a + (uint64_t)i * bytes), step);
        i += rc == 0;
    }
    grant_flush();
    if (rc != CORE_RESTART)
        return rc;
    c->arg[0] &= COMMAND_MASK;
    c->arg[1] = list.a + (uint64_t)i * bytes;
    c->arg[2] = count - i;
    c->v->batch = (struct progress){c->arg[1], before + i};
    return call_restart(c);
}

int64_t hc_grant_table_op(struct call *c)
{
    uint32_t command = (uint32_t)c->arg[0] & COMMAND_MASK;
    gva_t at = gva(c->arg[1]);
    uint32_t n = (uint32_t)c->arg[2];
    if (n > INT32_MAX)
        return -XEN_EINVAL;
    if (command != GNTTABOP_cache_flush && (uint32_t)c->arg[0] != command)
        return -XEN_EINVAL;
    switch (command) {
    case GNTTABOP_map_grant_ref:
        return for_each(c, at, n, sizeof(struct gnttab_map_grant_ref), grant_map_step);
    case GNTTABOP_unmap_grant_ref:
        return for_each(c, at, n, sizeof(struct gnttab_unmap_grant_ref), grant_unmap_step);
    case GNTTABOP_unmap_and_replace:
        return for_each(c, at, n, sizeof(struct gnttab_unmap_and_replace), grant_replace_step);
    case GNTTABOP_copy:
        return for_each(c, at, n, sizeof(struct gnttab_copy), copy_step);
    case GNTTABOP_swap_grant_ref:
        return for_each(c, at, n, sizeof(struct gnttab_swap_grant_ref), swap_step);
    case GNTTABOP_cache_flush:
        return for_each(c, at, n, sizeof(struct gnttab_cache_flush), flush_step);
    case GNTTABOP_transfer:
        return for_each(c, at, n, sizeof(struct gnttab_transfer), transfer_step);
    case GNTTABOP_setup_table:
        return setup_table(at, n);
    case GNTTABOP_query_size:
        return query_size(at, n);
    case GNTTABOP_set_version:
        return set_version(at);
    case GNTTABOP_get_version:
        return get_version(at);
    case GNTTABOP_get_status_frames:
        return get_status_frames(at, n);
    default:
        return -XEN_ENOSYS;
    }
}
