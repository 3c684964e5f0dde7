/* SPDX-License-Identifier: MIT */
/*
 * grant_table_op (<xen/grant_table.h>, version 1), and the other domain, which lends pages and
 * borrows some. Statuses are those of Xen 4.17. Mappings are entries that the core writes and
 * counts, in tables of both domains.
 */
#include <stdint.h>
#include <string.h>

#include <xen/errno.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "inside.h"

#define ALLOWED    64u /* frames of a table, as Xen's own default */
#define PER_FRAME  512u
#define HANDLES    1024u
#define LENT       32u /* entries of the other domain's: one for each page */
#define PEER_FIRST 8u

struct use {
    unsigned readers, writers;
    uint64_t frame; /* while there are any */
};

struct handle {
    bool live, writable;
    domid_t of;
    uint32_t ref;
    uint64_t frame;
};

/* An entry of the other domain's table. */
struct lent {
    bool granted, read_only;
};

static struct {
    unsigned frames;
    uint64_t frame[ALLOWED];
    struct use use[ALLOWED * PER_FRAME];
    struct handle handle[HANDLES];
    struct lent lent[LENT];
    struct use lent_use[LENT];
    uint64_t table; /* the other domain's L1, slot i for the guest's ref i; 0: none */
    unsigned in_table;
    bool table_writes[PER_FRAME];
} t;

void grants_init(void)
{
    memset(&t, 0, sizeof(t));
}

void grants_end(struct machine *m)
{
    while (t.frames)
        glue_give(&m->w->core, mfn(t.frame[--t.frames]));
}

static struct core_domain *domain_of(struct machine *m, domid_t id)
{
    return id == MACHINE_SELF ? m->d : id == MACHINE_PEER ? world_domain(m->w, 1) : NULL;
}

/* ---- requests of either domain */

static void begin(struct machine *m, struct core_vcpu *v)
{
    while (core_begin(&m->w->core, v) == CORE_RESTART)
        core_end(&m->w->core, v);
}

static void end(struct machine *m, struct core_vcpu *v)
{
    while (core_end(&m->w->core, v) == CORE_RESTART)
        core_begin(&m->w->core, v);
}

/* The right shows only in the audit, which would have none of such entries otherwise. */
static int set_entry(struct machine *m, struct core_vcpu *v, struct core_domain *frames, maddr_t at,
                     uint64_t value)
{
    const struct core_update u = {at.a | MMU_NORMAL_PT_UPDATE, value};
    unsigned done;
    int rc;
    do {
        begin(m, v);
        rc = core_mmu_update(&m->w->core, v, v->domain, frames, &u, 1, &done);
        end(m, v);
    } while (rc == CORE_RESTART);
    return rc;
}

/* ---- the table */

static bool grow(struct machine *m, unsigned frames)
{
    while (t.frames < frames) {
        mfn_t n;
        m->w->take_from = world_below(m->w, m->w->core.nr_frames);
        if (!glue_take(&m->w->core, 0, CORE_NO_LIMIT, &n))
            return false;
        if (core_share(&m->w->core, m->d, n))
            machine_failed("frame %lx is free and cannot be lent", (unsigned long)n.n);
        t.frame[t.frames++] = n.n;
    }
    return true;
}

static unsigned allowed(const struct machine *m)
{
    return m->params.grant_frames ? m->params.grant_frames : ALLOWED;
}

static void query_size(struct machine *m, struct gnttab_query_size *op)
{
    op->status = op->dom == DOMID_SELF || op->dom == MACHINE_SELF ? GNTST_okay : GNTST_bad_domain;
    if (op->status != GNTST_okay)
        return;
    op->nr_frames = t.frames;
    op->max_nr_frames = allowed(m);
}

static void setup_table(struct machine *m, struct gnttab_setup_table *op)
{
    if (op->dom != DOMID_SELF && op->dom != MACHINE_SELF) {
        op->status = GNTST_bad_domain;
        return;
    }
    op->status = GNTST_general_error;
    if (op->nr_frames > allowed(m) || !grow(m, op->nr_frames))
        return;
    for (unsigned i = 0; i < op->nr_frames; i++)
        op->frame_list.p[i] = t.frame[i];
    op->status = GNTST_okay;
}

/* ---- entries */

