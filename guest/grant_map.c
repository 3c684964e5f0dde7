/* SPDX-License-Identifier: MIT */
/*
 * Pages of other domains, mapped by their grants. The hypervisor makes and clears the entries
 * itself, and knows each mapping by a handle; what is mapped is in a book, as the handles are the
 * only way back.
 */
#include "roots.h"

#include <xen/grant_table.h>

#define LISTED 3u /* of what is in the way of a suspend */

/* ---- the book */

static struct grant_borrowed *find(struct pvguest *g, const struct pvg_grant_mapping *m)
{
    for (unsigned i = 0; i < g->grants.borrowed; i++) {
        struct grant_borrowed *b = &g->grants.book[i];
        if (b->at.va == m->va && b->at.handle == m->handle && b->at.from == m->from &&
            b->at.read_only == m->read_only)
            return b;
    }
    return NULL;
}

unsigned pvg_grant_mappings(struct pvguest *g)
{
    return g->grants.borrowed;
}

int grants_none_borrowed(struct pvguest *g)
{
    char list[LISTED * 64];
    unsigned n = g->grants.borrowed;
    size_t length = 0;
    if (n == 0)
        return 0;
    for (unsigned i = 0; i < n && i < LISTED; i++) {
        const struct grant_borrowed *b = &g->grants.book[i];
        length += pvg_format(list + length, sizeof(list) - length, "%s%lx (grant %u of domain %u)",
                             i ? ", " : "", b->at.va, b->ref, b->at.from);
    }
    return fail(g, -XEN_EBUSY, "%u pages of other domains are mapped: %s%s", n, list,
                n > LISTED ? ", ..." : "");
}

/* Entries that are cleared or changed by other means take the way back with them; of a hypervisor
 * that is built for debugging (CONFIG_DEBUG) they are the domain's end. */
int grants_none_within(struct pvguest *g, const struct pvg_space *s, uint64_t va, uint64_t last)
{
    for (unsigned i = 0; i < g->grants.borrowed; i++) {
        const struct grant_borrowed *b = &g->grants.book[i];
        if (b->space == s && b->at.va >= va && b->at.va <= last)
            return fail(g, -XEN_EBUSY, "%lx maps grant %u of domain %u", b->at.va, b->ref,
                        b->at.from);
    }
    return 0;
}

/* ---- mapping */

static int check(struct pvguest *g, uint64_t va)
{
    int rc = check_addresses(g, va, 1);
    if (rc == 0 && g->grants.borrowed == PVG_GRANT_MAPPINGS)
        rc = fail(g, -XEN_ENOSPC, "all %u mappings are in use", PVG_GRANT_MAPPINGS);
    return rc;
}

/* Its tables are there. */
static int borrow(struct pvguest *g, void *arg)
{
    struct grant_borrowed *b = arg;
    struct gnttab_map_grant_ref op = {
        .host_addr = b->at.va,
        .flags = GNTMAP_host_map | (b->at.read_only ? GNTMAP_readonly : 0),
        .ref = b->ref,
        .dom = b->at.from,
    };
    int rc = grant_op(g, GNTTABOP_map_grant_ref, &op, &op.status);
    b->at.handle = op.handle;
    return rc;
}

int pvg_grant_map(struct pvguest *g, domid_t from, uint32_t ref, uint64_t va, bool read_only,
                  struct pvg_grant_mapping *m)
{
    struct grant_borrowed b = {{.va = va, .from = from, .read_only = read_only}, ref, NULL};
    int rc = check(g, va);
    b.space = va < PVG_USER_END ? pvg_space_loaded(g) : NULL;
    if (rc == 0)
        rc = space_with_tables(g, va, 1, borrow, &b);
    if (rc == 0) {
        g->grants.book[g->grants.borrowed++] = b;
        *m = b.at;
    }
    return fail_in(g, rc, "mapping grant %u of domain %u at %lx", ref, from, va);
}

/* ---- unmapping. The hypervisor sees to it that no translation is left. */

static int give_back(struct pvguest *g, struct grant_borrowed *b)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = b->at.va, .handle = b->at.handle};
    int rc = flush_before(g);
    if (rc == 0 && !space_is_live(g, b->space, b->at.va))
        rc = fail(g, -XEN_EBUSY, "the space that it is in is not loaded");
    if (rc == 0)
        rc = grant_op(g, GNTTABOP_unmap_grant_ref, &op, &op.status);
    if (rc == 0)
        *b = g->grants.book[--g->grants.borrowed];
    return rc;
}

int pvg_grant_unmap(struct pvguest *g, const struct pvg_grant_mapping *m)
{
    struct grant_borrowed *b = find(g, m);
    int rc = b ? give_back(g, b) : fail(g, -XEN_EINVAL, "nothing is mapped so");
    return fail_in(g, rc, "unmapping a grant of domain %u from %lx", m->from, m->va);
}
