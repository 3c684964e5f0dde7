/* SPDX-License-Identifier: MIT */
/*
 * Grants. The one domain that there is for sure is this one itself: it maps what it lends, by its
 * own id, as two domains would. The table stays from its first use on.
 */
#include "look.h"
#include "themes.h"

#include <xen/event_channel.h>

#define NOBODY   0x1234u               /* a domain that there is not */
#define HERE     0x0000398000000000ull /* tables that are made there stay */
#define NOWHERE  0x00003a0000000000ull /* nothing is ever left there */
#define NO_ENTRY (1u << 24)            /* no table has so many */
#define SOME     40u
#define MAGIC    0x6772616e74ull

/* ---- this domain's id: that of who may bind to a port made for itself */

static int64_t event_op(struct pvguest *g, unsigned command, void *arg)
{
    return pvg_hypercall(g, __HYPERVISOR_event_channel_op, command, (uintptr_t)arg, 0, 0, 0);
}

static void find_id(struct tap *t, domid_t *id)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    CHECK_SAME(t, event_op(t->g, EVTCHNOP_alloc_unbound, &a), 0);
    struct evtchn_status s = {.dom = DOMID_SELF, .port = a.port};
    struct evtchn_close c = {.port = a.port};
    int64_t rc = event_op(t->g, EVTCHNOP_status, &s);
    CHECK_SAME(t, event_op(t->g, EVTCHNOP_close, &c), 0);
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, s.status, EVTCHNSTAT_unbound);
    *id = s.u.unbound.dom;
}

/* ---- a page that is lent to this domain itself */

struct room {
    domid_t id;
    pvg_pfn_t page;
    volatile uint64_t *word;
    uint32_t rw, ro;
    struct pvg_grant_mapping m;
};

static void with_room(struct tap *t, void (*f)(struct tap *, struct room *))
{
    struct room r;
    CHECK_OK(t, pvg_grant_init(t->g, 1));
    find_id(t, &r.id);
    if (t->failed)
        return;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &r.page));
    r.word = pvg_page(t->g, r.page);
    CHECK_OK(t, pvg_grant_access(t->g, r.id, r.page, false, &r.rw));
    CHECK_OK(t, pvg_grant_access(t->g, r.id, r.page, true, &r.ro));
    f(t, &r);
    if (t->failed)
        return;
    CHECK_SAME(t, pvg_grant_mappings(t->g), 0);
    CHECK_OK(t, pvg_grant_end(t->g, r.rw));
    CHECK_OK(t, pvg_grant_end(t->g, r.ro));
    CHECK_SAME(t, pvg_grants(t->g), 0);
    CHECK_OK(t, pvg_page_read_only(t->g, r.page)); /* nobody has it writable any more */
    CHECK_OK(t, pvg_page_writable(t->g, r.page));
    CHECK_OK(t, pvg_pages_give(t->g, r.page, 1));
}

static int map(struct tap *t, struct room *r, uint32_t ref, bool read_only)
{
    return pvg_grant_map(t->g, r->id, ref, HERE, read_only, &r->m);
}

static void unmap(struct tap *t, struct room *r)
{
    CHECK_OK(t, pvg_grant_unmap(t->g, &r->m));
    CHECK_SAY(t, !can_read(t->g, r->m.va), "%lx can be read", r->m.va);
    CHECK_SAME(t, pvg_grant_unmap(t->g, &r->m), -XEN_EINVAL);
}

/* ---- set-up and lending */

static void set_up(struct tap *t)
{
    CHECK_SAME(t, pvg_grant_init(t->g, 0), -XEN_EINVAL);
    CHECK_SAME(t, pvg_grant_init(t->g, PVG_GRANT_FRAMES_MAX + 1), -XEN_EINVAL);
    CHECK_OK(t, pvg_grant_init(t->g, 1));
    uint64_t free = pvg_pages_free(t->g);
    CHECK_OK(t, pvg_grant_init(t->g, 1));
    CHECK_SAME(t, pvg_pages_free(t->g), free);
    CHECK_SAME(t, pvg_grants(t->g), 0);
}

/* More than one frame has entries for; the table grows in between. */
static void many_entries(struct tap *t)
{
    uint32_t ref[600];
    pvg_pfn_t page;
    CHECK_OK(t, pvg_grant_init(t->g, 2));
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    for (unsigned i = 0; i < 600; i++) {
        CHECK_OK(t, pvg_grant_access(t->g, NOBODY, page, i & 1, &ref[i]));
        CHECK_SAY(t, ref[i] >= PVG_GRANT_RESERVED && ref[i] < 1024, "entry %u", ref[i]);
    }
    CHECK_SAME(t, pvg_grants(t->g), 600);
    for (unsigned i = 0; i < 600; i++)
        CHECK_OK(t, pvg_grant_end(t->g, ref[i]));
    CHECK_SAME(t, pvg_grant_end(t->g, ref[0]), -XEN_EINVAL);
    CHECK_SAME(t, pvg_grants(t->g), 0);
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
}

static void bad_lending(struct tap *t)
{
    uint32_t ref;
    struct pvg_p2m_info info;
    pvg_p2m_info(t->g, &info);
    CHECK_OK(t, pvg_grant_init(t->g, 1));
    CHECK_SAME(t, pvg_grant_access(t->g, 0, missing_page(t->g, info.max_pfn), false, &ref),
               -XEN_EINVAL);
    CHECK_SAME(t, pvg_grant_access(t->g, 0, PVG_NO_PFN, false, &ref), -XEN_EINVAL);
    for (ref = 0; ref < PVG_GRANT_RESERVED; ref++)
        CHECK_SAME(t, pvg_grant_end(t->g, ref), -XEN_EINVAL);
    CHECK_SAME(t, pvg_grant_end(t->g, NO_ENTRY), -XEN_EINVAL);
    CHECK_SAME(t, pvg_grants(t->g), 0);
}

