/* SPDX-License-Identifier: MIT */
/*
 * More memory, less, and contiguous frames: each way in which a step can fail, one after the other;
 * then the sizes at which something grows. After each hypercall that gives frames or takes them the
 * list that tools read is looked at from outside.
 */
#include "internal.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "outside.h"

#include <cmocka.h>
#include <xen/memory.h>

#define NR_PAGES  2048u
#define MAX_PAGES 5120u
#define SEEN      5700u /* pages that are compared one by one */
#define FAR_PAGE  (1ull << 32)
#define MARK      0x9e3779b97f4a7c15ull

static struct machine *m;
static struct pvguest *g;
static enum pvg_p2m_layout layout;

/* ---- the guest, and what tools see of it */

static uint64_t looks;

static void look_from_outside(struct machine *from, unsigned number)
{
    if (number != __HYPERVISOR_memory_op || outside_info(from)->pfn_to_mfn_frame_list_list == ~0ull)
        return;
    looks++;
    for (uint64_t pfn = 0; pfn < outside_info(from)->max_pfn && pfn < SEEN; pfn++) {
        uint64_t mfn = outside_list(from, pfn);
        if (mfn == ~0ull || (mfn & PVG_P2M_MARKS))
            continue;
        if (machine_owner(from, mfn) != MACHINE_GUEST || machine_m2p(from, mfn) != pfn)
            machine_failed("a tool finds frame %" PRIx64 " for page %" PRIx64, mfn, pfn);
    }
}

static void boot_machine(const struct machine_params *p)
{
    struct pvg_options o;
    machine_after_call = NULL;
    m = machine_make(p);
    g = guest_start(m);
    assert_non_null(g);
    pvg_options_default(&o);
    o.p2m = layout;
    if (pvg_boot(g, &o))
        fail_msg("no boot: %s", guest_reason());
    machine_after_call = look_from_outside;
}

static void boot_small(void)
{
    boot_machine(&(struct machine_params){.seed = 9, .nr_pages = NR_PAGES, .max_pages = MAX_PAGES});
}

static void check(void)
{
    const char *wrong = guest_check(m, g);
    if (!wrong)
        wrong = guest_check_lists(m, g);
    if (wrong)
        fail_msg("%s; last reason: %s", wrong, pvg_reason(g));
}

static void end(void)
{
    machine_after_call = NULL;
    check();
    machine_end(m);
}

/* ---- states */

struct state {
    uint64_t owned, free, lost, pins;
    struct pvg_memory_info info;
    struct pvg_regions memory, direct;
    uint64_t entry[SEEN], mark[SEEN];
};

static struct state before, after;

static uint64_t *content(uint64_t mfn)
{
    return &machine_frame(m, mfn)[7];
}

static void note_state(struct state *s)
{
    s->owned = machine_owned(m);
    s->free = pvg_pages_free(g);
    s->lost = g->p2m.lost;
    s->pins = machine_pins(m);
    s->memory = g->memblock.memory;
    s->direct = g->direct;
    pvg_memory_info(g, &s->info);
    for (uint64_t pfn = 0; pfn < SEEN; pfn++) {
        s->entry[pfn] = pvg_p2m_entry(g, pvg_pfn(pfn));
        s->mark[pfn] = s->entry[pfn] == PVG_P2M_MISSING ? 0 : *content(s->entry[pfn]);
    }
}

static bool same_regions(const struct pvg_regions *a, const struct pvg_regions *b)
{
    return a->count == b->count && !memcmp(a->at, b->at, a->count * sizeof(a->at[0]));
}

/* Of each page; what is free and lost together, as a table may be that is not let go. */
static void check_old(void)
{
    note_state(&after);
    assert_int_equal(after.owned, before.owned);
    assert_int_equal(after.pins, before.pins);
    assert_int_equal(after.free + after.lost, before.free + before.lost);
    assert_true(same_regions(&after.memory, &before.memory));
    assert_true(same_regions(&after.direct, &before.direct));
    assert_memory_equal(&after.info, &before.info, sizeof(after.info));
    assert_memory_equal(after.entry, before.entry, sizeof(after.entry));
}

