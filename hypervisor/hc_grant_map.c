/* SPDX-License-Identifier: MIT */
/*
 * grant_table_op: mapping a grant and unmapping it. The mapping is an L1 entry that the core writes
 * and counts like any other (R2, R3); a handle leads back to the grant. A guest that overwrites the
 * entry by other means keeps the handle and can no longer give it back, as under Xen.
 */
#include "hypercall.h"
#include "shadow.h"

#include <xen/grant_table.h>

#define AVAIL_SHIFT 9 /* of an L1 entry: three bits for the guest's own use */
#define AVAIL_BITS  7u

static bool any_unmapped; /* the TLB may still show entries that are gone */

void grant_flush(void)
{
    if (any_unmapped)
        tlb_flush_local();
    any_unmapped = false;
}

static uint64_t entry_of(mfn_t m, uint32_t flags)
{
    uint64_t e = PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY | PTE_NX;
    if (flags & GNTMAP_application_map)
        e |= PTE_USER;
    if (!(flags & GNTMAP_readonly))
        e |= PTE_RW;
    e |= (uint64_t)(flags >> _GNTMAP_guest_avail0 & AVAIL_BITS) << AVAIL_SHIFT;
    return pte_make(m, e);
}

/* Where the entry lies: what the guest names is its machine address, or the page it maps. */
static bool entry_place(const struct vcpu *v, uint64_t address, uint32_t flags, maddr_t *at)
{
    struct core_walk w;
    *at = (maddr_t){address};
    if (flags & GNTMAP_contains_pte)
        return address % sizeof(uint64_t) == 0;
    core_walk(the_core(), v->mem.kernel_root, gva(address), &w);
    *at = w.at[1].at;
    return w.level == 1;
}

/* What is there now. false: that is no table, or not the domain's. */
static bool entry_read(const struct vcpu *v, maddr_t at, uint64_t *out)
{
    const struct core *core = the_core();
    mfn_t m = maddr_frame(at);
    if (core_frame_owner(core, m) != v->domain->mem.id || core_frame_type(core, m) != TYPE_L1 ||
        !core_frame_validated(core, m))
        return false;
    *out = __atomic_load_n((uint64_t *)direct(at), __ATOMIC_ACQUIRE);
    return true;
}

/* ---- mapping */

/* Somebody else, if only the CPU with its accessed bit, was faster. */
static bool has_changed(const struct call *c, int rc)
{
    return rc == -XEN_EBUSY && c->v->mem.refusal.reason == REASON_ENTRY_CHANGED;
}

static int write_entry(struct call *c, maddr_t at, uint64_t value, uint64_t *expected)
{
    shadow_tables_change();
    int rc = core_write_l1(the_core(), &c->v->mem, at, value, expected);
    if (rc < 0 && rc != CORE_RESTART && !has_changed(c, rc))
        note_refusal_at(c, rc, c->v->grant_index, c->v->grant_count, NULL);
    return rc;
}

static int map_entry(struct call *c, const struct gnttab_map_grant_ref *op, mfn_t m)
{
    maddr_t at;
    if (!entry_place(c->v, op->host_addr, op->flags, &at))
        return GNTST_general_error;
    int rc = write_entry(c, at, entry_of(m, op->flags), NULL);
    return rc == 0 || rc == CORE_RESTART ? rc : GNTST_general_error;
}

/* A domain without devices has no use for an address on a bus. */
static int map_refused(const struct domain *d, const struct gnttab_map_grant_ref *op)
{
    if (!(op->flags & (GNTMAP_host_map | GNTMAP_device_map)))
        return GNTST_bad_gntref;
    if (op->dom != d->mem.id)
        return GNTST_bad_domain;
    if (!grant_handle_free(d))
        return GNTST_no_space;
    return op->flags & GNTMAP_device_map ? GNTST_general_error : GNTST_okay;
}

