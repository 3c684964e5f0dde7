/* SPDX-License-Identifier: MIT */
/*
 * A p2m over 16 TiB, of which a hundredth of the leaves is in use, costs that hundredth and the
 * tables above it: on the core, where each page of it is a frame that the guest has. What the
 * entries name are frames beyond the machine's end: nobody but the guest looks at entries.
 *
 * One word is set in most leaves, in some all are: that a full leaf costs what one word does is
 * shown, too.
 */
#include "internal.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "guest.h"
#include "outside.h"

#include <cmocka.h>

#define SPAN        (1ull << 32) /* pages */
#define ALL_LEAVES  (SPAN / ENTRIES)
#define LEAVES      (ALL_LEAVES / 100)
#define RUN_LEAVES  512u /* 1 GiB of memory */
#define RUNS        ((LEAVES + RUN_LEAVES - 1) / RUN_LEAVES)
#define FULL_ONE_IN 64u
#define NR_PAGES    102000u
#define RAM_LEAVES  ((NR_PAGES + ENTRIES - 1) / ENTRIES)
#define FIRST_FRAME (1ull << 33)
#define LOOKS       200000u

/* Was identity before anything in it was populated. */
static const struct pvg_range identity = {SPAN / 2, SPAN / 4 * 3};

static struct machine *m;
static struct pvguest *g;
static uint64_t random_state;

/* ---- the model */

enum use { UNUSED, ONE_WORD, FULL };

static uint8_t use_of[ALL_LEAVES];
static uint64_t leaf[LEAVES]; /* in the order in which they come to be */

static uint64_t below(uint64_t n)
{
    uint64_t x = random_state += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return (x ^ (x >> 31)) % n;
}

/* A run in each stretch, anywhere in it, whatever tables lie there; the last one ends the span. */
static void choose_runs(void)
{
    uint64_t stretch = ALL_LEAVES / RUNS;
    for (uint64_t i = 0; i < LEAVES; i++) {
        uint64_t end = (i / RUN_LEAVES + 1) * stretch;
        leaf[i] = i % RUN_LEAVES ? leaf[i - 1] + 1 : end - RUN_LEAVES - below(stretch / 2);
    }
    for (uint64_t i = LEAVES, at = ALL_LEAVES; i-- > (RUNS - 1) * RUN_LEAVES;)
        leaf[i] = --at;
}

/* One in each stretch, and in no order. */
static void choose_scattered(void)
{
    uint64_t stretch = (ALL_LEAVES - RAM_LEAVES) / LEAVES;
    for (uint64_t i = 0; i < LEAVES; i++)
        leaf[i] = RAM_LEAVES + i * stretch + below(stretch);
    leaf[LEAVES - 1] = ALL_LEAVES - 1;
    for (uint64_t i = LEAVES; i > 1; i--) {
        uint64_t k = below(i), n = leaf[k];
        leaf[k] = leaf[i - 1];
        leaf[i - 1] = n;
    }
}

static uint64_t expected(uint64_t pfn)
{
    enum use use = use_of[pfn / ENTRIES];
    if (use == FULL || (use == ONE_WORD && pfn % ENTRIES == ENTRIES - 1))
        return FIRST_FRAME + pfn;
    bool is_identity = pfn >= identity.from && pfn < identity.to;
    return is_identity ? PVG_P2M_IDENTITY | pfn : PVG_P2M_MISSING;
}

/* How many tables there are above leaves in use, each of which has 512^level leaves below it, of
 * the first `end` leaves. Those above RAM are there already. */
static uint64_t tables_above(unsigned level, uint64_t end)
{
    uint64_t span = 1ull << 9 * level, tables = 0;
    for (uint64_t base = span; base < end; base += span) {
        uint64_t i = base;
        while (i < base + span && use_of[i] == UNUSED)
            i++;
        tables += i < base + span;
    }
    return tables;
}

/* ---- the guest */

struct cost {
    struct pvg_p2m_info p2m;
    uint64_t free, l1, l2; /* pages; tables that the hypervisor has, but the shared ones */
};

