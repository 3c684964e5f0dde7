/* SPDX-License-Identifier: MIT */
/* Every hypercall, element and search for pages of each operation on grants, refused in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <cmocka.h>

#define NR_PAGES 2048u
#define WINDOW   0xffffcd0000000000ull
#define GIB      (1ull << 30)

static struct machine *m;
static struct pvguest *g;

static int setup(void **state)
{
    struct pvg_options o;
    (void)state;
    pvg_options_default(&o);
    m = machine_make(&(struct machine_params){.seed = 14, .nr_pages = NR_PAGES, .pause_one_in = 3});
    g = guest_start(m);
    return g == NULL || pvg_boot(g, &o);
}

static int teardown(void **state)
{
    (void)state;
    machine_fail_call(m, 0, 0);
    machine_fail_element(m, 0, 0);
    guest_fail_search(0);
    const char *wrong = guest_check(m, g);
    if (!wrong)
        wrong = guest_check_lists(m, g);
    if (wrong)
        print_error("%s\n", wrong);
    machine_end(m);
    return wrong ? -1 : 0;
}

static void assert_sound(void)
{
    const char *wrong = guest_check(m, g);
    if (!wrong)
        wrong = guest_check_lists(m, g);
    if (wrong)
        fail_msg("%s", wrong);
}

static pvg_pfn_t take(void)
{
    pvg_pfn_t page;
    assert_int_equal(pvg_pages_take(g, 1, 1, &page), 0);
    return page;
}

static bool is_mapped(uint64_t va)
{
    uint64_t entry, at;
    return machine_walk(m, va, &entry, &at) == 1 && (entry & PVG_PTE_PRESENT);
}

struct figures {
    uint64_t free, l1, pins, owned;
    unsigned frames, lent, borrowed, handles;
    unsigned slots; /* of the fixmap, in use for the table */
};

static struct figures figures(void)
{
    struct figures f;
    memset(&f, 0, sizeof(f));
    f.free = pvg_pages_free(g);
    f.l1 = machine_tables(m, 1);
    f.pins = machine_pins(m);
    f.owned = machine_owned(m);
    f.frames = g->grants.frames;
    f.lent = pvg_grants(g);
    f.borrowed = pvg_grant_mappings(g);
    f.handles = machine_grant_handles(m);
    for (unsigned i = 0; i < PVG_GRANT_FRAMES_MAX; i++)
        f.slots += is_mapped(fixmap_va(FIX_GRANT + i));
    return f;
}

enum { CALL, ELEMENT, SEARCH, KINDS };

static void arm(unsigned kind, uint64_t n)
{
    machine_fail_call(m, kind == CALL ? n : 0, -XEN_ENOMEM);
    if (kind != CALL)
        machine_fail_element(m, kind == ELEMENT ? n : 0, -XEN_ENOMEM);
    guest_fail_search(kind == SEARCH ? n : 0);
}

static void disarm(void)
{
    guest_fail_search(0);
    machine_fail_element(m, 0, 0);
    machine_fail_call(m, 0, 0);
}

/* What is done anew each time, with the number of the time; and undone. */
struct deed {
    int (*run)(uint64_t time);
    void (*undo)(uint64_t time);
};

static uint64_t time_now; /* of all deeds in a test: none sees what the one before left */

/* false: it succeeded, as the failure lay behind its end. */
static bool fails_at(const struct deed *d, unsigned kind, uint64_t n)
{
    struct figures before = figures(), after;
    uint64_t at = ++time_now;
    arm(kind, n);
    int rc = d->run(at);
    disarm();
    if (rc) {
        assert_true(pvg_reason(g)[0]);
        assert_sound();
        after = figures();
        assert_memory_equal(&before, &after, sizeof(before));
        assert_int_equal(d->run(at), 0);
    }
    assert_sound();
    d->undo(at);
    return rc != 0;
}

static void fail_in_turn(const struct deed *d, unsigned least)
{
    unsigned failures = 0;
    for (unsigned kind = CALL; kind < KINDS; kind++)
        for (uint64_t n = 1; fails_at(d, kind, n); n++)
            failures++;
    assert_in_range(failures, least, 10000);
}

static unsigned frames_made;

static int run_init(uint64_t time)
{
    (void)time;
    return pvg_grant_init(g, frames_made + 2);
}

static void undo_init(uint64_t time)
{
    (void)time;
    frames_made += 2;
    assert_int_equal(machine_grant_frames(m), frames_made);
}

/* Two more frames each time. The hypervisor may have grown the table by the failed try. */
static void test_init_refused(void **state)
{
    (void)state;
    static const struct deed init = {run_init, undo_init};
    frames_made = 0;
    fail_in_turn(&init, 8);
}

static struct pvg_grant_mapping borrowed;
static uint32_t lent_to_us;

/* In a place of its own, three tables away from all. */
static int run_map(uint64_t time)
{
    return pvg_grant_map(g, MACHINE_PEER, lent_to_us, WINDOW + time * 512 * GIB, false, &borrowed);
}

static void undo_map(uint64_t time)
{
    (void)time;
    assert_int_equal(pvg_grant_unmap(g, &borrowed), 0);
}

static void test_map_refused(void **state)
{
    (void)state;
    static const struct deed map = {run_map, undo_map};
    lent_to_us = machine_peer_lend(m, 1, false);
    time_now = 0;
    fail_in_turn(&map, 8);
}

static void map_again(uint64_t time)
{
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, lent_to_us, WINDOW, time & 1, &borrowed), 0);
}

static int run_unmap(uint64_t time)
{
    (void)time;
    return pvg_grant_unmap(g, &borrowed);
}

static void test_unmap_refused(void **state)
{
    (void)state;
    static const struct deed unmap = {run_unmap, map_again};
    lent_to_us = machine_peer_lend(m, 1, false);
    map_again(0);
    fail_in_turn(&unmap, 2);
    assert_int_equal(pvg_grant_unmap(g, &borrowed), 0);
}

static int run_suspend(uint64_t time)
{
    (void)time;
    return grants_suspend(g);
}

static void resume(uint64_t time)
{
    (void)time;
    assert_int_equal(grants_resume(g, false), 0);
}

static void test_suspend_refused(void **state)
{
    (void)state;
    static const struct deed suspend = {run_suspend, resume};
    assert_int_equal(pvg_grant_init(g, 4), 0);
    fail_in_turn(&suspend, 4);
}

static int run_resume(uint64_t time)
{
    return grants_resume(g, time & 1);
}

static void suspend(uint64_t time)
{
    (void)time;
    assert_int_equal(grants_suspend(g), 0);
}

static void test_resume_refused(void **state)
{
    (void)state;
    static const struct deed resume = {run_resume, suspend};
    uint32_t ref;
    assert_int_equal(pvg_grant_init(g, 4), 0);
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, take(), false, &ref), 0);
    suspend(0);
    fail_in_turn(&resume, 6);
    assert_int_equal(grants_resume(g, false), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_init_refused),    TEST(test_map_refused),    TEST(test_unmap_refused),
        TEST(test_suspend_refused), TEST(test_resume_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
