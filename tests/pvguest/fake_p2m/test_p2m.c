/* SPDX-License-Identifier: MIT */
/* The p2m: the builder's list, both layouts against a plain array, the MFN list, shared_info. */
#include "fake.h"

#define SMALL   (1ull << 14) /* pages of RAM */
#define WINDOWS 7u
#define WINDOW  2048u

static const struct fake_guest small = {.ram = SMALL, .nr_pages = 6001};
static const struct fake_guest with_init_p2m = {
    .ram = SMALL, .nr_pages = 6001, .init_p2m = true, .holes = true, .for_tools = true};

/* Over the edges of leaves, of tables of each level, of the MFN list, and of it all. */
static const uint64_t window[WINDOWS] = {SMALL,
                                         (1ull << 18) - 1024,
                                         (3ull << 18) - 1000,
                                         (1ull << 27) - 1024,
                                         (5ull << 27) - 700,
                                         (1ull << 35) - 1024,
                                         (1ull << 36) - WINDOW};

static uint64_t model[WINDOWS][WINDOW];

static int end(void **state)
{
    (void)state;
    fake_end();
    return 0;
}

/* ---- the builder's list */

static void check_list(void)
{
    for (uint64_t pfn = 0; pfn < SMALL; pfn++)
        assert_int_equal(pvg_p2m_entry(g, pvg_pfn(pfn)), fake_listed(pfn));
    assert_int_equal(pvg_p2m_entry(g, pvg_pfn(1ull << 36)), PVG_P2M_MISSING);
    assert_int_equal(pvg_p2m_mfn(g, pvg_pfn(3)).n, fake_mfn(3));
    assert_int_equal(pvg_p2m_mfn(g, pvg_pfn(SMALL)).n, PVG_NO_MFN.n);
}

static void initial(const struct fake_guest *is)
{
    fake_start(is);
    check_list();
    fake_switch();
    check_list();
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(SMALL), 5), -XEN_EROFS);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){1, 2}), -XEN_EROFS);
    assert_int_equal(mfn_list_build(g), -XEN_EINVAL);
    check_list();
}

static void test_initial(void **state)
{
    (void)state;
    initial(&small);
}

static void test_initial_elsewhere(void **state)
{
    (void)state;
    initial(&with_init_p2m);
}

static void test_bad_start_info(void **state)
{
    (void)state;
    fake_start(&with_init_p2m);
    f->si.nr_p2m_frames = 6001 / 512; /* one too few */
    assert_int_equal(p2m_init(g), -XEN_EINVAL);
    f->si.nr_p2m_frames = 6000;
    assert_int_equal(p2m_init(g), -XEN_EINVAL);
    f->si.nr_p2m_frames = ~0ull;
    assert_int_equal(p2m_init(g), -XEN_EINVAL);
    f->si.mfn_list += 8;
    assert_int_equal(p2m_init(g), -XEN_EINVAL);
    f->si.mfn_list = PVG_VIRT_BASE + 6000 * PVG_PAGE_BYTES;
    assert_int_equal(p2m_init(g), -XEN_EINVAL);
    f->si.nr_pages = 0;
    assert_int_equal(p2m_init(g), -XEN_EINVAL);
    f->si.nr_pages = PVG_P2M_PFNS + 1;
    assert_int_equal(p2m_init(g), -XEN_EINVAL);
}

static void build(const struct fake_guest *is, enum pvg_p2m_layout layout)
{
    struct pvg_p2m_info info;
    uint64_t populated = 0, max = 0;
    fake_boot(is, layout);
    check_list();
    for (uint64_t pfn = 0; pfn < is->nr_pages; pfn++) {
        if (fake_listed(pfn) == PVG_P2M_MISSING)
            continue;
        populated++;
        max = pfn + 1;
        assert_int_equal(fake_mfn_list_entry(pfn), fake_mfn(pfn));
    }
    pvg_p2m_info(g, &info);
    assert_int_equal(info.layout, layout);
    assert_int_equal(info.populated, populated);
    assert_int_equal(info.max_pfn, max);
    assert_int_equal(p2m_build(g, layout), -XEN_EINVAL);
    assert_int_equal(mfn_list_build(g), -XEN_EINVAL);
    for (uint64_t pfn = g->p2m.initial.from; pfn < g->p2m.initial.to; pfn++)
        assert_false(fake_is_builders(pfn));
}