/* The figures, counted anew. */
static void check_figures(void)
{
    struct pvg_memory_info info;
    uint64_t extra = 0, pages = pvg_regions_pages(&g->memblock.memory), now, most;
    pvg_memory_info(g, &info);
    for (uint64_t pfn = 0; pfn < MAX_PAGES; pfn++)
        extra += !pvg_regions_holds(&g->memblock.memory, pfn);
    assert_int_equal(info.pages, pages);
    assert_int_equal(info.extra, extra);
    assert_int_equal(pages, machine_owned(m));
    assert_int_equal(pvg_regions_pages(&g->direct), pages);
    assert_int_equal(pvg_reservation(g, &now, &most), 0);
    assert_int_equal(now, pages);
    assert_int_equal(most, MAX_PAGES);
}

/* ---- operations, each with what it starts from */

struct operation {
    const char *name;
    void (*prepare)(void);
    int (*run)(uint64_t *done);
    int64_t change; /* of the number of pages */
};

static pvg_pfn_t ours;

static void prepare_nothing(void)
{
}

static void prepare_down_40(void)
{
    assert_int_equal(pvg_balloon_down(g, 40, NULL), 0);
}

static void prepare_down_1500(void)
{
    assert_int_equal(pvg_balloon_down(g, 1500, NULL), 0);
}

static void prepare_pages(void)
{
    assert_int_equal(pvg_pages_take(g, 8, 8, &ours), 0);
    for (unsigned i = 0; i < 8; i++)
        *content(pvg_p2m_mfn(g, pvg_pfn(ours.n + i)).n) = MARK + i;
}

static void prepare_contiguous(void)
{
    pvg_mfn_t frame;
    prepare_pages();
    assert_int_equal(pvg_make_contiguous(g, ours, 3, 0, &frame), 0);
    for (unsigned i = 0; i < 8; i++)
        *content(pvg_p2m_mfn(g, pvg_pfn(ours.n + i)).n) = MARK + i;
}

static int run_down_40(uint64_t *done)
{
    return pvg_balloon_down(g, 40 - *done, done);
}

static int run_down_1500(uint64_t *done)
{
    return pvg_balloon_down(g, 1500 - *done, done);
}

static int run_up_40(uint64_t *done)
{
    return pvg_balloon_up(g, 40 - *done, done);
}

static int run_up_1500(uint64_t *done)
{
    return pvg_balloon_up(g, 1500 - *done, done);
}

static int run_to(uint64_t *done)
{
    uint64_t now;
    (void)done;
    return pvg_balloon_to(g, NR_PAGES + 30, &now);
}

static int run_contiguous(uint64_t *done)
{
    pvg_mfn_t frame = PVG_NO_MFN;
    (void)done;
    int rc = pvg_make_contiguous(g, ours, 3, 0, &frame);
    for (unsigned i = 0; i < 8 && rc == 0; i++)
        assert_int_equal(pvg_p2m_mfn(g, pvg_pfn(ours.n + i)).n, frame.n + i);
    assert_true(rc || frame.n % 8 == 0);
    return rc;
}

static int run_scattered(uint64_t *done)
{
    (void)done;
    return pvg_make_scattered(g, ours, 3);
}

static const struct operation operations[] = {
    {"down by a part of a leaf", prepare_nothing, run_down_40, -40},
    {"down by a leaf and more", prepare_nothing, run_down_1500, -1500},
    {"up where tables are", prepare_down_40, run_up_40, 40},
    {"up where a leaf was", prepare_down_1500, run_up_1500, 1500},
    {"up where nothing was", prepare_nothing, run_up_40, 40},
    {"to", prepare_nothing, run_to, 30},
    {"contiguous", prepare_pages, run_contiguous, 0},
    {"scattered", prepare_contiguous, run_scattered, 0},
};

/* ---- every failure in turn */

enum kind { CALL, ELEMENT, SEARCH, KINDS };

