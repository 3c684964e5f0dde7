/* SPDX-License-Identifier: MIT */
/*
 * Spaces at random: three that come and go, a window of two L1 tables in each, at the border of two
 * L3 tables, and tables of the test's own that are attached and detached in another slot. The model
 * has each entry of the windows; walks of the machine's memory, from both roots, must agree.
 */
#include "internal.h"
#include "random.h"

#define SPACES    3u
#define PLACES    64u /* pages of the window, half of them at each side of the border */
#define PLACES_VA (0x8000000000ull - PLACES / 2 * PVG_PAGE_BYTES)
#define ATTACH_VA 0x123456600000ull
#define TABLES    4u
#define KERNEL    (PVG_PTE_FRAME | PVG_PTE_PRESENT)
#define KEY       (PVG_PTE_FRAME | PVG_PTE_PRESENT | PVG_PTE_RW)

struct model_table {
    uint64_t pfn; /* 0: none */
    int space;    /* where it is attached; -1: nowhere */
    unsigned level;
};

static struct {
    bool there, pinned;
    struct pvg_space space;
    uint64_t entry[PLACES]; /* frame, present, RW */
} one[SPACES];
static struct model_table table[TABLES];
static int loaded = -1;

/* ---- looking */

static uint64_t entry_from(uint64_t root, uint64_t va, unsigned last)
{
    uint64_t e = 0, at = root;
    for (unsigned level = 4; level >= last; level--) {
        e = machine_frame(r.m, at)[va >> (12 + 9 * (level - 1)) & 511];
        if (!(e & PVG_PTE_PRESENT))
            return 0;
        at = (e & PVG_PTE_FRAME) >> 12;
    }
    return e;
}

static uint64_t place_va(unsigned i)
{
    return PLACES_VA + (uint64_t)i * PVG_PAGE_BYTES;
}

static bool all(int k, unsigned i, unsigned count, bool mapped)
{
    for (unsigned n = i; n < i + count; n++)
        if ((one[k].entry[n] != 0) != mapped)
            return false;
    return true;
}

/* Three for each side of the border where anything is mapped, and what is attached. */
static uint64_t tables_of(int k)
{
    uint64_t n = 0;
    for (unsigned side = 0; side < 2; side++)
        n += all(k, side * PLACES / 2, PLACES / 2, false) ? 0 : 3;
    for (unsigned i = 0; i < TABLES; i++)
        n += table[i].pfn && table[i].space == k;
    return n;
}

/* The hypervisor adds to entries, but never these. */
static void check_space(unsigned k)
{
    struct pvg_space *s = &one[k].space;
    uint64_t root = frame_of(s->root.n), user = frame_of(s->user_root.n);
    CHECK(s->pinned == one[k].pinned && machine_pinned(r.m, root) == s->pinned &&
              machine_pinned(r.m, user) == s->pinned,
          "space %u is %spinned", k, s->pinned ? "" : "not ");
    CHECK(s->tables == tables_of((int)k), "space %u has %" PRIu64 " tables, not %" PRIu64, k,
          s->tables, tables_of((int)k));
    for (unsigned i = 0; i < PLACES; i++) {
        uint64_t e = entry_from(root, place_va(i), 1) & KEY;
        CHECK(e == one[k].entry[i], "space %u, place %u is %" PRIx64 ", not %" PRIx64, k, i, e,
              one[k].entry[i]);
    }
    const uint64_t *of_root = machine_frame(r.m, root), *of_user = machine_frame(r.m, user);
    const uint64_t *own = machine_frame(r.m, kernel_root(r.g).n);
    for (unsigned slot = 0; slot < 512; slot++) {
        CHECK(slot >= 256 || ((of_root[slot] ^ of_user[slot]) & KERNEL) == 0,
              "space %u: slot %u of the roots is %" PRIx64 " and %" PRIx64, k, slot, of_root[slot],
              of_user[slot]);
        CHECK(slot < 272 || (((of_root[slot] ^ own[slot]) & KERNEL) == 0 && of_user[slot] == 0),
              "space %u: slot %u of the roots is %" PRIx64 " and %" PRIx64, k, slot, of_root[slot],
              of_user[slot]);
    }
}

