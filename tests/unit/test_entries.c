/* SPDX-License-Identifier: MIT */
/* R3: what one entry may say and what it holds. R6: the hypervisor's slots. R8: foreign frames. */
#include "unit.h"

/* ---- flags: every bit at every level, by validation and by update */

/* Bits of which a present entry may carry any; the frame's bits are not flags. */
static bool allowed(unsigned level, unsigned bit)
{
    switch (bit) {
    case 0: /* PRESENT */
    case 1: /* RW */
    case 2: /* USER */
    case 5: /* ACCESSED */
    case 6: /* DIRTY */
    case 9:
    case 10:
    case 11:
    case 63: /* NX */
        return true;
    case 8: /* GLOBAL */
        return level == 1;
    case 3: /* PWT */
    case 4: /* PCD */
    case 7: /* PAT, PSE */
        return false;
    default:
        return bit >= 52;
    }
}

static void check_flag(unsigned level, unsigned bit)
{
    mfn_t table = frame(), child = frame();
    uint64_t e = TABLE(child) | 1ull << bit;
    if (level == 1)
        e &= ~(bit == 1 ? 0 : PTE_RW);
    put(table, 0, e);
    int rc = pin(table, level);
    if (allowed(level, bit)) {
        assert_int_equal(rc, 0);
    } else {
        assert_refused(rc, CORE_EINVAL, REASON_BAD_FLAGS, 3);
        assert_true(v->refusal.value == e);
        put(table, 0, 0);
        assert_int_equal(pin(table, level), 0);
    }
    rc = update(table, 1, e);
    if (allowed(level, bit))
        assert_int_equal(rc, 0);
    else
        assert_refused(rc, CORE_EINVAL, REASON_BAD_FLAGS, 3);
    assert_int_equal(unpin(table), 0);
    assert_int_equal(decrease(table), 0);
    assert_int_equal(decrease(child), 0);
}

static void test_r3_flags_of_each_level(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= 4; level++)
        for (unsigned bit = 0; bit < 64; bit++)
            if (bit < 12 || bit >= 52)
                check_flag(level, bit);
}

static void test_r3_an_entry_that_is_not_present_may_say_anything(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= 4; level++) {
        mfn_t m = frame();
        put(m, 0, ~PTE_PRESENT);
        assert_int_equal(pin(m, level), 0);
        assert_true(get(m, 0) == ~PTE_PRESENT);
        assert_int_equal(update(m, 1, ~PTE_PRESENT), 0);
        assert_true(get(m, 1) == ~PTE_PRESENT);
    }
}

static void test_r3_no_superpages(void **state)
{
    (void)state;
    for (unsigned level = 2; level <= 3; level++) {
        mfn_t table = frame(), child = frame();
        put(table, 0, RW(child) | PTE_PSE);
        assert_refused(pin(table, level), CORE_EINVAL, REASON_BAD_FLAGS, 3);
        assert_frame(child, TYPE_NONE, 0, 1);
    }
}

/* ---- linear tables */