static void inject(enum kind kind, uint64_t n)
{
    if (kind == CALL)
        machine_fail_call(m, n, -XEN_EPERM);
    else if (kind == ELEMENT)
        machine_fail_element(m, n, -XEN_EPERM);
    else
        guest_fail_search(n);
}

/* Whether it was reached. */
static bool heal(enum kind kind)
{
    bool reached = kind == SEARCH ? guest_search_failed() : machine_failed_at(m) >= 0;
    machine_fail_call(m, 0, 0);
    machine_fail_element(m, 0, 0);
    guest_fail_search(0);
    return reached;
}

/* What was in pages that are still there is there, but where new frames are what was asked for. */
static void check_content(bool new_frames)
{
    note_state(&after);
    for (uint64_t pfn = 0; pfn < SEEN; pfn++)
        if (after.entry[pfn] == before.entry[pfn] && before.mark[pfn] >> 32 == MARK >> 32)
            assert_int_equal(after.mark[pfn], before.mark[pfn]);
    for (unsigned i = 0; i < 8 && ours.n; i++)
        assert_int_equal(after.entry[ours.n + i] != before.entry[ours.n + i], new_frames);
}

static void check_part(const struct operation *op, uint64_t done, int rc)
{
    if (rc && done == 0 && machine_owned(m) == before.owned)
        check_old();
    int64_t went = (int64_t)(machine_owned(m) - before.owned);
    if (op->run != run_to)
        assert_int_equal(op->change < 0 ? -went : went, op->change ? (int64_t)done : 0);
    if (rc == 0)
        assert_int_equal(went, op->change);
    check_figures();
    check_content(op->change == 0 && rc == 0);
}

/* Returns whether there was an n-th. */
static bool fail_at(const struct operation *op, enum kind kind, uint64_t n)
{
    uint64_t done = 0, more;
    ours = pvg_pfn(0);
    boot_small();
    op->prepare();
    note_state(&before);
    inject(kind, n);
    int rc = op->run(&done);
    bool reached = heal(kind);
    check();
    check_part(op, done, rc);
    if (!reached)
        assert_int_equal(rc, 0);
    if (rc) {
        assert_true(pvg_reason(g)[0]);
        more = done;
        assert_int_equal(op->run(&more), 0);
        if (op->run != run_to)
            assert_int_equal(done + more, op->change < 0 ? -op->change : op->change);
    }
    end();
    return reached;
}

static void test_each_failure(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        uint64_t n[KINDS];
        for (enum kind kind = CALL; kind < KINDS; kind++) {
            n[kind] = 1;
            while (fail_at(&operations[i], kind, n[kind]))
                n[kind] += kind == ELEMENT && n[kind] > 45 ? 71 : 1;
        }
        print_message("%s: %" PRIu64 " calls, %" PRIu64 " elements, %" PRIu64 " searches\n",
                      operations[i].name, n[CALL] - 1, n[ELEMENT] - 1, n[SEARCH] - 1);
        assert_true(n[CALL] > 2 && n[ELEMENT] > 2);
    }
    assert_true(looks > 100);
}

/* ---- arguments */

static void test_refused_before_boot(void **state)
{
    (void)state;
    pvg_mfn_t frame;
    uint64_t done = 7;
    machine_after_call = NULL;
    m = machine_make(&(struct machine_params){.seed = 9, .nr_pages = NR_PAGES});
    g = guest_start(m);
    assert_int_equal(pvg_balloon_down(g, 1, &done), -XEN_EINVAL);
    assert_int_equal(done, 0);
    assert_int_equal(pvg_balloon_up(g, 1, NULL), -XEN_EINVAL);
    assert_int_equal(pvg_balloon_to(g, 1, NULL), -XEN_EINVAL);
    assert_int_equal(pvg_make_contiguous(g, pvg_pfn(0), 0, 0, &frame), -XEN_EINVAL);
    assert_int_equal(pvg_make_scattered(g, pvg_pfn(0), 0), -XEN_EINVAL);
    machine_end(m);
}

