/* SPDX-License-Identifier: MIT */
/* R1: owners, references, freedom. And the texts and small looks that belong to no rule. */
#include "unit.h"

static void test_r1_assigned_frame_holds_its_allocation(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_frame(m, TYPE_NONE, 0, 1);
    assert_int_equal(core_frame_owner(c, m), d->id);
    assert_int_equal(d->frames, 1);
    assert_audit_clean();
}

static void test_r1_only_a_free_frame_is_assigned(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(core_assign(c, d, m), CORE_EINVAL);
    assert_int_equal(core_assign(c, other, m), CORE_EINVAL);
    assert_int_equal(core_assign(c, d, device_frame()), CORE_EINVAL);
    assert_int_equal(core_assign(c, d, mfn(UNIT_FRAMES)), CORE_EINVAL);
    assert_int_equal(core_share(c, d, m), CORE_EINVAL);
    assert_int_equal(d->frames, 1);
}

static void test_r1_owner_of_free_and_device_frames(void **state)
{
    (void)state;
    assert_int_equal(core_frame_owner(c, free_frame()), -1);
    assert_int_equal(core_frame_owner(c, device_frame()), -2);
    assert_int_equal(core_frame_owner(c, mfn(UNIT_FRAMES)), -2);
    assert_int_equal(core_frame_owner(c, NO_MFN), -2);
}

static void test_r1_frame_is_freed_only_at_zero(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    put(l1, 0, RO(data));
    assert_int_equal(pin(l1, 1), 0);
    assert_frame(data, TYPE_NONE, 0, 2);
    assert_int_equal(decrease(data), 0);
    assert_frame(data, TYPE_NONE, 0, 1);
    assert_int_equal(core_frame_owner(c, data), d->id);
    assert_int_equal(update(l1, 0, 0), 0);
    assert_free(data);
    assert_int_equal(d->frames, 1);
}

static void test_r1_reference_counter_does_not_overflow(void **state)
{
    (void)state;
    mfn_t m = frame();
    frame_at(c, m)->hold += HOLD_COUNT_MAX - 1;
    begin(v);
    assert_refused(core_hold_writable(c, v, m), CORE_EINVAL, REASON_COUNT_OVERFLOW, 1);
    frame_at(c, m)->hold -= 1;
    assert_int_equal(core_hold_writable(c, v, m), 0);
    core_drop_writable(c, v);
    frame_at(c, m)->hold -= HOLD_COUNT_MAX - 2;
    end(v);
}

static void test_r1_room_is_left_for_an_orphan_and_the_like(void **state)
{
    (void)state;
    assert_true(HOLD_COUNT - HOLD_COUNT_MAX >= 2);
}

static void test_r1_type_counter_does_not_overflow(void **state)
{
    (void)state;
    mfn_t m = frame();
    begin(v);
    assert_int_equal(core_hold_writable(c, v, m), 0);
    frame_at(c, m)->use += USE_COUNT - 1;
    assert_refused(core_clear_page(c, v, d, m), CORE_EINVAL, REASON_COUNT_OVERFLOW, 1);
    frame_at(c, m)->use -= 1;
    assert_int_equal(core_clear_page(c, v, d, m), 0);
    frame_at(c, m)->use -= USE_COUNT - 2;
    core_drop_writable(c, v);
    end(v);
}

static void test_r1_update_of_a_table_needs_no_count_of_it(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    frame_at(c, l1)->use += USE_COUNT - 1;
    struct core_update u = {place(l1, 0), RO(data)};
    unsigned done;
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, d, &u, 1, &done), 0);
    assert_int_equal(core_frame_uses(c, l1), USE_COUNT);
    frame_at(c, l1)->use -= USE_COUNT - 1;
    end(v);
    assert_frame(data, TYPE_NONE, 0, 2);
}

static void test_r1_l1_entry_of_a_full_frame_is_busy(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    frame_at(c, data)->hold += HOLD_COUNT_MAX - 1;
    struct core_update u = {place(l1, 0), RO(data)};
    unsigned done;
    begin(v);
    assert_refused(core_mmu_update(c, v, d, d, &u, 1, &done), CORE_EBUSY, REASON_COUNT_OVERFLOW, 1);
    frame_at(c, data)->hold -= HOLD_COUNT_MAX - 1;
    end(v);
}

static void test_r1_shared_frame_is_mapped_but_never_a_table(void **state)
{
    (void)state;
    mfn_t shared = mfn(WORLD_SHARED_FRAME), l1 = frame();
    assert_frame(shared, TYPE_WRITABLE, 1, 1);
    for (unsigned level = 1; level <= 4; level++)
        assert_refused(pin(shared, level), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update(l1, 0, RW(shared)), 0);
    assert_frame(shared, TYPE_WRITABLE, 2, 2);
    assert_int_equal(update(l1, 0, 0), 0);
    assert_frame(shared, TYPE_WRITABLE, 1, 1);
    begin(v);
    assert_int_equal(core_set_gdt(c, v, &shared, 1, 512), CORE_EINVAL);
    end(v);
}