static void test_r3_no_linear_tables(void **state)
{
    (void)state;
    for (unsigned level = 2; level <= 4; level++) {
        mfn_t m = frame(), peer = frame();
        put(m, 0, TABLE(m));
        assert_refused(pin(m, level), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
        put(m, 0, 0);
        assert_int_equal(pin(m, level), 0);
        assert_refused(update(m, 0, TABLE(m)), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
        assert_refused(update(m, 0, RO(m)), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
        assert_int_equal(pin(peer, level), 0);
        assert_refused(update(m, 0, RO(peer)), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
        assert_frame(m, (enum frame_type)level, 1, 2);
    }
}

static void test_r3_an_l1_may_map_itself_read_only(void **state)
{
    (void)state;
    mfn_t m = frame();
    put(m, 0, RO(m));
    put(m, 1, RO(m));
    assert_int_equal(pin(m, 1), 0);
    assert_frame(m, TYPE_L1, 1, 4);
    assert_refused(update(m, 2, RW(m)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_int_equal(decrease(m), 0);
    assert_int_equal(unpin(m), 0);
    assert_free(m);
}

static void test_r3_an_l1_that_maps_itself_writable_is_refused(void **state)
{
    (void)state;
    mfn_t m = frame();
    put(m, 0, RO(m));
    put(m, 1, RW(m));
    assert_refused(pin(m, 1), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_frame(m, TYPE_L1, 0, 1);
}

/* ---- what an entry holds */

static void test_r3_an_l1_entry_holds_whatever_the_upper_levels_say(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l2, L2_SLOT, RO(t.l1)); /* without RW no store through it can succeed */
    assert_int_equal(pin(t.l4, 4), 0);
    assert_frame(t.data, TYPE_WRITABLE, 1, 2);
    assert_refused(pin(t.data, 1), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
}

static void test_r3_read_only_holds_a_reference_only(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update(l1, 0, RO(data)), 0);
    assert_frame(data, TYPE_NONE, 0, 2);
    assert_int_equal(update(l1, 0, RW(data)), 0);
    assert_frame(data, TYPE_WRITABLE, 1, 2);
    assert_int_equal(update(l1, 0, RO(data)), 0);
    assert_frame(data, TYPE_WRITABLE, 0, 2);
    assert_int_equal(update(l1, 0, 0), 0);
    assert_frame(data, TYPE_WRITABLE, 0, 1);
}

static void test_r3_an_update_takes_the_new_before_it_drops_the_old(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update(l1, 0, RW(data)), 0);
    assert_int_equal(decrease(data), 0);
    assert_int_equal(update(l1, 0, RO(data)), 0); /* the entry's was the last reference */
    assert_frame(data, TYPE_WRITABLE, 0, 1);
    assert_int_equal(update(l1, 0, 0), 0);
    assert_free(data);
}

static void test_r3_a_refused_update_leaves_the_old_entry(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update(l1, 0, RW(data)), 0);
    uint64_t e = get(l1, 0);
    assert_int_equal(update(l1, 0, RW(frame_of_other())), CORE_EBUSY);
    assert_int_equal(update(l1, 0, RW(l1)), CORE_EBUSY);
    assert_int_equal(update(l1, 0, RW(data) | PTE_PCD), CORE_EINVAL);
    assert_true(get(l1, 0) == e);
    assert_frame(data, TYPE_WRITABLE, 1, 2);
}

/* ---- adjustment */

static void test_r3_present_entries_gain_user_and_a_mark(void **state)
{
    (void)state;
    static const struct {
        unsigned level;
        uint64_t given, kept;
    } cases[] = {
        {1, 0, PTE_USER | PTE_KERNEL},
        {1, PTE_USER, PTE_USER | PTE_GLOBAL},
        {1, PTE_GLOBAL, PTE_USER | PTE_KERNEL | PTE_GLOBAL},
        {1, PTE_USER | PTE_KERNEL, PTE_USER | PTE_KERNEL},
        {1, PTE_KERNEL, PTE_USER | PTE_KERNEL},
        {2, 0, PTE_USER},
        {2, PTE_USER, PTE_USER},
        {3, 0, PTE_USER},
        {4, 0, PTE_USER | PTE_ACCESSED},
        {4, PTE_DIRTY, PTE_USER | PTE_ACCESSED | PTE_DIRTY},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mfn_t table = frame(), child = frame();
        uint64_t e = pte_make(child, PTE_PRESENT);
        put(table, 0, e | cases[i].given);
        assert_int_equal(pin(table, cases[i].level), 0);
        assert_true(get(table, 0) == (e | cases[i].kept));
        assert_int_equal(update(table, 1, e | cases[i].given), 0);
        assert_true(get(table, 1) == (e | cases[i].kept));
        assert_int_equal(unpin(table), 0);
    }
}

static void test_r3_adjusting_twice_changes_nothing(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= 4; level++)
        for (uint64_t bits = 0; bits < 8; bits++) {
            uint64_t e = PTE_PRESENT | (bits & 1 ? PTE_USER : 0) | (bits & 2 ? PTE_KERNEL : 0) |
                         (bits & 4 ? PTE_GLOBAL : 0);
            uint64_t once = entry_adjust(level, e);
            assert_true(entry_adjust(level, once) == once);
            assert_true(entry_adjust(level, e & ~PTE_PRESENT) == (e & ~PTE_PRESENT));
        }
}

/* ---- the light path */

static void test_r3_light_bits_change_without_references(void **state)
{
    (void)state;
    static const uint64_t light[] = {PTE_NX,         PTE_ACCESSED, PTE_DIRTY, 1ull << 9,
                                     1ull << 10,     1ull << 11,   PTE_USER,  1ull << 53,
                                     PTE_AVAIL_HIGH, PTE_GLOBAL};
    mfn_t l1 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update(l1, 0, RW(data)), 0);
    frame_at(c, data)->hold += HOLD_COUNT_MAX - 2; /* so that taking one more would be refused */
    for (unsigned i = 0; i < sizeof(light) / sizeof(light[0]); i++) {
        struct core_update u = {place(l1, 0), RW(data) ^ light[i]};
        unsigned done;
        core_begin(c, v);
        assert_int_equal(core_mmu_update(c, v, d, d, &u, 1, &done), 0);
        core_end(c, v);
        assert_true(get(l1, 0) == entry_adjust(1, u.val));
    }
    frame_at(c, data)->hold -= HOLD_COUNT_MAX - 2;
    assert_frame(data, TYPE_WRITABLE, 1, 2);
}

static void test_r3_light_bits_of_upper_entries(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(pin(t.l4, 4), 0);
    uint64_t flushes = w->domain_flushes;
    assert_int_equal(update(t.l2, L2_SLOT, TABLE(t.l1) | PTE_NX | PTE_DIRTY), 0);
    assert_frame(t.l1, TYPE_L1, 1, 2);
    assert_int_equal(w->domain_flushes, flushes);
    assert_int_equal(update(t.l2, L2_SLOT, RO(t.l1)), 0); /* RW is not light */
    assert_frame(t.l1, TYPE_L1, 1, 2);
    assert_int_equal(w->domain_flushes, flushes + 1);
    assert_refused(update(t.l2, L2_SLOT, RO(t.l1) | PTE_GLOBAL), CORE_EINVAL, REASON_BAD_FLAGS, 3);
}

/* ---- device memory */

static void test_r3_device_memory_needs_the_right(void **state)
{
    (void)state;
    mfn_t l1 = frame();
    uint64_t all_ones = PTE_FRAME_MASK | PTE_PRESENT;
    assert_int_equal(pin(l1, 1), 0);
    assert_refused(update(l1, 0, RO(device_frame())), CORE_EPERM, REASON_NOT_RAM, 3);
    assert_refused(update(l1, 0, RW(mfn(UNIT_FRAMES + 5))), CORE_EPERM, REASON_NOT_RAM, 3);
    assert_refused(update(l1, 0, all_ones), CORE_EINVAL, REASON_NOT_RAM, 3);
    d->has_devices = true;
    assert_int_equal(update(l1, 0, RO(device_frame())), 0);
    assert_int_equal(update(l1, 1, RW(mfn(UNIT_FRAMES + 5))), 0);
    assert_int_equal(core_frame_holds(c, device_frame()), 0);
    assert_int_equal(update(l1, 0, 0), 0);
}

static void test_r3_validation_refuses_device_memory_too(void **state)
{
    (void)state;
    mfn_t l1 = frame(), l2 = frame();
    put(l1, 3, RO(device_frame()));
    assert_refused(pin(l1, 1), CORE_EPERM, REASON_NOT_RAM, 3);
    put(l2, 0, TABLE(device_frame()));
    assert_refused(pin(l2, 2), CORE_EINVAL, REASON_NOT_RAM, 8);
    d->has_devices = true;
    assert_refused(pin(l2, 2), CORE_EINVAL, REASON_NOT_RAM, 8);
    assert_int_equal(pin(l1, 1), 0);
}

static void test_r3_device_memory_is_never_cacheable(void **state)
{
    (void)state;
    mfn_t l1 = frame();
    d->has_devices = true;
    put(l1, 0, RO(device_frame()));
    put(l1, 1, RO(device_frame()) | PTE_PAT);
    assert_int_equal(pin(l1, 1), 0);
    assert_true((get(l1, 0) & PTE_CACHE_ATTRIBUTES) == (PTE_PWT | PTE_PCD));
    assert_true((get(l1, 1) & PTE_CACHE_ATTRIBUTES) == PTE_PAT);
    assert_int_equal(update(l1, 2, RW(device_frame())), 0);
    assert_true((get(l1, 2) & PTE_CACHE_ATTRIBUTES) == (PTE_PWT | PTE_PCD));
    assert_int_equal(update(l1, 2, RW(device_frame()) | PTE_DIRTY), 0);
    assert_true((get(l1, 2) & PTE_CACHE_ATTRIBUTES) == (PTE_PWT | PTE_PCD));
}

static void test_r3_cache_attributes_need_the_right(void **state)
{
    (void)state;
    static const uint64_t attributes[] = {PTE_PWT, PTE_PCD, PTE_PAT, PTE_CACHE_ATTRIBUTES};
    mfn_t l1 = frame(), l2 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(pin(l2, 2), 0);
    for (unsigned i = 0; i < 4; i++) {
        d->has_devices = false;
        assert_refused(update(l1, 0, RO(data) | attributes[i]), CORE_EINVAL, REASON_BAD_FLAGS, 3);
        d->has_devices = true;
        assert_int_equal(update(l1, 0, RO(data) | attributes[i]), 0);
        assert_int_equal(update(l1, 0, 0), 0);
        assert_refused(update(l2, 0, TABLE(frame()) | attributes[i]), CORE_EINVAL, REASON_BAD_FLAGS,
                       3);
    }
}

/* ---- R8 */

static void test_r8_an_l1_entry_of_a_foreign_frame_is_busy(void **state)
{
    (void)state;
    mfn_t l1 = frame(), theirs = frame_of_other();
    assert_int_equal(pin(l1, 1), 0);
    assert_refused(update(l1, 0, RO(theirs)), CORE_EBUSY, REASON_FOREIGN_FRAME, 8);
    assert_refused(update(l1, 0, RW(theirs)), CORE_EBUSY, REASON_FOREIGN_FRAME, 8);
    assert_refused(update(l1, 0, RW(free_frame())), CORE_EBUSY, REASON_FOREIGN_FRAME, 8);
    assert_refused(update(l1, 0, RO(mfn(WORLD_HYPERVISOR_FRAME))), CORE_EBUSY, REASON_FOREIGN_FRAME,
                   8);
    assert_frame(theirs, TYPE_NONE, 0, 1);
}

static void test_r8_a_foreign_mapping_by_the_controlling_domain(void **state)
{
    (void)state;
    mfn_t l1 = frame(), theirs = frame_of_other();
    d->controls_all = true;
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update_for(d, other, l1, 0, RW(theirs)), 0);
    assert_frame(theirs, TYPE_WRITABLE, 1, 2);
    begin(alien);
    assert_int_equal(core_pin(c, alien, other, theirs, 1), CORE_EINVAL);
    end(alien);
    assert_int_equal(update_for(d, other, l1, 1, RO(frame())), CORE_EBUSY);
    assert_int_equal(update(l1, 0, 0), 0);
    assert_frame(theirs, TYPE_WRITABLE, 0, 1);
}

static void test_r8_a_foreign_mapping_keeps_the_frame_when_its_domain_dies(void **state)
{
    (void)state;
    mfn_t l1 = frame(), theirs = frame_of_other();
    d->controls_all = true;
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update_for(d, other, l1, 0, RW(theirs)), 0);
    world_relinquish(w, 1);
    assert_audit_clean();
    assert_frame(theirs, TYPE_WRITABLE, 1, 1);
    assert_int_equal(update(l1, 0, 0), 0);
    assert_free(theirs);
    assert_int_equal(other->frames, 0);
}

