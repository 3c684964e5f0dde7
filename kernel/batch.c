/* SPDX-License-Identifier: MIT */
/* The queue of updates: when they are made, in which order, and what is told of those refused. */
#include "look.h"
#include "themes.h"

#define VA      (20ull << 39)
#define MANY    300u /* more updates than a queue holds */
#define MANY_VA 70u  /* more calls than a multicall holds */
#define FLAGS   (PVG_PTE_RO_DATA & ~PVG_PTE_NX)

/* An L1 table of our own to change entries of, and two entries to put there. */
struct room {
    pvg_pfn_t page;
    pvg_mfn_t table;
    uint64_t read_only, writable, bad; /* the last one is refused: a table, writable */
};

static void room_begin(struct tap *t, struct room *r)
{
    struct pvg_walk w;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &r->page));
    CHECK_OK(t, pvg_map(t->g, VA, r->page, 1, PVG_PTE_RW));
    pvg_walk(t->g, VA, &w);
    r->table = pvg_mfn(w.at[1].at.a >> PVG_PAGE_SHIFT);
    r->read_only = pvg_pte(pvg_p2m_mfn(t->g, r->page), FLAGS);
    r->writable = r->read_only | PVG_PTE_RW;
    r->bad = pvg_pte(pvg_root(t->g), FLAGS | PVG_PTE_RW);
}

static int room_end(struct pvguest *g, struct room *r)
{
    int rc = pvg_unmap(g, VA, WORDS);
    return rc ? rc : pvg_pages_give(g, r->page, 1);
}

/* What the table holds, whatever is queued. */
static uint64_t in_table(struct pvguest *g, const struct room *r, unsigned slot)
{
    return plain(frame_words(g, r->table)[slot]);
}

static int set(struct pvguest *g, const struct room *r, unsigned slot, uint64_t entry)
{
    pvg_maddr_t at = {r->table.n << PVG_PAGE_SHIFT | slot * sizeof(uint64_t)};
    return pvg_set_entry(g, at, entry);
}

static uint64_t slot_va(unsigned slot)
{
    return VA + (uint64_t)slot * PVG_PAGE_BYTES;
}

/* ---- when */

static void at_once(struct tap *t, struct room *r)
{
    CHECK_OK(t, set(t->g, r, 1, r->read_only));
    CHECK_SAME(t, in_table(t->g, r, 1), plain(r->read_only));
    CHECK_OK(t, pvg_set_va(t->g, slot_va(2), r->writable));
    CHECK_SAME(t, in_table(t->g, r, 2), plain(r->writable));
    CHECK_SAME(t, set(t->g, r, 3, r->bad), -XEN_EBUSY);
    CHECK_SAME(t, in_table(t->g, r, 3), 0);
    CHECK_SAME(t, pvg_set_entry(t->g, (pvg_maddr_t){r->table.n << PVG_PAGE_SHIFT | 4}, 0),
               -XEN_EINVAL);
}

/* The last one of an entry is what stays. */
static void in_order(struct tap *t, struct room *r)
{
    pvg_lazy_enter(t->g);
    int rc = set(t->g, r, 1, r->read_only) | pvg_set_va(t->g, slot_va(1), 0) |
             set(t->g, r, 1, r->writable) | set(t->g, r, 2, r->writable) |
             set(t->g, r, 2, r->read_only);
    uint64_t before = in_table(t->g, r, 1) | in_table(t->g, r, 2);
    int flushed = pvg_lazy_flush(t->g);
    uint64_t first = in_table(t->g, r, 1), second = in_table(t->g, r, 2);
    int left = pvg_lazy_leave(t->g);
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, before, 0);
    CHECK_OK(t, flushed);
    CHECK_SAME(t, first, plain(r->writable));
    CHECK_SAME(t, second, plain(r->read_only));
    CHECK_OK(t, left);
}

