/* SPDX-License-Identifier: MIT */
/* R5: pins and loaded roots. */
#include "unit.h"

static void test_r5_pin_at_each_level(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= 4; level++) {
        mfn_t m = frame();
        assert_int_equal(pin(m, level), 0);
        assert_frame(m, (enum frame_type)level, 1, 2);
        assert_true(core_frame_pinned(c, m));
        assert_true(core_frame_validated(c, m));
        assert_int_equal(unpin(m), 0);
        assert_frame(m, (enum frame_type)level, 0, 1);
        assert_false(core_frame_pinned(c, m));
    }
}

static void test_r5_only_levels_1_to_4(void **state)
{
    (void)state;
    static const unsigned levels[] = {0, 5, 6, 7, ~0u};
    mfn_t m = frame();
    for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        assert_refused(pin(m, levels[i]), CORE_EINVAL, REASON_BAD_COMMAND, 5);
}

static void test_r5_a_pin_is_held_once(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= 4; level++) {
        mfn_t m = frame();
        assert_int_equal(pin(m, level), 0);
        assert_refused(pin(m, level), CORE_EINVAL, REASON_ALREADY_PINNED, 5);
        assert_frame(m, (enum frame_type)level, 1, 2);
        assert_int_equal(unpin(m), 0);
        assert_refused(unpin(m), CORE_EINVAL, REASON_NOT_PINNED, 5);
        assert_frame(m, (enum frame_type)level, 0, 1);
    }
}