static void test_r8_upper_entries_never_name_foreign_tables(void **state)
{
    (void)state;
    d->controls_all = true;
    mfn_t theirs = frame_of_other();
    for (unsigned level = 2; level <= 4; level++) {
        mfn_t m = frame();
        assert_int_equal(pin(m, level), 0);
        assert_refused(update_for(d, other, m, 0, TABLE(theirs)), CORE_EINVAL, REASON_NO_RIGHT, 8);
        assert_refused(update_for(d, other, m, 0, 0), CORE_EINVAL, REASON_NO_RIGHT, 8);
        assert_refused(update(m, 0, TABLE(theirs)), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    }
}

static void test_r8_the_controlling_domain_edits_anothers_tables(void **state)
{
    (void)state;
    d->controls_all = true;
    mfn_t l1 = frame_of_other(), data = frame_of_other();
    begin(v);
    assert_int_equal(core_pin(c, v, other, l1, 1), 0);
    end(v);
    assert_int_equal(update_for(other, other, l1, 0, RW(data)), 0);
    assert_frame(data, TYPE_WRITABLE, 1, 2);
}

/* ---- R6 */

static void test_r6_validation_replaces_what_the_guest_left(void **state)
{
    (void)state;
    mfn_t l4 = frame();
    for (unsigned slot = GLUE_L4_RESERVED_FIRST; slot <= GLUE_L4_RESERVED_LAST; slot++)
        put(l4, slot, ~0ull);
    assert_int_equal(pin(l4, 4), 0);
    for (unsigned slot = GLUE_L4_RESERVED_FIRST; slot <= GLUE_L4_RESERVED_LAST; slot++)
        assert_true(get(l4, slot) == glue_l4_reserved(c, l4, slot));
    assert_true(get(l4, GLUE_L4_RESERVED_FIRST - 1) == 0);
    assert_true(get(l4, GLUE_L4_RESERVED_LAST + 1) == 0);
}

static void test_r6_an_explicit_update_is_refused(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(pin(t.l4, 4), 0);
    for (unsigned slot = GLUE_L4_RESERVED_FIRST; slot <= GLUE_L4_RESERVED_LAST; slot++) {
        assert_refused(update(t.l4, slot, 0), CORE_EINVAL, REASON_RESERVED_SLOT, 6);
        assert_refused(update(t.l4, slot, TABLE(t.l3)), CORE_EINVAL, REASON_RESERVED_SLOT, 6);
        assert_refused(update(t.l4, slot, get(t.l4, slot)), CORE_EINVAL, REASON_RESERVED_SLOT, 6);
        assert_true(get(t.l4, slot) == glue_l4_reserved(c, t.l4, slot));
    }
    assert_int_equal(update(t.l4, GLUE_L4_RESERVED_LAST + 1, TABLE(t.l3)), 0);
}

static void test_r6_lower_tables_have_no_such_slots(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l3, GLUE_L4_RESERVED_FIRST, TABLE(t.l2));
    assert_int_equal(pin(t.l4, 4), 0);
    assert_frame(t.l2, TYPE_L2, 2, 3);
    assert_int_equal(update(t.l2, GLUE_L4_RESERVED_FIRST, TABLE(t.l1)), 0);
}

