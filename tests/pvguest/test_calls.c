/* SPDX-License-Identifier: MIT */
/* Public calls in a booted guest, where they meet each other: lazy mode, refusals that come twice,
 * frames that are not the guest's, pages that are not the caller's. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <cmocka.h>

#define NR_PAGES 4096u
#define WINDOW   0xffffcd0000000000ull

static struct machine *m;
static struct pvguest *g;

static int start(void **state)
{
    (void)state;
    m = machine_make(&(struct machine_params){.seed = 5, .nr_pages = NR_PAGES, .max_pages = 5000});
    g = guest_start(m);
    return g == NULL;
}

static int setup(void **state)
{
    struct pvg_options o;
    pvg_options_default(&o);
    return start(state) || pvg_boot(g, &o);
}

static int teardown(void **state)
{
    (void)state;
    machine_fail_call(m, 0, 0);
    machine_fail_element(m, 0, 0);
    const char *wrong = guest_check(m, g);
    if (wrong)
        print_error("%s\n", wrong);
    machine_end(m);
    return wrong ? -1 : 0;
}

static pvg_pfn_t take(uint64_t count)
{
    pvg_pfn_t first;
    assert_int_equal(pvg_pages_take(g, count, 1, &first), 0);
    return first;
}

static bool is_mapped(uint64_t va)
{
    uint64_t entry, at;
    return machine_walk(m, va, &entry, &at) == 1 && (entry & PVG_PTE_PRESENT);
}

#define assert_reason(part) assert_non_null(strstr(pvg_reason(g), part))

/* ---- lazy mode */

/* A large refused update, of what is certainly a table. */
static void queue_refused(void)
{
    pvg_lazy_enter(g);
    assert_int_equal(pvg_set_va(g, WINDOW, pvg_pte(pvg_root(g), PVG_PTE_DATA)), 0);
}

/* What is not of a batch is made at once (batch.h): unmapping, too. */
static void test_unmap_in_lazy_mode(void **state)
{
    (void)state;
    pvg_pfn_t page = take(1);
    assert_int_equal(pvg_map(g, WINDOW, page, 1, PVG_PTE_DATA), 0);
    pvg_lazy_enter(g);
    assert_int_equal(pvg_unmap(g, WINDOW, 1), 0);
    assert_false(is_mapped(WINDOW));
    assert_int_equal(pvg_lazy_leave(g), 0);
}

static void test_unmap_after_what_is_queued(void **state)
{
    (void)state;
    pvg_pfn_t page = take(2);
    assert_int_equal(pvg_map(g, WINDOW, page, 1, PVG_PTE_DATA), 0);
    pvg_lazy_enter(g);
    assert_int_equal(
        pvg_set_va(g, WINDOW, pvg_pte(pvg_p2m_mfn(g, pvg_pfn(page.n + 1)), PVG_PTE_DATA)), 0);
    assert_int_equal(pvg_unmap(g, WINDOW, 1), 0);
    assert_int_equal(pvg_lazy_leave(g), 0);
    assert_false(is_mapped(WINDOW));
}

/* Its own refusal is told, and so is one that was queued before; then it has done nothing. */
static void test_unmap_refused_in_lazy_mode(void **state)
{
    (void)state;
    pvg_pfn_t page = take(1);
    assert_int_equal(pvg_map(g, WINDOW, page, 1, PVG_PTE_DATA), 0);
    pvg_lazy_enter(g);
    machine_fail_call(m, 1, -XEN_ENOMEM);
    assert_int_equal(pvg_unmap(g, WINDOW, 1), -XEN_ENOMEM);
    assert_reason("unmapping 1 pages");
    assert_true(is_mapped(WINDOW));
    assert_int_equal(pvg_lazy_leave(g), 0);
    queue_refused();
    assert_true(pvg_unmap(g, WINDOW, 1) < 0);
    assert_reason("updates from before");
    assert_true(is_mapped(WINDOW));
    assert_int_equal(pvg_lazy_leave(g), 0);
}

/* The steps of a boot each look at what came of those before. */
static void test_no_boot_in_lazy_mode(void **state)
{
    (void)state;
    struct pvg_options o;
    pvg_options_default(&o);
    pvg_lazy_enter(g);
    assert_int_equal(pvg_boot(g, &o), -XEN_EBUSY);
    assert_reason("lazy mode");
    assert_int_equal(pvg_lazy_leave(g), 0);
    assert_int_equal(pvg_boot(g, &o), 0);
}

/* ---- refusals that come twice */

