/* SPDX-License-Identifier: MIT */
/* Spaces: what each operation does, and what it refuses. */
#include "spaces.h"

/* ---- what they do */

static uint64_t *at(uint64_t va, bool write)
{
    return machine_at(va, write);
}

static void test_spaces_differ(void **state)
{
    (void)state;
    assert_made(pvg_space_map(g, &a, LOW, page, 1, USER_RW));
    assert_made(pvg_space_map(g, &b, LOW, pvg_pfn(page.n + 1), 1, USER_RW));
    assert_made(load_a());
    *at(LOW, true) = 1;
    assert_made(load_b());
    *at(LOW, true) = 2;
    assert_int_equal(*at(PVG_DIRECT_BASE + page.n * PVG_PAGE_BYTES, false), 1);
    assert_int_equal(seen_by_user(&a, LOW), wanted(0, true));
    assert_int_equal(seen_by_user(&b, LOW), wanted(1, true));
    assert_int_equal(seen(NULL, LOW), 0);
    assert_ptr_equal(pvg_space_loaded(g), &b);
    assert_made(load_own());
    assert_null(pvg_space_loaded(g));
    assert_int_equal(machine_user_root(m), MACHINE_NONE);
}

/* The hypervisor's own slots are in both; beside them the user root has the lower half alone. */
static void test_user_root_has_no_kernel(void **state)
{
    (void)state;
    assert_made(map_low());
    const uint64_t *root = machine_frame(m, mfn_of(a.root));
    const uint64_t *user = machine_frame(m, mfn_of(a.user_root));
    const uint64_t *own = machine_frame(m, root_of(NULL));
    for (unsigned slot = SLOT_KERNEL; slot < ENTRIES; slot++) {
        assert_int_equal(user[slot], 0);
        assert_int_equal(pte_mfn(root[slot]).n, pte_mfn(own[slot]).n);
    }
    for (unsigned slot = 0; slot < ENTRIES / 2; slot++)
        assert_int_equal(pte_mfn(user[slot]).n, pte_mfn(root[slot]).n);
}

/* By the old interface, and while a space is loaded. */
static void test_map_works_on_what_is_loaded(void **state)
{
    (void)state;
    assert_made(load_a());
    assert_made(pvg_map(g, BORDER, page, 2, USER_RW));
    assert_int_equal(seen(&a, BORDER), wanted(0, true));
    assert_int_equal(seen_by_user(&a, BORDER + PVG_PAGE_BYTES), wanted(1, true));
    assert_int_equal(seen(NULL, BORDER), 0);
    assert_int_equal(a.tables, 6);
    assert_made(pvg_unmap(g, BORDER, 2));
    assert_int_equal(a.tables, 6);
    assert_made(unmap_border());
    assert_int_equal(a.tables, 0);
    assert_int_equal(*(uint64_t *)machine_at(PVG_DIRECT_BASE, false),
                     *(uint64_t *)machine_at(PVG_DIRECT_BASE, false));
}

/* A p2m that grows by a top entry, and what is published, while a space is loaded. */
static void test_p2m_while_loaded(void **state)
{
    (void)state;
    assert_made(load_a());
    assert_made(pvg_p2m_set_identity(g, (struct pvg_range){1ull << 30, (1ull << 30) + 5000}));
    assert_sound("p2m");
    assert_made(load_b());
    assert_int_equal(pvg_p2m_entry(g, pvg_pfn((1ull << 30) + 7)),
                     ((1ull << 30) + 7) | PVG_P2M_IDENTITY);
}

static void test_unpinned_is_plain(void **state)
{
    (void)state;
    assert_made(unpin_a());
    uint64_t calls = machine_calls(m);
    assert_made(map_many());
    assert_made(protect_there());
    assert_int_equal(machine_calls(m), calls);
    assert_int_equal(seen(&a, LOW), wanted(0, false));
    assert_int_equal(pvg_space_load(g, &a), -XEN_EBUSY);
    assert_made(pin_a());
    assert_made(load_a());
    assert_int_equal(*at(LOW, false), *at(PVG_DIRECT_BASE + page.n * PVG_PAGE_BYTES, false));
    assert_int_equal(pvg_space_unpin(g, &a), -XEN_EBUSY);
    assert_int_equal(pvg_space_end(g, &a), -XEN_EBUSY);
}

