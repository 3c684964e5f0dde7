/* SPDX-License-Identifier: MIT */
/* More memory, less, and contiguous frames: each way in which a step can fail, one after the other;
 * what is refused. */
#include "balloon_guest.h"

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

/* Not 0: with an element, this call fails, too: what was done in part is not done on. */
static uint64_t call_too;

static void inject(enum kind kind, uint64_t n)
{
    if (call_too)
        machine_fail_call(m, call_too, -XEN_EPERM);
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

static uint64_t done_at_first;

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
    done_at_first = done;
    check_guest();
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

/* Frames of which a part goes, or comes: an extent fails, and then the call that would go on. That
 * is the one behind the decrease, which is behind a multicall of two; or behind the populate. */
static void test_parts(void **state)
{
    (void)state;
    static const struct {
        unsigned operation, first, call;
    } part[] = {{0, 41, 5}, {2, 2, 2}};
    for (unsigned i = 0; i < 2; i++)
        for (uint64_t n = part[i].first; n < part[i].first + 39; n++) {
            call_too = part[i].call;
            fail_at(&operations[part[i].operation], ELEMENT, n);
            assert_int_equal(done_at_first, n - part[i].first + 1);
        }
    call_too = 0;
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

static void refuse_all(struct machine *from, unsigned number)
{
    (void)number;
    machine_fail_call(from, 1, -XEN_ENOMEM);
}

/* Frames came, and are refused in the direct map and on their way back: said, and counted. */
static void test_no_way_back(void **state)
{
    (void)state;
    uint64_t done = 7;
    boot_small();
    assert_int_equal(pvg_balloon_up(g, 600, NULL), 0);
    assert_int_equal(pvg_balloon_down(g, 1, NULL), 0);
    uint64_t lost = g->p2m.lost, owned = machine_owned(m);
    machine_after_call = refuse_all;
    assert_int_equal(pvg_balloon_up(g, 1, &done), -XEN_ENOMEM);
    machine_after_call = NULL;
    machine_fail_call(m, 0, 0);
    assert_int_equal(done, 0);
    assert_int_equal(machine_owned(m), owned + 1);
    assert_int_equal(g->p2m.lost, lost + 1);
    assert_non_null(strstr(pvg_reason(g), "1 frames could not be given back"));
    check_guest();
    assert_int_equal(pvg_balloon_up(g, 1, &done), 0);
    end();
}

/* Others have these by their frames. */
static void test_contiguous_of_what_is_known_outside(void **state)
{
    (void)state;
    pvg_mfn_t frame;
    boot_small();
    const struct machine_layout *l = machine_layout(m);
    const uint64_t page[] = {l->start_info, l->xenstore, l->console};
    note_state(&before);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pvg_make_contiguous(g, pvg_pfn(page[i]), 0, 0, &frame), -XEN_EINVAL);
        assert_non_null(strstr(pvg_reason(g), "known outside"));
    }
    check_old();
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
        check_guest();
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
    check_guest();
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_each_failure),
        BOTH(test_parts),
        BOTH(test_refused_before_boot),
        BOTH(test_contiguous_refuses),
        BOTH(test_contiguous_of_a_page_mapped_twice),
        BOTH(test_contiguous_of_what_is_known_outside),
        BOTH(test_no_way_back),
        BOTH(test_orders_and_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
