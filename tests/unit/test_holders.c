/* SPDX-License-Identifier: MIT */
/*
 * Who holds a frame, and where entries are seen. That nobody is left out holds everywhere: every
 * unit test ends with all holders counted against the frame table.
 */
#include "unit.h"

#define HOLDERS_KEPT 16

static struct core_holder seen[HOLDERS_KEPT];
static unsigned holders, enough_after;

static bool keep(void *context, const struct core_holder *h)
{
    assert_true(context == &holders);
    assert_true(holders < HOLDERS_KEPT);
    seen[holders++] = *h;
    return holders != enough_after;
}

static unsigned ask(mfn_t m)
{
    holders = 0;
    core_holders(c, m, keep, &holders);
    return holders;
}

/* The i-th holder told is no entry but this. */
static void assert_holder(unsigned i, enum core_holder_kind kind, enum frame_type as,
                          const struct core_vcpu *vcpu)
{
    assert_true(i < holders);
    assert_int_equal(seen[i].kind, kind);
    assert_int_equal(seen[i].as, as);
    assert_ptr_equal(seen[i].vcpu, vcpu);
    assert_true(mfn_eq(seen[i].table, NO_MFN));
}

static void assert_entry(unsigned i, mfn_t table, unsigned level, unsigned slot, enum frame_type as)
{
    assert_true(i < holders);
    assert_int_equal(seen[i].kind, HOLDER_ENTRY);
    assert_int_equal(seen[i].as, as);
    assert_true(mfn_eq(seen[i].table, table));
    assert_int_equal(seen[i].level, level);
    assert_int_equal(seen[i].slot, slot);
    assert_int_equal(seen[i].at.a, place(table, slot));
    assert_int_equal(seen[i].entry, get(table, slot));
}

/* ---- each kind */

static void test_the_allocation_is_nobody(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(ask(t.data), 0);
    assert_int_equal(ask(free_frame()), 0);
    assert_int_equal(ask(mfn(WORLD_HYPERVISOR_FRAME)), 0);
    assert_int_equal(ask(mfn(UNIT_FRAMES)), 0);
    assert_int_equal(ask(NO_MFN), 0);
}

static void test_entries_of_each_level(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l1, 0, RO(t.data));
    put(t.l1, 2, RO(t.l2));
    put(t.l1, 3, RO(t.data) & ~PTE_PRESENT);
    assert_int_equal(ask(t.data), 0); /* no table holds anything yet */
    assert_int_equal(pin(t.l4, 4), 0);
    assert_int_equal(ask(t.data), 2);
    assert_entry(0, t.l1, 1, 0, TYPE_NONE);
    assert_entry(1, t.l1, 1, L1_SLOT, TYPE_WRITABLE);
    assert_int_equal(ask(t.l1), 1);
    assert_entry(0, t.l2, 2, L2_SLOT, TYPE_L1);
    assert_int_equal(ask(t.l2), 2); /* in the order of tables: L2 before L1, as they were given */
    assert_entry(0, t.l3, 3, L3_SLOT, TYPE_L2);
    assert_entry(1, t.l1, 1, 2, TYPE_NONE);
    assert_int_equal(ask(t.l3), 1);
    assert_entry(0, t.l4, 4, L4_SLOT, TYPE_L3);
}

static void test_pins_and_roots(void **state)
{
    (void)state;
    mfn_t m = frame(), l1 = frame();
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(ask(l1), 1);
    assert_holder(0, HOLDER_PIN, TYPE_L1, NULL);
    assert_int_equal(pin(m, 4), 0);
    assert_int_equal(load(m), 0);
    begin(v2);
    assert_int_equal(core_load_user_root(c, v2, m), 0);
    end(v2);
    assert_int_equal(ask(m), 3);
    assert_holder(0, HOLDER_PIN, TYPE_L4, NULL);
    assert_holder(1, HOLDER_USER_ROOT, TYPE_L4, v2); /* the latest vCPU first */
    assert_holder(2, HOLDER_KERNEL_ROOT, TYPE_L4, v);
}

static void test_descriptor_pages(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t gdt[2] = {frame(), frame()}, page;
    bool changed;
    put(t.l1, 0, RO(gdt[1]));
    assert_int_equal(load(t.l4), 0);
    begin(v);
    assert_int_equal(core_set_gdt(c, v, gdt, 2, 8), 0);
    assert_int_equal(core_set_ldt(c, v, va_of(L4_SLOT, L3_SLOT, L2_SLOT, 0), 8, &changed), 0);
    assert_int_equal(core_ldt_page(c, v, 0, &page), 0);
    end(v);
    assert_int_equal(ask(gdt[0]), 1);
    assert_holder(0, HOLDER_GDT, TYPE_DESC, v);
    assert_int_equal(seen[0].slot, 0);
    assert_int_equal(ask(gdt[1]), 3);
    assert_holder(0, HOLDER_GDT, TYPE_DESC, v);
    assert_int_equal(seen[0].slot, 1);
    assert_holder(1, HOLDER_LDT, TYPE_DESC, v);
    assert_int_equal(seen[1].slot, 0);
    assert_entry(2, t.l1, 1, 0, TYPE_NONE);
}

