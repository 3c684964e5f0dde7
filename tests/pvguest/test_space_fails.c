/* SPDX-License-Identifier: MIT */
/* Spaces: each operation is made or not made, whichever hypercall, element or search for pages
 * fails. */
#include "spaces.h"

/* ---- each failure, of each operation */

static void test_make_fails(void **state)
{
    (void)state;
    both_ways(make_third, end_third, "make and end");
}

static void test_end_fails(void **state)
{
    (void)state;
    for (unsigned pinned = 0; pinned < 2; pinned++) {
        uint64_t free = pvg_pages_free(g);
        assert_made(make_third());
        assert_made(pvg_space_map(g, &third, BORDER, page, 2, USER_RW));
        assert_made(pinned ? 0 : pvg_space_unpin(g, &third));
        assert_int_equal(third.tables, 6);
        uint64_t n = 1;
        while (!made_with(end_third, 0, n, "end"))
            n++;
        assert_true(pinned ? n > 10 : n == 1);
        assert_int_equal(pvg_pages_free(g), free);
    }
}

static void test_load_fails(void **state)
{
    (void)state;
    both_ways(load_a, load_own, "load and the kernel's own");
    assert_made(load_a());
    both_ways(load_b, load_a, "load of another");
}

static void test_pin_fails(void **state)
{
    (void)state;
    assert_made(map_many());
    assert_made(map_border());
    both_ways(unpin_a, pin_a, "unpin and pin");
    assert_made(pin_a());
}

static void in_each(void (*f)(void))
{
    s = &a;
    f();
    assert_made(load_a());
    f();
    assert_made(load_b());
    assert_made(unpin_a());
    f();
    assert_made(pin_a());
    s = NULL;
    f();
    assert_made(load_own());
    f();
    s = &a;
}

static unsigned any_failure(int (*run)(void), int (*back)(void), const char *name)
{
    return each_failure(run, back, name) + each_failure(back, run, name);
}

static void map_fails(void)
{
    unsigned n = any_failure(map_low, unmap_low, "map");
    assert_true(n >= (space_is_plain(s) ? 1 : 10));
    assert_made(map_low());
    any_failure(map_more, unmap_more, "map in a table");
    assert_made(unmap_low());
    any_failure(map_border, unmap_border, "map across L3 tables");
}

static void test_map_fails(void **state)
{
    (void)state;
    in_each(map_fails);
}

static int (*fail_there)(void), (*fail_back)(void);

/* What needs pages to remember entries in fails for want of them. */
static void many_fail(void)
{
    assert_made(map_many());
    uint64_t free = pvg_pages_free(g);
    guest_fail_search(1);
    assert_int_equal(fail_there(), -XEN_ENOMEM);
    heal();
    for (unsigned kind = 0; kind < 2; kind++)
        for (uint64_t n = 1; !made_with(fail_there, kind, n, "there"); n += 1 + n / 8)
            ;
    assert_made(fail_back());
    for (uint64_t n = 1; !made_with(fail_back, 0, n, "back"); n++)
        ;
    assert_int_equal(pvg_pages_free(g), free);
    assert_made(unmap_many());
}

static void test_change_fails(void **state)
{
    (void)state;
    fail_there = change_there;
    fail_back = change_back;
    in_each(many_fail);
}

static void test_protect_fails(void **state)
{
    (void)state;
    fail_there = protect_there;
    fail_back = protect_back;
    in_each(many_fail);
}

static void test_upper_fails(void **state)
{
    (void)state;
    assert_made(unpin_a());
    unsigned n = each_failure(map_upper, unmap_upper, "a new slot of the kernel half");
    assert_true(n > 6);
    assert_int_equal(seen(NULL, UPPER), wanted(0, true));
    assert_int_equal(seen(&a, UPPER), wanted(0, true));
    assert_int_equal(seen(&b, UPPER), wanted(0, true));
}

static void test_table_fails(void **state)
{
    (void)state;
    both_ways(alloc_table, free_table, "alloc and free");
}

static void attach_fails(void)
{
    for (attach_level = 3; attach_level > 0; attach_level--) {
        unsigned n = any_failure(attach, detach, "attach and detach");
        assert_true(n >= (space_is_plain(s) ? 0 : 4));
        assert_made(attach());
    }
    for (attach_level = 1; attach_level < 4; attach_level++)
        assert_made(detach());
}

static void test_attach_fails(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_alloc(g, &tables[i]));
    in_each(attach_fails);
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_free(g, tables[i]));
}

/* A space that is unpinned and pinned again has what is attached unpinned and pinned, too. */
static void test_pin_of_attached_fails(void **state)
{
    (void)state;
    uint64_t pins = machine_pins(m);
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_alloc(g, &tables[i]));
    for (attach_level = 3; attach_level > 0; attach_level--)
        assert_made(attach());
    assert_int_equal(machine_pins(m), pins + 3);
    assert_int_equal(a.tables, 3);
    both_ways(unpin_a, pin_a, "unpin and pin with tables attached");
    assert_int_equal(machine_pins(m), pins + 3);
    assert_made(unpin_a());
    assert_int_equal(machine_pins(m), pins - 2);
    assert_made(pvg_space_end(g, &a));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pvg_table_free(g, tables[i]), -XEN_EBUSY);
    assert_int_equal(pvg_table_free(g, tables[2]), -XEN_EBUSY);
    assert_reason("a table is attached to it");
    assert_int_equal(pvg_table_attach(g, NULL, BORDER, 3, tables[2]), -XEN_EBUSY);
    assert_made(pvg_space_unpin(g, &b));
    assert_made(pvg_table_attach(g, &b, BORDER, 3, tables[2]));
    assert_int_equal(b.tables, 3);
    s = &b;
    for (attach_level = 1; attach_level < 4; attach_level++)
        assert_made(detach());
    s = &a;
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_free(g, tables[i]));
}

static void test_suspend_fails(void **state)
{
    (void)state;
    assert_made(map_border());
    assert_made(unpin_a());
    assert_made(pvg_space_unpin(g, &b));
    assert_true(each_failure(suspend, resume, "suspend") > 10);
    assert_true(a.pinned && b.pinned);
    assert_made(resume());
    /* what is refused after a resume stays pinned, and is tried again */
    for (uint64_t n = 1, rc = 1; rc; n++) {
        assert_made(suspend());
        machine_fail_call(m, n, -XEN_ENOMEM);
        rc = resume() != 0;
        heal();
        assert_sound("resume");
        assert_int_equal(a.pinned || b.pinned, rc);
        assert_made(resume());
        assert_true(!a.pinned && !b.pinned);
    }
    assert_made(alloc_table());
    assert_made(suspend());
    assert_made(resume());
    *(uint64_t *)machine_at((uint64_t)pvg_page(g, tables[0]) + 800, true) = 1;
    assert_int_equal(suspend(), -XEN_EBUSY);
    assert_true(!a.pinned && !b.pinned);
    assert_made(free_table());
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_make_fails),
        TEST(test_end_fails),
        TEST(test_load_fails),
        TEST(test_pin_fails),
        TEST(test_map_fails),
        TEST(test_change_fails),
        TEST(test_protect_fails),
        TEST(test_upper_fails),
        TEST(test_table_fails),
        TEST(test_attach_fails),
        TEST(test_pin_of_attached_fails),
        TEST(test_suspend_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
