/* SPDX-License-Identifier: MIT */
/*
 * The grant table, and lending pages by it.
 *
 * The hypervisor marks the entries that are in use, at any time, and a suspend takes the table
 * away. What the library must know of an entry is therefore kept beside it, in a shadow of one word
 * for each: a page for each frame of the table.
 */
#include "internal.h"

#include <xen/grant_table.h>

/* A word of the shadow: what is lent, or with LENT clear the next free entry. */
#define LENT      (1ull << 63)
#define READ_ONLY (1ull << 62)
#define TO_SHIFT  46
#define PAGE_MASK ((1ull << TO_SHIFT) - 1)

_Static_assert(sizeof(grant_entry_v1_t) * ENTRIES == PVG_PAGE_BYTES, "entries of a frame");
_Static_assert(PVG_GRANT_RESERVED == GNTTAB_NR_RESERVED_ENTRIES, "entry 0 is never lent");

/* ---- the hypervisor */

static int error_of(int16_t status)
{
    switch (status) {
    case GNTST_okay:
        return 0;
    case GNTST_bad_domain:
        return -XEN_ESRCH;
    case GNTST_bad_gntref:
        return -XEN_ENOENT;
    case GNTST_permission_denied:
        return -XEN_EACCES;
    default:
        return -XEN_EIO;
    }
}

int grant_op(struct pvguest *g, unsigned command, void *op, const int16_t *status)
{
    int rc = (int)port_hypercall(__HYPERVISOR_grant_table_op, command, (uint64_t)op, 1, 0, 0);
    if (rc)
        return fail(g, rc, "grant_table_op %u: refused, %s", command, error_name(rc));
    rc = error_of(*status);
    return rc ? fail(g, rc, "grant_table_op %u: status %d", command, *status) : 0;
}

static int check_size(struct pvguest *g, unsigned frames)
{
    struct gnttab_query_size op = {.dom = DOMID_SELF};
    int rc = grant_op(g, GNTTABOP_query_size, &op, &op.status);
    if (rc == 0 && op.max_nr_frames < frames)
        rc = fail(g, -XEN_ENOSPC, "the hypervisor allows %u", op.max_nr_frames);
    return rc;
}

/* ---- the table in the fixmap */

static void unmap_frames(struct pvguest *g, unsigned from, unsigned to)
{
    undo_begin(g);
    while (to-- > from)
        fixmap_set(g, FIX_GRANT + to, 0);
    undo_end(g);
}

/* Has the hypervisor make it of `to` frames, and maps those from `from` on. All or none. */
static int map_frames(struct pvguest *g, unsigned from, unsigned to)
{
    xen_pfn_t frame[PVG_GRANT_FRAMES_MAX] = {0};
    struct gnttab_setup_table op = {.dom = DOMID_SELF, .nr_frames = to};
    set_xen_guest_handle(op.frame_list, frame);
    int rc = grant_op(g, GNTTABOP_setup_table, &op, &op.status);
    for (unsigned i = from; i < to && rc == 0; i++) {
        rc = fixmap_set(g, FIX_GRANT + i, pvg_pte(pvg_mfn(frame[i]), PVG_PTE_DATA));
        if (rc)
            unmap_frames(g, from, i);
    }
    return rc;
}

static grant_entry_v1_t *entry_at(struct pvguest *g, uint32_t ref)
{
    uint64_t va = fixmap_va(FIX_GRANT + ref / ENTRIES);
    return port_at(g, va + ref % ENTRIES * sizeof(grant_entry_v1_t), PORT_WRITE);
}

/* ---- the shadow */

static uint64_t shadow_va(struct pvguest *g, uint32_t ref)
{
    return page_va(g, g->grants.shadow[ref / ENTRIES]) + ref % ENTRIES * sizeof(uint64_t);
}

static void put_free(struct pvguest *g, uint32_t ref)
{
    store(g, shadow_va(g, ref), g->grants.free);
    g->grants.free = ref;
}