static uint64_t tables_of(unsigned level)
{
    const pvg_pfn_t shared[] = {g->p2m.missing.table[level], g->p2m.identity.table[level]};
    uint64_t n = machine_tables(m, level);
    for (unsigned i = 0; i < 2; i++)
        n -= machine_type(m, pvg_p2m_mfn(g, shared[i]).n) == level;
    return n;
}

static struct cost cost_now(void)
{
    struct cost c = {.free = pvg_pages_free(g)};
    pvg_p2m_info(g, &c.p2m);
    c.l1 = tables_of(1);
    c.l2 = tables_of(2);
    return c;
}

static void print_cost(const char *what, const struct cost *was)
{
    struct cost c = cost_now();
    print_message("  %-17s %" PRIu64 " pages spanned, %" PRIu64 " populated in %" PRIu64
                  " leaves, %" PRIu64 " tables: %" PRIu64 " KiB\n",
                  what, c.p2m.max_pfn, c.p2m.populated, c.p2m.leaves, c.p2m.tables,
                  (c.p2m.leaves + c.p2m.tables) * 4);
    print_message("  %-17s %" PRIu64 " leaves, %" PRIu64 " tables, %" PRIu64 " pages taken\n",
                  "  of these, new:", c.p2m.leaves - was->p2m.leaves,
                  c.p2m.tables - was->p2m.tables, was->free - c.free);
}

static void boot(void *arg)
{
    if (pvg_boot(g, arg))
        fail_msg("boot: %s", pvg_reason(g));
}

static void check(const char *wrong)
{
    if (wrong)
        fail_msg("%s", wrong);
}

static void begin(enum pvg_p2m_layout layout)
{
    struct pvg_options o = {.p2m = layout};
    m = machine_make(&(struct machine_params){.seed = 1, .nr_pages = NR_PAGES});
    g = guest_start(m);
    assert_non_null(g);
    assert_int_equal(machine_run(boot, &o), MACHINE_RETURNED);
    memset(use_of, UNUSED, sizeof(use_of));
    random_state = 1;
}

static int end(void **state)
{
    (void)state;
    machine_end(m);
    return 0;
}

static void set(uint64_t pfn)
{
    if (pvg_p2m_set(g, pvg_pfn(pfn), FIRST_FRAME + pfn))
        fail_msg("%s", pvg_reason(g));
}

static void populate(void)
{
    for (uint64_t i = 0; i < LEAVES; i++) {
        set(leaf[i] * ENTRIES + ENTRIES - 1);
        use_of[leaf[i]] = ONE_WORD;
    }
}

static void fill_some(void)
{
    for (uint64_t i = 0; i < LEAVES; i += FULL_ONE_IN) {
        for (uint64_t k = 0; k < ENTRIES; k++)
            set(leaf[i] * ENTRIES + k);
        use_of[leaf[i]] = FULL;
    }
}

/* ---- what it comes to */

static void look(uint64_t pfn)
{
    uint64_t e = pfn < SPAN ? pvg_p2m_entry(g, pvg_pfn(pfn)) : PVG_P2M_MISSING;
    uint64_t want = pfn < SPAN ? expected(pfn) : PVG_P2M_MISSING;
    if (e != want)
        fail_msg("p2m(%" PRIx64 ") is %" PRIx64 ", not %" PRIx64, pfn, e, want);
}

/* In each leaf, on both sides of it, and anywhere. */
static void look_around(void)
{
    for (uint64_t i = 0; i < LEAVES; i++) {
        uint64_t pfn = leaf[i] * ENTRIES;
        const uint64_t at[] = {pfn - 1, pfn, pfn + 1 + below(510), pfn + 511, pfn + 512};
        for (unsigned k = 0; k < sizeof(at) / sizeof(at[0]); k++)
            if (at[k] >= RAM_LEAVES * ENTRIES)
                look(at[k]);
    }
    for (unsigned i = 0; i < LOOKS; i++)
        look(RAM_LEAVES * ENTRIES + below(SPAN - RAM_LEAVES * ENTRIES));
}

/* From outside, too: mfn_list_list says that it cannot speak of so many, the linear list does. */
static void look_from_outside(enum pvg_p2m_layout layout)
{
    assert_int_equal(outside_info(m)->max_pfn, SPAN);
    assert_int_equal(outside_info(m)->pfn_to_mfn_frame_list_list, ~0ul);
    for (uint64_t i = 0; i < LEAVES && layout == PVG_P2M_LINEAR; i++) {
        uint64_t pfn = leaf[i] * ENTRIES + ENTRIES - 1;
        assert_int_equal(outside_linear(m, pfn), FIRST_FRAME + pfn);
    }
}