static void test_contiguous_refuses(void **state)
{
    (void)state;
    pvg_mfn_t frame;
    pvg_pfn_t page;
    boot_small();
    assert_int_equal(pvg_pages_take(g, 8, 8, &page), 0);
    note_state(&before);
    assert_int_equal(pvg_make_contiguous(g, page, 10, 0, &frame), -XEN_EINVAL);
    assert_int_equal(pvg_make_contiguous(g, page, ~0u, 0, &frame), -XEN_EINVAL);
    assert_int_equal(pvg_make_contiguous(g, pvg_pfn(page.n + 1), 1, 0, &frame), -XEN_EINVAL);
    assert_int_equal(pvg_make_contiguous(g, pvg_pfn(page.n + 4), 3, 0, &frame), -XEN_EINVAL);
    assert_int_equal(pvg_make_contiguous(g, page, 4, 0, &frame), -XEN_EINVAL); /* some are free */
    assert_int_equal(pvg_make_contiguous(g, pvg_pfn(MAX_PAGES), 0, 0, &frame), -XEN_EINVAL);
    assert_int_equal(pvg_make_contiguous(g, pvg_pfn(~0ull), 0, 0, &frame), -XEN_EINVAL);
    assert_int_equal(pvg_make_contiguous(g, pvg_pfn(g->image.from), 0, 0, &frame), -XEN_EINVAL);
    assert_int_equal(pvg_make_scattered(g, page, 3), -XEN_EINVAL);
    assert_non_null(strstr(pvg_reason(g), "not the next one"));
    assert_int_equal(pvg_page_read_only(g, page), 0);
    assert_int_equal(pvg_make_contiguous(g, page, 3, 0, &frame), -XEN_EINVAL);
    assert_non_null(strstr(pvg_reason(g), "read-only"));
    assert_int_equal(pvg_page_writable(g, page), 0);
    check_old();
    end();
}

/* One that is mapped elsewhere too is not let go: the old frames stay. */
static void test_contiguous_of_a_page_mapped_twice(void **state)
{
    (void)state;
    pvg_mfn_t frame;
    boot_small();
    prepare_pages();
    assert_int_equal(pvg_map(g, 0xffffcd0000000000ull, pvg_pfn(ours.n + 5), 1, PVG_PTE_DATA), 0);
    note_state(&before);
    assert_int_equal(pvg_make_contiguous(g, ours, 3, 0, &frame), -XEN_EINVAL);
    check_old();
    check_content(false);
    assert_int_equal(pvg_unmap(g, 0xffffcd0000000000ull, 1), 0);
    assert_int_equal(pvg_make_contiguous(g, ours, 3, 0, &frame), 0);
    end();
}

/* How often it was done, of all numbers of bits. */
static unsigned try_order(unsigned order)
{
    unsigned done = 0;
    pvg_pfn_t page;
    assert_int_equal(pvg_pages_take(g, 1ull << order, 1ull << order, &page), 0);
    for (unsigned bits = 12; bits <= 26; bits++) {
        unsigned asked = bits == 26 ? 0 : bits;
        pvg_mfn_t frame;
        note_state(&before);
        int rc = pvg_make_contiguous(g, page, order, asked, &frame);
        check();
        if (rc) {
            assert_int_equal(rc, -XEN_ENOMEM);
            check_old();
            continue;
        }
        assert_int_equal(frame.n % (1ull << order), 0);
        assert_true(!asked || frame.n + (1ull << order) <= (1ull << asked) >> 12);
        for (uint64_t i = 0; i < 1ull << order; i++)
            assert_int_equal(pvg_p2m_mfn(g, pvg_pfn(page.n + i)).n, frame.n + i);
        done++;
    }
    assert_int_equal(pvg_make_scattered(g, page, order), 0);
    check();
    assert_int_equal(pvg_pages_give(g, page, 1ull << order), 0);
    return done;
}