/* One mmu_update of up to 128 entries a time, and one flush; of what is not loaded none. */
static void test_ranges_are_batched(void **state)
{
    (void)state;
    assert_made(map_many());
    uint64_t calls = machine_calls(m);
    assert_made(protect_there());
    assert_int_equal(machine_calls(m) - calls, (MANY + 127) / 128);
    assert_made(load_a());
    assert_int_equal(*at(LOW, false), *at(LOW, false));
    calls = machine_calls(m);
    assert_made(protect_back());
    assert_int_equal(machine_calls(m) - calls, (MANY + 127) / 128 + 1);
    *at(LOW, true) = 5;
    assert_made(protect_there());
    assert_int_equal(*at(LOW, false), 5);
}

static void test_empty_tables_go(void **state)
{
    (void)state;
    uint64_t free = pvg_pages_free(g);
    assert_made(map_border());
    assert_made(map_low());
    assert_int_equal(a.tables, 6 + 2);
    assert_made(pvg_space_unmap(g, &a, BORDER, 1));
    assert_int_equal(a.tables, 5 + 1);
    assert_made(pvg_space_unmap(g, &a, 0, PVG_USER_END / PVG_PAGE_BYTES - 1));
    assert_int_equal(a.tables, 0);
    assert_int_equal(pvg_pages_free(g), free);
    assert_made(pvg_space_unmap(g, &a, LOW, 5));
}

static void test_attached_tables_stay(void **state)
{
    (void)state;
    assert_made(pvg_table_alloc(g, &tables[2]));
    assert_int_equal(pvg_pages_give(g, tables[2], 1), -XEN_EINVAL);
    attach_level = 3;
    assert_made(attach());
    assert_int_equal(pvg_table_free(g, tables[2]), -XEN_EBUSY);
    assert_int_equal(pvg_table_attach(g, &b, BORDER, 3, tables[2]), -XEN_EBUSY);
    assert_made(map_border());
    assert_int_equal(a.tables, 6);
    pvg_pfn_t table;
    assert_int_equal(pvg_table_detach(g, &a, BORDER, 3, &table), -XEN_EBUSY);
    assert_made(unmap_border());
    assert_int_equal(a.tables, 1);
    assert_made(map_border());
    assert_made(pvg_space_end(g, &a));
    const uint64_t *word = machine_at((uint64_t)pvg_page(g, tables[2]), false);
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_int_equal(word[i], 0);
    assert_made(pvg_table_free(g, tables[2]));
}

/* An L1 table whose entries the caller wrote. */
static void test_table_of_the_callers(void **state)
{
    (void)state;
    assert_made(pvg_space_map(g, &a, BORDER - 2 * MIB, page, 1, USER_RW));
    assert_made(pvg_table_alloc(g, &tables[0]));
    for (unsigned i = 0; i < 5; i++)
        at((uint64_t)pvg_page(g, tables[0]), true)[507 + i] =
            pvg_pte(pvg_mfn(mfn_of(pvg_pfn(page.n + i))), USER_RW);
    attach_level = 1;
    assert_made(attach());
    assert_int_equal(seen(&a, BORDER), wanted(4, true));
    assert_int_equal(machine_type(m, mfn_of(tables[0])), 1);
    assert_true(machine_pinned(m, mfn_of(tables[0])));
    assert_made(load_a());
    *at(BORDER, true) = 99;
    assert_made(detach());
    assert_int_equal(machine_type(m, mfn_of(tables[0])) == 1, 0);
    assert_int_equal(at((uint64_t)pvg_page(g, tables[0]), false)[511] & PVG_PTE_FRAME,
                     wanted(4, true) & PVG_PTE_FRAME);
    /* an entry that maps the root writable: refused, and still the caller's to repair */
    at((uint64_t)pvg_page(g, tables[0]), true)[0] = pvg_pte(pvg_root(g), USER_RW);
    assert_int_equal(attach(), -XEN_EBUSY);
    at((uint64_t)pvg_page(g, tables[0]), true)[0] = 0;
    assert_made(attach());
    assert_made(detach());
    assert_made(pvg_table_free(g, tables[0]));
}

