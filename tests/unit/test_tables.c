/* SPDX-License-Identifier: MIT */
/* R4: tables are validated and released in bounded steps, which may pause anywhere; R10: and a
 * promotion that fails, or is abandoned, leaves nothing behind. */
#include "unit.h"

/* A wide tree: one L4, two of each other level, all entries below shared, so that counts differ. */
struct wide {
    mfn_t l4, l3[2], l2[2], l1[2], data[2];
};

static struct wide wide(void)
{
    struct wide t = {.l4 = frame()};
    for (unsigned i = 0; i < 2; i++) {
        t.l3[i] = frame();
        t.l2[i] = frame();
        t.l1[i] = frame();
        t.data[i] = frame();
        put(t.l4, i ? WORLD_TABLE_ENTRIES - 1 : 0, TABLE(t.l3[i]));
    }
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned k = 0; k < 2; k++) {
            put(t.l3[i], 3 * k + i, TABLE(t.l2[k]));
            put(t.l2[i], 2 * k + i, TABLE(t.l1[k]));
            put(t.l1[i], 4 * k, RW(t.data[k]));
            put(t.l1[i], 4 * k + 1, RO(t.data[k]));
        }
        put(t.l1[i], 7, RO(t.l4));
    }
    return t;
}

static void assert_wide_in_use(const struct wide *t)
{
    assert_frame(t->l4, TYPE_L4, 1, 4);
    for (unsigned i = 0; i < 2; i++) {
        assert_frame(t->l3[i], TYPE_L3, 1, 2);
        assert_frame(t->l2[i], TYPE_L2, 2, 3);
        assert_frame(t->l1[i], TYPE_L1, 2, 3);
        assert_frame(t->data[i], TYPE_WRITABLE, 2, 5);
    }
}

static void assert_wide_unused(const struct wide *t)
{
    assert_frame(t->l4, TYPE_L4, 0, 1);
    for (unsigned i = 0; i < 2; i++) {
        assert_frame(t->l3[i], TYPE_L3, 0, 1);
        assert_frame(t->l2[i], TYPE_L2, 0, 1);
        assert_frame(t->l1[i], TYPE_L1, 0, 1);
        assert_frame(t->data[i], TYPE_WRITABLE, 0, 1);
    }
}

/* ---- requests that may be asked to go on */

static unsigned restarts;

/* One attempt, as the embedding makes it; core_end() may need several. */
static int attempt(int (*request)(mfn_t), mfn_t m)
{
    int rc = core_begin(c, v) == CORE_RESTART ? CORE_RESTART : request(m);
    assert_audit_clean();
    while (core_end(c, v) == CORE_RESTART) {
        assert_audit_clean();
        restarts++;
        core_begin(c, v);
    }
    assert_audit_clean();
    return rc;
}

static int insist(int (*request)(mfn_t), mfn_t m)
{
    int rc;
    while ((rc = attempt(request, m)) == CORE_RESTART)
        restarts++;
    return rc;
}

static int request_pin_l4(mfn_t m)
{
    return core_pin(c, v, d, m, 4);
}

static int request_unpin(mfn_t m)
{
    return core_unpin(c, v, d, m);
}

static int request_load(mfn_t m)
{
    return core_load_kernel_root(c, v, m);
}

static int request_load_user(mfn_t m)
{
    return core_load_user_root(c, v, m);
}

static int request_hold(mfn_t m)
{
    return core_hold_writable(c, v, m);
}

static int request_decrease(mfn_t m)
{
    return core_decrease(c, v, d, m);
}

/* ---- without pauses */

static void test_r4_validation_takes_everything_and_release_gives_it_back(void **state)
{
    (void)state;
    struct wide t = wide();
    assert_int_equal(pin(t.l4, 4), 0);
    assert_wide_in_use(&t);
    assert_true(core_frame_validated(c, t.l4));
    assert_int_equal(unpin(t.l4), 0);
    assert_wide_unused(&t);
    assert_false(core_frame_validated(c, t.l4));
}

static void test_r4_the_second_use_validates_nothing(void **state)
{
    (void)state;
    struct wide t = wide();
    assert_int_equal(pin(t.l4, 4), 0);
    begin(v);
    assert_int_equal(core_load_kernel_root(c, v, t.l4), 0);
    assert_int_equal(v->steps, 0);
    end(v);
}

