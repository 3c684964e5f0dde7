/* SPDX-License-Identifier: MIT */
/* R2: one type at a time, changed by one processor at a time. R9: no stale translation outlives
 * the use that it came from. */
#include "unit.h"

/*
 * Each way to use a frame that gives it a type, and how to end it.
 */
enum use { USE_AS_L1, USE_AS_L2, USE_AS_L3, USE_AS_L4, USE_AS_GDT, USE_AS_WRITABLE, USES };

static int use(enum use how, mfn_t m)
{
    if (how <= USE_AS_L4)
        return pin(m, (unsigned)how + 1);
    begin(v);
    int rc = how == USE_AS_GDT ? core_set_gdt(c, v, &m, 1, 8) : core_hold_writable(c, v, m);
    end(v);
    return rc;
}

static void unuse(enum use how, mfn_t m)
{
    if (how <= USE_AS_L4) {
        assert_int_equal(unpin(m), 0);
        return;
    }
    begin(v);
    if (how == USE_AS_GDT)
        assert_int_equal(core_set_gdt(c, v, NULL, 0, 0), 0);
    else
        core_drop_writable(c, v);
    end(v);
}

static enum frame_type type_of_use(enum use how)
{
    static const enum frame_type types[USES] = {TYPE_L1, TYPE_L2,   TYPE_L3,
                                                TYPE_L4, TYPE_DESC, TYPE_WRITABLE};
    return types[how];
}

static void test_r2_a_frame_in_use_has_no_second_type(void **state)
{
    (void)state;
    for (enum use a = 0; a < USES; a++) {
        for (enum use b = 0; b < USES; b++) {
            if (a == b)
                continue;
            mfn_t m = frame();
            assert_int_equal(use(a, m), 0);
            assert_frame(m, type_of_use(a), 1, 2);
            assert_refused(use(b, m), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
            assert_int_equal(v->refusal.wanted, type_of_use(b));
            assert_true(mfn_eq(v->refusal.frame, m));
            assert_int_equal(use_type(v->refusal.use), type_of_use(a));
            assert_frame(m, type_of_use(a), 1, 2);
            unuse(a, m);
            assert_int_equal(decrease(m), 0);
        }
    }
}

/* An L4 keeps the hypervisor's entries, which would not do at another level. */
static void clear(mfn_t m)
{
    memset(w->memory[m.n], 0, sizeof(w->memory[0]));
}

static void test_r2_the_type_changes_at_zero(void **state)
{
    (void)state;
    mfn_t m = frame();
    for (enum use a = 0; a < USES; a++) {
        for (enum use b = 0; b < USES; b++) {
            clear(m);
            assert_int_equal(use(a, m), 0);
            unuse(a, m);
            assert_frame(m, type_of_use(a), 0, 1);
            clear(m);
            assert_int_equal(use(b, m), 0);
            assert_frame(m, type_of_use(b), 1, 2);
            unuse(b, m);
        }
    }
}

static void test_r2_uses_are_counted(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l3, 0, TABLE(t.l2));
    put(t.l1, 0, RW(t.data));
    put(t.l1, 1, RO(t.data));
    assert_int_equal(pin(t.l4, 4), 0);
    assert_frame(t.l4, TYPE_L4, 1, 2);
    assert_frame(t.l3, TYPE_L3, 1, 2);
    assert_frame(t.l2, TYPE_L2, 2, 3);
    assert_frame(t.l1, TYPE_L1, 1, 2);
    assert_frame(t.data, TYPE_WRITABLE, 2, 4);
    assert_int_equal(unpin(t.l4), 0);
    assert_frame(t.l2, TYPE_L2, 0, 1);
    assert_frame(t.data, TYPE_WRITABLE, 0, 1);
}

