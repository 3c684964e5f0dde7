/* SPDX-License-Identifier: MIT */
/*
 * What the core tells of its acts, in the order in which they were done. That nothing is left out
 * holds everywhere: every unit test ends with the frames set against what was told of them.
 */
#include "unit.h"

#define AT(m)       ((maddr_t){(m).n << PAGE_SHIFT_4K})
#define IN(m, slot) ((maddr_t){place(m, slot)})
#define BECAME(m, t)                                                                               \
    {                                                                                              \
        ACT_TYPE, AT(m), TYPE_NONE, t                                                              \
    }
#define AGAIN(m, t)                                                                                \
    {                                                                                              \
        ACT_TYPE, AT(m), t, t                                                                      \
    }
#define LEFT(m, t)                                                                                 \
    {                                                                                              \
        ACT_RELEASE, AT(m), t, TYPE_NONE                                                           \
    }
#define NO_ROOT (~0ull)

static void forget(void)
{
    w->acts = 0;
}

static void assert_acts(const struct world_act *expected, unsigned n)
{
    assert_true(w->acts <= WORLD_ACTS);
    for (unsigned i = 0; i < n && i < w->acts; i++) {
        assert_int_equal(w->act[i].act, expected[i].act);
        assert_int_equal(w->act[i].at.a, expected[i].at.a);
        assert_int_equal(w->act[i].old, expected[i].old);
        assert_int_equal(w->act[i].now, expected[i].now);
    }
    assert_int_equal(w->acts, n);
}

/* Exactly these since the last forget(), in this order; then they are forgotten. */
#define ASSERT_ACTS(...)                                                                           \
    do {                                                                                           \
        const struct world_act told[] = {__VA_ARGS__};                                             \
        assert_acts(told, sizeof(told) / sizeof(told[0]));                                         \
        forget();                                                                                  \
    } while (0)

#define ASSERT_NO_ACTS() assert_int_equal(w->acts, 0)

static struct tree new_tree(void)
{
    struct tree t = tree();
    forget();
    return t;
}

/* ---- types and pins */

static void test_a_pin_tells_of_the_subtree_from_below(void **state)
{
    (void)state;
    struct tree t = new_tree();
    assert_int_equal(pin(t.l4, 4), 0);
    ASSERT_ACTS(BECAME(t.l1, TYPE_L1), BECAME(t.l2, TYPE_L2), BECAME(t.l3, TYPE_L3),
                BECAME(t.l4, TYPE_L4), {ACT_PIN, AT(t.l4), 0, 4});
    assert_int_equal(pin(t.l2, 2), 0);
    ASSERT_ACTS({ACT_PIN, AT(t.l2), 0, 2});
}

static void test_the_last_unpin_tells_of_the_release_from_below(void **state)
{
    (void)state;
    struct tree t = new_tree();
    assert_int_equal(pin(t.l4, 4), 0);
    assert_int_equal(pin(t.l2, 2), 0);
    forget();
    assert_int_equal(unpin(t.l4), 0);
    ASSERT_ACTS({ACT_UNPIN, AT(t.l4), 4, 0}, LEFT(t.l3, TYPE_L3), LEFT(t.l4, TYPE_L4));
    assert_int_equal(unpin(t.l2), 0);
    ASSERT_ACTS({ACT_UNPIN, AT(t.l2), 2, 0}, LEFT(t.l1, TYPE_L1), LEFT(t.l2, TYPE_L2));
}

/* A table that was one before is validated anew; data that was writable is so still. */
static void test_a_second_pin_tells_of_tables_alone(void **state)
{
    (void)state;
    struct tree t = new_tree();
    assert_int_equal(pin(t.l2, 2), 0);
    assert_int_equal(unpin(t.l2), 0);
    forget();
    assert_int_equal(pin(t.l2, 2), 0);
    ASSERT_ACTS(AGAIN(t.l1, TYPE_L1), AGAIN(t.l2, TYPE_L2), {ACT_PIN, AT(t.l2), 0, 2});
}

static void test_a_frame_that_changes_its_type_tells_of_both(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(pin(m, 1), 0);
    assert_int_equal(unpin(m), 0);
    forget();
    assert_int_equal(pin(m, 3), 0);
    ASSERT_ACTS({ACT_TYPE, AT(m), TYPE_L1, TYPE_L3}, {ACT_PIN, AT(m), 0, 3});
}