static void give_shadows(struct pvguest *g, unsigned from, unsigned to)
{
    undo_begin(g);
    while (to-- > from)
        pvg_pages_give(g, g->grants.shadow[to], 1);
    undo_end(g);
}

static int take_shadows(struct pvguest *g, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        int rc = pvg_pages_take(g, 1, 1, &g->grants.shadow[i]);
        if (rc) {
            give_shadows(g, from, i);
            return fail_in(g, rc, "a page beside the table");
        }
    }
    return 0;
}

/* The first of the entries is the first to be lent. */
static void free_entries(struct pvguest *g, uint32_t from, uint32_t to)
{
    while (to-- > from)
        if (to >= PVG_GRANT_RESERVED)
            put_free(g, to);
        else
            store(g, shadow_va(g, to), 0);
}

/* ---- set-up */

static int grow(struct pvguest *g, unsigned frames)
{
    unsigned old = g->grants.frames;
    int rc = check_size(g, frames);
    if (rc == 0)
        rc = take_shadows(g, old, frames);
    if (rc)
        return rc;
    rc = map_frames(g, old, frames);
    if (rc) {
        give_shadows(g, old, frames);
        return rc;
    }
    g->grants.frames = frames;
    free_entries(g, old * ENTRIES, frames * ENTRIES);
    return 0;
}

int pvg_grant_init(struct pvguest *g, unsigned frames)
{
    int rc = 0;
    if (!g->booted)
        rc = fail(g, -XEN_EINVAL, "pvg_boot() has not been done");
    else if (frames == 0 || frames > PVG_GRANT_FRAMES_MAX)
        rc = fail(g, -XEN_EINVAL, "1 to %u are possible", PVG_GRANT_FRAMES_MAX);
    else if (frames > g->grants.frames)
        rc = grow(g, frames);
    return fail_in(g, rc, "grant table of %u frames", frames);
}

/* ---- lending */

static int frame_of(struct pvguest *g, pvg_pfn_t page, uint32_t *frame)
{
    uint64_t e = pvg_p2m_entry(g, page);
    if (e == PVG_P2M_MISSING || e & PVG_P2M_MARKS)
        return fail(g, -XEN_EINVAL, "it has no frame of the guest's own");
    if (e > UINT32_MAX)
        return fail(g, -XEN_EINVAL, "an entry has no room for mfn %lx", e);
    *frame = (uint32_t)e;
    return 0;
}

/* The other side may look as soon as the flags are there. */
static void write_entry(struct pvguest *g, uint32_t ref, uint64_t word, uint32_t frame)
{
    grant_entry_v1_t *e = entry_at(g, ref);
    __atomic_store_n(&e->domid, (domid_t)(word >> TO_SHIFT), __ATOMIC_RELAXED);
    __atomic_store_n(&e->frame, frame, __ATOMIC_RELAXED);
    __atomic_store_n(&e->flags, GTF_permit_access | (word & READ_ONLY ? GTF_readonly : 0),
                     __ATOMIC_RELEASE);
}