/* Of the other's, named by content: none of its business. */
static void test_tables_that_are_named_twice(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_alloc(g, &tables[i]));
    for (attach_level = 3; attach_level > 0; attach_level--)
        assert_made(attach());
    assert_made(pvg_space_map(g, &a, BORDER, page, 1, USER_RW));
    pvg_pfn_t other;
    assert_made(pvg_table_alloc(g, &other));
    at((uint64_t)pvg_page(g, other), true)[slot_of(BORDER, 2)] =
        pvg_pte(pvg_mfn(mfn_of(tables[0])), PVG_PTE_TABLE);
    assert_made(pvg_space_map(g, &b, 0x7f8000000000ull - 2 * GIB, page, 1, USER_RW));
    assert_made(pvg_table_attach(g, &b, 0x7f7fffe00000ull, 2, other));
    assert_int_equal(seen(&b, 0x7f7ffffff000ull), wanted(0, true));
    assert_made(pvg_space_unpin(g, &b));
    assert_int_equal(pvg_space_map(g, &b, 0x7f7fffffe000ull, page, 1, USER_RW), -XEN_EINVAL);
    assert_reason("not the space's");
    assert_made(pvg_space_end(g, &b));
    assert_sound("end of the other");
    assert_made(pvg_table_free(g, other));
    assert_int_equal(seen(&a, BORDER), wanted(0, true));
    for (attach_level = 1; attach_level < 4; attach_level++)
        assert_made(detach());
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_free(g, tables[i]));
}

/* ---- what they refuse */

static void test_ranges_refused(void **state)
{
    (void)state;
    struct pvg_space none = {0};
    struct pvg_walk w;
    uint64_t free = pvg_pages_free(g);
    assert_int_equal(pvg_space_map(g, &none, LOW, page, 1, USER_RW), -XEN_EINVAL);
    assert_false(pvg_space_walk(g, &none, LOW, &w));
    assert_int_equal(pvg_space_load(g, &none), -XEN_EINVAL);
    assert_int_equal(pvg_space_end(g, &none), -XEN_EINVAL);
    assert_int_equal(pvg_space_end(g, NULL), -XEN_EINVAL);
    assert_int_equal(pvg_space_pin(g, NULL), -XEN_EINVAL);
    assert_int_equal(pvg_space_unpin(g, &none), -XEN_EINVAL);
    assert_int_equal(pvg_space_make(g, &a), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, LOW + 8, page, 1, USER_RW), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, LOW, page, 0, USER_RW), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, LOW, PVG_NO_PFN, 1, USER_RW), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, LOW, page, 1, USER_RW | 0x1000), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, PVG_USER_END - PVG_PAGE_BYTES, page, 2, USER_RW),
                     -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, UPPER, page, 1, USER_RW), -XEN_EINVAL);
    assert_int_equal(pvg_space_unmap(g, NULL, 0xffff800000000000ull, 1), -XEN_EINVAL);
    assert_int_equal(pvg_space_change(g, &a, LOW, page, 1, USER_RW), -XEN_ENOENT);
    assert_int_equal(pvg_space_protect(g, &a, LOW, 1, USER_RW), -XEN_ENOENT);
    assert_made(map_low());
    assert_int_equal(pvg_space_protect(g, &a, LOW, 4, USER_RW), -XEN_ENOENT);
    assert_int_equal(pvg_space_map(g, &a, LOW - PVG_PAGE_BYTES, page, 2, USER_RW), -XEN_EEXIST);
    assert_made(unmap_low());
    assert_int_equal(pvg_pages_free(g), free);
}

/* The hypervisor's own refusals: a page that is a table. */
static void test_hypervisor_refuses(void **state)
{
    (void)state;
    struct snapshot before = look();
    assert_int_equal(pvg_space_map(g, &a, LOW, a.root, 1, USER_RW), -XEN_EBUSY);
    assert_int_equal(pvg_space_map(g, &a, LOW, b.user_root, 1, USER_RW), -XEN_EBUSY);
    struct snapshot after = look();
    assert_memory_equal(&before, &after, sizeof(before));
    assert_made(unpin_a());
    before = look();
    assert_made(pvg_space_map(g, &a, LOW, b.root, 1, USER_RW));
    assert_int_equal(pvg_space_pin(g, &a), -XEN_EBUSY);
    assert_sound("a pin that is refused");
    assert_false(a.pinned);
    assert_made(pvg_space_unmap(g, &a, LOW, 1));
    after = look();
    assert_memory_equal(&before, &after, sizeof(before));
    assert_made(pin_a());
}