static void test_r6_releasing_leaves_them_alone(void **state)
{
    (void)state;
    mfn_t l4 = frame();
    assert_int_equal(pin(l4, 4), 0);
    assert_int_equal(unpin(l4), 0);
    assert_frame(l4, TYPE_L4, 0, 1);
    assert_frame(mfn(WORLD_HYPERVISOR_FRAME), TYPE_NONE, 0, 0);
    assert_int_equal(pin(l4, 4), 0); /* its own entries do not stand in the way */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_r3_flags_of_each_level),
        TEST(test_r3_an_entry_that_is_not_present_may_say_anything),
        TEST(test_r3_no_superpages),
        TEST(test_r3_no_linear_tables),
        TEST(test_r3_an_l1_may_map_itself_read_only),
        TEST(test_r3_an_l1_that_maps_itself_writable_is_refused),
        TEST(test_r3_an_l1_entry_holds_whatever_the_upper_levels_say),
        TEST(test_r3_read_only_holds_a_reference_only),
        TEST(test_r3_an_update_takes_the_new_before_it_drops_the_old),
        TEST(test_r3_a_refused_update_leaves_the_old_entry),
        TEST(test_r3_present_entries_gain_user_and_a_mark),
        TEST(test_r3_adjusting_twice_changes_nothing),
        TEST(test_r3_light_bits_change_without_references),
        TEST(test_r3_light_bits_of_upper_entries),
        TEST(test_r3_device_memory_needs_the_right),
        TEST(test_r3_validation_refuses_device_memory_too),
        TEST(test_r3_device_memory_is_never_cacheable),
        TEST(test_r3_cache_attributes_need_the_right),
        TEST(test_r8_an_l1_entry_of_a_foreign_frame_is_busy),
        TEST(test_r8_a_foreign_mapping_by_the_controlling_domain),
        TEST(test_r8_a_foreign_mapping_keeps_the_frame_when_its_domain_dies),
        TEST(test_r8_upper_entries_never_name_foreign_tables),
        TEST(test_r8_the_controlling_domain_edits_anothers_tables),
        TEST(test_r6_validation_replaces_what_the_guest_left),
        TEST(test_r6_an_explicit_update_is_refused),
        TEST(test_r6_lower_tables_have_no_such_slots),
        TEST(test_r6_releasing_leaves_them_alone),
    };
    return RUN(tests);
}
