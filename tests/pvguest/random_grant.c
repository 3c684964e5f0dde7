/* SPDX-License-Identifier: MIT */
/* Pages lent to the other domain, which maps some, and pages of its own that are borrowed. */
#include "random.h"

#include <xen/grant_table.h>

#include "internal.h"

#define OWN        6u  /* pages of ours that are lent */
#define LOANS      64u /* at a time */
#define PEER_PAGES 8u
#define PLACES     24u /* where pages are borrowed, in several tables */
#define TABLE_MOST 4u
#define HERE       0xffffce0000000000ull

struct loan {
    bool there, read_only, mapped;
    uint32_t ref;
    domid_t to;
    uint64_t page;
};

static struct {
    uint64_t own[OWN];
    unsigned nr_own, frames, nr_loans, nr_borrowed;
    struct loan loan[LOANS];
    bool lent[PEER_PAGES], lent_read_only[PEER_PAGES]; /* by the other domain */
    struct {
        bool there;
        unsigned page;
        struct pvg_grant_mapping m;
    } borrowed[PLACES];
} now;

static uint64_t place_va(unsigned i)
{
    return HERE + i / 8 * (1ull << 30) + i % 8 * PVG_PAGE_BYTES;
}

/* ---- the model against the machine */

static void check_loan(const struct loan *l)
{
    const grant_entry_v1_t *e = machine_grant_entry(r.m, l->ref);
    unsigned flags = GTF_permit_access | (l->read_only ? GTF_readonly : 0) |
                     (l->mapped ? GTF_reading : 0) | (l->mapped && !l->read_only ? GTF_writing : 0);
    CHECK(e->flags == flags && e->domid == l->to && e->frame == frame_of(l->page),
          "entry %u is %x, domain %u, frame %x", l->ref, e->flags, e->domid, e->frame);
}

static void check_place(unsigned i)
{
    uint64_t e = 0, at, va = place_va(i);
    bool there = machine_walk(r.m, va, &e, &at) == 1 && (e & PVG_PTE_PRESENT);
    CHECK(there == now.borrowed[i].there, "place %u is %smapped", i, there ? "" : "not ");
    if (!there)
        return;
    CHECK(pte_mfn(e).n == machine_peer_frame(r.m, now.borrowed[i].page) &&
              !(e & PVG_PTE_RW) == now.borrowed[i].m.read_only,
          "place %u is %" PRIx64, i, e);
}

void check_grants(void)
{
    CHECK(pvg_grants(r.g) == now.nr_loans, "%u grants, not %u", pvg_grants(r.g), now.nr_loans);
    CHECK(pvg_grant_mappings(r.g) == now.nr_borrowed &&
              machine_grant_handles(r.m) == now.nr_borrowed,
          "%u mappings, not %u", pvg_grant_mappings(r.g), now.nr_borrowed);
    CHECK(r.g->grants.frames == now.frames, "%u frames, not %u", r.g->grants.frames, now.frames);
    for (unsigned i = 0; i < LOANS; i++)
        if (now.loan[i].there)
            check_loan(&now.loan[i]);
    for (unsigned i = 0; i < PLACES; i++)
        check_place(i);
}

/* ---- lending */

void do_grant_init(void)
{
    unsigned frames = 1 + (unsigned)below(TABLE_MOST);
    uint64_t free = pvg_pages_free(r.g), more = frames > now.frames ? frames - now.frames : 0;
    if (!succeeded(pvg_grant_init(r.g, frames)))
        more = 0;
    now.frames += (unsigned)more;
    CHECK(pvg_pages_free(r.g) == free - more, "%" PRIu64 " pages are gone, not %" PRIu64,
          free - pvg_pages_free(r.g), more);
}

static struct loan *some_loan(bool there)
{
    unsigned start = (unsigned)below(LOANS);
    for (unsigned i = 0; i < LOANS; i++) {
        struct loan *l = &now.loan[(start + i) % LOANS];
        if (l->there == there)
            return l;
    }
    return NULL;
}

/* Pages that stay the model's: nobody else gives them away. */
static void take_own(void)
{
    pvg_pfn_t page;
    while (now.nr_own < OWN && pvg_pages_take(r.g, 1, 1, &page) == 0)
        now.own[now.nr_own++] = page.n;
}

void do_grant_access(void)
{
    struct loan *l = some_loan(false);
    heal();
    if (now.nr_own < OWN)
        take_own();
    if (!l || now.nr_own == 0)
        return;
    struct loan is = {.there = true,
                      .read_only = below(2),
                      .to = below(4) ? MACHINE_PEER : (domid_t)(100 + below(100)),
                      .page = now.own[below(now.nr_own)]};
    int rc = pvg_grant_access(r.g, is.to, pvg_pfn(is.page), is.read_only, &is.ref);
    if (now.frames == 0) {
        refused(rc, -XEN_EINVAL);
        return;
    }
    CHECK(rc == 0, "nothing can be lent, %d", rc);
    *l = is;
    now.nr_loans++;
    check_loan(l);
}