/* The highest first: the test's machine gives single frames from anywhere. */
static void test_orders_and_addresses(void **state)
{
    (void)state;
    boot_small();
    for (unsigned order = PVG_CONTIGUOUS_ORDER_MAX + 1; order-- > 0;) {
        unsigned done = try_order(order);
        assert_true(done > 0 && done < 14); /* of less than 13 bits there is nothing */
    }
    end();
}

/* ---- sizes */

/* All but what is kept; and up again, to the maximum and not beyond. */
static void test_down_to_almost_nothing_and_up_to_the_maximum(void **state)
{
    (void)state;
    uint64_t done, now, free;
    boot_small();
    free = pvg_pages_free(g);
    assert_int_equal(pvg_balloon_down(g, NR_PAGES, &done), -XEN_ENOMEM);
    assert_true(done >= free - PVG_BALLOON_KEPT);
    assert_int_equal(pvg_pages_free(g), PVG_BALLOON_KEPT);
    assert_int_equal(machine_owned(m), NR_PAGES - done);
    check();
    check_figures();
    assert_int_equal(pvg_balloon_down(g, 1, &done), -XEN_ENOMEM);
    assert_int_equal(done, 0);
    assert_int_equal(pvg_balloon_to(g, MAX_PAGES + 10, &now), -XEN_ENOMEM);
    assert_int_equal(now, MAX_PAGES);
    assert_int_equal(machine_owned(m), MAX_PAGES);
    check();
    check_figures();
    assert_int_equal(pvg_balloon_to(g, NR_PAGES, &now), 0);
    assert_int_equal(now, NR_PAGES);
    check();
    check_figures();
    end();
}

/* No map, or one of what it was built with: above it all the same. */
static void test_above_the_map(void **state)
{
    (void)state;
    const struct machine_e820 built = {0, NR_PAGES * 4096ull, 1};
    for (unsigned known = 0; known < 2; known++) {
        struct pvg_p2m_info info;
        uint64_t done;
        boot_machine(&(struct machine_params){.seed = 10,
                                              .nr_pages = NR_PAGES,
                                              .max_pages = MAX_PAGES,
                                              .no_memory_map = !known,
                                              .e820 = &built,
                                              .nr_e820 = 1});
        assert_int_equal(g->info.extra, 0);
        assert_int_equal(pvg_balloon_up(g, 2000, &done), 0);
        pvg_p2m_info(g, &info);
        assert_int_equal(info.max_pfn, NR_PAGES + 2000);
        assert_int_equal(g->info.extra, 0);
        assert_int_equal(g->info.pages, NR_PAGES + 2000);
        check();
        /* the lowest of the map's own come first again */
        assert_int_equal(pvg_balloon_down(g, 2300, &done), 0);
        assert_true(g->info.extra > 0);
        assert_int_equal(pvg_balloon_up(g, 1, &done), 0);
        check();
        end();
    }
}

/* The machine's map ends where the machine's devices may be. */
static void test_initial_domain_stays_in_its_map(void **state)
{
    (void)state;
    const struct machine_e820 map[] = {{0, 0x9f000, 1}, {0x100000, 0x1300000, 1}};
    uint64_t done;
    boot_machine(&(struct machine_params){.seed = 11,
                                          .nr_pages = NR_PAGES,
                                          .max_pages = MAX_PAGES,
                                          .initial_domain = true,
                                          .e820 = map,
                                          .nr_e820 = 2});
    uint64_t extra = g->info.extra;
    assert_true(extra > 0);
    assert_int_equal(pvg_balloon_up(g, extra + 1, &done), -XEN_ENOMEM);
    assert_non_null(strstr(pvg_reason(g), "machine's map"));
    assert_int_equal(done, extra);
    assert_int_equal(g->info.extra, 0);
    check();
    end();
}

static void test_memory_limit(void **state)
{
    (void)state;
    struct pvg_options o;
    uint64_t done;
    machine_after_call = NULL;
    m = machine_make(
        &(struct machine_params){.seed = 9, .nr_pages = NR_PAGES, .max_pages = MAX_PAGES});
    g = guest_start(m);
    pvg_options_default(&o);
    o.p2m = layout;
    o.memory_limit = NR_PAGES + 100;
    assert_int_equal(pvg_boot(g, &o), 0);
    machine_after_call = look_from_outside;
    assert_int_equal(pvg_balloon_up(g, 200, &done), -XEN_ENOSPC);
    assert_int_equal(done, 100);
    end();
}

