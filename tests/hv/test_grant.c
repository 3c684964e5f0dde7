/* SPDX-License-Identifier: MIT */
/*
 * The grant table's own state, where the recorded replies of real Xen do not reach: its limits, the
 * number of uses, handles. The machine's memory is an array (hosted_machine.h), the core a stub
 * that knows owners and what was lent.
 */
#include <string.h>

#include "hosted.h"
#include "hosted_machine.h"

#include "domain.h"

#include <xen/grant_table.h>

#define FIRST_FREE 0x100u
#define PAGE_OWN   0x800u
#define PAGE_OTHER 0x801u

static struct domain domain;
static unsigned taken, available, lent;

/* ---- the machine */

struct core *the_core(void)
{
    return NULL;
}

mfn_t hv_frame(void)
{
    assert_true(taken < available);
    return mfn(FIRST_FREE + taken++);
}

uint64_t frames_free(void)
{
    return available - taken;
}

int core_share(struct core *c, struct core_domain *d, mfn_t m)
{
    (void)c;
    assert_ptr_equal(d, &domain.mem);
    assert_int_equal(m.n, FIRST_FREE + lent);
    lent++;
    return 0;
}

int core_frame_owner(const struct core *c, mfn_t m)
{
    (void)c;
    return m.n == PAGE_OWN || (m.n >= FIRST_FREE && m.n < FIRST_FREE + lent) ? 1 : -1;
}

static int start(void **state)
{
    (void)state;
    hosted_machine_init();
    memset(&domain, 0, sizeof(domain));
    domain.mem.id = 1;
    taken = lent = 0;
    available = 100;
    grant_init(&domain);
    return 0;
}

static grant_entry_v1_t *at(uint32_t ref)
{
    return (grant_entry_v1_t *)direct_frame(domain.grants.frame[ref / 512]) + ref % 512;
}

static void grant(uint32_t ref, uint16_t flags, uint32_t frame)
{
    *at(ref) = (grant_entry_v1_t){GTF_permit_access | flags, 1, frame};
}

/* ---- the table */

static void test_it_grows_and_never_shrinks(void **state)
{
    (void)state;
    assert_int_equal(domain.grants.frames, 1);
    assert_true(grant_grow(&domain, 0));
    assert_true(grant_grow(&domain, 3));
    assert_true(grant_grow(&domain, 2));
    assert_int_equal(domain.grants.frames, 3);
    assert_int_equal(lent, 3);
    assert_false(grant_grow(&domain, GRANT_FRAMES_MAX + 1));
    assert_false(grant_grow(&domain, ~0u));
    assert_true(grant_grow(&domain, GRANT_FRAMES_MAX));
    assert_int_equal(lent, GRANT_FRAMES_MAX);
}

/* All or nothing. */
static void test_no_memory_to_grow(void **state)
{
    (void)state;
    available = 10;
    assert_false(grant_grow(&domain, 11));
    assert_int_equal(domain.grants.frames, 1);
    assert_int_equal(taken, 1);
    assert_true(grant_grow(&domain, 10));
    assert_true(grant_grow(&domain, 10));
    assert_false(grant_grow(&domain, 11));
}

static void test_entries_end_with_the_table(void **state)
{
    mfn_t m;
    (void)state;
    assert_int_equal(grant_acquire(&domain, 512, false, false, &m), GNTST_bad_gntref);
    assert_int_equal(grant_acquire(&domain, ~0u, false, false, &m), GNTST_bad_gntref);
    assert_int_equal(grant_swap(&domain, 0, 512), GNTST_bad_gntref);
    assert_true(grant_grow(&domain, 2));
    assert_int_equal(grant_acquire(&domain, 512, false, false, &m), GNTST_general_error);
    assert_int_equal(grant_swap(&domain, 0, 1023), GNTST_okay);
}

/* ---- uses */

static void test_marks_last_as_long_as_uses(void **state)
{
    mfn_t m = NO_MFN;
    (void)state;
    grant(9, 0, PAGE_OWN);
    assert_int_equal(grant_acquire(&domain, 9, false, false, &m), GNTST_okay);
    assert_int_equal(m.n, PAGE_OWN);
    assert_int_equal(at(9)->flags, GTF_permit_access | GTF_reading);
    assert_int_equal(grant_acquire(&domain, 9, true, true, &m), GNTST_okay);
    assert_int_equal(at(9)->flags, GTF_permit_access | GTF_reading | GTF_writing);
    grant_release(&domain, 9, false);
    assert_int_equal(at(9)->flags, GTF_permit_access | GTF_reading | GTF_writing);
    grant_release(&domain, 9, true);
    assert_int_equal(at(9)->flags, GTF_permit_access);
}