static void check_table(const struct model_table *t)
{
    if (t->pfn == 0 || t->space < 0)
        return;
    uint64_t e = entry_from(frame_of(one[t->space].space.root.n), ATTACH_VA, t->level + 1);
    CHECK((e & PVG_PTE_FRAME) >> 12 == frame_of(t->pfn), "the table %" PRIx64 " is not attached",
          t->pfn);
    CHECK(machine_pinned(r.m, frame_of(t->pfn)) == one[t->space].pinned,
          "the table %" PRIx64 " is pinned, or not, as its space is not", t->pfn);
}

void check_spaces(void)
{
    struct pvg_space *now = pvg_space_loaded(r.g);
    CHECK(now == (loaded < 0 ? NULL : &one[loaded].space), "another space is loaded");
    uint64_t user = loaded < 0 ? MACHINE_NONE : frame_of(one[loaded].space.user_root.n);
    CHECK(machine_user_root(r.m) == user, "another user root is loaded");
    for (unsigned k = 0; k < SPACES; k++)
        if (one[k].there)
            check_space(k);
    for (unsigned i = 0; i < TABLES; i++)
        check_table(&table[i]);
}

/* ---- making, loading, pinning, ending */

static int some_space(void)
{
    int k = (int)below(SPACES);
    return one[k].there ? k : -1;
}

void do_space_make(void)
{
    unsigned k = (unsigned)below(SPACES);
    int rc = pvg_space_make(r.g, &one[k].space);
    if (one[k].there)
        refused(rc, -XEN_EINVAL);
    else if (succeeded(rc)) {
        one[k].there = one[k].pinned = true;
        memset(one[k].entry, 0, sizeof(one[k].entry));
        check_space(k);
    }
}

/* Nobody's table hangs from another. */
static void let_tables_go(int k)
{
    for (unsigned i = 0; i < TABLES; i++)
        if (table[i].space == k)
            table[i].space = -1;
}

void do_space_end(void)
{
    int k = some_space();
    if (k < 0)
        return;
    int rc = pvg_space_end(r.g, &one[k].space);
    if (k == loaded)
        refused(rc, -XEN_EBUSY);
    else if (succeeded(rc)) {
        let_tables_go(k);
        one[k].there = false;
    } else
        check_space((unsigned)k);
}

void do_space_load(void)
{
    int k = some_space();
    int rc = pvg_space_load(r.g, k < 0 ? NULL : &one[k].space);
    if (k >= 0 && !one[k].pinned)
        refused(rc, -XEN_EBUSY);
    else if (succeeded(rc))
        loaded = k;
    check_spaces();
}

void do_space_pin(void)
{
    int k = some_space();
    if (k < 0)
        return;
    bool pin = below(2);
    int rc = pin ? pvg_space_pin(r.g, &one[k].space) : pvg_space_unpin(r.g, &one[k].space);
    if (!pin && k == loaded)
        refused(rc, -XEN_EBUSY);
    else if (succeeded(rc))
        one[k].pinned = pin;
    check_space((unsigned)k);
}

/* No table that hangs nowhere has entries. */
bool spaces_can_be_saved(void)
{
    bool can = true;
    for (unsigned i = 0; i < TABLES; i++)
        can = can && !(table[i].pfn && table[i].space < 0 &&
                       *(uint64_t *)machine_at(direct(table[i].pfn), false));
    return can;
}

/* What the model knows by frame, by page, and the other way round. */
void spaces_to_pages(void)
{
    for (unsigned k = 0; k < SPACES; k++)
        for (unsigned i = 0; one[k].there && i < PLACES; i++) {
            uint64_t e = one[k].entry[i];
            if (e)
                one[k].entry[i] =
                    machine_m2p(r.m, (e & PVG_PTE_FRAME) >> 12) << 12 | (e & ~PVG_PTE_FRAME);
        }
}

