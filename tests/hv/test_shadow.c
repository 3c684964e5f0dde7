/* SPDX-License-Identifier: MIT */
/* Shadow tables, one thing at a time; test_shadow_random.c has all of them at once. */
#include "shadow_world.h"

#include <string.h>

static mfn_t loaded; /* the root that the processor has */

/* An address that everything is allowed at, in tables of its own: one way, nothing else. */
static unsigned plain(uint64_t leaf_bits)
{
    const unsigned va = 0;
    for (unsigned l = 4; l > 0; l--)
        *entry_of(first_table(l), vas[va].slot[l]) =
            pte_make(mfn(l == 1 ? LEAVES_AT : first_table(l - 1)),
                     PTE_PRESENT | PTE_USER | (l == 1 ? leaf_bits : PTE_RW));
    assert_true(shadow_begin());
    loaded = shadow_root(mfn(TABLES_AT));
    return va;
}

static bool fill(unsigned va, uint32_t kind)
{
    uint32_t error = kind;
    return shadow_fill(gva(vas[va].address), &error);
}

static uint64_t shown(unsigned va)
{
    const struct found f = walk(loaded.n, &vas[va]);
    return f.present ? f.rights | f.frame << 12 : 0;
}

/* The vCPU's may be another one already, which no fault before its loading is about. */
static void test_a_fault_is_the_loaded_roots(void **state)
{
    (void)state;
    const unsigned va = plain(PTE_RW);
    const mfn_t other = mfn(TABLES_AT + 1);
    uint32_t error = USER;

    *entry_of(other.n, vas[va].slot[4]) = *entry_of(first_table(4), vas[va].slot[4]);
    assert_true(fill(va, USER));
    const mfn_t second = shadow_root(other);
    assert_false(walk(second.n, &vas[va]).present);
    assert_true(fill(va, USER));
    assert_true(walk(second.n, &vas[va]).present);
    shadow_forget();
    loaded = shadow_root(mfn(TABLES_AT));
    assert_true(fill(va, USER));
    assert_true(shown(va) != 0);
    assert_false(walk(second.n, &vas[va]).present);
    shadow_end();
    assert_true(shadow_begin());
    assert_false(shadow_fill(gva(vas[va].address), &error)); /* nothing is loaded yet */
    assert_int_equal(error, USER);
    shadow_end();
}

static void test_a_write_is_marked_before_it_can_be_made(void **state)
{
    (void)state;
    const unsigned va = plain(PTE_RW | PTE_DIRTY);
    uint64_t *leaf = entry_of(first_table(1), 0);

    assert_true(fill(va, USER));
    assert_false(shown(va) & PTE_RW);
    assert_false(dirty_is_marked(mfn(LEAVES_AT)));
    assert_true(fill(va, USER | WRITE));
    assert_true(shown(va) & PTE_RW);
    assert_true(dirty_is_marked(mfn(LEAVES_AT)));
    shadow_forget();
    memset(bitmap, 0, sizeof(bitmap));
    assert_int_equal(shown(va), 0);
    assert_true(fill(va, USER));
    assert_false(shown(va) & PTE_RW);
    assert_true(*leaf & PTE_DIRTY);
    shadow_end();
}

/* Marked through another mapping: this one may be written once it says so itself. */
static void test_a_clean_entry_is_not_written_through(void **state)
{
    (void)state;
    const unsigned va = plain(PTE_RW);

    dirty_mark(mfn(LEAVES_AT));
    assert_true(fill(va, USER));
    assert_false(shown(va) & PTE_RW);
    assert_int_equal(*entry_of(first_table(1), 0) & (PTE_ACCESSED | PTE_DIRTY), PTE_ACCESSED);
    assert_true(fill(va, USER | WRITE));
    assert_true(shown(va) & PTE_RW);
    assert_true(*entry_of(first_table(1), 0) & PTE_DIRTY);
    shadow_end();
}

static void test_neighbours_that_were_accessed_come_along(void **state)
{
    (void)state;
    const unsigned va = plain(PTE_RW);
    const uint64_t here = PTE_PRESENT | PTE_USER | PTE_RW;

    dirty_mark(mfn(LEAVES_AT + 1));
    *entry_of(first_table(1), 1) = pte_make(mfn(LEAVES_AT + 1), here | PTE_ACCESSED | PTE_DIRTY);
    *entry_of(first_table(1), 2) = pte_make(mfn(LEAVES_AT + 2), here);
    *entry_of(first_table(1), 7) = pte_make(mfn(LEAVES_AT + 3), here | PTE_ACCESSED | PTE_DIRTY);
    assert_true(fill(va, USER));
    assert_int_equal(shown(1), (uint64_t)(LEAVES_AT + 1) << 12 | PTE_RW | PTE_USER);
    assert_int_equal(shown(2), 0);
    assert_int_equal(shown(3), (uint64_t)(LEAVES_AT + 3) << 12 | PTE_USER); /* not marked */
    assert_false(*entry_of(first_table(1), 2) & PTE_ACCESSED);
    shadow_end();
}

static void test_the_hypervisors_slots_are_not_the_guests(void **state)
{
    (void)state;
    uint32_t error = WRITE | PFEC_PRESENT;

    plain(PTE_RW);
    *entry_of(first_table(4), 260) = *entry_of(first_table(4), 0);
    assert_false(shadow_fill(gva(HV_SLOTS_START), &error));
    assert_int_equal(error, WRITE | PFEC_PRESENT);
    shadow_flush_page(gva(HV_SLOTS_END - PAGE_BYTES));
    for (unsigned slot = 256; slot <= 271; slot++)
        assert_int_equal(*entry_of(loaded.n, slot), TEMPLATE + slot);
    shadow_end();
}

/* An update of no table, or of an entry that is not present, makes nothing out of date. */
static void test_what_changes_nothing_forgets_nothing(void **state)
{
    (void)state;
    const unsigned va = plain(PTE_RW);

    assert_true(fill(va, USER));
    shadow_entry_changes(direct_address(entry_of(first_table(1), 5)).a);
    shadow_entry_changes((uint64_t)LEAVES_AT << 12);
    shadow_entry_changes(~0ull);
    shadow_flush();
    assert_true(shown(va) != 0);
    shadow_entry_changes(direct_address(entry_of(first_table(1), 0)).a);
    shadow_flush();
    assert_int_equal(shown(va), 0);
    shadow_end();
}

static void test_too_little_room_takes_nothing(void **state)
{
    (void)state;
    pool.room = SHADOW_TABLES_OK + SHADOW_ROOTS - 1;
    assert_false(shadow_begin());
    assert_false(shadow_on);
    assert_int_equal(pool.given, pool.taken);
    pool.room = pool.taken + 3; /* not even roots */
    assert_false(shadow_begin());
    assert_int_equal(pool.given, pool.taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_write_is_marked_before_it_can_be_made, world_setup),
        cmocka_unit_test_setup(test_a_clean_entry_is_not_written_through, world_setup),
        cmocka_unit_test_setup(test_neighbours_that_were_accessed_come_along, world_setup),
        cmocka_unit_test_setup(test_the_hypervisors_slots_are_not_the_guests, world_setup),
        cmocka_unit_test_setup(test_a_fault_is_the_loaded_roots, world_setup),
        cmocka_unit_test_setup(test_what_changes_nothing_forgets_nothing, world_setup),
        cmocka_unit_test_setup(test_too_little_room_takes_nothing, world_setup),
    };
    return cmocka_run_group_tests_name("shadow", tests, NULL, NULL);
}
