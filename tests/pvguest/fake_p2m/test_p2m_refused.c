/* SPDX-License-Identifier: MIT */
/*
 * Everything that can be refused is refused once, in each call that changes the p2m: then nothing
 * has changed - no word of a page in use, no count - and the same call made again succeeds.
 */
#include "fake.h"

#define PFN_L1 (1ull << 18) /* pages below one L1, L2 */
#define PFN_L2 (1ull << 27)

static const struct fake_guest guest = {
    .ram = 8192, .nr_pages = 4000, .init_p2m = true, .for_tools = true};

struct snapshot {
    uint64_t hash, taken;
    struct p2m p2m;
    struct mfn_list list;
    arch_shared_info_t arch;
};

static void look(struct snapshot *s)
{
    memset(s, 0, sizeof(*s));
    s->hash = fake_hash();
    s->taken = f->taken;
    memcpy(&s->p2m, &g->p2m, sizeof(s->p2m));
    memcpy(&s->list, &g->mfn_list, sizeof(s->list));
    memcpy(&s->arch, &f->shared.arch, sizeof(s->arch));
    s->arch.p2m_generation = 0; /* goes on when a change is tried */
}

static int end(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

/* ---- the changes */

static int set(uint64_t pfn, uint64_t entry)
{
    return pvg_p2m_set(g, pvg_pfn(pfn), entry);
}

static int identity(uint64_t from, uint64_t to)
{
    return pvg_p2m_set_identity(g, (struct pvg_range){from, to});
}

/* A leaf, an L1 and an L2, and a page of the MFN list's */
static int far_away(void)
{
    return set(PFN_L2 - 1, 5) ? -1 : 0;
}

static int leaf_l1_l2(void)
{
    return set(3 * PFN_L2 + 99, 5);
}

static int leaf_only(void)
{
    return set(20000, 5);
}

static int out_of_identity(void)
{
    return set(PFN_L2 * 9 + 12345, 5);
}

static int identity_over_all(void)
{
    return identity(10000, PFN_L2 * 7 + 77);
}

static int identity_in_one_l1(void)
{
    return identity(PFN_L1 + 700, PFN_L1 + 7000);
}

static int identity_one_leaf(void)
{
    return identity(PFN_L1 + 1024, PFN_L1 + 1536);
}

static int identity_one_l1(void)
{
    return identity(PFN_L1, 2 * PFN_L1);
}

static int missing_over_all(void)
{
    return p2m_set_missing(g, (struct pvg_range){10000, PFN_L2 * 10 + 77});
}

static int identity_words(void)
{
    return identity(50000, 50100);
}

struct scenario {
    const char *name;
    int (*change)(void);
    unsigned least; /* calls that can be refused: not fewer; by layout */
    unsigned least_tree;
};

static const struct scenario scenarios[] = {
    {"an entry far away", far_away, 6, 3},
    {"an entry, leaf, L1 and L2", leaf_l1_l2, 7, 3},
    {"an entry and its leaf", leaf_only, 3, 1},
    {"an entry in a shared L2 of identity", out_of_identity, 7, 3},
    {"identity over several L2", identity_over_all, 13, 6},
    {"identity inside an L1", identity_in_one_l1, 4, 1},
    {"identity of one leaf", identity_one_leaf, 2, 0},
    {"identity of one L1", identity_one_l1, 2, 0},
    {"missing over several L2, out of identity", missing_over_all, 13, 6},
    {"identity of some words", identity_words, 3, 1},
};

/* Something of everything. */
static void populate(void)
{
    assert_int_equal(identity(PFN_L2 * 9, PFN_L2 * 11), 0);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(set(PFN_L1 + i * 200, 0x1000 + i), 0);
    assert_int_equal(set(PFN_L2 * 2 + 3, 0x2000), 0);
    assert_int_equal(set(PFN_L2 * 7 + 3, 0x2001), 0);
    assert_int_equal(set(PFN_L2 * 7 + 300, 0x2002), 0);
}

/* The number of calls that could be refused. */
static unsigned refuse_each(int (*change)(void))
{
    struct snapshot before, after;
    look(&before);
    for (unsigned n = 1;; n++) {
        g->reason[0] = '\0';
        f->fail_at = f->calls + n;
        int rc = change();
        bool reached = f->calls >= f->fail_at;
        f->fail_at = 0;
        fake_check();
        if (!reached) {
            assert_int_equal(rc, 0);
            look(&after);
            assert_memory_not_equal(&before, &after, sizeof(before));
            return n - 1;
        }
        assert_true(rc < 0);
        assert_true(g->reason[0]);
        look(&after);
        assert_memory_equal(&before, &after, sizeof(before));
    }
}

static void changes(enum pvg_p2m_layout layout, bool lazy)
{
    for (unsigned i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
        const struct scenario *s = &scenarios[i];
        fake_boot(&guest, layout);
        f->lazy = lazy;
        populate();
        unsigned calls = refuse_each(s->change);
        unsigned least = layout == PVG_P2M_LINEAR ? s->least : s->least_tree;
        print_message("%s: %u\n", s->name, calls);
        assert_true(calls >= least);
        if (i + 1 < sizeof(scenarios) / sizeof(scenarios[0]))
            fake_end();
    }
}

static void test_linear(void **state)
{
    (void)state;
    changes(PVG_P2M_LINEAR, false);
}

static void test_linear_lazy(void **state)
{
    (void)state;
    changes(PVG_P2M_LINEAR, true);
}

static void test_tree(void **state)
{
    (void)state;
    changes(PVG_P2M_TREE, false);
}

/* ---- building */

static int build_linear(void)
{
    return p2m_build(g, PVG_P2M_LINEAR);
}

static int build_tree(void)
{
    return p2m_build(g, PVG_P2M_TREE);
}

static int build_list(void)
{
    return mfn_list_build(g);
}

static void building(int (*change)(void), unsigned least)
{
    fake_start(&guest);
    fake_switch();
    assert_true(refuse_each(change) >= least);
    populate();
    /* top, missing mid, and the mids of L1 0, 1, and those of L2 2 and 7 are too far */
    assert_int_equal(refuse_each(build_list), 4);
    publish(g);
    fake_check();
}

static void test_build_linear(void **state)
{
    (void)state;
    building(build_linear, 6 * 2 + 8 + 3 * 2 + 3 + 2);
}

static void test_build_tree(void **state)
{
    (void)state;
    building(build_tree, 6 + 8 + 3 + 3);
}

/* ---- what the hypervisor does not let go */

/* The change is made and stands. Its old pages cannot be had back: they are counted. */
static void test_not_given_back(void **state)
{
    (void)state;
    fake_boot(&guest, PVG_P2M_LINEAR);
    populate();
    uint64_t leaves = g->p2m.leaves;
    f->keep_given = true;
    assert_int_equal(identity_one_l1(), 0);
    f->keep_given = false;
    assert_true(g->p2m.leaves < leaves);
    assert_int_equal(g->p2m.lost, leaves - g->p2m.leaves + 2); /* an L1, a mid */
    assert_int_equal(pvg_p2m_entry(g, pvg_pfn(PFN_L1 + 200)), PVG_P2M_IDENTITY | (PFN_L1 + 200));
    fake_check();
}

/* Updates that others have queued are made first; when they are refused the p2m does not change. */
static void test_refused_before(void **state)
{
    (void)state;
    struct snapshot before, after;
    fake_boot(&guest, PVG_P2M_LINEAR);
    f->lazy = true;
    look(&before);
    pvg_p2m_info(g, &(struct pvg_p2m_info){0});
    fake_queue_refused();
    assert_int_equal(leaf_only(), -XEN_EINVAL);
    assert_non_null(strstr(g->reason, "updates before a change of the p2m"));
    look(&after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(leaf_only(), 0);
    fake_check();
}

#define TEST(t) cmocka_unit_test_teardown(t, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_linear),         TEST(test_linear_lazy), TEST(test_tree),
        TEST(test_build_linear),   TEST(test_build_tree),  TEST(test_not_given_back),
        TEST(test_refused_before),
    };
    return cmocka_run_group_tests_name("p2m-refused", tests, NULL, NULL);
}