static void test_r4_work_is_counted_in_present_entries(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    for (unsigned present = 0; present < WORLD_TABLE_ENTRIES; present++) {
        begin(v);
        assert_int_equal(core_pin(c, v, d, l1, 1), 0);
        assert_int_equal(v->steps, present);
        end(v);
        assert_int_equal(unpin(l1), 0);
        put(l1, WORLD_TABLE_ENTRIES - 1 - present, RO(data));
    }
}

/* ---- a pause at every point */

/* From 1 on until the core asks less often than that. Each round in a world of its own. */
static bool next_round(uint64_t *at)
{
    bool reached = *at == 0 || w->pause_asked >= *at;
    if (*at > 0) {
        world_pause(w, PAUSE_NEVER, 0);
        assert_int_equal(teardown(NULL), 0);
    }
    setup(NULL);
    ++*at;
    return reached;
}

static void test_r4_pin_pauses_at_every_point_and_goes_on(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct wide t = wide();
        world_pause(w, PAUSE_AT, at);
        assert_int_equal(insist(request_pin_l4, t.l4), 0);
        assert_wide_in_use(&t);
    }
}

static void test_r4_unpin_pauses_at_every_point_and_goes_on(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct wide t = wide();
        assert_int_equal(pin(t.l4, 4), 0);
        world_pause(w, PAUSE_AT, at);
        assert_int_equal(insist(request_unpin, t.l4), 0);
        assert_wide_unused(&t);
    }
}

static void test_r4_load_root_pauses_at_every_point_and_goes_on(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct wide t = wide();
        struct tree old = tree();
        assert_int_equal(load(old.l4), 0);
        world_pause(w, PAUSE_AT, at);
        assert_int_equal(insist(request_load, t.l4), 0);
        assert_wide_in_use(&t);
        assert_frame(old.l4, TYPE_L4, 0, 1);
        assert_frame(old.data, TYPE_WRITABLE, 0, 1);
        assert_int_equal(insist(request_load_user, t.l4), 0);
        assert_frame(t.l4, TYPE_L4, 2, 5);
    }
}

static void test_r4_every_step_may_be_the_last_before_a_pause(void **state)
{
    (void)state;
    struct wide t = wide();
    world_pause(w, PAUSE_ALWAYS, 0);
    restarts = 0;
    assert_int_equal(insist(request_pin_l4, t.l4), 0);
    assert_true(restarts >= 10);
    assert_wide_in_use(&t);
    restarts = 0;
    assert_int_equal(insist(request_unpin, t.l4), 0);
    assert_true(restarts >= 6);
    assert_wide_unused(&t);
}

static void test_r4_relinquish_pauses_at_every_point_and_goes_on(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct wide t = wide();
        assert_int_equal(pin(t.l4, 4), 0);
        assert_int_equal(pin(t.l2[0], 2), 0);
        assert_int_equal(load(t.l4), 0);
        assert_int_equal(load_user(t.l4), 0);
        assert_int_equal(decrease(t.l4), 0);
        world_pause(w, PAUSE_AT, at);
        while (core_relinquish(c, d) == CORE_RESTART)
            assert_audit_clean();
        assert_free(t.l4);
        assert_int_equal(d->frames, 0);
    }
}

static void test_r4_relinquish_with_a_pause_at_all_points(void **state)
{
    (void)state;
    struct wide t = wide();
    assert_int_equal(pin(t.l4, 4), 0);
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(unpin(t.l4), 0);
    world_pause(w, PAUSE_ALWAYS, 0);
    unsigned calls = 0;
    for (; core_relinquish(c, d) == CORE_RESTART; calls++)
        assert_audit_clean();
    assert_true(calls > 40);
    world_relinquish(w, 1);
}

/* ---- a request that is never issued again */

static void test_r4_an_abandoned_pin_leaves_an_orphan_that_is_undone_later(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct wide t = wide();
        world_pause(w, PAUSE_AT, at);
        attempt(request_pin_l4, t.l4);
    }
}