static void test_build_linear(void **state)
{
    (void)state;
    build(&small, PVG_P2M_LINEAR);
    /* leaves: 6001 words; tables: 2 leaves, 2x2 tables shared, L3, L2, L1, top and 2 mids */
    assert_int_equal(g->p2m.leaves, 12);
    assert_int_equal(g->p2m.tables, 12);
}

static void test_build_tree(void **state)
{
    (void)state;
    build(&small, PVG_P2M_TREE);
    assert_int_equal(g->p2m.leaves, 12);
    assert_int_equal(g->p2m.tables, 12);
    assert_int_equal(f->hooks, 0); /* nothing is mapped */
}

static void test_build_init_p2m(void **state)
{
    (void)state;
    build(&with_init_p2m, PVG_P2M_LINEAR);
}

static void test_build_init_p2m_tree(void **state)
{
    (void)state;
    build(&with_init_p2m, PVG_P2M_TREE);
}

/* ---- single calls */

static void entries(enum pvg_p2m_layout layout)
{
    const uint64_t pfn = (1ull << 20) + 77;
    const pvg_pfn_t p = pvg_pfn(pfn);
    fake_boot(&small, layout);
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(PVG_P2M_PFNS), 5), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(~0ull), 5), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set(g, p, 1ull << 40), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set(g, p, PVG_P2M_IDENTITY | (pfn + 1)), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set(g, p, PVG_P2M_MARKS | pfn), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set(g, p, PVG_P2M_FOREIGN | 1ull << 40), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){5, 4}), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){5, PVG_P2M_PFNS + 1}), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){pfn, pfn}), 0);
    assert_int_equal(pvg_p2m_set(g, p, PVG_P2M_MISSING), 0);
    assert_int_equal(g->p2m.leaves, 12); /* that was so already */
    assert_int_equal(pvg_p2m_set(g, p, PVG_P2M_FOREIGN | 9), 0);
    assert_int_equal(g->p2m.leaves, 13);
    assert_int_equal(g->p2m.max_pfn, 6001); /* not a frame of our own */
    assert_int_equal(pvg_p2m_mfn(g, p).n, 9);
    assert_int_equal(pvg_p2m_set(g, p, 7), 0);
    assert_int_equal(g->p2m.max_pfn, pfn + 1);
    assert_int_equal(g->p2m.populated, 6002);
    assert_int_equal(pvg_p2m_set(g, p, PVG_P2M_IDENTITY | pfn), 0);
    assert_int_equal(g->p2m.max_pfn, 6001);
    assert_int_equal(pvg_p2m_mfn(g, p).n, pfn);
    fake_check();
}

static void test_entries_linear(void **state)
{
    (void)state;
    entries(PVG_P2M_LINEAR);
}

static void test_entries_tree(void **state)
{
    (void)state;
    entries(PVG_P2M_TREE);
}

static void test_identity_is_shared(void **state)
{
    (void)state;
    fake_boot(&small, PVG_P2M_LINEAR);
    uint64_t leaves = g->p2m.leaves, tables = g->p2m.tables;
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){1ull << 27, 1ull << 36}), 0);
    assert_int_equal(g->p2m.tables, tables);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){1ull << 18, 1ull << 27}), 0);
    assert_int_equal(g->p2m.tables, tables);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){1ull << 17, 1ull << 18}), 0);
    assert_int_equal(g->p2m.tables, tables);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){16000, 1ull << 17}), 0);
    assert_int_equal(g->p2m.tables, tables);
    assert_int_equal(g->p2m.leaves, leaves + 1); /* 16000 is no multiple of 512 */
    assert_int_equal(pvg_p2m_entry(g, pvg_pfn(15999)), PVG_P2M_MISSING);
    assert_int_equal(pvg_p2m_entry(g, pvg_pfn(16000)), PVG_P2M_IDENTITY | 16000);
    assert_int_equal(pvg_p2m_entry(g, pvg_pfn((1ull << 36) - 1)),
                     PVG_P2M_IDENTITY | ((1ull << 36) - 1));
    uint64_t hooks = f->hooks;
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){1ull << 19, 1ull << 26}), 0);
    assert_int_equal(f->hooks, hooks); /* that was so already */
    fake_check();
}

/* ---- against a plain array */