static grant_entry_v1_t *entry(struct machine *m, uint32_t ref)
{
    return (grant_entry_v1_t *)machine_frame(m, t.frame[ref / PER_FRAME]) + ref % PER_FRAME;
}

static bool in_use(const struct use *u)
{
    return u->readers || u->writers;
}

/* What an entry grants to whom, by what it says now. */
struct granted {
    bool access, read_only;
    uint64_t frame;
};

static struct granted granted(struct machine *m, domid_t of, uint32_t ref, domid_t to)
{
    if (of == MACHINE_PEER)
        return (struct granted){t.lent[ref].granted && to == MACHINE_SELF, t.lent[ref].read_only,
                                machine_peer_frame(m, ref - PEER_FIRST)};
    const grant_entry_v1_t *e = entry(m, ref);
    bool access = (e->flags & (GTF_type_mask | GTF_sub_page)) == GTF_permit_access;
    return (struct granted){access && e->domid == to, e->flags & GTF_readonly, e->frame};
}

static bool exists(domid_t of, uint32_t ref)
{
    return of == MACHINE_PEER ? ref < LENT : ref < t.frames * PER_FRAME;
}

static struct use *use_of(domid_t of, uint32_t ref)
{
    return of == MACHINE_PEER ? &t.lent_use[ref] : &t.use[ref];
}

static void mark(struct machine *m, domid_t of, uint32_t ref)
{
    const struct use *u = use_of(of, ref);
    if (of == MACHINE_PEER)
        return;
    grant_entry_v1_t *e = entry(m, ref);
    e->flags &= (uint16_t) ~(GTF_reading | GTF_writing);
    e->flags |= (in_use(u) ? GTF_reading : 0) | (u->writers ? GTF_writing : 0);
}

static int acquire(struct machine *m, domid_t of, uint32_t ref, domid_t to, bool write,
                   uint64_t *frame)
{
    if (!exists(of, ref))
        return GNTST_bad_gntref;
    struct use *u = use_of(of, ref);
    struct granted is = granted(m, of, ref, to);
    if (!in_use(u) || (write && !u->writers)) {
        if ((!is.access && !in_use(u)) || (write && is.read_only))
            return GNTST_general_error;
    }
    if (!in_use(u)) {
        if (core_frame_owner(&m->w->core, mfn(is.frame)) != domain_of(m, of)->id)
            return GNTST_bad_page;
        u->frame = is.frame;
    }
    *(write ? &u->writers : &u->readers) += 1;
    mark(m, of, ref);
    *frame = u->frame;
    return GNTST_okay;
}

static void release(struct machine *m, domid_t of, uint32_t ref, bool write)
{
    struct use *u = use_of(of, ref);
    *(write ? &u->writers : &u->readers) -= 1;
    mark(m, of, ref);
}

/* ---- the guest maps */

static uint64_t entry_of(uint64_t frame, bool writable)
{
    return pte_make(mfn(frame),
                    PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY | PTE_NX | (writable ? PTE_RW : 0));
}

/* For the audit alone: other domains' frames are in order while there is such a handle. */
static void set_right(struct machine *m)
{
    m->d->controls_all = false;
    for (unsigned i = 0; i < HANDLES; i++)
        m->d->controls_all |= t.handle[i].live && t.handle[i].of == MACHINE_PEER;
}

static struct handle *free_handle(void)
{
    for (unsigned i = 1; i < HANDLES; i++)
        if (!t.handle[i].live)
            return &t.handle[i];
    return NULL;
}

static int map_at(struct machine *m, uint64_t va, const struct handle *h)
{
    maddr_t at;
    if (va % PAGE_BYTES || !core_find_l1(&m->w->core, m->v->kernel_root, gva(va), &at))
        return GNTST_general_error;
    int rc = set_entry(m, m->v, domain_of(m, h->of), at, entry_of(h->frame, h->writable));
    return rc ? GNTST_general_error : GNTST_okay;
}