static void test_a_frame_held_for_the_hypervisor_and_a_loan(void **state)
{
    (void)state;
    mfn_t m = frame();
    begin(v2);
    assert_int_equal(core_hold_writable(c, v2, m), 0);
    end(v2);
    assert_int_equal(ask(m), 1);
    assert_holder(0, HOLDER_HELD, TYPE_WRITABLE, v2);
    assert_int_equal(ask(mfn(WORLD_SHARED_FRAME)), 1);
    assert_holder(0, HOLDER_LOAN, TYPE_WRITABLE, NULL);
}

static void test_a_release_that_is_not_finished(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(pin(t.l2, 2), 0);
    begin(v);
    assert_int_equal(core_unpin(c, v, d, t.l2), 0);
    assert_int_equal(ask(t.l2), 1);
    assert_holder(0, HOLDER_LEFTOVER, TYPE_L2, v);
    end(v);
    assert_int_equal(ask(t.l2), 0);
    assert_int_equal(ask(t.l1), 0);
}

/* Until it is undone a failed promotion is left over, too, and counted by nobody. */
static void test_a_failed_promotion_that_is_left_over(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l2, L2_SLOT + 1, TABLE(t.l2));
    begin(v);
    assert_int_equal(core_pin(c, v, d, t.l2, 2), CORE_EINVAL);
    assert_int_equal(ask(t.l2), 1);
    assert_holder(0, HOLDER_LEFTOVER, TYPE_NONE, NULL);
    assert_int_equal(ask(t.l1), 1);
    assert_entry(0, t.l2, 2, L2_SLOT, TYPE_L1);
    end(v);
    assert_int_equal(ask(t.l2), 0);
}

/* The second entry was never taken, and holds nothing; the orphan has a reference on itself. */
static void test_entries_of_an_unfinished_promotion(void **state)
{
    (void)state;
    mfn_t l1 = frame(), one = frame(), two = frame();
    put(l1, 2, RW(one));
    put(l1, 5, RW(two));
    world_pause(w, PAUSE_ALWAYS, 0);
    begin(v);
    assert_int_equal(core_pin(c, v, d, l1, 1), CORE_RESTART);
    end(v);
    assert_int_equal(ask(one), 1);
    assert_entry(0, l1, 1, 2, TYPE_WRITABLE);
    assert_int_equal(ask(two), 0);
    assert_int_equal(ask(l1), 1);
    assert_holder(0, HOLDER_LEFTOVER, TYPE_NONE, NULL);
}

static void test_device_memory_and_reserved_slots_hold_nothing(void **state)
{
    (void)state;
    struct tree t = tree();
    d->has_devices = true;
    put(t.l1, 0, RO(device_frame()));
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(ask(device_frame()), 0);
    assert_int_equal(ask(mfn(WORLD_HYPERVISOR_FRAME)), 0);
}

static void test_a_table_that_is_missing_is_passed_over(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t l1 = frame();
    put(t.l2, 0, TABLE(l1));
    put(l1, 0, RO(t.data));
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(ask(t.data), 2);
    w->missing = t.l1;
    assert_int_equal(ask(t.data), 1);
    assert_entry(0, l1, 1, 0, TYPE_NONE);
    w->missing = t.l3;
    struct core_place p = core_place_of(c, l1, 1, 0, t.l4);
    assert_true(mfn_eq(p.top, t.l2));
    w->missing = NO_MFN;
}

static void test_whoever_asks_may_have_enough(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t m = frame();
    begin(v);
    assert_int_equal(core_set_gdt(c, v, &m, 1, 8), 0);
    end(v);
    put(t.l1, 0, RO(m));
    put(t.l1, 1, RO(m));
    assert_int_equal(pin(t.l1, 1), 0);
    for (enough_after = 1; enough_after <= 3; enough_after++)
        assert_int_equal(ask(m), enough_after);
    enough_after = 1;
    assert_int_equal(pin(t.l4, 4), 0);
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(ask(t.l4), 1);
    assert_int_equal(ask(mfn(WORLD_SHARED_FRAME)), 1);
    enough_after = 0;
}

/* ---- places */

static void assert_place(struct core_place p, mfn_t top, unsigned level, gva_t va)
{
    assert_int_equal(p.top_level, level);
    assert_int_equal(p.top.n, top.n);
    assert_int_equal(p.va.a, va.a);
}