static void test_r4_an_orphan_gives_way_to_any_other_use(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct wide t = wide();
        world_pause(w, PAUSE_AT, at);
        if (attempt(request_pin_l4, t.l4) == 0)
            continue;
        const mfn_t tables[] = {t.l4, t.l3[0], t.l3[1], t.l2[0], t.l2[1], t.l1[0], t.l1[1]};
        for (unsigned i = 0; i < 7; i++)
            if (core_frame_uses(c, tables[i]) == 0)
                assert_int_equal(attempt(request_hold, tables[i]), 0);
        for (unsigned i = 0; i < 7; i++)
            assert_int_equal(use_held(load_use(c, tables[i])), 0);
        core_drop_writable(c, v);
    }
}

static void test_r4_undoing_an_orphan_pauses_too(void **state)
{
    (void)state;
    struct wide t = wide();
    world_pause(w, PAUSE_AT, 16);
    assert_int_equal(attempt(request_pin_l4, t.l4), CORE_RESTART);
    assert_true(use_is_orphan(load_use(c, t.l4)));
    world_pause(w, PAUSE_ALWAYS, 0);
    restarts = 0;
    assert_int_equal(insist(request_hold, t.l4), 0);
    assert_true(restarts > 0);
}

static void test_r4_an_orphan_can_be_given_away(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct wide t = wide();
        for (unsigned i = 0; i < 2; i++)
            put(t.l1[i], 7, 0); /* which maps the L4 */
        world_pause(w, PAUSE_AT, at);
        if (attempt(request_pin_l4, t.l4) == 0)
            continue;
        world_pause(w, PAUSE_ALWAYS, 0);
        assert_int_equal(insist(request_decrease, t.l4), 0);
        assert_free(t.l4);
    }
}

static void test_r4_an_orphan_outlives_the_allocation(void **state)
{
    (void)state;
    mfn_t l1 = frame(), m = frame(), data = frame();
    put(l1, 0, RO(m));
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(decrease(m), 0);
    put(m, 0, RW(data));
    put(m, 5, RW(data));
    world_pause(w, PAUSE_AT, 1);
    begin(v);
    assert_int_equal(core_pin(c, v, d, m, 1), CORE_RESTART);
    end(v);
    assert_frame(m, TYPE_L1, 0, 2); /* the mapping, and the orphan's on itself */
    assert_int_equal(update(l1, 0, 0), 0);
    assert_frame(m, TYPE_L1, 0, 1);
    assert_int_equal(attempt(request_hold, m), 0);
    assert_frame(m, TYPE_WRITABLE, 1, 1);
    core_drop_writable(c, v);
    assert_free(m);
}

static void test_r4_another_vcpu_finishes_what_one_began(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct wide t = wide();
        world_pause(w, PAUSE_AT, at);
        int rc = attempt(request_pin_l4, t.l4);
        w->pause = PAUSE_NEVER;
        begin(v2);
        assert_int_equal(core_load_kernel_root(c, v2, t.l4), 0);
        end(v2);
        assert_int_equal(insist(request_pin_l4, t.l4), rc == 0 ? CORE_EINVAL : 0);
        assert_frame(t.l4, TYPE_L4, 2, 5);
    }
}

/*
 * Changing an entry of a table may undo an orphan, and that orphan may hold the table's last use.
 * The table is locked then by the very vCPU that would have to wait for the lock before it lets that
 * use go: it hung. The use is left over instead, until the table is unlocked.
 */
static void test_r4_an_orphan_that_holds_the_locked_table_is_undone(void **state)
{
    (void)state;
    mfn_t orphan = frame(), l2 = frame();
    put(orphan, 0, RO(l2));
    put(orphan, 5, RO(frame()));
    world_pause(w, PAUSE_AT, 1);
    begin(v);
    assert_int_equal(core_pin(c, v, d, orphan, 3), CORE_RESTART);
    end(v);
    assert_true(use_is_orphan(load_use(c, orphan)));
    assert_frame(l2, TYPE_L2, 1, 2);
    world_pause(w, PAUSE_NEVER, 0);
    assert_int_equal(update(l2, 0, RO(orphan)), 0); /* wanted as L1, which it can be */
    assert_frame(l2, TYPE_L2, 0, 1);
    assert_frame(orphan, TYPE_L1, 0, 1);
}

/* ---- a release that pauses while others want the table back */