static int map_one(struct machine *m, struct gnttab_map_grant_ref *op)
{
    struct handle h = {true, !(op->flags & GNTMAP_readonly), op->dom, op->ref, 0};
    struct handle *to = free_handle();
    if (!(op->flags & GNTMAP_host_map))
        return GNTST_bad_gntref;
    if (op->flags & ~(GNTMAP_host_map | GNTMAP_readonly))
        machine_failed("grant mapping with flags %x", op->flags);
    if (!domain_of(m, op->dom))
        return GNTST_bad_domain;
    if (!to)
        return GNTST_no_space;
    int status = acquire(m, h.of, h.ref, MACHINE_SELF, h.writable, &h.frame);
    if (status)
        return status;
    status = map_at(m, op->host_addr, &h);
    if (status) {
        release(m, h.of, h.ref, h.writable);
        return status;
    }
    *to = h;
    op->handle = (grant_handle_t)(to - t.handle);
    op->dev_bus_addr = h.frame << 12;
    set_right(m);
    return GNTST_okay;
}

static int unmap_one(struct machine *m, const struct gnttab_unmap_grant_ref *op)
{
    struct handle *h = &t.handle[op->handle < HANDLES ? op->handle : 0];
    maddr_t at;
    if (!h->live)
        return GNTST_bad_handle;
    if (op->host_addr == 0)
        return GNTST_okay;
    if (!core_find_l1(&m->w->core, m->v->kernel_root, gva(op->host_addr), &at))
        return GNTST_general_error;
    uint64_t e = machine_frame(m, maddr_frame(at).n)[at.a % PAGE_BYTES / sizeof(uint64_t)];
    const uint64_t compared = PTE_PRESENT | PTE_RW;
    if (pte_frame(e).n != h->frame || ((e ^ entry_of(h->frame, h->writable)) & compared))
        return GNTST_general_error;
    if (set_entry(m, m->v, m->d, at, 0))
        return GNTST_general_error;
    access_flush_all();
    release(m, h->of, h->ref, h->writable);
    h->live = false;
    set_right(m);
    return GNTST_okay;
}

bool grants_reach(uint64_t n, bool write)
{
    bool reached = false;
    for (unsigned i = 0; i < HANDLES && !reached; i++)
        reached = t.handle[i].live && t.handle[i].frame == n && (t.handle[i].writable || !write);
    return reached;
}

/* ---- the hypercall */

static void one(struct machine *m, uint64_t command, void *op)
{
    switch (command) {
    case GNTTABOP_query_size:
        query_size(m, op);
        break;
    case GNTTABOP_setup_table:
        setup_table(m, op);
        break;
    case GNTTABOP_map_grant_ref:
        ((struct gnttab_map_grant_ref *)op)->status = (int16_t)map_one(m, op);
        break;
    case GNTTABOP_unmap_grant_ref:
        ((struct gnttab_unmap_grant_ref *)op)->status = (int16_t)unmap_one(m, op);
        break;
    }
}

static int16_t *status_at(uint64_t command, void *op)
{
    switch (command) {
    case GNTTABOP_query_size:
        return &((struct gnttab_query_size *)op)->status;
    case GNTTABOP_setup_table:
        return &((struct gnttab_setup_table *)op)->status;
    case GNTTABOP_map_grant_ref:
        return &((struct gnttab_map_grant_ref *)op)->status;
    case GNTTABOP_unmap_grant_ref:
        return &((struct gnttab_unmap_grant_ref *)op)->status;
    default:
        return NULL;
    }
}

int64_t do_grant_table_op(struct machine *m, const uint64_t arg[5])
{
    void *op = (void *)arg[1];
    int16_t *status = status_at(arg[0], op);
    if (m->params.no_grants || !status)
        return -XEN_ENOSYS;
    if (arg[2] != 1)
        machine_failed("grant_table_op %lu with %lu elements", arg[0], arg[2]);
    if (!grow(m, 1)) /* as many as a guest starts with */
        return -XEN_ENOMEM;
    if (element_next(m))
        *status = GNTST_general_error;
    else
        one(m, arg[0], op);
    return 0;
}

/* ---- looking */

unsigned machine_grant_frames(struct machine *m)
{
    (void)m;
    return t.frames;
}

const void *machine_grant_entry(struct machine *m, uint32_t ref)
{
    return entry(m, ref);
}

unsigned machine_grant_handles(struct machine *m)
{
    unsigned n = 0;
    (void)m;
    for (unsigned i = 0; i < HANDLES; i++)
        n += t.handle[i].live;
    return n;
}

/* ---- the other domain */