/* Of pages at both ends of an L1 table that is there: those of one batch, and its taking back. */
static void test_map_is_undone_page_by_page(void **state)
{
    (void)state;
    pvg_pfn_t page = take(40);
    assert_int_equal(pvg_map(g, WINDOW, page, 1, PVG_PTE_DATA), 0);
    assert_int_equal(pvg_unmap(g, WINDOW, 1), 0);
    uint64_t before = machine_elements(m);
    assert_int_equal(pvg_map(g, WINDOW, page, 40, PVG_PTE_DATA), 0);
    assert_int_equal(machine_elements(m) - before, 40);
    assert_int_equal(pvg_unmap(g, WINDOW, 40), 0);
    assert_int_equal(pvg_page_read_only(g, pvg_pfn(page.n + 20)), 0);
    /* the 21st is refused by the core, as a table has to stay read-only; of those before it the
     * first to be taken back is refused once */
    struct mmuext_op op = {.cmd = MMUEXT_PIN_L1_TABLE,
                           .arg1.mfn = pvg_p2m_mfn(g, pvg_pfn(page.n + 20)).n};
    memset(machine_frame(m, op.arg1.mfn), 0, PVG_PAGE_BYTES);
    assert_int_equal(pvg_hypercall(g, __HYPERVISOR_mmuext_op, (uint64_t)&op, 1, 0, DOMID_SELF, 0),
                     0);
    machine_fail_element(m, 22, -XEN_ENOMEM);
    assert_int_equal(pvg_map(g, WINDOW, page, 40, PVG_PTE_DATA), -XEN_EBUSY);
    assert_true(machine_failed_at(m) >= 0);
    unsigned left = 0;
    for (unsigned i = 0; i < 40; i++)
        left += is_mapped(WINDOW + i * PVG_PAGE_BYTES);
    assert_true(left <= 1);
}

/* ---- frames that are not the guest's */

/* The other domain's frame has a pfn of its own, which is a page of ours, too. */
static void test_m2p_knows_foreign_frames(void **state)
{
    (void)state;
    pvg_mfn_t other = pvg_mfn(machine_other_frame(m));
    pvg_pfn_t pfn = pvg_pfn(NR_PAGES + 700);
    machine_set_m2p(m, other.n, pfn.n);
    assert_int_equal(pvg_p2m_set(g, pfn, other.n | PVG_P2M_FOREIGN), 0);
    assert_int_equal(pvg_m2p(g, other).n, PVG_NO_PFN.n);
    assert_int_equal(pvg_p2m_set(g, pfn, PVG_P2M_MISSING), 0);
    pvg_pfn_t same = pvg_pfn(other.n);
    machine_set_m2p(m, other.n, same.n);
    if (pvg_p2m_entry(g, same) == PVG_P2M_MISSING) {
        assert_int_equal(pvg_p2m_set(g, same, same.n | PVG_P2M_IDENTITY), 0);
        assert_int_equal(pvg_m2p(g, other).n, PVG_NO_PFN.n);
        assert_int_equal(pvg_p2m_set(g, same, PVG_P2M_MISSING), 0);
    }
}

static void test_ioremap_takes_no_frame_in_flags(void **state)
{
    (void)state;
    pvg_pfn_t page = take(1);
    pvg_maddr_t at = {pvg_p2m_mfn(g, page).n << PVG_PAGE_SHIFT};
    assert_null(pvg_early_ioremap(g, at, 8, pvg_pte(pvg_p2m_mfn(g, pvg_pfn(page.n - 1)), 0)));
    assert_reason("flags");
}

/* ---- pages that are not the caller's */

static void test_give_refuses_what_was_not_taken(void **state)
{
    (void)state;
    assert_int_equal(pvg_pages_give(g, pvg_pfn(g->image.from), 1), -XEN_EINVAL);
    assert_reason("kernel's image");
    assert_int_equal(pvg_pages_give(g, pvg_pfn(g->tables.at[g->tables.count - 1].from), 1),
                     -XEN_EINVAL);
    assert_reason("page table");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_unmap_in_lazy_mode),
        TEST(test_unmap_after_what_is_queued),
        TEST(test_unmap_refused_in_lazy_mode),
        cmocka_unit_test_setup_teardown(test_no_boot_in_lazy_mode, start, teardown),
        TEST(test_map_is_undone_page_by_page),
        TEST(test_m2p_knows_foreign_frames),
        TEST(test_ioremap_takes_no_frame_in_flags),
        TEST(test_give_refuses_what_was_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