static void test_r1_shared_frame_goes_back_to_the_hypervisor_not_to_the_free_list(void **state)
{
    (void)state;
    mfn_t shared = mfn(WORLD_SHARED_FRAME);
    uint64_t frames = d->frames;
    world_relinquish(w, 0);
    assert_int_equal(d->frames, frames);
    assert_int_equal(core_frame_owner(c, shared), -1);
    assert_false(w->free[shared.n]);
    world_relinquish(w, 1);
}

/* ---- R8: whose frame */

static void test_r8_requests_reach_no_frame_of_another_domain(void **state)
{
    (void)state;
    mfn_t theirs = frame_of_other(), mine = frame();
    assert_refused(pin(theirs, 1), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(unpin(theirs), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(load(theirs), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(load_user(theirs), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(update(theirs, 0, 0), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(update_as(1, theirs, 0, 5), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    begin(v);
    assert_refused(core_clear_page(c, v, d, theirs), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(core_copy_page(c, v, d, theirs, mine), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(core_copy_page(c, v, d, mine, theirs), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(core_hold_writable(c, v, theirs), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(core_set_gdt(c, v, &theirs, 1, 8), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(core_update_descriptor(c, v, mfn_address(theirs, 0), 0), CORE_EINVAL,
                   REASON_FOREIGN_FRAME, 8);
    end(v);
    assert_refused(decrease(theirs), CORE_ENXIO, REASON_FOREIGN_FRAME, 8);
    assert_frame(theirs, TYPE_NONE, 0, 1);
}

static void test_r8_device_and_missing_frames_are_told_apart(void **state)
{
    (void)state;
    assert_refused(pin(device_frame(), 1), CORE_EINVAL, REASON_NOT_RAM, 8);
    assert_refused(pin(mfn(UNIT_FRAMES), 1), CORE_EINVAL, REASON_NO_SUCH_FRAME, 1);
    assert_refused(pin(NO_MFN, 1), CORE_EINVAL, REASON_NO_SUCH_FRAME, 1);
    assert_refused(pin(free_frame(), 1), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(pin(mfn(WORLD_HYPERVISOR_FRAME), 1), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
}

static void test_r8_a_named_domain_is_reached(void **state)
{
    (void)state;
    d->controls_all = true;
    mfn_t theirs = frame_of_other();
    begin(v);
    assert_int_equal(core_pin(c, v, other, theirs, 1), 0);
    end(v);
    assert_true(core_frame_pinned(c, theirs));
    begin(v);
    assert_int_equal(core_unpin(c, v, other, theirs), 0);
    end(v);
}

/* A frame of another domain's, mapped read-only by its right, does not become writable by an update
 * that does not name that domain: the reference that the entry holds is no right to write. */
static void test_r8_a_foreign_mapping_becomes_writable_only_by_its_domain(void **state)
{
    (void)state;
    mfn_t l1 = frame(), theirs = frame_of_other();
    struct core_update map = {place(l1, 0), RO(theirs)}, write = {place(l1, 0), RW(theirs)};
    unsigned done;
    d->controls_all = true;
    assert_int_equal(pin(l1, 1), 0);
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, other, &map, 1, &done), 0);
    end(v);
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, d, &write, 1, &done), CORE_EBUSY);
    end(v);
    assert_frame(theirs, TYPE_NONE, 0, 2);
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, other, &write, 1, &done), 0);
    end(v);
    assert_frame(theirs, TYPE_WRITABLE, 1, 2);
    assert_int_equal(update(l1, 0, 0), 0);
}

/* ---- holding for the hypervisor */

static void test_hold_writable_keeps_one_frame_at_a_time(void **state)
{
    (void)state;
    mfn_t a = frame(), b = frame();
    begin(v);
    assert_int_equal(core_hold_writable(c, v, a), 0);
    assert_frame(a, TYPE_WRITABLE, 1, 2);
    assert_int_equal(core_hold_writable(c, v, b), 0);
    assert_frame(a, TYPE_WRITABLE, 0, 1);
    assert_frame(b, TYPE_WRITABLE, 1, 2);
    assert_int_equal(core_hold_writable(c, v, b), 0);
    assert_frame(b, TYPE_WRITABLE, 1, 2);
    end(v);
    assert_refused(pin(b, 1), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    core_drop_writable(c, v);
    core_drop_writable(c, v);
    assert_frame(b, TYPE_WRITABLE, 0, 1);
    assert_true(mfn_eq(v->held, NO_MFN));
}

static void test_hold_writable_keeps_the_old_one_when_refused(void **state)
{
    (void)state;
    mfn_t a = frame(), l1 = frame();
    assert_int_equal(pin(l1, 1), 0);
    begin(v);
    assert_int_equal(core_hold_writable(c, v, a), 0);
    assert_refused(core_hold_writable(c, v, l1), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    end(v);
    assert_true(mfn_eq(v->held, a));
    assert_frame(a, TYPE_WRITABLE, 1, 2);
}

/* ---- looking */

static void test_count_types(void **state)
{
    (void)state;
    uint64_t n[TYPE_COUNT], pinned;
    struct tree t = tree();
    frame();
    mfn_t theirs = frame_of_other();
    begin(alien);
    assert_int_equal(core_pin(c, alien, other, theirs, 1), 0);
    end(alien);
    assert_int_equal(pin(t.l4, 4), 0);
    assert_int_equal(pin(t.l2, 2), 0);
    core_count_types(c, d, n, &pinned);
    assert_int_equal(n[TYPE_L4], 1);
    assert_int_equal(n[TYPE_L3], 1);
    assert_int_equal(n[TYPE_L2], 1);
    assert_int_equal(n[TYPE_L1], 1);
    assert_int_equal(n[TYPE_WRITABLE], 2); /* and the shared frame */
    assert_int_equal(n[TYPE_NONE], 1);
    assert_int_equal(pinned, 2);
}

static void test_words_are_taken_apart(void **state)
{
    (void)state;
    mfn_t m = frame(), theirs = frame_of_other();
    assert_int_equal(pin(m, 3), 0);
    assert_int_equal(core_use_type(load_use(c, m)), TYPE_L3);
    assert_int_equal(core_use_count(load_use(c, m)), 1);
    assert_int_equal(core_hold_count(load_hold(c, m)), 2);
    assert_int_equal(core_hold_owner(load_hold(c, m)), d->id);
    assert_int_equal(core_hold_owner(load_hold(c, theirs)), other->id);
    assert_int_equal(core_hold_owner(load_hold(c, free_frame())), -1);
    assert_int_equal(core_hold_owner(load_hold(c, device_frame())), -2);
}

static void test_the_stamp_says_when_the_last_use_ended(void **state)
{
    (void)state;
    mfn_t m = frame();
    for (unsigned i = 0; i < 3; i++) {
        world_flush_cpu(w, &w->cpu[0]);
        begin(v);
        assert_int_equal(core_clear_page(c, v, d, m), 0);
        end(v);
        assert_int_equal(core_frame_stamp(c, m), w->clock);
    }
}

static void test_every_value_has_a_text(void **state)
{
    (void)state;
    for (unsigned r = 0; r <= REASON_ENTRY_CHANGED; r++)
        assert_true(strlen(core_reason_text((enum core_reason)r)) > 0);
    for (unsigned rule = 1; rule <= 10; rule++)
        assert_true(strlen(core_rule_text(rule)) > 0);
    for (unsigned t = 0; t < TYPE_COUNT; t++)
        assert_true(strlen(core_type_name((enum frame_type)t)) > 0);
    for (unsigned k = 0; k <= FINDING_M2P; k++)
        assert_true(strlen(core_finding_text((enum core_finding_kind)k)) > 0);
    assert_string_equal(core_reason_text((enum core_reason)99), "unknown reason");
    assert_string_equal(core_rule_text(0), "");
    assert_string_equal(core_rule_text(11), "");
    assert_string_equal(core_type_name((enum frame_type)15), "invalid");
    assert_string_equal(core_finding_text((enum core_finding_kind)99), "unknown finding");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_r1_assigned_frame_holds_its_allocation),
        TEST(test_r1_only_a_free_frame_is_assigned),
        TEST(test_r1_owner_of_free_and_device_frames),
        TEST(test_r1_frame_is_freed_only_at_zero),
        TEST(test_r1_reference_counter_does_not_overflow),
        TEST(test_r1_room_is_left_for_an_orphan_and_the_like),
        TEST(test_r1_type_counter_does_not_overflow),
        TEST(test_r1_update_of_a_table_needs_no_count_of_it),
        TEST(test_r1_l1_entry_of_a_full_frame_is_busy),
        TEST(test_r1_shared_frame_is_mapped_but_never_a_table),
        TEST_DEAD(test_r1_shared_frame_goes_back_to_the_hypervisor_not_to_the_free_list),
        TEST(test_r8_requests_reach_no_frame_of_another_domain),
        TEST(test_r8_device_and_missing_frames_are_told_apart),
        TEST(test_r8_a_named_domain_is_reached),
        TEST(test_r8_a_foreign_mapping_becomes_writable_only_by_its_domain),
        TEST(test_hold_writable_keeps_one_frame_at_a_time),
        TEST(test_hold_writable_keeps_the_old_one_when_refused),
        TEST(test_count_types),
        TEST(test_words_are_taken_apart),
        TEST(test_the_stamp_says_when_the_last_use_ended),
        TEST(test_every_value_has_a_text),
    };
    return RUN(tests);
}