/* The guest renames the entry; who uses it gets the frame it had. */
static void test_a_pinned_frame_stays(void **state)
{
    mfn_t m = NO_MFN;
    (void)state;
    grant(9, 0, PAGE_OWN);
    assert_int_equal(grant_acquire(&domain, 9, false, true, &m), GNTST_okay);
    grant(9, 0, PAGE_OTHER);
    assert_int_equal(grant_acquire(&domain, 9, true, false, &m), GNTST_okay);
    assert_int_equal(m.n, PAGE_OWN);
    grant_release(&domain, 9, true);
    grant_release(&domain, 9, false);
    assert_int_equal(grant_acquire(&domain, 9, true, false, &m), GNTST_bad_page);
    assert_int_equal(at(9)->flags, GTF_permit_access); /* no mark is left behind */
}

static void test_uses_are_limited(void **state)
{
    mfn_t m;
    (void)state;
    grant(9, 0, PAGE_OWN);
    for (unsigned i = 0; i < GRANT_PINS_MAX; i++) {
        assert_int_equal(grant_acquire(&domain, 9, false, true, &m), GNTST_okay);
        assert_int_equal(grant_acquire(&domain, 9, true, true, &m), GNTST_okay);
    }
    assert_int_equal(grant_acquire(&domain, 9, false, true, &m), GNTST_general_error);
    assert_int_equal(grant_acquire(&domain, 9, true, true, &m), GNTST_general_error);
    for (unsigned i = 0; i < GRANT_PINS_MAX; i++) {
        grant_release(&domain, 9, false);
        assert_true(at(9)->flags & GTF_reading);
        assert_true(at(9)->flags & GTF_writing);
        grant_release(&domain, 9, true);
    }
    assert_int_equal(at(9)->flags, GTF_permit_access);
}

/* ---- handles */

static void test_handles_run_out_and_come_back(void **state)
{
    static bool seen[GRANT_HANDLES];
    (void)state;
    memset(seen, 0, sizeof(seen));
    for (unsigned i = 0; i < GRANT_HANDLES; i++) {
        assert_true(grant_handle_free(&domain));
        uint32_t h = grant_handle_take(&domain, i, GNTMAP_host_map);
        assert_true(h < GRANT_HANDLES && !seen[h]);
        seen[h] = true;
        assert_int_equal(grant_handle(&domain, h)->ref, i);
    }
    assert_false(grant_handle_free(&domain));
    grant_handle_put(&domain, 77);
    assert_null(grant_handle(&domain, 77));
    assert_true(grant_handle_free(&domain));
    assert_int_equal(grant_handle_take(&domain, 5, GNTMAP_host_map), 77);
    assert_false(grant_handle_free(&domain));
}

/* One that was given back is used again as late as can be. */
static void test_old_handles_rest(void **state)
{
    (void)state;
    uint32_t first = grant_handle_take(&domain, 1, GNTMAP_host_map);
    grant_handle_put(&domain, first);
    for (unsigned i = 1; i < GRANT_HANDLES; i++) {
        uint32_t h = grant_handle_take(&domain, 1, GNTMAP_host_map);
        assert_int_not_equal(h, first);
        grant_handle_put(&domain, h);
    }
    assert_int_equal(grant_handle_take(&domain, 1, GNTMAP_host_map), first);
}

static void test_no_such_handle(void **state)
{
    (void)state;
    assert_null(grant_handle(&domain, 0));
    assert_null(grant_handle(&domain, GRANT_HANDLES));
    assert_null(grant_handle(&domain, ~0u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_it_grows_and_never_shrinks, start),
        cmocka_unit_test_setup(test_no_memory_to_grow, start),
        cmocka_unit_test_setup(test_entries_end_with_the_table, start),
        cmocka_unit_test_setup(test_marks_last_as_long_as_uses, start),
        cmocka_unit_test_setup(test_a_pinned_frame_stays, start),
        cmocka_unit_test_setup(test_uses_are_limited, start),
        cmocka_unit_test_setup(test_handles_run_out_and_come_back, start),
        cmocka_unit_test_setup(test_old_handles_rest, start),
        cmocka_unit_test_setup(test_no_such_handle, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
