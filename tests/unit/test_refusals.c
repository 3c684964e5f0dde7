/* SPDX-License-Identifier: MIT */
/* R10: every refusal says why, where, and with what; and nothing is left of the request. */
#include "unit.h"

/* ---- the path: from the table that the request named down to the entry at fault */

static void assert_step(unsigned i, mfn_t table, unsigned level, unsigned slot)
{
    assert_true(i < v->refusal.steps);
    assert_true(mfn_eq(v->refusal.path[i].table, table));
    assert_int_equal(v->refusal.path[i].level, level);
    assert_int_equal(v->refusal.path[i].slot, slot);
}

static void test_r10_the_path_leads_from_the_outside_in(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l1, 6, RW(t.l3));
    assert_refused(pin(t.l4, 4), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_int_equal(v->refusal.steps, 4);
    assert_step(0, t.l4, 4, L4_SLOT);
    assert_step(1, t.l3, 3, L3_SLOT);
    assert_step(2, t.l2, 2, L2_SLOT);
    assert_step(3, t.l1, 1, 6);
    assert_true(mfn_eq(v->refusal.frame, t.l3));
    assert_true(v->refusal.value == RW(t.l3));
    assert_int_equal(v->refusal.wanted, TYPE_WRITABLE);
    assert_int_equal(use_type(v->refusal.use), TYPE_L3);
}