static int map_one(struct call *c, struct gnttab_map_grant_ref *op)
{
    struct domain *d = c->v->domain;
    bool writable = !(op->flags & GNTMAP_readonly);
    mfn_t m;
    int status = map_refused(d, op);
    if (status == GNTST_okay)
        status = grant_acquire(d, op->ref, writable, true, &m);
    if (status != GNTST_okay)
        return status;
    status = map_entry(c, op, m);
    if (status != GNTST_okay) {
        grant_release(d, op->ref, writable);
        return status;
    }
    op->handle = grant_handle_take(d, op->ref, op->flags);
    op->dev_bus_addr = mfn_address(m, 0).a;
    return GNTST_okay;
}

int64_t grant_map_step(struct call *c, gva_t at)
{
    struct gnttab_map_grant_ref op;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    int status = map_one(c, &op);
    if (status == CORE_RESTART)
        return status;
    op.status = (int16_t)status;
    return copy_to_guest(at, &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

/* ---- unmapping */

/* The entry must still be the one that the grant made: its frame, and whether it may be written. */
static bool is_grants_entry(uint64_t e, mfn_t m, uint32_t flags)
{
    const uint64_t compared = PTE_PRESENT | PTE_RW;
    return mfn_eq(pte_frame(e), m) && !((e ^ entry_of(m, flags)) & compared);
}

/* Puts `value` in the place of the grant's entry. The CPU may set bits in it meanwhile. */
static int replace_entry(struct call *c, maddr_t at, uint64_t value, mfn_t m, uint32_t flags)
{
    uint64_t seen;
    int rc;
    if (!entry_read(c->v, at, &seen))
        return GNTST_general_error;
    do {
        if (!is_grants_entry(seen, m, flags))
            return GNTST_general_error;
        rc = write_entry(c, at, value, &seen);
    } while (has_changed(c, rc));
    return rc == 0 || rc == CORE_RESTART ? rc : GNTST_general_error;
}

/* The entry that maps new_address moves: it must not be the grant's own. */
static int move_entry(struct call *c, maddr_t at, uint64_t new_address, mfn_t m, uint32_t flags)
{
    maddr_t from;
    uint64_t value;
    if ((flags & GNTMAP_contains_pte) || !entry_place(c->v, new_address, 0, &from) ||
        from.a == at.a || !entry_read(c->v, from, &value))
        return GNTST_general_error;
    int rc = replace_entry(c, at, value, m, flags);
    if (rc == 0 && write_entry(c, from, 0, NULL)) /* cannot be refused: nothing is taken */
        panic("an entry at %lx could not be cleared", from.a);
    return rc;
}

static int unmap_one(struct call *c, uint32_t handle, uint64_t address, uint64_t new_address)
{
    struct domain *d = c->v->domain;
    const struct grant_map *map = grant_handle(d, handle);
    maddr_t at;
    if (!map)
        return GNTST_bad_handle;
    if (address == 0) /* nothing is asked for */
        return GNTST_okay;
    if (!entry_place(c->v, address, map->flags, &at))
        return GNTST_general_error;
    mfn_t m = mfn(d->grants.pin[map->ref].frame);
    int rc = new_address ? move_entry(c, at, new_address, m, map->flags)
                         : replace_entry(c, at, 0, m, map->flags);
    if (rc)
        return rc;
    any_unmapped = true;
    grant_release(d, map->ref, !(map->flags & GNTMAP_readonly));
    grant_handle_put(d, handle);
    return GNTST_okay;
}

static int64_t tell_status(int status, gva_t at)
{
    int16_t told = (int16_t)status;
    if (status == CORE_RESTART)
        return status;
    return copy_to_guest(at, &told, sizeof(told)) ? 0 : -XEN_EFAULT;
}

int64_t grant_unmap_step(struct call *c, gva_t at)
{
    struct gnttab_unmap_grant_ref op;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    int status = unmap_one(c, op.handle, op.host_addr, 0);
    return tell_status(status, gva(at.a + offsetof(struct gnttab_unmap_grant_ref, status)));
}

int64_t grant_replace_step(struct call *c, gva_t at)
{
    struct gnttab_unmap_and_replace op;
    if (!copy_from_guest(&op, at, sizeof(op)))
        return -XEN_EFAULT;
    int status = unmap_one(c, op.handle, op.host_addr, op.new_addr);
    return tell_status(status, gva(at.a + offsetof(struct gnttab_unmap_and_replace, status)));
}