static void test_r2_no_table_is_mapped_writable_and_no_writable_frame_a_table(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(pin(t.l4, 4), 0);
    const mfn_t tables[] = {t.l4, t.l3, t.l2, t.l1};
    for (unsigned i = 0; i < 4; i++) {
        assert_refused(update(t.l1, 0, RW(tables[i])), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
        assert_int_equal(update(t.l1, 0, RO(tables[i])), 0);
    }
    for (unsigned level = 1; level <= 4; level++)
        assert_refused(pin(t.data, level), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
}

/* ---- R9 */

/* vCPU `on` walks the tree and caches what it finds. */
static void cached_by(struct core_vcpu *on, mfn_t l1, mfn_t data)
{
    struct world_cpu *cpu = world_cpu_of(w, on);
    cpu->any_cached = true;
    cpu->cached[l1.n] = (struct cached_frame){CACHED_L1, (uint16_t)(d->id + 1)};
    cpu->cached[data.n] = (struct cached_frame){CACHED_READ | CACHED_WRITE, (uint16_t)(d->id + 1)};
}

static bool still_cached(struct core_vcpu *on, mfn_t m)
{
    return world_cpu_of(w, on)->cached[m.n].as;
}

static void test_r9_frame_becomes_a_table_after_a_flush(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    cached_by(v2, t.l1, t.data);
    assert_int_equal(update(t.l1, L1_SLOT, 0), 0);
    assert_true(still_cached(v2, t.data)); /* flushing is the guest's own affair */
    assert_int_equal(pin(t.data, 1), 0);
    assert_false(still_cached(v2, t.data));
}

static void test_r9_frame_becomes_a_descriptor_page_after_a_flush(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    cached_by(v2, t.l1, t.data);
    assert_int_equal(update(t.l1, L1_SLOT, 0), 0);
    begin(v);
    assert_int_equal(core_set_gdt(c, v, &t.data, 1, 8), 0);
    end(v);
    assert_false(still_cached(v2, t.data));
}

static void test_r9_a_released_table_becomes_writable_after_a_flush(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(update(t.l2, L2_SLOT, 0), 0);
    cached_by(v2, t.l1, t.data); /* through what it had cached of the upper levels */
    begin(v);
    assert_int_equal(core_hold_writable(c, v, t.l1), 0);
    end(v);
    assert_false(still_cached(v2, t.l1));
    begin(v);
    core_drop_writable(c, v);
    end(v);
}

static void test_r9_a_freed_frame_goes_to_another_domain_after_a_flush(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l1, L1_SLOT, RO(t.data));
    assert_int_equal(load(t.l4), 0);
    cached_by(v2, t.l1, t.data);
    assert_int_equal(decrease(t.data), 0);
    assert_int_equal(update(t.l1, L1_SLOT, 0), 0);
    assert_free(t.data);
    assert_true(still_cached(v2, t.data));
    w->free[t.data.n] = false;
    assert_int_equal(core_assign(c, other, t.data), 0);
    assert_false(still_cached(v2, t.data));
}

static void test_r9_an_old_stamp_needs_no_flush(void **state)
{
    (void)state;
    mfn_t m = frame();
    begin(v);
    assert_int_equal(core_clear_page(c, v, d, m), 0);
    end(v);
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        world_flush_cpu(w, &w->cpu[i]);
    uint64_t flushes = w->flushes;
    assert_int_equal(pin(m, 1), 0);
    assert_int_equal(w->flushes, flushes);
}

static void test_r9_a_fresh_stamp_flushes_every_processor_once(void **state)
{
    (void)state;
    mfn_t m = frame();
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        world_flush_cpu(w, &w->cpu[i]);
    begin(v);
    assert_int_equal(core_clear_page(c, v, d, m), 0);
    end(v);
    uint64_t flushes = w->flushes;
    assert_int_equal(pin(m, 1), 0);
    assert_int_equal(w->flushes, flushes + WORLD_CPUS);
}

static void test_r9_the_clock_wraps(void **state)
{
    (void)state;
    w->clock_last = 5;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    for (unsigned i = 0; i < 20; i++) {
        cached_by(v2, t.l1, t.data);
        assert_int_equal(update(t.l1, L1_SLOT, 0), 0);
        assert_int_equal(pin(t.data, 1), 0);
        assert_false(still_cached(v2, t.data));
        assert_int_equal(unpin(t.data), 0);
        assert_int_equal(update(t.l1, L1_SLOT, RW(t.data)), 0);
    }
}

static void test_r9_the_same_type_again_needs_no_flush(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(pin(m, 1), 0);
    uint64_t flushes = w->flushes;
    assert_int_equal(unpin(m), 0);
    assert_int_equal(pin(m, 1), 0);
    assert_int_equal(w->flushes, flushes);
}

static void test_r9_an_upper_entry_that_goes_flushes_the_domain_once(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    struct core_update u[2] = {{place(t.l2, L2_SLOT), 0}, {place(t.l3, L3_SLOT), 0}};
    unsigned done;
    uint64_t before = w->domain_flushes;
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, d, u, 2, &done), 0);
    assert_int_equal(w->domain_flushes, before);
    end(v);
    assert_int_equal(w->domain_flushes, before + 1);
    assert_int_equal(update(t.l4, 0, TABLE(t.l3)), 0); /* nothing was there */
    assert_int_equal(w->domain_flushes, before + 1);
    assert_int_equal(update(t.l1, 0, 0), 0);
    assert_int_equal(w->domain_flushes, before + 1);
}

static void test_r9_the_check_of_these_tests_can_fail(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(pin(t.l4, 4), 0);
    cached_by(v2, t.l1, t.data);
    assert_null(world_check_tlb(w));
    cached_by(v2, t.l1, t.l2);
    assert_non_null(world_check_tlb(w));
    cached_by(v2, t.l2, t.data);
    assert_non_null(world_check_tlb(w));
    world_flush_cpu(w, world_cpu_of(w, v2));
    cached_by(v2, frame_of_other(), t.data);
    assert_non_null(world_check_tlb(w));
    world_flush_cpu(w, world_cpu_of(w, v2));
}

