/* SPDX-License-Identifier: MIT */
/*
 * Suspends of a guest that has everything at once: spaces (pinned, unpinned, one loaded), a grant
 * table with pages lent, the store open with a watch, pages ballooned out, identity ranges, pages
 * that are read-only. Afterwards all of it works.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <cmocka.h>
#include <xen/grant_table.h>
#include <xen/sched.h>

#define NR_PAGES 3072u
#define SPACES   3u
#define MAPPED   600u
#define LOW      0x400000ull
#define IDENTITY 6000u
#define CANCELS  30u
#define USER_RW  (PVG_PTE_DATA | PVG_PTE_USER)

static struct machine *m;
static struct pvguest *g;
static struct pvg_space space[SPACES];
static pvg_pfn_t page, lent, read_only;
static uint32_t ref[2];

#define assert_made(call)                                                                          \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, pvg_reason(g));                                              \
    } while (0)

static void drain_events(void)
{
    struct pvg_xs_event e;
    while (pvg_xs_event(g, &e) == 1)
        ;
}

static void make_spaces(void)
{
    assert_made(pvg_pages_take(g, MAPPED, 1, &page));
    for (unsigned i = 0; i < SPACES; i++) {
        assert_made(pvg_space_make(g, &space[i]));
        assert_made(pvg_space_map(g, &space[i], LOW, page, MAPPED - i, USER_RW));
    }
    assert_made(pvg_space_unpin(g, &space[1]));
    assert_made(pvg_space_load(g, &space[2]));
}

static void make_grants(void)
{
    assert_made(pvg_grant_init(g, 2));
    assert_made(pvg_pages_take(g, 2, 1, &lent));
    for (unsigned i = 0; i < 2; i++)
        assert_made(pvg_grant_access(g, MACHINE_PEER, pvg_pfn(lent.n + i), i == 1, &ref[i]));
}

static void begin(enum pvg_p2m_layout layout)
{
    struct pvg_options o;
    pvg_options_default(&o);
    o.p2m = layout;
    m = machine_make(&(struct machine_params){
        .seed = 21, .nr_pages = NR_PAGES, .max_pages = NR_PAGES + 100, .pause_one_in = 3});
    g = guest_start(m);
    assert_non_null(g);
    assert_made(pvg_boot(g, &o));
    machine_store_open(m);
    assert_made(pvg_xs_open(g));
    assert_made(pvg_xs_watch(g, "data", "ours"));
    make_spaces();
    make_grants();
    assert_made(pvg_pages_take(g, 1, 1, &read_only));
    assert_made(pvg_page_read_only(g, read_only));
    assert_made(pvg_balloon_down(g, 77, NULL));
    assert_made(pvg_p2m_set_identity(g, (struct pvg_range){IDENTITY, IDENTITY + 1000}));
    drain_events();
}

static void end(void)
{
    machine_fail_call(m, 0, 0);
    machine_fail_element(m, 0, 0);
    guest_fail_search(0);
    machine_store_close(m);
    machine_end(m);
}

/* ---- all of it works */

static bool is_read_only(void)
{
    struct pvg_walk w;
    pvg_walk(g, PVG_DIRECT_BASE + read_only.n * PVG_PAGE_BYTES, &w);
    return w.mapped && !(w.at[1].entry & PVG_PTE_RW);
}

/* Free and taken pages are checked to be writable. */
static void assert_sound(void)
{
    assert_true(is_read_only());
    assert_made(pvg_page_writable(g, read_only));
    const char *wrong = machine_audit(m);
    if (!wrong)
        wrong = guest_check(m, g);
    if (!wrong)
        wrong = guest_check_lists(m, g);
    if (wrong)
        fail_msg("%s; last reason: %s", wrong, pvg_reason(g));
    assert_made(pvg_page_read_only(g, read_only));
}

static void use_spaces(void)
{
    assert_ptr_equal(pvg_space_loaded(g), &space[2]);
    for (unsigned i = 0; i < SPACES; i++) {
        struct pvg_walk w;
        assert_int_equal(space[i].pinned, i != 1);
        assert_made(pvg_space_pin(g, &space[i]));
        assert_made(pvg_space_load(g, &space[i]));
        for (uint64_t p = 0; p < MAPPED - i; p += 37) {
            assert_true(pvg_space_walk(g, &space[i], LOW + p * PVG_PAGE_BYTES, &w));
            assert_int_equal(pte_mfn(w.at[1].entry).n, pvg_p2m_mfn(g, pvg_pfn(page.n + p)).n);
        }
        assert_made(pvg_space_unmap(g, &space[i], LOW, 3));
        assert_made(pvg_space_map(g, &space[i], LOW, page, 3, USER_RW));
    }
    assert_made(pvg_space_load(g, &space[2]));
    assert_made(pvg_space_unpin(g, &space[1]));
}

static void use_grants(void)
{
    assert_int_equal(pvg_grants(g), 2);
    for (unsigned i = 0; i < 2; i++) {
        const grant_entry_v1_t *e = machine_grant_entry(m, ref[i]);
        assert_int_equal(e->frame, pvg_p2m_mfn(g, pvg_pfn(lent.n + i)).n);
        assert_int_equal(machine_peer_map(m, ref[i], true), i ? GNTST_general_error : GNTST_okay);
    }
    assert_int_equal(pvg_grant_end(g, ref[0]), -XEN_EBUSY);
    machine_peer_unmap(m, ref[0]);
}