/* No page more than leaves, the tables above them, and the MFN list's, which ends at 2^27 pages. */
static void check_cost(enum pvg_p2m_layout layout, const struct cost *was)
{
    struct cost c = cost_now();
    uint64_t l1 = tables_above(1, ALL_LEAVES), l2 = tables_above(2, ALL_LEAVES);
    uint64_t mids = tables_above(1, PVG_MFN_LIST_PFNS / ENTRIES);
    assert_int_equal(c.p2m.max_pfn, SPAN);
    assert_int_equal(c.p2m.leaves - was->p2m.leaves, LEAVES);
    assert_int_equal(c.p2m.tables - was->p2m.tables, l1 + l2 + mids);
    assert_int_equal(was->free - c.free, LEAVES + l1 + l2 + mids);
    assert_int_equal(c.l1 - was->l1, layout == PVG_P2M_LINEAR ? l1 : 0);
    assert_int_equal(c.l2 - was->l2, layout == PVG_P2M_LINEAR ? l2 : 0);
}

static void check_as_it_was(const struct cost *was)
{
    struct cost c = cost_now();
    assert_int_equal(g->p2m.lost + g->p2m.spare.count, 0);
    assert_int_equal(c.free, was->free);
    assert_int_equal(c.l1, was->l1);
    assert_int_equal(c.l2, was->l2);
    assert_int_equal(c.p2m.max_pfn, was->p2m.max_pfn);
    assert_int_equal(c.p2m.populated, was->p2m.populated);
    assert_int_equal(c.p2m.leaves, was->p2m.leaves);
    assert_int_equal(c.p2m.tables, was->p2m.tables);
    check(guest_check_booted(m, g));
}

static void come_and_go(const char *what, enum pvg_p2m_layout layout, uint64_t tables_at_most)
{
    const struct cost was = cost_now();
    assert_int_equal(pvg_p2m_set_identity(g, identity), 0);
    assert_int_equal(pvg_pages_free(g), was.free);
    populate();
    check_cost(layout, &was);
    fill_some();
    check_cost(layout, &was);
    print_cost(what, &was);
    assert_true(cost_now().p2m.tables - was.p2m.tables <= tables_at_most);
    check(machine_audit(m));
    look_around();
    look_from_outside(layout);
    assert_int_equal(p2m_set_missing(g, (struct pvg_range){NR_PAGES, SPAN}), 0);
    check_as_it_was(&was);
}

/* A run lies below two L1s at most. */
static void in_runs(const char *what, enum pvg_p2m_layout layout)
{
    begin(layout);
    choose_runs();
    come_and_go(what, layout, 2 * RUNS + 32 + 2 * (RUNS / 32 + 1));
}

/*
 * The worst there is: all the tables that the span has. Leaves that came in no order went in
 * another, and what they left was more single pages than memblock has ranges. All that found no
 * range, 94,251 pages of 100,649, were lost to the guest. Now they wait, and go once their
 * neighbours have gone.
 */
static void scattered(const char *what, enum pvg_p2m_layout layout)
{
    begin(layout);
    choose_scattered();
    come_and_go(what, layout, ALL_LEAVES / ENTRIES + 32 + 512);
}

static void test_runs_linear(void **state)
{
    (void)state;
    in_runs("linear, runs:", PVG_P2M_LINEAR);
}

static void test_runs_tree(void **state)
{
    (void)state;
    in_runs("tree, runs:", PVG_P2M_TREE);
}

static void test_scattered_linear(void **state)
{
    (void)state;
    scattered("linear, scattered:", PVG_P2M_LINEAR);
}

static void test_scattered_tree(void **state)
{
    (void)state;
    scattered("tree, scattered:", PVG_P2M_TREE);
}

#define TEST(t) cmocka_unit_test_teardown(t, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_runs_linear),
        TEST(test_runs_tree),
        TEST(test_scattered_linear),
        TEST(test_scattered_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
