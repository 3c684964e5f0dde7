/* SPDX-License-Identifier: MIT */
/* The oracle: an audit that cannot fail is worth nothing. Every kind of finding is provoked. */
#include "unit.h"

static struct tree t;

static int setup_tree(void **state)
{
    setup(state);
    t = tree();
    put(t.l1, 0, RO(t.data));
    assert_int_equal(pin(t.l4, 4), 0);
    assert_int_equal(load(t.l4), 0);
    return 0;
}

/* Nothing is taken down: the world is broken on purpose. */
#define BROKEN(f) cmocka_unit_test_setup(f, setup_tree)

/* The audit finds that kind with that frame. */
static const struct core_finding *found(enum core_finding_kind kind, mfn_t m)
{
    assert_false(core_audit(c, w->scratch, &w->audit));
    for (uint64_t i = 0; i < w->audit.findings && i < CORE_FINDINGS_KEPT; i++)
        if (w->audit.first[i].kind == kind && mfn_eq(w->audit.first[i].frame, m))
            return &w->audit.first[i];
    world_print_audit(&w->audit);
    fail_msg("not found: %s", core_finding_text(kind));
    return NULL;
}

static void test_a_clean_world(void **state)
{
    (void)state;
    assert_true(core_audit(c, w->scratch, &w->audit));
    assert_int_equal(w->audit.findings, 0);
    assert_int_equal(w->audit.frames, UNIT_FRAMES);
    assert_int_equal(w->audit.tables, 4);
    assert_int_equal(w->audit.entries, 5);
    assert_int_equal(w->audit.missing, 0);
}

static void test_wrong_type(void **state)
{
    (void)state;
    frame_at(c, t.data)->use ^= use_of_type(TYPE_WRITABLE) ^ use_of_type(TYPE_DESC);
    const struct core_finding *f = found(FINDING_TYPE, t.data);
    assert_int_equal(f->recorded, TYPE_DESC);
    assert_int_equal(f->derived, TYPE_WRITABLE);
}

static void test_wrong_uses(void **state)
{
    (void)state;
    for (int by = -1; by <= 1; by += 2) {
        const mfn_t all[] = {t.l4, t.l3, t.l2, t.l1, t.data};
        for (unsigned i = 0; i < 5; i++) {
            frame_at(c, all[i])->use += (uint64_t)by;
            const struct core_finding *f = found(FINDING_USES, all[i]);
            assert_int_equal((int64_t)f->recorded - (int64_t)f->derived, by);
            frame_at(c, all[i])->use -= (uint64_t)by;
        }
    }
}

static void test_wrong_holds(void **state)
{
    (void)state;
    for (int by = -1; by <= 1; by += 2) {
        const mfn_t all[] = {t.l4, t.l3, t.l2, t.l1, t.data};
        for (unsigned i = 0; i < 5; i++) {
            frame_at(c, all[i])->hold += (uint64_t)by;
            const struct core_finding *f = found(FINDING_HOLDS, all[i]);
            assert_int_equal((int64_t)f->recorded - (int64_t)f->derived, by);
            frame_at(c, all[i])->hold -= (uint64_t)by;
        }
    }
}

static void test_an_entry_that_nobody_counted(void **state)
{
    (void)state;
    put(t.l1, 5, entry_adjust(1, RW(t.data)));
    found(FINDING_USES, t.data);
    found(FINDING_HOLDS, t.data);
}

static void test_an_entry_that_vanished(void **state)
{
    (void)state;
    put(t.l1, L1_SLOT, 0);
    found(FINDING_USES, t.data);
    found(FINDING_HOLDS, t.data);
}

static void test_a_lost_pin(void **state)
{
    (void)state;
    frame_at(c, t.l4)->use &= ~USE_PINNED;
    found(FINDING_USES, t.l4);
}

static void test_a_lost_allocation(void **state)
{
    (void)state;
    frame_at(c, t.data)->hold &= ~HOLD_ALLOCATED;
    found(FINDING_HOLDS, t.data);
}

static void test_conflict(void **state)
{
    (void)state;
    put(t.l1, 5, entry_adjust(1, RW(t.l2)));
    const struct core_finding *f = found(FINDING_CONFLICT, t.l2);
    assert_true(f->recorded == TYPE_L2 || f->derived == TYPE_L2);
    assert_true(f->recorded == TYPE_WRITABLE || f->derived == TYPE_WRITABLE);
    put(t.l1, 5, 0);
    put(t.l3, 5, entry_adjust(3, TABLE(t.l1)));
    found(FINDING_CONFLICT, t.l1);
}