/* false: somebody uses it. What the entry said besides may stay. */
static bool clear_entry(struct pvguest *g, uint32_t ref)
{
    grant_entry_v1_t *e = entry_at(g, ref);
    uint16_t seen = __atomic_load_n(&e->flags, __ATOMIC_RELAXED);
    do {
        if (seen & (GTF_reading | GTF_writing))
            return false;
    } while (!__atomic_compare_exchange_n(&e->flags, &seen, GTF_invalid, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    return true;
}

static int lend(struct pvguest *g, uint64_t word, uint32_t *out)
{
    uint32_t frame, ref = g->grants.free;
    if (g->grants.frames == 0)
        return fail(g, -XEN_EINVAL, "there is no grant table");
    int rc = frame_of(g, pvg_pfn(word & PAGE_MASK), &frame);
    if (rc)
        return rc;
    if (ref == 0)
        return fail(g, -XEN_ENOSPC, "all %u entries are in use", g->grants.frames * ENTRIES);
    g->grants.free = (uint32_t)load(g, shadow_va(g, ref));
    store(g, shadow_va(g, ref), word);
    write_entry(g, ref, word, frame);
    g->grants.lent++;
    *out = ref;
    return 0;
}

int pvg_grant_access(struct pvguest *g, domid_t to, pvg_pfn_t page, bool read_only, uint32_t *ref)
{
    uint64_t word = LENT | (read_only ? READ_ONLY : 0) | (uint64_t)to << TO_SHIFT | page.n;
    int rc;
    if (page.n >= PVG_P2M_PFNS)
        rc = fail(g, -XEN_EINVAL, "no such page");
    else
        rc = lend(g, word, ref);
    return fail_in(g, rc, "lending pfn %lx to domain %u", page.n, to);
}

static bool is_lent(struct pvguest *g, uint32_t ref)
{
    return ref < g->grants.frames * ENTRIES && load(g, shadow_va(g, ref)) & LENT;
}

int pvg_grant_end(struct pvguest *g, uint32_t ref)
{
    if (!is_lent(g, ref))
        return fail(g, -XEN_EINVAL, "grant %u: nothing is lent by it", ref);
    if (!clear_entry(g, ref))
        return fail(g, -XEN_EBUSY, "grant %u: domain %u has pfn %lx mapped", ref,
                    (domid_t)(load(g, shadow_va(g, ref)) >> TO_SHIFT),
                    (uint64_t)(load(g, shadow_va(g, ref)) & PAGE_MASK));
    put_free(g, ref);
    g->grants.lent--;
    return 0;
}

unsigned pvg_grants(struct pvguest *g)
{
    return g->grants.lent;
}

/* ---- around a suspend */

static int unmap_table(struct pvguest *g)
{
    uint64_t old[PVG_GRANT_FRAMES_MAX];
    for (unsigned i = 0; i < g->grants.frames; i++) {
        old[i] = fixmap_entry(g, FIX_GRANT + i);
        int rc = fixmap_set(g, FIX_GRANT + i, 0);
        if (rc == 0)
            continue;
        undo_begin(g);
        while (i-- > 0)
            fixmap_set(g, FIX_GRANT + i, old[i]);
        undo_end(g);
        return rc;
    }
    return 0;
}

/* Afterwards there would be nothing to lend, and no way back. */
static int check_lent(struct pvguest *g)
{
    uint32_t frame;
    for (uint32_t ref = PVG_GRANT_RESERVED; ref < g->grants.frames * ENTRIES; ref++) {
        uint64_t word = load(g, shadow_va(g, ref));
        int rc = word & LENT ? frame_of(g, pvg_pfn(word & PAGE_MASK), &frame) : 0;
        if (rc)
            return fail_in(g, rc, "grant %u, pfn %lx", ref, (uint64_t)(word & PAGE_MASK));
    }
    return 0;
}

int grants_suspend(struct pvguest *g)
{
    int rc = grants_none_borrowed(g);
    if (rc == 0)
        rc = check_lent(g);
    return fail_in(g, rc ? rc : unmap_table(g), "grants");
}

/* A blank table, and pages that are other frames now. */
static int lend_again(struct pvguest *g)
{
    uint32_t frame;
    for (uint32_t ref = PVG_GRANT_RESERVED; ref < g->grants.frames * ENTRIES; ref++) {
        uint64_t word = load(g, shadow_va(g, ref));
        if (!(word & LENT))
            continue;
        int rc = frame_of(g, pvg_pfn(word & PAGE_MASK), &frame);
        if (rc)
            return fail_in(g, rc, "lending pfn %lx again", (uint64_t)(word & PAGE_MASK));
        write_entry(g, ref, word, frame);
    }
    return 0;
}

int grants_resume(struct pvguest *g, bool elsewhere)
{
    int rc = g->grants.frames ? map_frames(g, 0, g->grants.frames) : 0;
    if (rc == 0 && elsewhere)
        rc = lend_again(g);
    return fail_in(g, rc, "grants");
}