static void nested(struct tap *t, struct room *r)
{
    pvg_lazy_enter(t->g);
    pvg_lazy_enter(t->g);
    int rc = set(t->g, r, 1, r->read_only);
    int inner = pvg_lazy_leave(t->g);
    uint64_t between = in_table(t->g, r, 1);
    int outer = pvg_lazy_leave(t->g);
    CHECK_SAME(t, rc, 0);
    CHECK_OK(t, inner);
    CHECK_SAME(t, between, 0);
    CHECK_OK(t, outer);
    CHECK_SAME(t, in_table(t->g, r, 1), plain(r->read_only));
    CHECK_SAME(t, pvg_lazy_leave(t->g), -XEN_EINVAL);
}

static void empty(struct tap *t, struct room *r)
{
    (void)r;
    CHECK_OK(t, pvg_lazy_flush(t->g));
    pvg_lazy_enter(t->g);
    CHECK_OK(t, pvg_lazy_flush(t->g));
    CHECK_OK(t, pvg_lazy_leave(t->g));
    CHECK_OK(t, pvg_lazy_flush(t->g));
}

/* What cannot wait takes along what waits. */
static void now_flushes(struct tap *t, struct room *r)
{
    pvg_lazy_enter(t->g);
    int rc = set(t->g, r, 1, r->read_only);
    int now = pvg_page_read_only(t->g, r->page);
    uint64_t seen = in_table(t->g, r, 1);
    int left = pvg_lazy_leave(t->g);
    CHECK_OK(t, pvg_page_writable(t->g, r->page));
    CHECK_SAME(t, rc | now | left, 0);
    CHECK_SAME(t, seen, plain(r->read_only));
}

/* ---- refused */

/*
 * update, va, then three updates in one call with the second refused, then va, and an update: each
 * of these kinds is a call of its own where it does not stand beside its like.
 */
static void refused_in_the_middle(struct tap *t, struct room *r)
{
    static const bool made[] = {true, true, true, false, false, true, true};
    pvg_lazy_enter(t->g);
    int rc = set(t->g, r, 1, r->read_only) | pvg_set_va(t->g, slot_va(2), r->read_only) |
             set(t->g, r, 3, r->read_only) | set(t->g, r, 4, r->bad) |
             set(t->g, r, 5, r->read_only) | pvg_set_va(t->g, slot_va(6), r->read_only) |
             set(t->g, r, 7, r->read_only);
    int left = pvg_lazy_leave(t->g);
    const struct pvg_batch_error *e = pvg_batch_error(t->g);
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, left, -XEN_EBUSY);
    CHECK_SAY(t, glob_fits("element 3 of 7, * to *: refused, EBUSY", pvg_reason(t->g)),
              "the reason is \"%s\"", pvg_reason(t->g));
    CHECK_SAME(t, e->code, -XEN_EBUSY);
    CHECK_SAME(t, e->index, 3);
    CHECK_SAME(t, e->elements, 7);
    CHECK_SAME(t, e->made, 5);
    CHECK_SAME(t, e->where, r->table.n << PVG_PAGE_SHIFT | 4 * sizeof(uint64_t));
    CHECK_SAME(t, e->value, r->bad);
    for (unsigned i = 0; i < sizeof(made); i++)
        CHECK_SAY(t, in_table(t->g, r, i + 1) == (made[i] ? plain(r->read_only) : 0),
                  "slot %u is %lx", i + 1, in_table(t->g, r, i + 1));
    CHECK_OK(t, pvg_lazy_flush(t->g)); /* it is told once */
}

static void refused_address(struct tap *t, struct room *r)
{
    pvg_lazy_enter(t->g);
    int rc = set(t->g, r, 1, r->read_only) | pvg_set_va(t->g, slot_va(2), r->bad);
    int left = pvg_lazy_leave(t->g);
    const struct pvg_batch_error *e = pvg_batch_error(t->g);
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, left, -XEN_EBUSY);
    CHECK_SAME(t, e->index, 1);
    CHECK_SAME(t, e->elements, 2);
    CHECK_SAME(t, e->made, 1);
    CHECK_SAME(t, e->where, slot_va(2));
    CHECK_SAME(t, e->value, r->bad);
}

/* The first of two is the one that is told. */
static void refused_twice(struct tap *t, struct room *r)
{
    pvg_lazy_enter(t->g);
    int rc = set(t->g, r, 1, r->bad) | pvg_set_va(t->g, 0x123456789000ull, r->read_only);
    int left = pvg_lazy_leave(t->g);
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, left, -XEN_EBUSY);
    CHECK_SAME(t, pvg_batch_error(t->g)->index, 0);
    CHECK_SAME(t, pvg_batch_error(t->g)->made, 0);
}