/* ---- borrowing */

static void write_through(struct tap *t, struct room *r)
{
    volatile uint64_t *alias = (volatile uint64_t *)HERE;
    CHECK_OK(t, map(t, r, r->rw, false));
    r->word[5] = MAGIC;
    CHECK_SAME(t, alias[5], MAGIC);
    alias[6] = ~MAGIC;
    CHECK_SAME(t, r->word[6], ~MAGIC);
    CHECK_SAME(t, pvg_grant_mappings(t->g), 1);
    CHECK_SAME(t, pvg_grant_end(t->g, r->rw), -XEN_EBUSY);
    unmap(t, r);
}

static void read_write(struct tap *t)
{
    with_room(t, write_through);
}

static void do_store(void *at)
{
    *(volatile uint64_t *)at = ~MAGIC;
}

static void no_store(struct tap *t, struct room *r, uint32_t ref)
{
    struct pvg_trap met;
    r->word[0] = MAGIC;
    CHECK_OK(t, map(t, r, ref, true));
    CHECK_SAME(t, *(volatile uint64_t *)HERE, MAGIC);
    CHECK_SAY(t, !pvg_guarded(t->g, do_store, (void *)HERE, &met), "it can be written");
    CHECK_SAME(t, met.vector, 14);
    CHECK_SAME(t, r->word[0], MAGIC);
    CHECK_SAME(t, pvg_grant_end(t->g, ref), -XEN_EBUSY);
    unmap(t, r);
}

/* Of a grant that allows more, too. */
static void read_through(struct tap *t, struct room *r)
{
    no_store(t, r, r->ro);
    if (!t->failed)
        no_store(t, r, r->rw);
}

static void read_only(struct tap *t)
{
    with_room(t, read_through);
}

static void map_some(struct tap *t, struct room *r)
{
    struct pvg_grant_mapping m[SOME];
    for (unsigned i = 0; i < SOME; i++)
        CHECK_OK(t, pvg_grant_map(t->g, r->id, r->rw, HERE + i * PVG_PAGE_BYTES, i & 1, &m[i]));
    CHECK_SAME(t, pvg_grant_mappings(t->g), SOME);
    for (unsigned i = 0; i < SOME; i++) {
        unsigned k = i * 7 % SOME;
        r->word[0] = i;
        CHECK_SAME(t, *(volatile uint64_t *)m[k].va, i);
        CHECK_OK(t, pvg_grant_unmap(t->g, &m[k]));
        CHECK_SAY(t, !can_read(t->g, m[k].va), "%lx can be read", m[k].va);
    }
}

static void several(struct tap *t)
{
    with_room(t, map_some);
}

static void refused(struct tap *t, int want, domid_t from, uint32_t ref, uint64_t va, bool ro)
{
    struct pvg_grant_mapping m;
    uint64_t free = pvg_pages_free(t->g);
    CHECK_SAY(t, pvg_grant_map(t->g, from, ref, va, ro, &m) == want, "%s", pvg_reason(t->g));
    CHECK_SAME(t, pvg_pages_free(t->g), free);
    CHECK_SAME(t, pvg_grant_mappings(t->g), 0);
    CHECK_SAY(t, va != NOWHERE || !can_read(t->g, va), "%lx can be read", va);
}

/* None of it leaves a mapping, or a table. */
static void map_refused(struct tap *t, struct room *r)
{
    uint32_t other;
    refused(t, -XEN_ESRCH, NOBODY, r->rw, NOWHERE, false);
    refused(t, -XEN_ESRCH, DOMID_SELF, r->rw, NOWHERE, false);
    refused(t, -XEN_ENOENT, r->id, NO_ENTRY, NOWHERE, false);
    refused(t, -XEN_EIO, r->id, r->ro, NOWHERE, false);
    refused(t, -XEN_EINVAL, r->id, r->rw, NOWHERE + 8, false);
    refused(t, -XEN_EINVAL, r->id, r->rw, 0xffff800000000000ull, false);
    refused(t, -XEN_EEXIST, r->id, r->rw, (uint64_t)r->word, false);
    CHECK_OK(t, pvg_grant_access(t->g, NOBODY, r->page, false, &other));
    refused(t, -XEN_EIO, r->id, other, NOWHERE, false);
    CHECK_OK(t, pvg_grant_end(t->g, other));
    refused(t, -XEN_EIO, r->id, other, NOWHERE, true);
}

static void bad_mapping(struct tap *t)
{
    with_room(t, map_refused);
}

/* What is not as it was given is nobody's mapping. */
static void unmap_refused(struct tap *t, struct room *r)
{
    CHECK_OK(t, map(t, r, r->rw, false));
    struct pvg_grant_mapping m = r->m;
    m.handle++;
    CHECK_SAME(t, pvg_grant_unmap(t->g, &m), -XEN_EINVAL);
    m = r->m, m.va += PVG_PAGE_BYTES;
    CHECK_SAME(t, pvg_grant_unmap(t->g, &m), -XEN_EINVAL);
    CHECK(t, can_read(t->g, HERE));
    unmap(t, r);
}

static void bad_unmapping(struct tap *t)
{
    with_room(t, unmap_refused);
}

static const struct test tests[] = {
    {"set_up", set_up},           {"many_entries", many_entries},   {"bad_lending", bad_lending},
    {"read_write", read_write},   {"read_only", read_only},         {"several", several},
    {"bad_mapping", bad_mapping}, {"bad_unmapping", bad_unmapping},
};

const struct theme grant_theme = THEME("grant", tests);