/*
 * A release pauses inside an L1: half of its entries hold nothing any more, and the L2 above counts
 * its own entry as not yet released. If somebody takes the L2 into use again then, going on where
 * the release stood is not enough: the L1 below must be made whole, or the processor walks an L1
 * whose mappings nobody counts.
 */
static void test_r4_a_table_wanted_back_is_made_whole_below_too(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct wide t = wide();
        assert_int_equal(pin(t.l4, 4), 0);
        world_pause(w, PAUSE_AT, at);
        begin(v);
        assert_int_equal(core_unpin(c, v, d, t.l4), 0);
        if (core_end(c, v) == 0)
            continue;
        assert_audit_clean();
        begin(v2);
        assert_int_equal(core_load_kernel_root(c, v2, t.l4), 0);
        end(v2);
        assert_audit_clean();
        begin(v);
        end(v);
        assert_wide_in_use(&t);
    }
}

static void test_r4_a_part_wanted_back_is_made_whole(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= 3; level++) {
        for (uint64_t at = 0; next_round(&at);) {
            struct wide t = wide();
            assert_int_equal(pin(t.l4, 4), 0);
            world_pause(w, PAUSE_AT, at);
            begin(v);
            assert_int_equal(core_unpin(c, v, d, t.l4), 0);
            core_end(c, v);
            w->pause = PAUSE_NEVER;
            mfn_t part = level == 1 ? t.l1[1] : level == 2 ? t.l2[1] : t.l3[1];
            begin(v2);
            assert_int_equal(core_pin(c, v2, d, part, level), 0);
            end(v2);
            begin(v);
            end(v);
            assert_frame(t.l4, TYPE_L4, 0, level == 3 ? 3 : level == 2 ? 3 : 2);
        }
    }
}

static void test_r4_what_cannot_be_made_whole_is_refused(void **state)
{
    (void)state;
    unsigned refused = 0;
    for (uint64_t at = 0; next_round(&at);) {
        struct tree t = tree();
        put(t.l1, 0, RO(frame())); /* which the release drops after the other entry */
        assert_int_equal(pin(t.l4, 4), 0);
        world_pause(w, PAUSE_AT, at);
        begin(v);
        assert_int_equal(core_unpin(c, v, d, t.l4), 0);
        if (core_end(c, v) == 0)
            continue;
        w->pause = PAUSE_NEVER;
        begin(v2);
        bool lost = core_pin(c, v2, d, t.data, 1) == 0;
        end(v2);
        begin(v2);
        int rc = core_load_kernel_root(c, v2, t.l4);
        assert_int_equal(rc, lost ? CORE_EBUSY : 0);
        if (lost && core_frame_uses(c, t.l1) > 0) {
            assert_int_equal(v2->refusal.steps, 4);
            assert_true(mfn_eq(v2->refusal.path[0].table, t.l4));
            refused++;
        }
        end(v2);
        begin(v);
        end(v);
    }
    assert_true(refused > 0);
}

/* ---- failed promotions */

static void assert_untouched(const struct tree *t)
{
    const mfn_t all[] = {t->l4, t->l3, t->l2, t->l1, t->data};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(core_frame_uses(c, all[i]), 0);
        assert_int_equal(core_frame_holds(c, all[i]), 1);
        assert_int_equal(use_held(load_use(c, all[i])), 0);
    }
}

static void test_r10_a_failed_promotion_leaves_nothing_at_any_entry(void **state)
{
    (void)state;
    for (unsigned level = 1; level <= 4; level++) {
        for (unsigned slot = 0; slot < WORLD_TABLE_ENTRIES; slot++) {
            struct tree t = tree();
            mfn_t table = level == 1 ? t.l1 : level == 2 ? t.l2 : level == 3 ? t.l3 : t.l4;
            if (slot_is_reserved(level, slot))
                continue;
            put(table, slot, RW(frame_of_other()));
            int rc = pin(t.l4, 4);
            assert_int_equal(rc, level == 1 ? CORE_EBUSY : CORE_EINVAL);
            assert_int_equal(v->refusal.steps, 5 - level);
            assert_untouched(&t);
            rc = load(t.l4);
            assert_int_equal(rc, level == 1 ? CORE_EBUSY : CORE_EINVAL);
            assert_untouched(&t);
            assert_true(mfn_eq(v->kernel_root, NO_MFN));
            setup(NULL);
        }
    }
}