static void test_refused_pins_tell_nothing(void **state)
{
    (void)state;
    mfn_t m = frame();
    forget();
    assert_refused(unpin(m), CORE_EINVAL, REASON_NOT_PINNED, 5);
    ASSERT_NO_ACTS();
    assert_int_equal(pin(m, 1), 0);
    forget();
    assert_refused(pin(m, 1), CORE_EINVAL, REASON_ALREADY_PINNED, 5);
    assert_refused(pin(m, 2), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    ASSERT_NO_ACTS();
}

/* The L1 table was validated before its parent failed, and is released again; the parent was never
 * fit for use. */
static void test_a_failed_promotion_tells_nothing_of_what_failed(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l2, L2_SLOT + 1, TABLE(t.l2));
    forget();
    assert_refused(pin(t.l3, 3), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    ASSERT_ACTS(BECAME(t.l1, TYPE_L1), LEFT(t.l1, TYPE_L1));
}

static void test_a_promotion_that_pauses_tells_once(void **state)
{
    (void)state;
    struct tree t = new_tree();
    put(t.l1, 0, RO(t.data));
    unsigned restarts = 0;
    int rc;
    world_pause(w, PAUSE_ALWAYS, 0);
    do {
        rc = core_begin(c, v);
        if (rc == 0)
            rc = core_pin(c, v, d, t.l2, 2);
        end(v);
        restarts += rc == CORE_RESTART;
    } while (rc == CORE_RESTART);
    assert_int_equal(rc, 0);
    assert_true(restarts > 0);
    /* What was claimed in the first attempt has its type by the next. */
    ASSERT_ACTS(AGAIN(t.l1, TYPE_L1), AGAIN(t.l2, TYPE_L2), {ACT_PIN, AT(t.l2), 0, 2});
}

/*
 * A table m whose release paused is pinned again, and fails. On the way an orphan is undone that
 * held the last use of m: what was a table in use until then is an orphan in its turn.
 */
static void test_a_table_dropped_while_it_is_validated_anew_in_vain(void **state)
{
    (void)state;
    mfn_t top = frame(), m = frame(), other_l2 = frame();
    mfn_t l1[3] = {frame(), frame(), frame()};
    put(top, 0, TABLE(m));
    put(top, 1, TABLE(other_l2));
    for (unsigned i = 0; i < 3; i++)
        put(m, i + 1, TABLE(l1[i]));
    world_pause(w, PAUSE_ALWAYS, 0);
    while (use_held(load_use(c, top)) == 0) {
        begin(v);
        assert_int_equal(core_pin(c, v, d, top, 3), CORE_RESTART);
        end(v);
    }
    assert_frame(m, TYPE_L2, 1, 2);
    while (core_frame_validated(c, m) || use_held(load_use(c, m)) > 2) {
        begin(v);
        assert_int_equal(core_hold_writable(c, v, top), CORE_RESTART);
        end(v);
    }
    world_pause(w, PAUSE_NEVER, 0);
    put(l1[1], 0, RW(top));
    put(l1[2], 0, RW(top) | PTE_PSE);
    forget();
    assert_refused(pin(m, 2), CORE_EINVAL, REASON_BAD_FLAGS, 3);
    ASSERT_ACTS({ACT_TYPE, AT(top), TYPE_L3, TYPE_WRITABLE}, AGAIN(l1[1], TYPE_L1),
                LEFT(m, TYPE_L2), LEFT(l1[1], TYPE_L1), LEFT(l1[0], TYPE_L1));
}

/* ---- roots */

static void test_loads_of_roots(void **state)
{
    (void)state;
    mfn_t one = frame(), two = frame();
    forget();
    assert_int_equal(load(one), 0);
    ASSERT_ACTS(BECAME(one, TYPE_L4), {ACT_ROOT, AT(one), NO_ROOT, 0});
    assert_int_equal(load(one), 0);
    ASSERT_NO_ACTS();
    assert_int_equal(load_user(two), 0);
    ASSERT_ACTS(BECAME(two, TYPE_L4), {ACT_ROOT, AT(two), NO_ROOT, 1});
    assert_int_equal(load(two), 0);
    ASSERT_ACTS({ACT_ROOT, AT(two), one.n, 0}, LEFT(one, TYPE_L4));
    assert_int_equal(load_user(mfn(0)), 0);
    ASSERT_ACTS({ACT_ROOT, AT(mfn(0)), two.n, 1});
    assert_refused(load(mfn(WORLD_SHARED_FRAME)), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    ASSERT_NO_ACTS();
}

/* ---- entries */

static struct tree loaded_tree(void)
{
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    forget();
    return t;
}

static void test_a_change_of_an_entry_tells_what_was_stored(void **state)
{
    (void)state;
    struct tree t = loaded_tree();
    mfn_t m = frame();
    forget();
    assert_int_equal(update(t.l1, 0, RO(m)), 0);
    uint64_t first = get(t.l1, 0);
    ASSERT_ACTS({ACT_ENTRY, IN(t.l1, 0), 0, first});
    assert_int_equal(update(t.l1, 0, RW(m)), 0);
    ASSERT_ACTS({ACT_ENTRY, IN(t.l1, 0), first, first | PTE_RW});
    assert_int_equal(update_va(va_of(L4_SLOT, L3_SLOT, L2_SLOT, 0), RO(m)), 0);
    ASSERT_ACTS({ACT_ENTRY, IN(t.l1, 0), first | PTE_RW, first});
    assert_int_equal(write_l1(t.l1, 0, 0), 0);
    ASSERT_ACTS({ACT_ENTRY, IN(t.l1, 0), first, 0});
}

static void test_accessed_and_dirty_bits_that_are_kept_are_told(void **state)
{
    (void)state;
    struct tree t = loaded_tree();
    mfn_t m = frame();
    uint64_t old = get(t.l1, L1_SLOT) | PTE_ACCESSED | PTE_DIRTY;
    put(t.l1, L1_SLOT, old);
    forget();
    assert_int_equal(update_as(2, t.l1, L1_SLOT, RO(m)), 0);
    uint64_t now = get(t.l1, L1_SLOT);
    assert_true(now & PTE_DIRTY);
    ASSERT_ACTS({ACT_ENTRY, IN(t.l1, L1_SLOT), old, now});
}

static void test_bits_that_hold_nothing_are_not_told(void **state)
{
    (void)state;
    struct tree t = loaded_tree();
    assert_int_equal(update(t.l1, L1_SLOT, RW(t.data) | PTE_NX), 0);
    assert_int_equal(update(t.l3, L3_SLOT, TABLE(t.l2) | PTE_AVAIL), 0);
    ASSERT_NO_ACTS();
}

static void test_a_hooked_and_an_unhooked_table(void **state)
{
    (void)state;
    struct tree t = loaded_tree();
    mfn_t l1 = frame();
    forget();
    assert_int_equal(update(t.l2, 0, TABLE(l1)), 0);
    uint64_t e = get(t.l2, 0);
    ASSERT_ACTS(BECAME(l1, TYPE_L1), {ACT_ENTRY, IN(t.l2, 0), 0, e});
    assert_int_equal(update(t.l2, 0, 0), 0);
    ASSERT_ACTS({ACT_ENTRY, IN(t.l2, 0), e, 0}, LEFT(l1, TYPE_L1));
}

static void test_refused_entries_tell_nothing(void **state)
{
    (void)state;
    struct tree t = loaded_tree();
    uint64_t expected = 1;
    assert_refused(update(t.l1, 0, RW(t.l2)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_refused(update(t.l4, GLUE_L4_RESERVED_FIRST, 0), CORE_EINVAL, REASON_RESERVED_SLOT, 6);
    begin(v);
    int rc = core_write_l1(c, v, IN(t.l1, L1_SLOT), 0, &expected);
    end(v);
    assert_refused(rc, CORE_EBUSY, REASON_ENTRY_CHANGED, 10);
    expected ^= PTE_AVAIL;
    begin(v);
    rc = core_write_l1(c, v, IN(t.l1, L1_SLOT), expected ^ PTE_RW, &expected);
    end(v);
    assert_refused(rc, CORE_EBUSY, REASON_ENTRY_CHANGED, 10);
    ASSERT_NO_ACTS();
}

static void test_a_store_to_what_is_no_table(void **state)
{
    (void)state;
    mfn_t m = frame();
    forget();
    assert_int_equal(update(m, 0, 1234), 0);
    ASSERT_NO_ACTS();
}

/* ---- frames and m2p */

static void test_frames_come_and_go(void **state)
{
    (void)state;
    mfn_t m, none;
    forget();
    begin(v);
    assert_int_equal(core_populate(c, v, d, pfn(7), 0, CORE_NO_LIMIT, &m), 0);
    assert_int_equal(core_increase(c, v, d, 0, CORE_NO_LIMIT, &none), 0);
    end(v);
    ASSERT_ACTS({ACT_GIVEN, AT(m), 0, 7}, {ACT_GIVEN, AT(none), 0, NO_PFN.n});
    assert_int_equal(update_as(1, m, 0, 8), 0);
    ASSERT_ACTS({ACT_M2P, AT(m), 7, 8});
    assert_int_equal(decrease(m), 0);
    ASSERT_ACTS({ACT_FREED, AT(m), 8, NO_PFN.n});
}

static void test_a_frame_that_is_held_is_freed_later(void **state)
{
    (void)state;
    struct tree t = loaded_tree();
    assert_int_equal(decrease(t.data), 0);
    ASSERT_NO_ACTS();
    uint64_t e = get(t.l1, L1_SLOT);
    assert_int_equal(update(t.l1, L1_SLOT, 0), 0);
    ASSERT_ACTS({ACT_ENTRY, IN(t.l1, L1_SLOT), e, 0}, {ACT_FREED, AT(t.data), NO_PFN.n, NO_PFN.n});
}

static void test_an_exchange(void **state)
{
    (void)state;
    mfn_t in[2] = {frame(), frame()}, out[2];
    const pfn_t pfns[2] = {pfn(3), pfn(4)};
    forget();
    begin(v);
    assert_int_equal(core_exchange(c, v, d, in, 2, 0, pfns, out, 2, 0, CORE_NO_LIMIT), 0);
    end(v);
    ASSERT_ACTS({ACT_FREED, AT(in[0]), NO_PFN.n, NO_PFN.n},
                {ACT_FREED, AT(in[1]), NO_PFN.n, NO_PFN.n}, {ACT_GIVEN, AT(out[0]), 0, 3},
                {ACT_GIVEN, AT(out[1]), 0, 4});
    in[1] = mfn(WORLD_SHARED_FRAME);
    in[0] = out[0];
    begin(v);
    assert_refused(core_exchange(c, v, d, in, 2, 0, pfns, out, 2, 0, CORE_NO_LIMIT), CORE_EINVAL,
                   REASON_FRAME_HELD, 1);
    end(v);
    ASSERT_NO_ACTS();
}

static void test_the_end_of_a_domain_tells_of_every_frame(void **state)
{
    (void)state;
    struct tree t = loaded_tree();
    assert_int_equal(pin(t.l4, 4), 0);
    forget();
    world_relinquish(w, 0);
    const struct world_act first[] = {{ACT_ROOT, AT(mfn(0)), t.l4.n, 0},
                                      {ACT_FREED, AT(mfn(WORLD_SHARED_FRAME)), NO_PFN.n, NO_PFN.n},
                                      {ACT_UNPIN, AT(t.l4), 4, 0}};
    uint64_t all = w->acts;
    w->acts = 3;
    assert_acts(first, 3);
    assert_int_equal(all, 3 + 4 + 5); /* four tables released, five frames freed */
    world_relinquish(w, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_pin_tells_of_the_subtree_from_below),
        TEST(test_the_last_unpin_tells_of_the_release_from_below),
        TEST(test_a_second_pin_tells_of_tables_alone),
        TEST(test_a_frame_that_changes_its_type_tells_of_both),
        TEST(test_refused_pins_tell_nothing),
        TEST(test_a_failed_promotion_tells_nothing_of_what_failed),
        TEST(test_a_promotion_that_pauses_tells_once),
        TEST(test_a_table_dropped_while_it_is_validated_anew_in_vain),
        TEST(test_loads_of_roots),
        TEST(test_a_change_of_an_entry_tells_what_was_stored),
        TEST(test_accessed_and_dirty_bits_that_are_kept_are_told),
        TEST(test_bits_that_hold_nothing_are_not_told),
        TEST(test_a_hooked_and_an_unhooked_table),
        TEST(test_refused_entries_tell_nothing),
        TEST(test_a_store_to_what_is_no_table),
        TEST(test_frames_come_and_go),
        TEST(test_a_frame_that_is_held_is_freed_later),
        TEST(test_an_exchange),
        TEST_DEAD(test_the_end_of_a_domain_tells_of_every_frame),
    };
    return RUN(tests);
}