void do_grant_end(void)
{
    struct loan *l = some_loan(true);
    heal();
    if (!l) {
        refused(pvg_grant_end(r.g, (uint32_t)below(1000)), -XEN_EINVAL);
        return;
    }
    int rc = pvg_grant_end(r.g, l->ref);
    if (l->mapped) {
        refused(rc, -XEN_EBUSY);
        check_loan(l);
        return;
    }
    CHECK(rc == 0, "it cannot be ended, %d", rc);
    l->there = false;
    now.nr_loans--;
    refused(pvg_grant_end(r.g, l->ref), -XEN_EINVAL);
}

/* The other domain maps one, or gives it back. */
void do_grant_used(void)
{
    struct loan *l = some_loan(true);
    heal();
    if (!l || l->to != MACHINE_PEER || l->ref >= 512)
        return;
    if (l->mapped)
        machine_peer_unmap(r.m, l->ref);
    else
        CHECK(machine_peer_map(r.m, l->ref, !l->read_only) == GNTST_okay, "it cannot be mapped");
    l->mapped = !l->mapped;
    check_loan(l);
}

/* ---- borrowing */

static bool is_borrowed(unsigned page)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (now.borrowed[i].there && now.borrowed[i].page == page)
            return true;
    return false;
}

/* The other domain lends one, or ends that. */
void do_peer_lend(void)
{
    unsigned page = (unsigned)below(PEER_PAGES);
    heal();
    if (!now.lent[page]) {
        now.lent_read_only[page] = below(2);
        machine_peer_lend(r.m, page, now.lent_read_only[page]);
        now.lent[page] = true;
        return;
    }
    bool busy = is_borrowed(page);
    CHECK(machine_peer_end(r.m, machine_peer_ref(page)) == !busy, "page %u", page);
    now.lent[page] = busy;
}

static int expected(unsigned place, unsigned page, bool read_only, domid_t from)
{
    if (now.borrowed[place].there)
        return -XEN_EEXIST;
    if (from != MACHINE_PEER)
        return -XEN_ESRCH;
    return now.lent[page] && (read_only || !now.lent_read_only[page]) ? 0 : -XEN_EIO;
}

void do_grant_map(void)
{
    unsigned place = (unsigned)below(PLACES), page = (unsigned)below(PEER_PAGES);
    bool read_only = below(2);
    domid_t from = below(20) ? MACHINE_PEER : 99;
    struct pvg_grant_mapping m;
    uint64_t free = pvg_pages_free(r.g), va = place_va(place);
    int want = expected(place, page, read_only, from);
    int rc = pvg_grant_map(r.g, from, machine_peer_ref(page), va, read_only, &m);
    if (want)
        refused(rc, want);
    else if (succeeded(rc)) {
        now.borrowed[place].there = true;
        now.borrowed[place].page = page;
        now.borrowed[place].m = m;
        now.nr_borrowed++;
        uint64_t *word = machine_at(va, !read_only);
        CHECK(word == machine_frame(r.m, machine_peer_frame(r.m, page)), "another page");
    }
    CHECK(rc == 0 || pvg_pages_free(r.g) == free, "pages are missing");
    check_place(place);
}

void do_grant_unmap(void)
{
    unsigned place = (unsigned)below(PLACES);
    struct pvg_grant_mapping *m = &now.borrowed[place].m;
    int rc = pvg_grant_unmap(r.g, m);
    if (!now.borrowed[place].there)
        refused(rc, -XEN_EINVAL);
    else if (succeeded(rc)) {
        now.borrowed[place].there = false;
        now.nr_borrowed--;
    }
    check_place(place);
}

/* ---- around a suspend: here, or elsewhere, where the table is blank */

bool grants_can_be_saved(void)
{
    return now.nr_borrowed == 0;
}

/* What would be in the way. */
static void give_back(void)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (now.borrowed[i].there) {
            CHECK(pvg_grant_unmap(r.g, &now.borrowed[i].m) == 0, "place %u stays", i);
            now.borrowed[i].there = false;
        }
    now.nr_borrowed = 0;
}

static void settle(void)
{
    heal();
    give_back();
    inject();
}

/* Nobody there uses anything yet. */
static void leave_peer(void)
{
    for (unsigned i = 0; i < LOANS; i++) {
        if (now.loan[i].there && now.loan[i].mapped)
            machine_peer_unmap(r.m, now.loan[i].ref);
        now.loan[i].mapped = false;
    }
}

void grants_let_go(void)
{
    give_back();
    leave_peer();
}

/* And it lends nothing. */
void grants_are_elsewhere(void)
{
    memset(now.lent, 0, sizeof(now.lent));
    check_grants();
}

static void go_elsewhere(void)
{
    leave_peer();
    memset(now.lent, 0, sizeof(now.lent));
    machine_grants_anew(r.m);
}

void do_grant_suspend(void)
{
    bool elsewhere = below(2);
    if (below(8))
        settle();
    int rc = grants_suspend(r.g);
    if (now.nr_borrowed) {
        refused(rc, -XEN_EBUSY);
        return;
    }
    if (!succeeded(rc))
        return;
    if (elsewhere)
        go_elsewhere();
    inject();
    if (!succeeded(grants_resume(r.g, elsewhere)))
        CHECK(grants_resume(r.g, elsewhere) == 0, "not even now");
    check_grants();
}