static void test_r10_a_failed_promotion_is_undone_with_pauses(void **state)
{
    (void)state;
    for (uint64_t at = 0; next_round(&at);) {
        struct tree t = tree();
        put(t.l1, 7, RW(t.l2));
        world_pause(w, PAUSE_AT, at);
        assert_int_equal(insist(request_pin_l4, t.l4), CORE_EBUSY);
        assert_untouched(&t);
    }
}

static void test_r10_a_failed_entry_of_an_update_leaves_nothing(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t root = frame();
    put(t.l1, 7, RW(t.l2));
    assert_int_equal(pin(root, 4), 0);
    assert_int_equal(update(root, 0, TABLE(t.l3)), CORE_EBUSY);
    assert_int_equal(v->refusal.steps, 4);
    assert_untouched(&t);
    assert_true(get(root, 0) == 0);
}

/* The result of the request stands; core_end() alone pauses. */
static void test_r4_what_is_left_over_is_finished_by_begin(void **state)
{
    (void)state;
    struct wide t = wide();
    assert_int_equal(pin(t.l4, 4), 0);
    begin(v);
    assert_int_equal(core_unpin(c, v, d, t.l4), 0);
    assert_int_equal(v->leftovers, 1);
    world_pause(w, PAUSE_ALWAYS, 0);
    assert_int_equal(core_end(c, v), CORE_RESTART);
    assert_int_equal(core_begin(c, v), CORE_RESTART);
    assert_int_equal(core_end(c, v), CORE_RESTART);
    world_pause(w, PAUSE_NEVER, 0);
    assert_int_equal(core_begin(c, v), 0);
    assert_int_equal(v->leftovers, 0);
    assert_wide_unused(&t);
    assert_int_equal(core_end(c, v), 0);
}

static void test_r4_end_keeps_the_refusal(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l1, 7, RW(t.l2));
    begin(v);
    assert_int_equal(core_pin(c, v, d, t.l4, 4), CORE_EBUSY);
    assert_int_equal(v->leftovers, 4);
    assert_int_equal(core_end(c, v), 0);
    assert_int_equal(v->refusal.reason, REASON_TYPE_IN_USE);
    assert_int_equal(v->refusal.steps, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_r4_validation_takes_everything_and_release_gives_it_back),
        TEST(test_r4_the_second_use_validates_nothing),
        TEST(test_r4_work_is_counted_in_present_entries),
        TEST(test_r4_pin_pauses_at_every_point_and_goes_on),
        TEST(test_r4_unpin_pauses_at_every_point_and_goes_on),
        TEST(test_r4_load_root_pauses_at_every_point_and_goes_on),
        TEST(test_r4_every_step_may_be_the_last_before_a_pause),
        TEST(test_r4_relinquish_pauses_at_every_point_and_goes_on),
        TEST_DEAD(test_r4_relinquish_with_a_pause_at_all_points),
        TEST(test_r4_an_abandoned_pin_leaves_an_orphan_that_is_undone_later),
        TEST(test_r4_an_orphan_gives_way_to_any_other_use),
        TEST(test_r4_undoing_an_orphan_pauses_too),
        TEST(test_r4_an_orphan_can_be_given_away),
        TEST(test_r4_an_orphan_outlives_the_allocation),
        TEST(test_r4_an_orphan_that_holds_the_locked_table_is_undone),
        TEST(test_r4_another_vcpu_finishes_what_one_began),
        TEST(test_r4_a_table_wanted_back_is_made_whole_below_too),
        TEST(test_r4_a_part_wanted_back_is_made_whole),
        TEST(test_r4_what_cannot_be_made_whole_is_refused),
        TEST(test_r10_a_failed_promotion_leaves_nothing_at_any_entry),
        TEST(test_r10_a_failed_promotion_is_undone_with_pauses),
        TEST(test_r10_a_failed_entry_of_an_update_leaves_nothing),
        TEST(test_r4_what_is_left_over_is_finished_by_begin),
        TEST(test_r4_end_keeps_the_refusal),
    };
    return RUN(tests);
}
