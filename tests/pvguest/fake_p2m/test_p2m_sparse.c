/* SPDX-License-Identifier: MIT */
/* A p2m over 16 TiB of which a hundredth is populated costs that hundredth. */
#include "fake.h"

#define SPAN (1ull << 32) /* pages */

static const struct fake_guest guest = {.ram = 1ull << 17, .nr_pages = 1ull << 17};

static int end(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

static void print_cost(const char *what, enum pvg_p2m_layout layout)
{
    struct pvg_p2m_info i;
    pvg_p2m_info(g, &i);
    print_message("%s, %s: %lu pages spanned, %lu populated: %lu leaves, %lu tables, %lu KiB\n",
                  layout == PVG_P2M_LINEAR ? "linear" : "tree", what, i.max_pfn, i.populated,
                  i.leaves, i.tables, (i.leaves + i.tables) * 4);
}

/* L1s, L2s, and the MFN list's mids for `leaves` leaves in `places` places; what is there once. */
static uint64_t tables_at_most(uint64_t leaves, uint64_t places)
{
    return 2 * (leaves / 512 + 2 * places) + 2 * places + 32 + 20;
}

/* Every 100th stretch of `run` pages is populated, to one word in `stride`: with 1 the whole of a
 * hundredth of all pages is. */
static uint64_t populate(uint64_t run, uint64_t stride)
{
    uint64_t runs = 0;
    for (uint64_t from = SPAN - run; from > guest.ram + 100 * run; from -= 100 * run, runs++)
        for (uint64_t i = 0; i < run; i += stride)
            assert_int_equal(pvg_p2m_set(g, pvg_pfn(from + i), fake_random(1ull << 40)), 0);
    return runs;
}

/* A hundredth, in runs of 1 GiB. One word of each leaf is set: a full leaf costs the same. */
static void runs(enum pvg_p2m_layout layout)
{
    const uint64_t run = 1ull << 18;
    fake_boot(&guest, layout);
    uint64_t leaves = g->p2m.leaves, places = populate(run, ENTRIES);
    print_cost("in runs of a GiB", layout);
    assert_true(places >= 162);
    assert_int_equal(g->p2m.leaves - leaves, places * (run / ENTRIES));
    assert_true(g->p2m.tables <= tables_at_most(g->p2m.leaves, places));
    fake_check();
}

static void test_runs_linear(void **state)
{
    (void)state;
    runs(PVG_P2M_LINEAR);
}

static void test_runs_tree(void **state)
{
    (void)state;
    runs(PVG_P2M_TREE);
}

/* Pages here and there, none near another: the worst there is, and still two pages for each. */
static void scattered(enum pvg_p2m_layout layout)
{
    const uint64_t count = 8000;
    fake_boot(&guest, layout);
    uint64_t leaves = g->p2m.leaves, tables = g->p2m.tables;
    for (uint64_t i = 1; i <= count; i++)
        assert_int_equal(pvg_p2m_set(g, pvg_pfn(i * (SPAN / count) - fake_random(512)), i), 0);
    print_cost("scattered", layout);
    assert_int_equal(g->p2m.leaves - leaves, count);
    assert_true(g->p2m.tables - tables <= count + 512 + 32);
    fake_check();
}

static void test_scattered_linear(void **state)
{
    (void)state;
    scattered(PVG_P2M_LINEAR);
}

static void test_scattered_tree(void **state)
{
    (void)state;
    scattered(PVG_P2M_TREE);
}

/* Populated to the last page, identity between: the shared nodes are all that this takes. */
static void holes_are_identity(enum pvg_p2m_layout layout)
{
    fake_boot(&guest, layout);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){guest.ram, PVG_P2M_PFNS - 7}), 0);
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(PVG_P2M_PFNS - 1), 9), 0);
    print_cost("identity between", layout);
    assert_int_equal(g->p2m.max_pfn, PVG_P2M_PFNS);
    assert_int_equal(g->p2m.leaves, guest.nr_pages / ENTRIES + 1);
    assert_true(g->p2m.tables <= 20);
    fake_check();
}

static void test_identity_linear(void **state)
{
    (void)state;
    holes_are_identity(PVG_P2M_LINEAR);
}

static void test_identity_tree(void **state)
{
    (void)state;
    holes_are_identity(PVG_P2M_TREE);
}

#define TEST(t) cmocka_unit_test_teardown(t, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_runs_linear),    TEST(test_runs_tree),       TEST(test_scattered_linear),
        TEST(test_scattered_tree), TEST(test_identity_linear), TEST(test_identity_tree),
    };
    return cmocka_run_group_tests_name("p2m-sparse", tests, NULL, NULL);
}