/* Pages on both sides of where the next table of each level begins: a leaf and L1, an L2, an L3
 * table of the direct map's, its L4 slot; and of the p2m's. RAM of the map is nowhere else. */
static void test_edges(void **state)
{
    (void)state;
    const uint64_t edge[] = {1ull << 18, 1ull << 21, 1ull << 27, (1ull << 27) * 3, 1ull << 30};
    for (unsigned i = 0; i < sizeof(edge) / sizeof(edge[0]); i++) {
        const struct machine_e820 map[] = {{0, NR_PAGES * 4096ull, 1},
                                           {(edge[i] - 700) * 4096, 1400 * 4096ull, 1}};
        uint64_t done, free;
        boot_machine(&(struct machine_params){.seed = 12 + i,
                                              .nr_pages = NR_PAGES,
                                              .max_pages = MAX_PAGES,
                                              .e820 = map,
                                              .nr_e820 = 2});
        assert_int_equal(pvg_balloon_up(g, 1400, &done), 0);
        assert_null(machine_audit(m));
        assert_int_equal(machine_owned(m), NR_PAGES + 1400);
        for (uint64_t pfn = edge[i] - 700; pfn < edge[i] + 700; pfn++) {
            uint64_t entry = pvg_p2m_entry(g, pvg_pfn(pfn)), e, at;
            assert_int_equal(machine_m2p(m, entry), pfn);
            assert_int_equal(machine_walk(m, PVG_DIRECT_BASE + pfn * 4096, &e, &at), 1);
            assert_int_equal((e & PVG_PTE_FRAME) >> 12, entry);
            if (pfn < PVG_MFN_LIST_PFNS && outside_info(m)->pfn_to_mfn_frame_list_list != ~0ull)
                assert_int_equal(outside_list(m, pfn), entry);
            if (layout == PVG_P2M_LINEAR)
                assert_int_equal(outside_linear(m, pfn), entry);
        }
        assert_int_equal(outside_info(m)->max_pfn, edge[i] + 700);
        assert_int_equal(outside_info(m)->pfn_to_mfn_frame_list_list == ~0ull,
                         edge[i] + 700 > PVG_MFN_LIST_PFNS);
        /* what became tables of the new pages stays; all else goes, and the list can speak again */
        free = 0;
        for (uint64_t pfn = edge[i] - 700; pfn < edge[i] + 700; pfn++)
            free += !pvg_regions_holds(&g->memblock.reserved, pfn);
        assert_int_equal(pvg_balloon_down(g, free, &done), 0);
        assert_null(machine_audit(m));
        assert_int_equal(pvg_balloon_up(g, free, &done), 0);
        assert_null(machine_audit(m));
        machine_after_call = NULL;
        machine_end(m);
    }
}

/* ---- lists that are full */

/* Single pages far above, which are nothing's. */
static void fill(struct pvg_regions *r)
{
    for (uint64_t page = FAR_PAGE; r->count < PVG_REGIONS_MAX; page += 2)
        assert_int_equal(pvg_regions_add(r, page, page + 1), 0);
}

static void full_list(struct pvg_regions *full)
{
    uint64_t done, owned = machine_owned(m);
    const struct pvg_regions saved = *full;
    assert_int_equal(pvg_memblock_reserve(&g->memblock, FAR_PAGE, 1ull << 20), 0);
    fill(full);
    const struct pvg_regions filled = *full;
    assert_int_equal(pvg_balloon_down(g, 10, &done), -XEN_ENOSPC);
    assert_int_equal(done, 0);
    assert_true(same_regions(full, &filled));
    assert_int_equal(machine_owned(m), owned);
    /* one range fewer is enough, and what joins others needs none to come back */
    full->count--;
    assert_int_equal(pvg_balloon_down(g, 10, &done), 0);
    fill(full);
    assert_int_equal(pvg_balloon_up(g, 10, &done), 0);
    assert_int_equal(done, 10);
    assert_int_equal(machine_owned(m), owned);
    *full = saved;
    assert_int_equal(pvg_memblock_free(&g->memblock, FAR_PAGE, 1ull << 20), 0);
}