static void test_owner(void **state)
{
    (void)state;
    mfn_t theirs = frame_of_other();
    put(t.l1, 5, entry_adjust(1, RO(theirs)));
    const struct core_finding *f = found(FINDING_OWNER, theirs);
    assert_true(f->entry_at.a == place(t.l1, 5));
    put(t.l1, 5, entry_adjust(1, RO(free_frame())));
    found(FINDING_OWNER, free_frame());
    d->controls_all = true;
    found(FINDING_OWNER, free_frame());
    put(t.l1, 5, entry_adjust(1, RO(device_frame())));
    found(FINDING_OWNER, device_frame());
    put(t.l1, 5, entry_adjust(1, RO(theirs)));
    core_audit(c, w->scratch, &w->audit); /* the controlling domain may, in an L1 entry only */
    assert_int_equal(w->audit.findings, 1);
    assert_int_equal(w->audit.first[0].kind, FINDING_HOLDS);
    put(t.l1, 5, 0);
    put(t.l2, 5, entry_adjust(2, TABLE(theirs)));
    found(FINDING_OWNER, theirs);
    put(t.l2, 5, entry_adjust(2, TABLE(mfn(UNIT_FRAMES + 1))));
    d->has_devices = true;
    found(FINDING_OWNER, mfn(UNIT_FRAMES + 1));
}

static void test_owner_beyond_memory(void **state)
{
    (void)state;
    v2->held = mfn(UNIT_FRAMES);
    found(FINDING_OWNER, mfn(UNIT_FRAMES));
    v2->held = NO_MFN;
    v2->kernel_root = mfn(UNIT_FRAMES + 7);
    found(FINDING_OWNER, mfn(UNIT_FRAMES + 7));
    v2->kernel_root = NO_MFN;
    v2->leftover[0] = (struct core_leftover){mfn(UNIT_FRAMES), true};
    v2->leftovers = 1;
    found(FINDING_OWNER, mfn(UNIT_FRAMES));
}

static void test_entry(void **state)
{
    (void)state;
    const uint64_t good = get(t.l2, L2_SLOT);
    put(t.l2, L2_SLOT, good | PTE_PSE);
    const struct core_finding *f = found(FINDING_ENTRY, t.l2);
    assert_true(f->entry_at.a == place(t.l2, L2_SLOT));
    put(t.l2, L2_SLOT, good & ~PTE_USER);
    found(FINDING_ENTRY, t.l2);
    put(t.l2, L2_SLOT, good);
    put(t.l1, L1_SLOT, get(t.l1, L1_SLOT) & ~PTE_GLOBAL);
    found(FINDING_ENTRY, t.l1);
}

static void test_entry_in_a_reserved_slot(void **state)
{
    (void)state;
    put(t.l4, GLUE_L4_RESERVED_FIRST, get(t.l4, GLUE_L4_RESERVED_FIRST) | PTE_ACCESSED | PTE_DIRTY);
    assert_true(core_audit(c, w->scratch, &w->audit)); /* the hardware may do that */
    put(t.l4, GLUE_L4_RESERVED_FIRST, 0);
    found(FINDING_ENTRY, t.l4);
    put(t.l4, GLUE_L4_RESERVED_FIRST, glue_l4_reserved(c, t.l4, GLUE_L4_RESERVED_FIRST));
    put(t.l4, GLUE_L4_RESERVED_LAST, TABLE(t.l3));
    found(FINDING_ENTRY, t.l4);
}

static void test_entry_that_leads_to_a_table_not_validated(void **state)
{
    (void)state;
    frame_at(c, t.l1)->use &= ~USE_VALIDATED;
    frame_at(c, t.l1)->use |= (uint64_t)ENTRIES << USE_HELD_SHIFT;
    const struct core_finding *f = found(FINDING_ENTRY, t.l1);
    assert_true(f->entry_at.a == place(t.l2, L2_SLOT));
    frame_at(c, t.l1)->use &= ~USE_HELD;
    frame_at(c, t.l1)->use |= USE_VALIDATED;
    frame_at(c, t.l4)->use &= ~USE_VALIDATED;
    frame_at(c, t.l4)->use |= (uint64_t)ENTRIES << USE_HELD_SHIFT;
    found(FINDING_ENTRY, t.l4);
}