static void test_tables_refused(void **state)
{
    (void)state;
    pvg_pfn_t table;
    assert_int_equal(pvg_table_free(g, page), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, &a, LOW, 3, page), -XEN_EINVAL);
    assert_made(alloc_table());
    assert_int_equal(pvg_table_attach(g, &a, LOW, 4, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, &a, LOW, 0, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, &a, LOW, 1, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, &a, UPPER, 3, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, NULL, 0xffff800000000000ull, 3, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_detach(g, &a, LOW, 3, &table), -XEN_ENOENT);
    assert_made(map_low());
    assert_int_equal(pvg_table_attach(g, &a, LOW, 1, tables[0]), -XEN_EEXIST);
    assert_int_equal(pvg_table_detach(g, &a, LOW, 1, &table), -XEN_EINVAL);
    assert_made(free_table());
}

/* All that the kernel half names is every root's, also by a table of the caller's. */
static void test_attach_in_the_kernel_half(void **state)
{
    (void)state;
    assert_made(unpin_a());
    assert_made(pvg_table_alloc(g, &tables[2]));
    assert_made(pvg_table_attach(g, NULL, UPPER, 3, tables[2]));
    unsigned slot = slot_of(UPPER, 4);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t root = root_of(i == 0 ? NULL : i == 1 ? &a : &b);
        assert_int_equal(pte_mfn(machine_frame(m, root)[slot]).n, mfn_of(tables[2]));
    }
    pvg_pfn_t table;
    assert_made(pvg_table_detach(g, NULL, UPPER, 3, &table));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(machine_frame(m, root_of(i == 0 ? NULL : i == 1 ? &a : &b))[slot], 0);
    assert_made(pvg_table_free(g, table));
}

/* Lists that are full: nothing is lost, and what could not go back goes when there is room. */
static void test_lists_are_full(void **state)
{
    (void)state;
    uint64_t free = pvg_pages_free(g);
    assert_made(map_low());
    struct pvg_regions *t = &g->tables;
    uint64_t added = 0;
    for (; t->count < PVG_REGIONS_MAX; added += 2)
        assert_made(pvg_regions_add(t, (1ull << 34) + added, (1ull << 34) + added + 1));
    int rc = pvg_space_map(g, &a, BORDER, page, 2, USER_RW);
    if (rc)
        assert_int_equal(rc, -XEN_ENOSPC);
    else
        assert_made(unmap_border());
    assert_made(unmap_low());
    assert_sound("full lists");
    assert_made(pvg_regions_remove(t, 1ull << 34, (1ull << 34) + added));
    assert_made(map_low());
    assert_made(unmap_low());
    assert_int_equal(pvg_pages_free(g), free);
}

/* Free memory of a guest that has lived long: no two free pages are neighbours. */
static void test_free_pages_are_scattered(void **state)
{
    (void)state;
    static pvg_pfn_t all[NR_PAGES];
    unsigned n = 0, given = 0;
    while (pvg_pages_take(g, 1, 1, &all[n]) == 0)
        n++;
    for (; given < 5; given++)
        assert_made(pvg_pages_give(g, all[2 * given], 1));
    assert_int_equal(map_border(), -XEN_ENOMEM);
    assert_int_equal(pvg_pages_free(g), 5);
    assert_made(pvg_pages_give(g, all[2 * given], 1));
    assert_made(map_border());
    assert_int_equal(pvg_pages_free(g), 0);
    assert_sound("scattered tables");
    assert_int_equal(seen(&a, BORDER), wanted(0, true));
    assert_int_equal(seen_by_user(&a, BORDER + PVG_PAGE_BYTES), wanted(1, true));
    assert_made(unmap_border());
    assert_int_equal(pvg_pages_free(g), 6);
    each_failure(map_border, unmap_border, "scattered");
    assert_made(unmap_border());
    for (unsigned i = 0; i < n; i++)
        if (i % 2 || i > 2 * given)
            assert_made(pvg_pages_give(g, all[i], 1));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_spaces_differ),
        TEST(test_user_root_has_no_kernel),
        TEST(test_map_works_on_what_is_loaded),
        TEST(test_p2m_while_loaded),
        TEST(test_unpinned_is_plain),
        TEST(test_ranges_are_batched),
        TEST(test_empty_tables_go),
        TEST(test_attached_tables_stay),
        TEST(test_table_of_the_callers),
        TEST(test_tables_that_are_named_twice),
        TEST(test_ranges_refused),
        TEST(test_hypervisor_refuses),
        TEST(test_tables_refused),
        TEST(test_attach_in_the_kernel_half),
        TEST(test_lists_are_full),
        TEST(test_free_pages_are_scattered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