static void test_full_lists(void **state)
{
    (void)state;
    boot_small();
    full_list(&g->memblock.memory);
    check();
    full_list(&g->direct);
    end();
}

/* ---- again and again */

static uint64_t random_state;

static uint64_t below(uint64_t n)
{
    uint64_t x = random_state += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return (x ^ (x >> 31)) % n;
}

static void test_a_thousand_times(void **state)
{
    (void)state;
    struct pvg_p2m_info info;
    uint64_t now, used;
    pvg_pfn_t held[20];
    boot_small();
    for (unsigned i = 0; i < 20; i++) { /* pages that lie in between */
        assert_int_equal(pvg_pages_take(g, 1 + below(30), 1, &held[i]), 0);
        *content(pvg_p2m_mfn(g, held[i]).n) = MARK + i;
    }
    assert_int_equal(pvg_balloon_to(g, MAX_PAGES, &now), 0);
    used = MAX_PAGES - pvg_pages_free(g);
    machine_after_call = NULL;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t want = used + PVG_BALLOON_KEPT + 100 + below(MAX_PAGES - used - 200);
        assert_int_equal(pvg_balloon_to(g, want, &now), 0);
        assert_int_equal(now, want);
        assert_int_equal(machine_owned(m), want);
        if (i % 50 == 0) {
            check();
            check_figures();
        }
    }
    assert_int_equal(pvg_balloon_to(g, MAX_PAGES, &now), 0);
    pvg_p2m_info(g, &info);
    assert_int_equal(info.populated, MAX_PAGES);
    /* as many pages are in use as before: nothing was lost */
    assert_int_equal(MAX_PAGES - pvg_pages_free(g), used);
    assert_int_equal(g->p2m.lost, 0);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(*content(pvg_p2m_mfn(g, held[i]).n), MARK + i);
    end();
}

/* Tables are made out of what is there, or not at all: from a guest with nothing to spare. */
static void test_up_from_a_full_guest(void **state)
{
    (void)state;
    uint64_t done;
    pvg_pfn_t page;
    boot_small();
    while (pvg_pages_take(g, 1, 1, &page) == 0)
        ;
    note_state(&before);
    assert_int_equal(pvg_balloon_up(g, 100, &done), -XEN_ENOMEM);
    assert_int_equal(done, 0);
    check_old();
    assert_int_equal(pvg_pages_give(g, page, 1), 0); /* the lowest; one is too few for the leaf */
    int rc = pvg_balloon_up(g, 100, &done);
    assert_true(rc == 0 ? done == 100 : done == 0);
    end();
}

static int linear(void **state)
{
    (void)state;
    layout = PVG_P2M_LINEAR;
    random_state = 3;
    looks = 0;
    return 0;
}

static int tree(void **state)
{
    (void)state;
    layout = PVG_P2M_TREE;
    random_state = 4;
    looks = 0;
    return 0;
}

#define BOTH(f)                                                                                    \
    {#f ", linear", f, linear, NULL, NULL},                                                        \
    {                                                                                              \
#f ", tree", f, tree, NULL, NULL                                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_each_failure),         BOTH(test_refused_before_boot),
        BOTH(test_contiguous_refuses),   BOTH(test_contiguous_of_a_page_mapped_twice),
        BOTH(test_orders_and_addresses), BOTH(test_down_to_almost_nothing_and_up_to_the_maximum),
        BOTH(test_above_the_map),        BOTH(test_initial_domain_stays_in_its_map),
        BOTH(test_memory_limit),         BOTH(test_edges),
        BOTH(test_full_lists),           BOTH(test_a_thousand_times),
        BOTH(test_up_from_a_full_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