/* ---- another processor at work on the same table */

static mfn_t contended;

static void let_go(void)
{
    frame_at(c, contended)->use &= ~(USE_BUSY | USE_LOCKED);
}

static void test_r4_a_busy_table_is_waited_for(void **state)
{
    (void)state;
    contended = frame();
    frame_at(c, contended)->use = use_of_type(TYPE_L1) | USE_BUSY;
    world_on_relax = let_go;
    core_begin(c, v);
    assert_int_equal(core_pin(c, v, d, contended, 1), 0);
    end(v);
    world_on_relax = NULL;
}

static void test_r4_waiting_for_a_busy_table_can_pause(void **state)
{
    (void)state;
    contended = frame();
    frame_at(c, contended)->use = use_of_type(TYPE_L1) | USE_BUSY;
    world_pause(w, PAUSE_ALWAYS, 0);
    begin(v);
    v->steps = 1;
    assert_int_equal(core_pin(c, v, d, contended, 1), CORE_RESTART);
    let_go();
    end(v);
    assert_frame(contended, TYPE_L1, 0, 1);
}

static void test_r4_a_busy_table_has_a_type(void **state)
{
    (void)state;
    contended = frame();
    frame_at(c, contended)->use = use_of_type(TYPE_L1) | USE_BUSY;
    begin(v);
    assert_refused(core_pin(c, v, d, contended, 2), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    let_go();
    end(v);
}

static void test_r4_a_locked_table_is_waited_for(void **state)
{
    (void)state;
    contended = frame();
    assert_int_equal(pin(contended, 1), 0);
    frame_at(c, contended)->use |= USE_LOCKED;
    world_on_relax = let_go;
    assert_int_equal(update(contended, 0, RO(contended)), 0);
    world_on_relax = NULL;
}

/* Two vCPUs had each locked a table whose last use the other had to let go, held by orphans: both
 * waited. Nobody waits for a lock there now; the request pauses, and lets go of its own. */
static void test_r4_the_last_use_of_a_table_that_another_has_locked_is_a_pause(void **state)
{
    (void)state;
    mfn_t orphan = frame(), l1 = frame(), mine = frame();
    put(orphan, 0, TABLE(l1));
    put(orphan, 5, TABLE(frame()));
    world_pause(w, PAUSE_AT, 1);
    begin(v);
    assert_int_equal(core_pin(c, v, d, orphan, 2), CORE_RESTART);
    end(v);
    world_pause(w, PAUSE_NEVER, 0);
    assert_true(use_is_orphan(load_use(c, orphan)));
    assert_frame(l1, TYPE_L1, 1, 2);
    assert_int_equal(pin(mine, 1), 0);
    frame_at(c, l1)->use |= USE_LOCKED; /* by another vCPU */
    struct core_update u = {place(mine, 0), RW(orphan)};
    unsigned done;
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, d, &u, 1, &done), CORE_RESTART);
    assert_int_equal(done, 0);
    assert_true(mfn_eq(v->locked, NO_MFN));
    frame_at(c, l1)->use &= ~USE_LOCKED;
    end(v);
    assert_int_equal(update(mine, 0, RW(orphan)), 0);
    assert_frame(l1, TYPE_L1, 0, 1);
    assert_frame(orphan, TYPE_WRITABLE, 1, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_r2_a_frame_in_use_has_no_second_type),
        TEST(test_r2_the_type_changes_at_zero),
        TEST(test_r2_uses_are_counted),
        TEST(test_r2_no_table_is_mapped_writable_and_no_writable_frame_a_table),
        TEST(test_r4_a_busy_table_is_waited_for),
        TEST(test_r4_waiting_for_a_busy_table_can_pause),
        TEST(test_r4_a_busy_table_has_a_type),
        TEST(test_r4_a_locked_table_is_waited_for),
        TEST(test_r4_the_last_use_of_a_table_that_another_has_locked_is_a_pause),
        TEST(test_r9_frame_becomes_a_table_after_a_flush),
        TEST(test_r9_frame_becomes_a_descriptor_page_after_a_flush),
        TEST(test_r9_a_released_table_becomes_writable_after_a_flush),
        TEST(test_r9_a_freed_frame_goes_to_another_domain_after_a_flush),
        TEST(test_r9_an_old_stamp_needs_no_flush),
        TEST(test_r9_a_fresh_stamp_flushes_every_processor_once),
        TEST(test_r9_the_clock_wraps),
        TEST(test_r9_the_same_type_again_needs_no_flush),
        TEST(test_r9_an_upper_entry_that_goes_flushes_the_domain_once),
        TEST(test_r9_the_check_of_these_tests_can_fail),
    };
    return RUN(tests);
}