static void test_entry_of_a_descriptor_page(void **state)
{
    (void)state;
    mfn_t gdt = frame();
    begin(v);
    assert_int_equal(core_set_gdt(c, v, &gdt, 1, 8), 0);
    end(v);
    put(gdt, 2, 1ull << 47 | 9ull << 40); /* a TSS */
    const struct core_finding *f = found(FINDING_ENTRY, gdt);
    assert_true(f->entry_at.a == place(gdt, 2));
    put(gdt, 2, 1ull << 47 | 1ull << 44); /* a segment of ring 0 */
    found(FINDING_ENTRY, gdt);
}

static void test_state(void **state)
{
    (void)state;
    mfn_t idle = frame();
    const struct {
        mfn_t m;
        uint64_t use, hold; /* bits turned over */
    } cases[] = {
        {t.l1, USE_BUSY, 0},
        {t.l1, USE_LOCKED, 0},
        {t.data, USE_PINNED, 0},
        {idle, USE_PINNED, 0},
        {t.l1, USE_VALIDATED | USE_PINNED, 0},
        {t.l1, 1ull << USE_HELD_SHIFT, 0},
        {t.data, 1ull << USE_HELD_SHIFT, 0},
        {idle, 3ull << USE_HELD_SHIFT | use_of_type(TYPE_DESC), 0},
        {idle, (ENTRIES + 1ull) << USE_HELD_SHIFT | use_of_type(TYPE_L1), 0},
        {idle, USE_HELD | use_of_type(TYPE_L3), 0},
        {idle, use_of_type(TYPE_L1) | USE_VALIDATED, 0},
        {t.data, USE_VALIDATED, 0},
        {idle, 0, 1},
        {idle, 0, hold_of_owner(d->id + 1u)},
        {free_frame(), 0, 1},
        {free_frame(), use_of_type(TYPE_WRITABLE), 0},
        {device_frame(), use_of_type(TYPE_L1), 0},
        {device_frame(), 0, 1},
        {mfn(WORLD_SHARED_FRAME), USE_VALIDATED, 0},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        frame_at(c, cases[i].m)->use ^= cases[i].use;
        frame_at(c, cases[i].m)->hold ^= cases[i].hold;
        found(FINDING_STATE, cases[i].m);
        frame_at(c, cases[i].m)->use ^= cases[i].use;
        frame_at(c, cases[i].m)->hold ^= cases[i].hold;
        assert_true(world_audit(w));
    }
}

static void test_domain(void **state)
{
    (void)state;
    d->frames++;
    const struct core_finding *f = found(FINDING_DOMAIN, NO_MFN);
    assert_int_equal(f->recorded - f->derived, 1);
    d->frames -= 2;
    found(FINDING_DOMAIN, NO_MFN);
}

static void test_m2p(void **state)
{
    (void)state;
    w->m2p[t.data.n] = 12345; /* the guest's own word for it */
    assert_true(core_audit(c, w->scratch, &w->audit));
    w->m2p[free_frame().n] = 5;
    const struct core_finding *f = found(FINDING_M2P, free_frame());
    assert_true(f->recorded == 5 && f->derived == NO_PFN.n);
}

/* Every holder there is, lost one after the other. */
static void test_each_holder_is_counted(void **state)
{
    (void)state;
    mfn_t gdt = frame(), held = frame(), user = frame(), l1 = frame();
    begin(v2);
    assert_int_equal(core_set_gdt(c, v2, &gdt, 1, 8), 0);
    assert_int_equal(core_hold_writable(c, v2, held), 0);
    assert_int_equal(core_load_user_root(c, v2, user), 0);
    end(v2);
    v2->ldt[3] = gdt;
    found(FINDING_HOLDS, gdt);
    v2->ldt[3] = NO_MFN;
    v2->gdt[0] = NO_MFN;
    found(FINDING_USES, gdt);
    v2->gdt[0] = gdt;
    v2->held = NO_MFN;
    found(FINDING_USES, held);
    v2->held = held;
    v2->user_root = NO_MFN;
    found(FINDING_USES, user);
    v2->user_root = user;
    assert_int_equal(pin(l1, 1), 0);
    v2->leftover[0] = (struct core_leftover){l1, true};
    v2->leftovers = 1;
    found(FINDING_USES, l1);
    v2->leftovers = 0;
    frame_at(c, mfn(WORLD_SHARED_FRAME))->hold &= ~HOLD_ALLOCATED;
    found(FINDING_USES, mfn(WORLD_SHARED_FRAME));
}