static uint64_t mfn_list_entry(uint64_t pfn)
{
    uint64_t was = f->shared.arch.pfn_to_mfn_frame_list_list;
    f->shared.arch.pfn_to_mfn_frame_list_list = fake_mfn(g->mfn_list.top.n);
    uint64_t entry = fake_mfn_list_entry(pfn);
    f->shared.arch.pfn_to_mfn_frame_list_list = was;
    return entry;
}

static uint64_t count_leaves(unsigned level, uint64_t node)
{
    uint64_t n = 0;
    if (!node_own(g, level, pvg_pfn(node)))
        return 0;
    if (level == 0)
        return 1;
    for (unsigned i = 0; i < 512; i++) {
        uint64_t word = fake_words(node)[i];
        bool linear = g->p2m.layout == PVG_P2M_LINEAR;
        n += count_leaves(level - 1, linear ? fake_pfn(pte_mfn(word).n) : word);
    }
    return n;
}

static void compare_one(uint64_t pfn, uint64_t expected)
{
    uint64_t entry = pvg_p2m_entry(g, pvg_pfn(pfn));
    if (entry != expected)
        print_error("page %lx:\n", pfn);
    assert_int_equal(entry, expected);
    if (pfn < PVG_MFN_LIST_PFNS && entry_populated(expected))
        assert_int_equal(mfn_list_entry(pfn), expected);
}

static void compare(void)
{
    uint64_t populated = small.nr_pages, max = small.nr_pages;
    for (unsigned w = 0; w < WINDOWS; w++)
        for (unsigned i = 0; i < WINDOW; i++) {
            compare_one(window[w] + i, model[w][i]);
            if (!entry_populated(model[w][i]))
                continue;
            populated++;
            max = window[w] + i + 1;
        }
    assert_int_equal(g->p2m.populated, populated);
    assert_int_equal(g->p2m.max_pfn, max);
    assert_int_equal(g->p2m.leaves, count_leaves(3, g->p2m.top.n));
    fake_check();
}

static uint64_t random_entry(uint64_t pfn)
{
    switch (fake_random(8)) {
    case 0:
    case 1:
    case 2:
        return PVG_P2M_MISSING;
    case 3:
        return PVG_P2M_IDENTITY | pfn;
    case 4:
        return PVG_P2M_FOREIGN | fake_random(1ull << 40);
    default:
        return fake_random(1ull << 40);
    }
}

/* Only what was to be refused may be. */
static bool refused(int rc)
{
    bool reached = f->fail_at && f->calls >= f->fail_at;
    f->fail_at = 0;
    assert_true(reached ? rc < 0 : rc == 0);
    return reached;
}

static void random_set(unsigned w)
{
    uint64_t i = fake_random(WINDOW), entry = random_entry(window[w] + i);
    if (refused(pvg_p2m_set(g, pvg_pfn(window[w] + i), entry)))
        return;
    model[w][i] = entry;
    compare_one(window[w] + i, entry);
}

static void fill(uint64_t from, uint64_t to, bool identity)
{
    struct pvg_range range = {from, to};
    int rc = identity ? pvg_p2m_set_identity(g, range) : p2m_set_missing(g, range);
    if (refused(rc))
        return;
    for (unsigned w = 0; w < WINDOWS; w++)
        for (unsigned i = 0; i < WINDOW; i++)
            if (window[w] + i >= from && window[w] + i < to)
                model[w][i] = identity ? PVG_P2M_IDENTITY | (window[w] + i) : PVG_P2M_MISSING;
}

/* Inside one window mostly; seldom over all that lies between two. */
static void random_fill(unsigned w)
{
    unsigned v = fake_random(50) == 0 ? fake_random(WINDOWS) : w;
    uint64_t from = window[w] + fake_random(WINDOW), to = window[v] + fake_random(WINDOW + 1);
    fill(from < to ? from : to, from < to ? to : from, fake_random(2));
}

static void random_step(bool refuse)
{
    unsigned w = fake_random(WINDOWS);
    if (refuse && fake_random(4) == 0)
        f->fail_at = f->calls + 1 + fake_random(10);
    uint64_t i = fake_random(WINDOW), what = fake_random(100);
    if (what < 60)
        random_set(w);
    else if (what < 65)
        random_fill(w);
    else
        compare_one(window[w] + i, model[w][i]);
    f->fail_at = 0;
}