static void test_r5_a_pin_at_another_level_is_a_type_in_use(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(pin(m, 2), 0);
    assert_refused(pin(m, 1), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_refused(pin(m, 3), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
}

static void test_r5_unpin_of_what_was_never_pinned(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_refused(unpin(t.data), CORE_EINVAL, REASON_NOT_PINNED, 5);
    assert_int_equal(load(t.l4), 0);
    assert_refused(unpin(t.l4), CORE_EINVAL, REASON_NOT_PINNED, 5);
    assert_refused(unpin(t.l1), CORE_EINVAL, REASON_NOT_PINNED, 5);
    assert_refused(unpin(mfn(WORLD_SHARED_FRAME)), CORE_EINVAL, REASON_NOT_PINNED, 5);
    assert_frame(t.l4, TYPE_L4, 1, 2);
}

static void test_r5_pins_below_a_pin(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(pin(t.l4, 4), 0);
    assert_int_equal(pin(t.l3, 3), 0);
    assert_int_equal(pin(t.l2, 2), 0);
    assert_int_equal(pin(t.l1, 1), 0);
    assert_frame(t.l1, TYPE_L1, 2, 3);
    assert_int_equal(unpin(t.l4), 0);
    assert_frame(t.l4, TYPE_L4, 0, 1);
    assert_frame(t.l3, TYPE_L3, 1, 2);
    assert_frame(t.l2, TYPE_L2, 2, 3);
    assert_int_equal(unpin(t.l2), 0);
    assert_frame(t.l2, TYPE_L2, 1, 2);
    assert_int_equal(unpin(t.l3), 0);
    assert_frame(t.l2, TYPE_L2, 0, 1);
    assert_frame(t.l1, TYPE_L1, 1, 2);
}

/*
 * A Xen guest starts on page tables that the domain builder made and pinned, and CR3 alone says
 * which they are: a kernel that took its compiled-in root for the one in use edited the wrong tree.
 * Once it had moved to tables of its own, it did not unpin the initial root. Its stray references
 * kept the frames below typed as tables, so that later updates of them failed for no visible
 * reason.
 */
static void test_story_the_initial_root_left_pinned(void **state)
{
    (void)state;
    struct tree initial = tree(), own = tree();
    mfn_t reused = initial.l1;
    assert_int_equal(pin(initial.l4, 4), 0);
    assert_int_equal(load(initial.l4), 0);
    assert_int_equal(load(own.l4), 0);
    assert_refused(update(own.l1, 0, RW(reused)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_true(mfn_eq(v->refusal.frame, reused));
    assert_int_equal(use_type(v->refusal.use), TYPE_L1);
    assert_int_equal(unpin(initial.l4), 0);
    assert_int_equal(update(own.l1, 0, RW(reused)), 0);
}

/*
 * A kernel built its direct map with tables taken from the very range that it was mapping: tables
 * in use must be mapped read-only, frames that are tables only later must not be writable then, and
 * the unused tail goes back to other users, who need it writable. A kernel that got the order wrong
 * died with "Bad type ... for mfn", far away from the cause. Here is the right order, and each
 * wrong one refused with the frame named.
 */
static void test_story_tables_from_the_range_they_map(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t next = frame(), tail = frame();
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(update(t.l1, 0, RW(next)), 0);
    assert_int_equal(update(t.l1, 1, RO(tail)), 0);
    assert_refused(update(t.l2, 0, TABLE(next)), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_true(mfn_eq(v->refusal.frame, next));
    assert_int_equal(v->refusal.wanted, TYPE_L1);
    assert_int_equal(update(t.l1, 0, RO(next)), 0);
    assert_int_equal(update(t.l2, 0, TABLE(next)), 0);
    assert_refused(update(t.l1, 0, RW(next)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_int_equal(update(t.l1, 1, RW(tail)), 0);
}

/* ---- roots */

static void test_r5_a_loaded_root_holds_one_reference(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    assert_frame(t.l4, TYPE_L4, 1, 2);
    assert_int_equal(load(t.l4), 0);
    assert_frame(t.l4, TYPE_L4, 1, 2);
    assert_int_equal(load_user(t.l4), 0);
    assert_frame(t.l4, TYPE_L4, 2, 3);
    begin(v2);
    assert_int_equal(core_load_kernel_root(c, v2, t.l4), 0);
    end(v2);
    assert_frame(t.l4, TYPE_L4, 3, 4);
    assert_int_equal(load_user(mfn(0)), 0);
    assert_true(mfn_eq(v->user_root, NO_MFN));
    assert_frame(t.l4, TYPE_L4, 2, 3);
    assert_int_equal(load_user(mfn(0)), 0);
}

static void test_r5_the_same_root_again_takes_nothing(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    frame_at(c, t.l4)->use += USE_COUNT - 1; /* not one more would fit */
    core_begin(c, v);
    assert_int_equal(core_load_kernel_root(c, v, t.l4), 0);
    core_end(c, v);
    frame_at(c, t.l4)->use -= USE_COUNT - 1;
    assert_frame(t.l4, TYPE_L4, 1, 2);
}

static void test_r5_a_new_root_replaces_the_old(void **state)
{
    (void)state;
    struct tree a = tree(), b = tree();
    assert_int_equal(load(a.l4), 0);
    assert_int_equal(load(b.l4), 0);
    assert_true(mfn_eq(v->kernel_root, b.l4));
    assert_frame(a.l4, TYPE_L4, 0, 1);
    assert_frame(a.data, TYPE_WRITABLE, 0, 1);
    assert_frame(b.l4, TYPE_L4, 1, 2);
    assert_int_equal(load_user(a.l4), 0);
    assert_int_equal(load_user(b.l4), 0);
    assert_frame(a.l4, TYPE_L4, 0, 1);
    assert_frame(b.l4, TYPE_L4, 2, 3);
}

static void test_r5_a_refused_root_leaves_the_old_one(void **state)
{
    (void)state;
    struct tree a = tree();
    mfn_t l3 = frame();
    assert_int_equal(load(a.l4), 0);
    assert_int_equal(load_user(a.l4), 0);
    assert_int_equal(pin(l3, 3), 0);
    assert_refused(load(l3), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_refused(load(NO_MFN), CORE_EINVAL, REASON_NO_SUCH_FRAME, 5);
    assert_refused(load_user(NO_MFN), CORE_EINVAL, REASON_NO_SUCH_FRAME, 5);
    assert_refused(load_user(l3), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_refused(load(mfn(UNIT_FRAMES)), CORE_EINVAL, REASON_NO_SUCH_FRAME, 1);
    assert_true(mfn_eq(v->kernel_root, a.l4));
    assert_true(mfn_eq(v->user_root, a.l4));
}

static void test_r5_an_unpinned_root_stays_while_it_is_loaded(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(pin(t.l4, 4), 0);
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(unpin(t.l4), 0);
    assert_frame(t.l4, TYPE_L4, 1, 2);
    assert_int_equal(decrease(t.l4), 0);
    assert_frame(t.l4, TYPE_L4, 1, 1);
    struct tree next = tree();
    assert_int_equal(load(next.l4), 0);
    assert_free(t.l4);
}

/* ---- relinquishing */

static void test_r5_relinquish_undoes_pins_and_roots_of_all_vcpus(void **state)
{
    (void)state;
    struct tree t = tree(), u = tree();
    assert_int_equal(pin(t.l4, 4), 0);
    assert_int_equal(pin(t.l3, 3), 0);
    assert_int_equal(pin(u.l1, 1), 0);
    assert_int_equal(load(t.l4), 0);
    begin(v2);
    assert_int_equal(core_load_kernel_root(c, v2, u.l4), 0);
    assert_int_equal(core_load_user_root(c, v2, t.l4), 0);
    assert_int_equal(core_hold_writable(c, v2, frame()), 0);
    end(v2);
    world_relinquish(w, 0);
    assert_true(d->dying);
    assert_int_equal(d->frames, 0);
    assert_free(t.l4);
    assert_free(u.l1);
    assert_true(mfn_eq(v->kernel_root, NO_MFN));
    assert_true(mfn_eq(v2->user_root, NO_MFN));
    assert_audit_clean();
    assert_int_equal(core_relinquish(c, d), 0);
    world_relinquish(w, 1);
}

static void test_r5_relinquish_of_a_domain_without_vcpus(void **state)
{
    (void)state;
    d->controls_all = true;
    mfn_t l2 = frame_of_other(), l1 = frame_of_other(), data = frame_of_other();
    put(l2, 0, TABLE(l1));
    put(l1, 0, RW(data));
    begin(v);
    assert_int_equal(core_pin(c, v, other, l2, 2), 0);
    end(v);
    struct core_vcpu *vcpus = other->vcpus;
    other->vcpus = NULL;
    world_pause(w, PAUSE_ALWAYS, 0);
    while (core_relinquish(c, other) == CORE_RESTART)
        assert_audit_clean();
    assert_free(l2);
    assert_free(l1);
    assert_free(data);
    world_pause(w, PAUSE_NEVER, 0);
    other->vcpus = vcpus;
}

static void test_r5_relinquish_while_a_release_is_under_way(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(pin(t.l4, 4), 0);
    begin(v);
    assert_int_equal(core_unpin(c, v, d, t.l4), 0);
    world_pause(w, PAUSE_ALWAYS, 0);
    assert_int_equal(core_end(c, v), CORE_RESTART);
    world_relinquish(w, 0);
    assert_int_equal(v->leftovers, 0);
    assert_free(t.l4);
    world_relinquish(w, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_r5_pin_at_each_level),
        TEST(test_r5_only_levels_1_to_4),
        TEST(test_r5_a_pin_is_held_once),
        TEST(test_r5_a_pin_at_another_level_is_a_type_in_use),
        TEST(test_r5_unpin_of_what_was_never_pinned),
        TEST(test_r5_pins_below_a_pin),
        TEST(test_story_the_initial_root_left_pinned),
        TEST(test_story_tables_from_the_range_they_map),
        TEST(test_r5_a_loaded_root_holds_one_reference),
        TEST(test_r5_the_same_root_again_takes_nothing),
        TEST(test_r5_a_new_root_replaces_the_old),
        TEST(test_r5_a_refused_root_leaves_the_old_one),
        TEST(test_r5_an_unpinned_root_stays_while_it_is_loaded),
        TEST_DEAD(test_r5_relinquish_undoes_pins_and_roots_of_all_vcpus),
        TEST(test_r5_relinquish_of_a_domain_without_vcpus),
        TEST_DEAD(test_r5_relinquish_while_a_release_is_under_way),
    };
    return RUN(tests);
}