static void test_an_orphan_is_a_holder(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    put(l1, 0, RW(data));
    put(l1, 5, RW(data));
    world_pause(w, PAUSE_AT, 1);
    begin(v);
    assert_int_equal(core_pin(c, v, d, l1, 1), CORE_RESTART);
    assert_true(world_audit(w));
    frame_at(c, l1)->use &= ~USE_HELD;
    found(FINDING_HOLDS, l1);
    found(FINDING_USES, data);
}

static void test_findings_beyond_those_kept_are_counted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CORE_FINDINGS_KEPT + 4; i++)
        frame_at(c, frame())->hold += 1;
    assert_false(core_audit(c, w->scratch, &w->audit));
    assert_int_equal(w->audit.findings, CORE_FINDINGS_KEPT + 4);
}

static void test_missing_content_is_counted_and_not_read(void **state)
{
    (void)state;
    struct core_walk walk;
    w->missing = t.l2;
    core_audit(c, w->scratch, &w->audit);
    assert_int_equal(w->audit.missing, 1);
    assert_int_equal(w->audit.tables, 2);
    assert_int_equal(w->scratch[t.l2.n].missing, 1);
    assert_int_equal(w->scratch[t.l2.n].uses, 1);
    assert_int_equal(w->scratch[t.l1.n].uses, 0);
    assert_false(core_walk(c, t.l4, tree_va(), &walk));
    assert_int_equal(walk.level, 3);
}

/* ---- the independent checks of the host world can fail, too */

static void test_the_table_scan_can_fail(void **state)
{
    (void)state;
    assert_null(world_check_tables(w));
    put(t.l1, 5, entry_adjust(1, RW(t.l3)));
    assert_non_null(world_check_tables(w));
    put(t.l1, 5, RO(frame_of_other()));
    assert_non_null(world_check_tables(w));
    put(t.l1, 5, RO(device_frame()));
    assert_non_null(world_check_tables(w));
    put(t.l1, 5, 0);
    put(t.l2, 5, TABLE(t.l3));
    assert_non_null(world_check_tables(w));
    put(t.l2, 5, TABLE(t.data));
    assert_non_null(world_check_tables(w));
    put(t.l2, 5, TABLE(mfn(UNIT_FRAMES)));
    assert_non_null(world_check_tables(w));
    put(t.l2, 5, 0);
    w->m2p[free_frame().n] = 1;
    assert_non_null(world_check_tables(w));
}

static void test_the_free_list_scan_can_fail(void **state)
{
    (void)state;
    assert_null(world_check_free(w));
    w->free[t.data.n] = true;
    assert_non_null(world_check_free(w));
    w->free[t.data.n] = false;
    w->free[free_frame().n] = false;
    assert_non_null(world_check_free(w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BROKEN(test_a_clean_world),
        BROKEN(test_wrong_type),
        BROKEN(test_wrong_uses),
        BROKEN(test_wrong_holds),
        BROKEN(test_an_entry_that_nobody_counted),
        BROKEN(test_an_entry_that_vanished),
        BROKEN(test_a_lost_pin),
        BROKEN(test_a_lost_allocation),
        BROKEN(test_conflict),
        BROKEN(test_owner),
        BROKEN(test_owner_beyond_memory),
        BROKEN(test_entry),
        BROKEN(test_entry_in_a_reserved_slot),
        BROKEN(test_entry_that_leads_to_a_table_not_validated),
        BROKEN(test_entry_of_a_descriptor_page),
        BROKEN(test_state),
        BROKEN(test_m2p),
        BROKEN(test_domain),
        BROKEN(test_each_holder_is_counted),
        BROKEN(test_an_orphan_is_a_holder),
        BROKEN(test_findings_beyond_those_kept_are_counted),
        BROKEN(test_missing_content_is_counted_and_not_read),
        BROKEN(test_the_table_scan_can_fail),
        BROKEN(test_the_free_list_scan_can_fail),
    };
    return RUN(tests);
}