static void random_calls(enum pvg_p2m_layout layout, bool lazy, bool refuse)
{
    fake_boot(&small, layout);
    f->lazy = lazy;
    memset(model, 0xff, sizeof(model));
    fake_seed(7);
    for (unsigned n = 0; n < 200000; n++) {
        random_step(refuse);
        if (n % 500 == 0)
            compare();
    }
    fill(window[0], PVG_P2M_PFNS, true);
    compare();
    fill(window[0], PVG_P2M_PFNS, false);
    compare();
    print_message("layout %d: %lu updates of live tables, %lu leaves, %lu tables in the end\n",
                  layout, f->hooks, g->p2m.leaves, g->p2m.tables);
    assert_true(g->p2m.leaves == 12 && g->p2m.tables == 12);
}

static void test_random_linear(void **state)
{
    (void)state;
    random_calls(PVG_P2M_LINEAR, false, false);
}

static void test_random_lazy(void **state)
{
    (void)state;
    random_calls(PVG_P2M_LINEAR, true, false);
}

static void test_random_tree(void **state)
{
    (void)state;
    random_calls(PVG_P2M_TREE, false, false);
}

static void test_random_refused(void **state)
{
    (void)state;
    random_calls(PVG_P2M_LINEAR, false, true);
}

/* ---- what is published */

static void test_too_large(void **state)
{
    (void)state;
    const uint64_t last = PVG_MFN_LIST_PFNS - 1;
    fake_boot(&with_init_p2m, PVG_P2M_LINEAR);
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(last), 77), 0);
    assert_int_equal(fake_mfn_list_entry(last), 77);
    fake_check();
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(last + 1), 78), 0);
    assert_int_equal(f->shared.arch.pfn_to_mfn_frame_list_list, ~0ull);
    fake_check();
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(last + 1), PVG_P2M_MISSING), 0);
    assert_int_equal(fake_mfn_list_entry(last), 77);
    fake_check();
}

static void test_before_shared_info(void **state)
{
    (void)state;
    fake_start(&small);
    fake_switch();
    publish_max_pfn(g);
    assert_int_equal(f->shared.arch.max_pfn, 0);
    publish(g);
    assert_int_equal(f->shared.arch.pfn_to_mfn_frame_list_list, 0);
    g->shared_va = 0;
    publish(g);
    publish_max_pfn(g);
    publish_begin_change(g);
    assert_int_equal(f->shared.arch.p2m_generation, 0);
}

/* The MFN list is to speak of all that is populated. A guest once ended it where the builder's
 * memory ended. What had been moved above was lost when the domain was saved. */
static void mfn_list_end(unsigned faults, uint64_t expected)
{
    const uint64_t above = (6001 / 512 + 2) * 512;
    fake_start(&small);
    fake_switch();
    g->options.faults = faults;
    assert_int_equal(p2m_build(g, PVG_P2M_LINEAR), 0);
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(above), 1234), 0);
    assert_int_equal(mfn_list_build(g), 0);
    publish(g);
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(1ull << 22), 1235), 0);
    assert_int_equal(fake_mfn_list_entry(above), expected == PVG_NONE ? PVG_NONE : 1234);
    assert_int_equal(fake_mfn_list_entry(1ull << 22), expected == PVG_NONE ? PVG_NONE : 1235);
    for (uint64_t pfn = 0; pfn < 6001; pfn++)
        assert_int_equal(fake_mfn_list_entry(pfn), fake_mfn(pfn));
    assert_int_equal(f->shared.arch.max_pfn, (1ull << 22) + 1);
    fake_check();
}

static void test_mfn_list_whole(void **state)
{
    (void)state;
    mfn_list_end(0, 0);
}

static void test_mfn_list_short(void **state)
{
    (void)state;
    mfn_list_end(PVG_FAULT_SHORT_MFN_LIST, PVG_NONE);
}

#define TEST(t) cmocka_unit_test_teardown(t, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_initial),
        TEST(test_initial_elsewhere),
        TEST(test_bad_start_info),
        TEST(test_build_linear),
        TEST(test_build_tree),
        TEST(test_build_init_p2m),
        TEST(test_build_init_p2m_tree),
        TEST(test_entries_linear),
        TEST(test_entries_tree),
        TEST(test_identity_is_shared),
        TEST(test_random_linear),
        TEST(test_random_lazy),
        TEST(test_random_tree),
        TEST(test_random_refused),
        TEST(test_too_large),
        TEST(test_before_shared_info),
        TEST(test_mfn_list_whole),
        TEST(test_mfn_list_short),
    };
    return cmocka_run_group_tests_name("p2m", tests, NULL, NULL);
}