void spaces_learn_frames(void)
{
    for (unsigned k = 0; k < SPACES; k++)
        for (unsigned i = 0; one[k].there && i < PLACES; i++) {
            uint64_t e = one[k].entry[i];
            if (e)
                one[k].entry[i] = frame_of((e & PVG_PTE_FRAME) >> 12) << 12 | (e & ~PVG_PTE_FRAME);
        }
}

void do_space_suspend(void)
{
    bool busy = !spaces_can_be_saved();
    int rc = spaces_suspend(r.g);
    if (busy)
        refused(rc, -XEN_EBUSY);
    else if (succeeded(rc)) {
        for (unsigned k = 0; k < SPACES; k++)
            CHECK(!one[k].there || one[k].space.pinned, "space %u is not pinned", k);
        CHECK(spaces_resume(r.g, false) == 0, "no resume");
    }
    check_spaces();
}

/* ---- ranges */

/* What is used is cached from then on: a flush that was forgotten is found by the next use. */
static void touch_places(int k)
{
    for (unsigned i = 0; k == loaded && i < PLACES; i++) {
        uint64_t e = one[k].entry[i];
        if (e)
            check_tags(machine_at(place_va(i), e & PVG_PTE_RW),
                       machine_m2p(r.m, (e & PVG_PTE_FRAME) >> 12));
    }
}

/* Pages of a block, with flags, or the pages that are there. */
static void set_model(int k, unsigned i, unsigned count, uint64_t first, uint64_t flags)
{
    for (unsigned n = 0; n < count; n++) {
        uint64_t frame = first ? frame_of(first + n) << 12 : one[k].entry[i + n] & PVG_PTE_FRAME;
        one[k].entry[i + n] = frame | (flags & (PVG_PTE_PRESENT | PVG_PTE_RW));
    }
}

static uint64_t some_flags(void)
{
    return (below(2) ? PVG_PTE_DATA : PVG_PTE_RO_DATA) | (below(2) ? PVG_PTE_USER : 0);
}

/* By pvg_map() where the space is the one that is loaded, now and then. */
static int map_at(int k, uint64_t va, uint64_t pfn, unsigned count, uint64_t flags)
{
    return k == loaded && below(2)
               ? pvg_map(r.g, va, pvg_pfn(pfn), count, flags)
               : pvg_space_map(r.g, &one[k].space, va, pvg_pfn(pfn), count, flags);
}

void do_space_map(void)
{
    struct block *b = some_block(true);
    int k = some_space();
    if (!b || k < 0)
        return;
    unsigned count = 1 + (unsigned)below(b->count), i = (unsigned)below(PLACES - count + 1);
    uint64_t flags = some_flags();
    int rc;
    if (below(3)) {
        rc = map_at(k, place_va(i), b->first, count, flags);
        if (!all(k, i, count, false))
            refused(rc, -XEN_EEXIST);
        else if (succeeded(rc))
            set_model(k, i, count, b->first, flags);
    } else {
        rc = pvg_space_change(r.g, &one[k].space, place_va(i), pvg_pfn(b->first), count, flags);
        if (!all(k, i, count, true))
            refused(rc, -XEN_ENOENT);
        else if (succeeded(rc))
            set_model(k, i, count, b->first, flags);
    }
    check_space((unsigned)k);
    touch_places(k);
}

void do_space_protect(void)
{
    int k = some_space();
    if (k < 0)
        return;
    unsigned count = 1 + (unsigned)below(5), i = (unsigned)below(PLACES - count + 1);
    uint64_t flags = some_flags();
    int rc = pvg_space_protect(r.g, &one[k].space, place_va(i), count, flags);
    if (!all(k, i, count, true))
        refused(rc, -XEN_ENOENT);
    else if (succeeded(rc))
        set_model(k, i, count, 0, flags);
    check_space((unsigned)k);
    touch_places(k);
}