static void test_r10_the_path_begins_where_the_request_does(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t root = frame();
    put(t.l2, 0, TABLE(t.l2));
    assert_refused(pin(t.l2, 2), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_int_equal(v->refusal.steps, 1);
    assert_step(0, t.l2, 2, 0);
    assert_int_equal(pin(root, 4), 0);
    assert_refused(update(root, 7, TABLE(t.l3)), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_int_equal(v->refusal.steps, 3);
    assert_step(0, root, 4, 7);
    assert_step(1, t.l3, 3, L3_SLOT);
    assert_step(2, t.l2, 2, 0);
}

/* A place in the path is a table's: who follows it may read there. A grant mapped into a slot
 * beyond the machine's memory was refused with that slot in its path; the hypervisor read it for
 * its report, and crashed. */
static void test_r10_no_path_leads_to_what_is_no_table(void **state)
{
    (void)state;
    struct tree t = tree();
    const mfn_t place[] = {mfn(UNIT_FRAMES), mfn(1ull << 40), frame_of_other(), t.data, t.l2};
    for (unsigned i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
        assert_refused(write_l1(place[i], 3, 0), CORE_EINVAL, REASON_NOT_A_TABLE, 2);
        assert_int_equal(v->refusal.steps, 0);
        assert_true(mfn_eq(v->refusal.frame, place[i]));
    }
}

static void test_r10_the_path_of_a_direct_store(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    assert_refused(write_l1(t.l1, 5, RW(t.l2)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_int_equal(v->refusal.steps, 1);
    assert_step(0, t.l1, 1, 5);
    assert_refused(update(t.l4, GLUE_L4_RESERVED_FIRST, 0), CORE_EINVAL, REASON_RESERVED_SLOT, 6);
    assert_step(0, t.l4, 4, GLUE_L4_RESERVED_FIRST);
}

static void test_r10_a_path_never_grows_beyond_four_steps(void **state)
{
    (void)state;
    begin(v);
    refuse(c, v, CORE_EINVAL, REASON_BAD_FLAGS, 3, NO_FRAME(.value = 0));
    for (unsigned i = 0; i < 6; i++)
        refuse_step(v, mfn(i), 4, i);
    assert_int_equal(v->refusal.steps, 4);
    end(v);
}

/* ---- the record */

static void test_r10_a_new_request_forgets_the_old_refusal(void **state)
{
    (void)state;
    assert_int_equal(pin(NO_MFN, 1), CORE_EINVAL);
    assert_int_equal(v->refusal.reason, REASON_NO_SUCH_FRAME);
    assert_true(v->refusal.value == NO_MFN.n);
    begin(v);
    assert_int_equal(v->refusal.reason, REASON_NONE);
    assert_true(mfn_eq(v->refusal.frame, NO_MFN));
    end(v);
}

static void test_r10_the_record_has_the_frame_as_it_was_seen(void **state)
{
    (void)state;
    mfn_t l1 = frame(), m = frame();
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update(l1, 0, RW(m)), 0);
    uint64_t use = load_use(c, m);
    assert_refused(pin(m, 2), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_true(v->refusal.use == use);
    assert_int_equal(hold_owner(v->refusal.hold), d->id + 1);
    assert_int_equal(v->refusal.wanted, TYPE_L2);
}

static void test_r10_refusals_of_other_vcpus_are_their_own(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_refused(unpin(m), CORE_EINVAL, REASON_NOT_PINNED, 5);
    begin(alien);
    assert_int_equal(core_pin(c, alien, other, m, 1), CORE_EINVAL);
    assert_int_equal(alien->refusal.reason, REASON_FOREIGN_FRAME);
    end(alien);
    assert_int_equal(v->refusal.reason, REASON_NOT_PINNED);
}

/* ---- a refused request has no effect: the whole frame table is as before */

struct snapshot {
    struct frame frames[UNIT_FRAMES];
    uint64_t memory[UNIT_FRAMES][WORLD_TABLE_ENTRIES];
    uint64_t m2p[UNIT_FRAMES];
};

static struct snapshot before, after;

static void take(struct snapshot *s)
{
    for (unsigned i = 0; i < UNIT_FRAMES; i++) {
        uint64_t use = load_use(c, mfn(i));
        /* Of a frame without uses, the type it had last is nobody's business. */
        s->frames[i].use = use_count(use) ? use : 0;
        s->frames[i].hold = load_hold(c, mfn(i)) & ~HOLD_STAMP;
    }
    memcpy(s->memory, w->memory, sizeof(s->memory));
    memcpy(s->m2p, w->m2p, sizeof(s->m2p));
}

static void assert_nothing_changed(void)
{
    take(&after);
    assert_memory_equal(&before, &after, sizeof(before));
}

static void test_r10_no_refusal_has_an_effect(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t spare = frame(), theirs = frame_of_other();
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(pin(t.l2, 2), 0);
    put(spare, 3, ~0ull);
    take(&before);
    const struct {
        mfn_t table;
        unsigned slot;
        uint64_t e;
    } updates[] = {
        {t.l1, 0, RW(t.l1)},          {t.l1, L1_SLOT, RW(t.l2)},
        {t.l1, 0, RO(theirs)},        {t.l1, 0, RO(t.l1) | 8},
        {t.l2, L2_SLOT, TABLE(t.l2)}, {t.l2, 0, TABLE(t.l4)},
        {t.l2, 0, TABLE(t.data)},     {t.l3, 0, TABLE(theirs)},
        {t.l4, 0, TABLE(NO_MFN)},     {t.l4, 0, TABLE(t.l3) | PTE_PSE},
    };
    for (unsigned i = 0; i < sizeof(updates) / sizeof(updates[0]); i++) {
        assert_true(update(updates[i].table, updates[i].slot, updates[i].e) < 0);
        assert_nothing_changed();
    }
    for (unsigned level = 1; level <= 4; level++) {
        assert_true(pin(t.data, level) < 0);
        assert_true(pin(theirs, level) < 0);
        assert_true(pin(spare, level) < 0);
        assert_nothing_changed();
    }
    assert_true(unpin(t.l4) < 0);
    assert_true(load(t.l3) < 0);
    assert_true(load_user(spare) < 0);
    assert_nothing_changed();
    begin(v);
    const mfn_t list[] = {t.data};
    assert_true(core_set_gdt(c, v, list, 1, 8) < 0);
    assert_true(core_clear_page(c, v, d, t.l1) < 0);
    assert_true(core_copy_page(c, v, d, t.l1, spare) < 0);
    assert_true(core_hold_writable(c, v, t.l1) < 0);
    end(v);
    assert_nothing_changed();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_r10_the_path_leads_from_the_outside_in),
        TEST(test_r10_the_path_begins_where_the_request_does),
        TEST(test_r10_no_path_leads_to_what_is_no_table),
        TEST(test_r10_the_path_of_a_direct_store),
        TEST(test_r10_a_path_never_grows_beyond_four_steps),
        TEST(test_r10_a_new_request_forgets_the_old_refusal),
        TEST(test_r10_the_record_has_the_frame_as_it_was_seen),
        TEST(test_r10_refusals_of_other_vcpus_are_their_own),
        TEST(test_r10_no_refusal_has_an_effect),
    };
    return RUN(tests);
}