/* Its last page is its table. */
uint64_t machine_peer_frame(struct machine *m, unsigned i)
{
    for (uint64_t n = WORLD_FIRST_FREE; n < m->w->core.nr_frames; n++)
        if (machine_owner(m, n) == MACHINE_OTHER && i-- == 0)
            return n;
    machine_failed("the other domain has fewer pages");
}

uint32_t machine_peer_ref(unsigned i)
{
    return PEER_FIRST + i;
}

uint32_t machine_peer_lend(struct machine *m, unsigned i, bool read_only)
{
    (void)m;
    uint32_t ref = PEER_FIRST + i;
    t.lent[ref] = (struct lent){true, read_only};
    return ref;
}

bool machine_peer_end(struct machine *m, uint32_t ref)
{
    (void)m;
    if (in_use(&t.lent_use[ref]))
        return false;
    t.lent[ref].granted = false;
    return true;
}

static struct core_vcpu *peer(struct machine *m)
{
    return world_vcpu(m->w, 1, 0);
}

static void pin_table(struct machine *m)
{
    int rc;
    t.table = machine_peer_frame(m, OTHER_FRAMES - 1);
    memset(machine_frame(m, t.table), 0, PAGE_BYTES);
    do {
        begin(m, peer(m));
        rc = core_pin(&m->w->core, peer(m), world_domain(m->w, 1), mfn(t.table), 1);
        end(m, peer(m));
    } while (rc == CORE_RESTART);
    if (rc)
        machine_failed("the other domain's table: %d", rc);
    world_domain(m->w, 1)->controls_all = true;
}

static void unpin_table(struct machine *m)
{
    int rc;
    do {
        begin(m, peer(m));
        rc = core_unpin(&m->w->core, peer(m), world_domain(m->w, 1), mfn(t.table));
        end(m, peer(m));
    } while (rc == CORE_RESTART);
    if (rc)
        machine_failed("the other domain's table stays: %d", rc);
    world_domain(m->w, 1)->controls_all = false;
    t.table = 0;
}

static int peer_set(struct machine *m, uint32_t ref, uint64_t value)
{
    return set_entry(m, peer(m), m->d, mfn_address(mfn(t.table), ref % PER_FRAME * 8), value);
}

int machine_peer_map(struct machine *m, uint32_t ref, bool write)
{
    uint64_t frame;
    int status = acquire(m, MACHINE_SELF, ref, MACHINE_PEER, write, &frame);
    if (status)
        return status;
    if (!t.table)
        pin_table(m);
    bool taken = machine_frame(m, t.table)[ref % PER_FRAME] & PTE_PRESENT;
    if (taken || peer_set(m, ref, entry_of(frame, write))) {
        release(m, MACHINE_SELF, ref, write);
        status = GNTST_general_error;
    } else {
        t.table_writes[ref % PER_FRAME] = write;
        t.in_table++;
    }
    if (!t.in_table)
        unpin_table(m);
    return status;
}

void machine_peer_unmap(struct machine *m, uint32_t ref)
{
    if (peer_set(m, ref, 0))
        machine_failed("the other domain cannot give page %u back", ref);
    release(m, MACHINE_SELF, ref, t.table_writes[ref % PER_FRAME]);
    if (--t.in_table == 0)
        unpin_table(m);
}

/* ---- elsewhere */

/* Back to nobody, by hand: a loan ends with its domain alone. */
static void take_back(struct machine *m, uint64_t n)
{
    if (core_frame_holds(&m->w->core, mfn(n)) != 1)
        machine_failed("frame %lx of the grant table is mapped", (unsigned long)n);
    m->w->frames[n] = (struct frame){0};
    m->w->m2p[n] = NO_PFN.n;
    access_flush_all();
    glue_give(&m->w->core, mfn(n));
}

bool grants_unused(struct machine *m)
{
    if (t.in_table || machine_grant_handles(m))
        machine_failed("%u pages are mapped by grants", t.in_table + machine_grant_handles(m));
    return t.frames > 0;
}

void grants_first_frame(struct machine *m)
{
    grants_init();
    grow(m, 1);
}

void machine_grants_anew(struct machine *m)
{
    grants_unused(m);
    while (t.frames)
        take_back(m, t.frame[--t.frames]);
    grants_first_frame(m);
}