static void use_store(void)
{
    struct pvg_xs_event e;
    drain_events(); /* a watch fires once when it is set */
    machine_store_write(m, "data", "new");
    assert_int_equal(pvg_xs_event(g, &e), 1);
    assert_string_equal(e.path, "data");
    assert_string_equal(e.token, "ours");
    assert_int_equal(pvg_xs_event(g, &e), 0);
    assert_made(pvg_xs_write(g, 0, "data/x", "1"));
}

static void use_memory(void)
{
    uint64_t done;
    assert_int_equal(pvg_p2m_entry(g, pvg_pfn(IDENTITY + 500)),
                     PVG_P2M_IDENTITY | (IDENTITY + 500));
    assert_made(pvg_balloon_up(g, 50, &done));
    assert_made(pvg_balloon_down(g, 50, &done));
    pvg_pfn_t some;
    pvg_mfn_t frame;
    assert_made(pvg_pages_take(g, 4, 4, &some));
    assert_made(pvg_make_contiguous(g, some, 0, 0, &frame));
    assert_made(pvg_make_scattered(g, some, 0));
    assert_made(pvg_pages_give(g, some, 4));
}

static void use_all(void)
{
    assert_sound();
    use_spaces();
    use_grants();
    use_store();
    use_memory();
    assert_sound();
    assert_int_equal(g->p2m.lost, 0);
    assert_int_equal(pvg_shared_info(g)->arch.p2m_generation & 1, 0);
}

/* ---- suspends */

static enum pvg_resumed how;
static int result;

static void suspend(void *arg)
{
    (void)arg;
    result = pvg_suspend(g, &how);
}

static int attempt(int what)
{
    machine_on_suspend(m, what);
    return machine_run(suspend, NULL);
}

static void come_and_go(enum pvg_p2m_layout layout)
{
    static const int what[] = {MACHINE_CANCELS, MACHINE_RELOCATES, MACHINE_RELOCATES,
                               -XEN_EPERM,      MACHINE_CANCELS,   MACHINE_RELOCATES};
    begin(layout);
    use_all();
    for (unsigned i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
        uint64_t free = pvg_pages_free(g), pins = machine_pins(m);
        uint8_t masked = pvg_shared_info(g)->vcpu_info[0].evtchn_upcall_mask;
        if (attempt(what[i]) != MACHINE_RETURNED)
            fail_msg("it ended: %s", machine_console(m));
        if (result != (what[i] < 0 ? what[i] : 0))
            fail_msg("%d: %s", result, pvg_reason(g));
        if (result == 0)
            assert_int_equal(how, what[i] == MACHINE_RELOCATES ? PVG_RESUMED : PVG_CANCELLED);
        assert_int_equal(pvg_pages_free(g), free);
        assert_int_equal(machine_pins(m), pins);
        assert_int_equal(pvg_shared_info(g)->vcpu_info[0].evtchn_upcall_mask, masked);
        use_all();
    }
    end();
}

static void test_linear(void **state)
{
    (void)state;
    come_and_go(PVG_P2M_LINEAR);
}

static void test_tree(void **state)
{
    (void)state;
    come_and_go(PVG_P2M_TREE);
}

/* Nothing is left behind by it. */
static void test_cancelled_again_and_again(void **state)
{
    (void)state;
    begin(PVG_P2M_LINEAR);
    uint64_t free = pvg_pages_free(g), pins = machine_pins(m);
    for (unsigned i = 0; i < CANCELS; i++) {
        assert_int_equal(attempt(MACHINE_CANCELS), MACHINE_RETURNED);
        assert_int_equal(result, 0);
    }
    assert_int_equal(pvg_pages_free(g), free);
    assert_int_equal(machine_pins(m), pins);
    use_all();
    end();
}

/* Each call refused in turn: before the suspend all is as it was; after it, the end. */
static bool fails_at(uint64_t n, int what, unsigned *refused)
{
    begin(PVG_P2M_LINEAR);
    machine_fail_call(m, n, -XEN_ENOMEM);
    int ends = attempt(what);
    bool reached = machine_failed_at(m) >= 0;
    machine_fail_call(m, 0, 0);
    if (ends == MACHINE_RETURNED) {
        if (result) {
            assert_int_equal(machine_suspends(m), 0);
            (*refused)++;
        }
        use_all();
        assert_int_equal(attempt(what), MACHINE_RETURNED);
        assert_int_equal(result, 0);
        use_all();
    } else {
        assert_int_equal(ends, SHUTDOWN_crash);
        assert_int_equal(machine_suspends(m), 1);
    }
    end();
    return reached;
}

static void test_each_call_refused(void **state)
{
    (void)state;
    for (int what = MACHINE_RELOCATES; what <= MACHINE_CANCELS; what++) {
        unsigned refused = 0;
        uint64_t n = 1;
        while (fails_at(n, what, &refused))
            n++;
        print_message("  %" PRIu64 " calls, %u refused before the suspend\n", n - 1, refused);
        assert_true(refused > 3);
    }
}

/* What could not be lent again afterwards is known before. */
static void test_lent_without_a_frame(void **state)
{
    (void)state;
    begin(PVG_P2M_LINEAR);
    uint64_t e = pvg_p2m_entry(g, lent);
    assert_made(pvg_p2m_set(g, lent, PVG_P2M_MISSING));
    assert_int_equal(attempt(MACHINE_CANCELS), MACHINE_RETURNED);
    assert_int_equal(result, -XEN_EINVAL);
    assert_non_null(strstr(pvg_reason(g), "no frame of the guest's own"));
    assert_made(pvg_p2m_set(g, lent, e));
    use_all();
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_cancelled_again_and_again),
        cmocka_unit_test(test_each_call_refused),
        cmocka_unit_test(test_lent_without_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