static void test_an_entry_below_a_root(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, NO_MFN), t.l4, 4, tree_va());
    assert_place(core_place_of(c, t.l2, 2, 0, t.l4), t.l4, 4, va_of(L4_SLOT, L3_SLOT, 0, 0));
    assert_place(core_place_of(c, t.l3, 3, 7, t.l4), t.l4, 4, va_of(L4_SLOT, 7, 0, 0));
    assert_place(core_place_of(c, t.l4, 4, 3, t.l4), t.l4, 4, va_of(3, 0, 0, 0));
}

static void test_addresses_of_the_upper_half_are_canonical(void **state)
{
    (void)state;
    const unsigned last = WORLD_TABLE_ENTRIES - 1;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(update(t.l4, last, TABLE(t.l3)), 0);
    assert_int_equal(update(t.l4, L4_SLOT, 0), 0);
    gva_t va = va_of(last, L3_SLOT, L2_SLOT, L1_SLOT);
    assert_true(va.a >> 63);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, NO_MFN), t.l4, 4, va);
    assert_place(core_place_of(c, t.l4, 4, last, NO_MFN), t.l4, 4, va_of(last, 0, 0, 0));
}

/* One L3 table under two roots, as processes share their kernel's half: the named root is
 * preferred, then a loaded one, then the first L4 there is. */
static void test_the_named_root_is_preferred(void **state)
{
    (void)state;
    mfn_t first = frame();
    struct tree t = tree();
    mfn_t user = frame();
    put(first, 0, TABLE(t.l3));
    put(user, 6 % WORLD_TABLE_ENTRIES, TABLE(t.l3));
    assert_int_equal(pin(first, 4), 0);
    assert_int_equal(pin(t.l4, 4), 0);
    const gva_t in_first = va_of(0, L3_SLOT, L2_SLOT, L1_SLOT);
    const gva_t in_user = va_of(6, L3_SLOT, L2_SLOT, L1_SLOT);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, NO_MFN), first, 4, in_first);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, t.l4), t.l4, 4, tree_va());
    assert_int_equal(load_user(user), 0);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, NO_MFN), user, 4, in_user);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, first), first, 4, in_first);
    assert_int_equal(load(t.l4), 0);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, NO_MFN), t.l4, 4, tree_va());
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, t.l1), t.l4, 4, tree_va());
}

/* The way up branches, and only one branch leads to a root: here the last one that is tried. */
static void test_ways_that_lead_nowhere_are_left(void **state)
{
    (void)state;
    mfn_t dead3 = frame(), dead2 = frame();
    struct tree t = tree();
    put(dead3, 0, TABLE(dead2));
    put(dead2, 0, TABLE(t.l1));
    assert_int_equal(pin(dead3, 3), 0);
    gva_t in_dead = gva(va_of(0, 0, 0, L1_SLOT).a);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, NO_MFN), dead3, 3, in_dead);
    assert_int_equal(pin(t.l4, 4), 0);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, NO_MFN), t.l4, 4, tree_va());
}

static void test_a_table_that_hangs_from_nothing(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, NO_MFN), t.l1, 1, va_of(0, 0, 0, L1_SLOT));
    assert_int_equal(pin(t.l2, 2), 0);
    gva_t va = va_of(0, 0, L2_SLOT, L1_SLOT);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, NO_MFN), t.l2, 2, va);
    assert_place(core_place_of(c, t.l2, 2, L2_SLOT, t.l4), t.l2, 2, va_of(0, 0, L2_SLOT, 0));
}

/* Only entries that hold references lead anywhere. */
static void test_half_validated_tables_lead_as_far_as_they_hold(void **state)
{
    (void)state;
    mfn_t l3 = frame(), l2[2] = {frame(), frame()};
    put(l3, 1, TABLE(l2[0]));
    put(l3, 2, TABLE(l2[1]));
    world_pause(w, PAUSE_ALWAYS, 0);
    begin(v);
    assert_int_equal(core_pin(c, v, d, l3, 3), CORE_RESTART);
    end(v);
    world_pause(w, PAUSE_NEVER, 0);
    assert_int_equal(pin(l2[1], 2), 0);
    assert_place(core_place_of(c, l2[0], 2, 3, NO_MFN), l3, 3, va_of(0, 1, 3, 0));
    assert_place(core_place_of(c, l2[1], 2, 3, NO_MFN), l2[1], 2, va_of(0, 0, 3, 0));
}