void do_space_unmap(void)
{
    int k = some_space();
    if (k < 0)
        return;
    unsigned count = 1 + (unsigned)below(below(3) ? 20 : PLACES);
    unsigned i = (unsigned)below(PLACES - count + 1);
    uint64_t before = one[k].space.tables;
    if (succeeded(pvg_space_unmap(r.g, &one[k].space, place_va(i), count)))
        memset(&one[k].entry[i], 0, count * sizeof(one[k].entry[0]));
    else
        CHECK(one[k].space.tables == before, "tables are freed all the same");
    check_space((unsigned)k);
}

/* A page that is mapped by a space is not given away: it would be somebody else's there. */
bool is_in_space(const struct block *b)
{
    for (unsigned k = 0; k < SPACES; k++)
        for (unsigned i = 0; one[k].there && i < PLACES; i++) {
            uint64_t pfn = machine_m2p(r.m, (one[k].entry[i] & PVG_PTE_FRAME) >> 12);
            if (one[k].entry[i] && pfn >= b->first && pfn < b->first + b->count)
                return true;
        }
    return false;
}

/* ---- the kernel half: what is mapped there is every root's, in a slot that is new, too. Its
 * tables stay: there are not many such slots. */

#define UPPER_FIRST 420u
#define UPPERS      12u

void do_space_upper(void)
{
    struct block *b = some_block(true);
    uint64_t va = 0xffff000000000000ull | (UPPER_FIRST + below(UPPERS)) << 39;
    if (!b)
        return;
    bool done = succeeded(pvg_map(r.g, va, pvg_pfn(b->first), 1, PVG_PTE_DATA));
    uint64_t wanted = done ? frame_of(b->first) : 0;
    for (unsigned k = 0; k < SPACES; k++)
        CHECK(!one[k].there ||
                  (entry_from(frame_of(one[k].space.root.n), va, 1) & PVG_PTE_FRAME) >> 12 ==
                      wanted,
              "space %u does not see what the kernel half has at %" PRIx64, k, va);
    if (done) {
        check_tags(machine_at(va, true), b->first);
        CHECK(pvg_unmap(r.g, va, 1) == 0, "it cannot be unmapped");
    }
}

/* ---- single tables */

void do_table_alloc(void)
{
    struct model_table *t = &table[below(TABLES)];
    pvg_pfn_t page;
    if (t->pfn == 0) {
        if (succeeded(pvg_table_alloc(r.g, &page)))
            *t = (struct model_table){page.n, -1, 0};
        return;
    }
    int rc = pvg_table_free(r.g, pvg_pfn(t->pfn));
    if (t->space >= 0)
        refused(rc, -XEN_EBUSY);
    else if (succeeded(rc))
        t->pfn = 0;
}

/* One at a time, of the L3, so that all that may hang from it is there. */
static struct model_table *attached_at(int k)
{
    for (unsigned i = 0; i < TABLES; i++)
        if (table[i].pfn && table[i].space == k)
            return &table[i];
    return NULL;
}

static void attach(struct model_table *t, int k)
{
    bool there = attached_at(k), elsewhere = t->space >= 0;
    int rc = pvg_table_attach(r.g, &one[k].space, ATTACH_VA, 3, pvg_pfn(t->pfn));
    if (there || elsewhere)
        refused(rc, elsewhere ? -XEN_EBUSY : -XEN_EEXIST);
    else if (succeeded(rc)) {
        t->space = k;
        t->level = 3;
    }
}

static void detach(int k)
{
    pvg_pfn_t page;
    struct model_table *t = attached_at(k);
    int rc = pvg_table_detach(r.g, &one[k].space, ATTACH_VA, 3, &page);
    if (t == NULL)
        refused(rc, -XEN_ENOENT);
    else if (succeeded(rc)) {
        CHECK(page.n == t->pfn, "another table was detached");
        t->space = -1;
        machine_at(direct(t->pfn), true);
    }
}

void do_table_attach(void)
{
    int k = some_space();
    struct model_table *t = &table[below(TABLES)];
    if (k < 0 || t->pfn == 0)
        return;
    if (below(2))
        attach(t, k);
    else
        detach(k);
    check_space((unsigned)k);
    check_table(t);
}