/* ---- more than fits */

static void many(struct tap *t, struct room *r)
{
    int rc = 0;
    pvg_lazy_enter(t->g);
    for (unsigned i = 1; i <= MANY; i++)
        rc |= set(t->g, r, i, i & 1 ? r->read_only : r->writable);
    int left = pvg_lazy_leave(t->g);
    CHECK_SAME(t, rc, 0);
    CHECK_OK(t, left);
    for (unsigned i = 1; i <= MANY; i++)
        CHECK_SAY(t, in_table(t->g, r, i) == plain(i & 1 ? r->read_only : r->writable),
                  "slot %u is %lx", i, in_table(t->g, r, i));
}

static void many_calls(struct tap *t, struct room *r)
{
    int rc = 0;
    pvg_lazy_enter(t->g);
    for (unsigned i = 1; i <= MANY_VA; i++)
        rc |= pvg_set_va(t->g, slot_va(i), r->read_only);
    int left = pvg_lazy_leave(t->g);
    CHECK_SAME(t, rc, 0);
    CHECK_OK(t, left);
    for (unsigned i = 1; i <= MANY_VA; i++)
        CHECK_SAY(t, in_table(t->g, r, i) == plain(r->read_only), "slot %u is %lx", i,
                  in_table(t->g, r, i));
}

/* What is refused in a full queue is told when it is asked for, though later ones went well. */
static void many_with_one_refused(struct tap *t, struct room *r)
{
    int rc = 0;
    pvg_lazy_enter(t->g);
    for (unsigned i = 1; i <= MANY; i++)
        rc |= set(t->g, r, i, i == 6 ? r->bad : r->read_only);
    int left = pvg_lazy_leave(t->g);
    const struct pvg_batch_error *e = pvg_batch_error(t->g);
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, left, -XEN_EBUSY);
    CHECK_SAME(t, e->index, 5);
    CHECK_SAME(t, e->made, 5);
    CHECK_SAME(t, e->where, r->table.n << PVG_PAGE_SHIFT | 6 * sizeof(uint64_t));
    CHECK_SAME(t, in_table(t->g, r, 5), plain(r->read_only));
    CHECK_SAME(t, in_table(t->g, r, 6), 0);
    CHECK_SAME(t, in_table(t->g, r, 7), 0);                      /* behind it in the same call */
    CHECK_SAME(t, in_table(t->g, r, MANY), plain(r->read_only)); /* of the next queue */
}

/* ---- each with room of its own, cleared afterwards */

static void with_room(struct tap *t, void (*f)(struct tap *, struct room *))
{
    struct room r;
    room_begin(t, &r);
    if (t->failed)
        return;
    f(t, &r);
    int rc = room_end(t->g, &r);
    if (!t->failed)
        CHECK_OK(t, rc);
}

#define WITH_ROOM(f)                                                                               \
    static void run_##f(struct tap *t)                                                             \
    {                                                                                              \
        with_room(t, f);                                                                           \
    }
WITH_ROOM(at_once)
WITH_ROOM(in_order)
WITH_ROOM(nested)
WITH_ROOM(empty)
WITH_ROOM(now_flushes)
WITH_ROOM(refused_in_the_middle)
WITH_ROOM(refused_address)
WITH_ROOM(refused_twice)
WITH_ROOM(many)
WITH_ROOM(many_calls)
WITH_ROOM(many_with_one_refused)

static const struct test tests[] = {
    {"at_once", run_at_once},
    {"in_order", run_in_order},
    {"nested", run_nested},
    {"empty", run_empty},
    {"now_flushes", run_now_flushes},
    {"refused_in_the_middle", run_refused_in_the_middle},
    {"refused_address", run_refused_address},
    {"refused_twice", run_refused_twice},
    {"many", run_many},
    {"many_calls", run_many_calls},
    {"many_with_one_refused", run_many_with_one_refused},
};

const struct theme batch_theme = THEME("batch", tests);