/* What stands in a slot of the hypervisor's is not the guest's way to anywhere. */
static void test_reserved_slots_are_not_followed(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t l3 = frame(), l2 = frame();
    put(l3, 2, TABLE(l2));
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(pin(l3, 3), 0);
    uint64_t own = get(t.l4, GLUE_L4_RESERVED_FIRST);
    put(t.l4, GLUE_L4_RESERVED_FIRST, TABLE(l3));
    assert_place(core_place_of(c, l3, 3, 1, t.l4), l3, 3, va_of(0, 1, 0, 0));
    assert_place(core_place_of(c, l2, 2, 1, t.l4), l3, 3, va_of(0, 2, 1, 0));
    assert_int_equal(ask(l3), 1);
    assert_holder(0, HOLDER_PIN, TYPE_L3, NULL);
    put(t.l4, GLUE_L4_RESERVED_FIRST, own);
}

/* ---- paths of refusals */

static struct core_place place_of_refusal(mfn_t prefer)
{
    return core_place_of_path(c, v->refusal.path, v->refusal.steps, prefer);
}

/* The tables below the entry are none any more when the refusal is looked at. */
static void test_the_place_of_a_refused_hook(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t root = frame();
    assert_int_equal(load(root), 0);
    put(t.l1, 6, RW(root));
    assert_refused(update(root, 2, TABLE(t.l3)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_int_equal(v->refusal.steps, 4);
    assert_frame(t.l2, TYPE_L2, 0, 1);
    assert_place(place_of_refusal(root), root, 4, va_of(2, L3_SLOT, L2_SLOT, 6));
}

static void test_the_place_of_a_refused_entry_deep_in_a_root(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t l1 = frame();
    assert_int_equal(load(t.l4), 0);
    put(l1, 5, RW(t.l3));
    assert_refused(update(t.l2, 0, TABLE(l1)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_int_equal(v->refusal.steps, 2);
    assert_place(place_of_refusal(NO_MFN), t.l4, 4, va_of(L4_SLOT, L3_SLOT, 0, 5));
    assert_refused(write_l1(t.l1, 3, RW(t.l3)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_place(place_of_refusal(t.l4), t.l4, 4, va_of(L4_SLOT, L3_SLOT, L2_SLOT, 3));
}

static void test_the_place_of_a_refused_pin(void **state)
{
    (void)state;
    struct tree t = tree();
    put(t.l1, 6, RW(t.l2));
    assert_refused(pin(t.l3, 3), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_int_equal(v->refusal.steps, 3);
    assert_place(place_of_refusal(NO_MFN), t.l3, 3, va_of(0, L3_SLOT, L2_SLOT, 6));
}

/* ---- effort */

/*
 * A guest may hook one table everywhere: then there are as many ways down from the root as there
 * are addresses. The search ends all the same, and finds the way up.
 */
static void test_a_root_with_endless_ways_ends(void **state)
{
    (void)state;
    struct tree t = tree(), maze = tree();
    for (unsigned slot = 0; slot < WORLD_TABLE_ENTRIES; slot++) {
        put(maze.l2, slot, TABLE(maze.l1));
        put(maze.l3, slot, TABLE(maze.l2));
        if (!slot_is_reserved(4, slot))
            put(maze.l4, slot, TABLE(maze.l3));
    }
    assert_int_equal(load(maze.l4), 0);
    assert_int_equal(pin(t.l2, 2), 0);
    gva_t va = va_of(0, 0, L2_SLOT, L1_SLOT);
    assert_place(core_place_of(c, t.l1, 1, L1_SLOT, maze.l4), t.l2, 2, va);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_allocation_is_nobody),
        TEST(test_entries_of_each_level),
        TEST(test_pins_and_roots),
        TEST(test_descriptor_pages),
        TEST(test_a_frame_held_for_the_hypervisor_and_a_loan),
        TEST(test_a_release_that_is_not_finished),
        TEST(test_a_failed_promotion_that_is_left_over),
        TEST(test_entries_of_an_unfinished_promotion),
        TEST(test_device_memory_and_reserved_slots_hold_nothing),
        TEST(test_a_table_that_is_missing_is_passed_over),
        TEST(test_whoever_asks_may_have_enough),
        TEST(test_an_entry_below_a_root),
        TEST(test_addresses_of_the_upper_half_are_canonical),
        TEST(test_the_named_root_is_preferred),
        TEST(test_ways_that_lead_nowhere_are_left),
        TEST(test_a_table_that_hangs_from_nothing),
        TEST(test_half_validated_tables_lead_as_far_as_they_hold),
        TEST(test_reserved_slots_are_not_followed),
        TEST(test_the_place_of_a_refused_hook),
        TEST(test_the_place_of_a_refused_entry_deep_in_a_root),
        TEST(test_the_place_of_a_refused_pin),
        TEST(test_a_root_with_endless_ways_ends),
    };
    return RUN(tests);
}
