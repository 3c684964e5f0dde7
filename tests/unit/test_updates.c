/* SPDX-License-Identifier: MIT */
/* mmu_update, update_va, direct stores, walks, m2p (R7), whole pages; batches (R10). */
#include "unit.h"

/* ---- commands */

static void test_a_place_in_no_table_is_stored_to(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(update(m, 3, ~0ull), 0);
    assert_true(get(m, 3) == ~0ull);
    assert_frame(m, TYPE_WRITABLE, 0, 1);
    assert_int_equal(update_as(2, m, 3, 5), 0);
    assert_true(get(m, 3) == 5); /* there are no A/D bits to keep */
}

static void test_a_descriptor_page_is_not_stored_to(void **state)
{
    (void)state;
    mfn_t m = frame();
    begin(v);
    assert_int_equal(core_set_gdt(c, v, &m, 1, 8), 0);
    end(v);
    assert_refused(update(m, 0, 0), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
}

static void test_preserve_ad_keeps_what_the_hardware_set(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update(l1, 0, RW(data) | PTE_ACCESSED | PTE_DIRTY), 0);
    assert_int_equal(update_as(2, l1, 0, RW(data) | PTE_NX), 0);
    assert_true(get(l1, 0) == (RW(data) | PTE_NX | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL));
    assert_int_equal(update_as(2, l1, 0, RO(data)), 0); /* not light */
    assert_true(get(l1, 0) == (RO(data) | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL));
    assert_int_equal(update_as(0, l1, 0, RO(data)), 0);
    assert_true(get(l1, 0) == (RO(data) | PTE_GLOBAL));
    assert_int_equal(update_as(3, l1, 0, RW(data)), 0);
    assert_true(get(l1, 0) == (RW(data) | PTE_GLOBAL));
}

static void test_unknown_commands(void **state)
{
    (void)state;
    mfn_t m = frame();
    for (unsigned command = 4; command < 8; command++)
        assert_refused(update_as(command, m, 0, 0), CORE_ENOSYS, REASON_BAD_COMMAND, 10);
}

static void test_a_slot_beyond_the_table(void **state)
{
    (void)state;
    mfn_t m = frame(), l1 = frame();
    assert_int_equal(pin(l1, 1), 0);
    if (WORLD_TABLE_ENTRIES == 512)
        return;
    assert_refused(update(m, WORLD_TABLE_ENTRIES, 0), CORE_EINVAL, REASON_BAD_ADDRESS, 3);
    assert_refused(update(l1, 511, 0), CORE_EINVAL, REASON_BAD_ADDRESS, 3);
    assert_int_equal(write_l1(l1, WORLD_TABLE_ENTRIES, 0), CORE_EINVAL);
}

/* ---- R7 */

static void test_r7_m2p_is_set_for_owned_frames_only(void **state)
{
    (void)state;
    mfn_t m = frame(), theirs = frame_of_other();
    assert_int_equal(update_as(1, m, 0, 0x1234), 0);
    assert_true(w->m2p[m.n] == 0x1234);
    assert_refused(update_as(1, theirs, 0, 1), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_refused(update_as(1, mfn(UNIT_FRAMES), 0, 1), CORE_EINVAL, REASON_NO_SUCH_FRAME, 1);
    assert_refused(update_as(1, free_frame(), 0, 1), CORE_EINVAL, REASON_FOREIGN_FRAME, 8);
    assert_true(w->m2p[theirs.n] == NO_PFN.n);
}

static void test_r7_m2p_of_a_table_is_set_too(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(pin(m, 1), 0);
    assert_int_equal(update_as(1, m, 0, 7), 0);
    assert_true(w->m2p[m.n] == 7);
    assert_frame(m, TYPE_L1, 1, 2);
}

static void test_r7_m2p_forgets_a_frame_that_goes(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(update_as(1, m, 0, 7), 0);
    assert_int_equal(decrease(m), 0);
    assert_true(w->m2p[m.n] == NO_PFN.n);
}

static void test_r7_m2p_of_a_named_domain(void **state)
{
    (void)state;
    d->controls_all = true;
    mfn_t theirs = frame_of_other();
    struct core_update u = {place(theirs, 0) + 1, 9};
    unsigned done;
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, other, &u, 1, &done), 0);
    assert_true(w->m2p[theirs.n] == 9);
    assert_refused(core_mmu_update(c, v, other, other, &u, 1, &done), CORE_EPERM, REASON_NO_RIGHT,
                   8);
    end(v);
}

/* ---- R10: batches */

static void test_r10_a_batch_stops_at_the_first_refusal(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    struct core_update u[] = {{place(l1, 0), RW(data)},
                              {place(l1, 1), RO(data)},
                              {place(l1, 2), RO(l1) | PTE_PSE},
                              {place(l1, 3), RO(data)}};
    unsigned done;
    begin(v);
    assert_refused(core_mmu_update(c, v, d, d, u, 4, &done), CORE_EINVAL, REASON_BAD_FLAGS, 3);
    end(v);
    assert_int_equal(done, 2);
    assert_true(pte_present(get(l1, 0)) && pte_present(get(l1, 1)));
    assert_true(get(l1, 2) == 0 && get(l1, 3) == 0);
    assert_frame(data, TYPE_WRITABLE, 1, 3);
}

static void test_r10_an_empty_batch(void **state)
{
    (void)state;
    unsigned done = 5;
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, d, NULL, 0, &done), 0);
    end(v);
    assert_int_equal(done, 0);
}

/* Four trees come and go in one batch; each release is finished before the next update. */
static void fill_batch(struct core_update *u, mfn_t root)
{
    for (unsigned i = 0; i < 4; i++) {
        struct tree t = tree();
        u[2 * i] = (struct core_update){place(root, i & 1), TABLE(t.l3)};
        u[2 * i + 1] = (struct core_update){place(root, i & 1), i & 2 ? 0 : TABLE(t.l3)};
    }
}

static void test_r10_a_batch_pauses_at_every_point_and_goes_on(void **state)
{
    (void)state;
    for (uint64_t at = 1;; at++) {
        setup(NULL);
        mfn_t root = frame();
        assert_int_equal(pin(root, 4), 0);
        struct core_update u[8];
        fill_batch(u, root);
        world_pause(w, PAUSE_AT, at);
        int rc;
        unsigned all = 0;
        do {
            unsigned done = 0;
            rc = core_begin(c, v);
            if (rc == 0)
                rc = core_mmu_update(c, v, d, d, u + all, 8 - all, &done);
            all += done;
            end(v);
        } while (rc == CORE_RESTART);
        assert_int_equal(rc, 0);
        assert_int_equal(all, 8);
        assert_true(get(root, 0) == 0 && get(root, 1) == 0);
        bool last = w->pause_asked < at;
        assert_int_equal(teardown(NULL), 0);
        if (last)
            break;
    }
    setup(NULL);
}

/* What a batch leaves over is finished between its elements: there is room for a few only. */
static void test_r10_a_batch_that_drops_many_tables(void **state)
{
    (void)state;
    mfn_t root = frame();
    struct core_update u[32];
    unsigned done;
    assert_int_equal(pin(root, 4), 0);
    for (unsigned i = 0; i < 16; i++) {
        u[2 * i] = (struct core_update){place(root, 0), TABLE(frame())};
        u[2 * i + 1] = (struct core_update){place(root, 0), 0};
    }
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, d, u, 32, &done), 0);
    assert_true(v->leftovers <= 1);
    end(v);
}

static void test_r10_a_long_batch_makes_progress_under_permanent_pressure(void **state)
{
    (void)state;
    mfn_t m = frame();
    struct core_update u[20];
    unsigned all = 0, done, calls = 0;
    for (unsigned i = 0; i < 20; i++)
        u[i] = (struct core_update){place(m, i % WORLD_TABLE_ENTRIES), i};
    world_pause(w, PAUSE_ALWAYS, 0);
    do {
        begin(v);
        int rc = core_mmu_update(c, v, d, d, u + all, 20 - all, &done);
        assert_int_equal(rc, all + done < 20 ? CORE_RESTART : 0);
        assert_true(done > 0);
        all += done;
        calls++;
        end(v);
    } while (all < 20);
    assert_int_equal(calls, 20);
}

/* ---- update_va */

static void test_update_va_changes_the_entry_that_maps_the_address(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(update_va(tree_va(), RO(t.data)), 0);
    assert_true(get(t.l1, L1_SLOT) == (RO(t.data) | PTE_GLOBAL));
    assert_frame(t.data, TYPE_WRITABLE, 0, 2);
    assert_int_equal(update_va(tree_va(), 0), 0);
    assert_int_equal(update_va(tree_va(), RW(t.data)), 0); /* nothing was mapped there */
    assert_frame(t.data, TYPE_WRITABLE, 1, 2);
}

static void test_update_va_without_an_l1(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_refused(update_va(tree_va(), 0), CORE_EINVAL, REASON_NO_L1, 3); /* no root yet */
    assert_int_equal(load(t.l4), 0);
    assert_refused(update_va(va_of(0, 0, 0, 0), 0), CORE_EINVAL, REASON_NO_L1, 3);
    assert_refused(update_va(va_of(L4_SLOT, 0, 0, 0), 0), CORE_EINVAL, REASON_NO_L1, 3);
    assert_refused(update_va(va_of(L4_SLOT, L3_SLOT, 0, 0), 0), CORE_EINVAL, REASON_NO_L1, 3);
    assert_refused(update_va(va_of(GLUE_L4_RESERVED_FIRST, 0, 0, 0), 0), CORE_EINVAL, REASON_NO_L1,
                   3);
    assert_refused(update_va(gva(1ull << 50), 0), CORE_EINVAL, REASON_NO_L1, 3);
    assert_refused(update_va(gva(tree_va().a ^ 1ull << 63), 0), CORE_EINVAL, REASON_NO_L1, 3);
}

static void test_update_va_is_refused_like_any_update(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    assert_refused(update_va(tree_va(), RW(t.l1)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_int_equal(v->refusal.steps, 1);
    assert_true(mfn_eq(v->refusal.path[0].table, t.l1));
    assert_int_equal(v->refusal.path[0].slot, L1_SLOT);
    assert_refused(update_va(tree_va(), RO(t.l1) | PTE_PCD), CORE_EINVAL, REASON_BAD_FLAGS, 3);
}

static void test_update_va_with_a_foreign_frame(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t theirs = frame_of_other();
    d->controls_all = true;
    assert_int_equal(load(t.l4), 0);
    begin(v);
    assert_int_equal(core_update_va(c, v, other, tree_va(), RO(theirs)), 0);
    end(v);
    assert_frame(theirs, TYPE_NONE, 0, 2);
}

/* ---- direct stores */

static void test_write_l1_replaces_the_entry(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(write_l1(t.l1, 0, RW(t.data)), 0);
    assert_frame(t.data, TYPE_WRITABLE, 2, 3);
    assert_int_equal(write_l1(t.l1, 0, 0), 0);
    assert_frame(t.data, TYPE_WRITABLE, 1, 2);
    assert_refused(write_l1(t.l1, 0, RW(t.l3)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
}

static void test_write_l1_of_what_is_no_l1(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_refused(write_l1(t.l1, 0, 0), CORE_EINVAL, REASON_NOT_A_TABLE, 2);
    assert_int_equal(load(t.l4), 0);
    assert_refused(write_l1(t.l2, 0, 0), CORE_EINVAL, REASON_NOT_A_TABLE, 2);
    assert_refused(write_l1(t.data, 0, 0), CORE_EINVAL, REASON_NOT_A_TABLE, 2);
    assert_refused(write_l1(frame_of_other(), 0, 0), CORE_EINVAL, REASON_NOT_A_TABLE, 2);
    assert_refused(write_l1(mfn(UNIT_FRAMES), 0, 0), CORE_EINVAL, REASON_NOT_A_TABLE, 2);
    begin(v);
    assert_refused(core_write_l1(c, v, mfn_address(t.l1, 4), 0, NULL), CORE_EINVAL,
                   REASON_BAD_ADDRESS, 3);
    end(v);
    assert_frame(t.l2, TYPE_L2, 1, 2);
}

static int write_expected(mfn_t table, unsigned slot, uint64_t e, uint64_t *expected)
{
    begin(v);
    int rc = core_write_l1(c, v, (maddr_t){place(table, slot)}, e, expected);
    end(v);
    return rc;
}

static void test_write_l1_with_expected(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t more = frame();
    assert_int_equal(load(t.l4), 0);
    uint64_t is = get(t.l1, L1_SLOT), expected = is;
    assert_int_equal(write_expected(t.l1, L1_SLOT, RW(more), &expected), 0);
    assert_frame(t.data, TYPE_WRITABLE, 0, 1);
    assert_frame(more, TYPE_WRITABLE, 1, 2);
    expected = is;
    assert_refused(write_expected(t.l1, L1_SLOT, RW(t.data), &expected), CORE_EBUSY,
                   REASON_ENTRY_CHANGED, 10);
    assert_true(expected == get(t.l1, L1_SLOT));
    assert_frame(t.data, TYPE_WRITABLE, 0, 1);
    assert_frame(more, TYPE_WRITABLE, 1, 2);
}

static void test_write_l1_that_loses_on_the_light_path(void **state)
{
    (void)state;
    struct tree t = tree();
    assert_int_equal(load(t.l4), 0);
    uint64_t is = get(t.l1, L1_SLOT), expected = is ^ PTE_DIRTY;
    assert_refused(write_expected(t.l1, L1_SLOT, is | PTE_NX, &expected), CORE_EBUSY,
                   REASON_ENTRY_CHANGED, 10);
    assert_true(get(t.l1, L1_SLOT) == is && expected == is);
    assert_int_equal(write_expected(t.l1, L1_SLOT, is | PTE_NX, &expected), 0);
    assert_frame(t.data, TYPE_WRITABLE, 1, 2);
}

/* ---- walking */

static void test_walk_reports_each_step(void **state)
{
    (void)state;
    struct tree t = tree();
    struct core_walk walk;
    assert_false(core_walk(c, t.l4, tree_va(), &walk)); /* not validated: nothing is read */
    assert_int_equal(walk.level, 5);
    assert_int_equal(load(t.l4), 0);
    assert_true(core_walk(c, t.l4, tree_va(), &walk));
    assert_true(walk.present);
    assert_int_equal(walk.level, 1);
    assert_true(walk.at[4].at.a == place(t.l4, L4_SLOT));
    assert_true(walk.at[3].at.a == place(t.l3, L3_SLOT));
    assert_true(walk.at[2].at.a == place(t.l2, L2_SLOT));
    assert_true(walk.at[1].at.a == place(t.l1, L1_SLOT));
    assert_true(walk.at[1].entry == get(t.l1, L1_SLOT));
}

static void test_walk_stops_where_nothing_is(void **state)
{
    (void)state;
    struct tree t = tree();
    struct core_walk walk;
    assert_int_equal(load(t.l4), 0);
    const gva_t absent[] = {va_of(0, 0, 0, 0), va_of(L4_SLOT, 0, 0, 0),
                            va_of(L4_SLOT, L3_SLOT, 0, 0), va_of(L4_SLOT, L3_SLOT, L2_SLOT, 0)};
    for (unsigned i = 0; i < 4; i++) {
        assert_false(core_walk(c, t.l4, absent[i], &walk));
        assert_int_equal(walk.level, 4 - i);
        assert_false(walk.present);
    }
    assert_false(core_walk(c, t.l4, va_of(GLUE_L4_RESERVED_FIRST, 0, 0, 0), &walk));
    assert_false(core_walk(c, NO_MFN, tree_va(), &walk));
    assert_false(core_walk(c, t.l3, tree_va(), &walk));
    assert_false(core_walk(c, t.l4, gva(0x0000800000000000ull), &walk));
    assert_int_equal(walk.level, 5);
}

/* Only validated tables of the right level are read: what else a frame holds is the guest's. */
static void test_walk_reads_tables_of_the_right_level_only(void **state)
{
    (void)state;
    struct tree t = tree();
    struct core_walk walk;
    gva_t one_lower = va_of(L3_SLOT, L2_SLOT, L1_SLOT, 0);
    assert_int_equal(load(t.l4), 0);
    assert_false(core_walk(c, t.l3, one_lower, &walk));
    assert_int_equal(walk.level, 5);
    assert_int_equal(pin(t.data, 1), CORE_EINVAL);
    put(t.data, 0, RO(t.data));
    assert_false(core_walk(c, t.data, va_of(0, 0, 0, 0), &walk));
    assert_int_equal(walk.level, 5);
}

static void test_walk_does_not_enter_a_table_half_released(void **state)
{
    (void)state;
    struct tree t = tree();
    struct core_walk walk;
    assert_int_equal(pin(t.l4, 4), 0);
    begin(v);
    assert_int_equal(core_unpin(c, v, d, t.l4), 0);
    world_pause(w, PAUSE_ALWAYS, 0);
    assert_int_equal(core_end(c, v), CORE_RESTART);
    assert_int_equal(core_frame_uses(c, t.l4), 1);
    assert_false(core_walk(c, t.l4, tree_va(), &walk));
    world_pause(w, PAUSE_NEVER, 0);
    begin(v);
    end(v);
}

static void test_walk_covers_both_halves_of_the_address_space(void **state)
{
    (void)state;
    struct tree t = tree();
    struct core_walk walk;
    put(t.l4, WORLD_TABLE_ENTRIES - 1, TABLE(t.l3));
    assert_int_equal(load(t.l4), 0);
    gva_t high = va_of(WORLD_TABLE_ENTRIES - 1, L3_SLOT, L2_SLOT, L1_SLOT);
    assert_true(high.a >> 63);
    assert_true(core_walk(c, t.l4, high, &walk));
    assert_true(core_walk(c, t.l4, gva(high.a + 0xfff), &walk));
}

/* ---- whole pages */

static void test_clear_and_copy(void **state)
{
    (void)state;
    mfn_t a = frame(), b = frame();
    put(a, 0, 1);
    put(a, WORLD_TABLE_ENTRIES - 1, 2);
    begin(v);
    assert_int_equal(core_copy_page(c, v, d, b, a), 0);
    assert_true(get(b, 0) == 1 && get(b, WORLD_TABLE_ENTRIES - 1) == 2);
    assert_int_equal(core_clear_page(c, v, d, a), 0);
    assert_true(get(a, 0) == 0 && get(a, WORLD_TABLE_ENTRIES - 1) == 0);
    assert_int_equal(core_copy_page(c, v, d, b, b), 0);
    end(v);
    assert_true(get(b, 0) == 1);
    assert_frame(a, TYPE_WRITABLE, 0, 1);
    assert_frame(b, TYPE_WRITABLE, 0, 1);
}

static void test_a_table_is_neither_cleared_nor_copied_to(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    put(l1, 0, RO(data));
    assert_int_equal(pin(l1, 1), 0);
    begin(v);
    assert_refused(core_clear_page(c, v, d, l1), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_refused(core_copy_page(c, v, d, l1, data), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_int_equal(core_copy_page(c, v, d, data, l1), 0); /* reading one is harmless */
    assert_true(get(data, 0) == get(l1, 0));
    assert_refused(core_copy_page(c, v, d, mfn(UNIT_FRAMES), data), CORE_EINVAL,
                   REASON_NO_SUCH_FRAME, 1);
    end(v);
}

static uint8_t byte_of(mfn_t m, unsigned i)
{
    return (uint8_t)(get(m, i / 8) >> i % 8 * 8);
}

static void test_bytes_are_copied_where_they_belong(void **state)
{
    const unsigned bytes = WORLD_TABLE_ENTRIES * 8;
    (void)state;
    mfn_t a = frame(), b = frame();
    for (unsigned i = 0; i < WORLD_TABLE_ENTRIES; i++)
        put(a, i, 0x0101010101010101ull * (i % 200 + 1));
    begin(v);
    assert_int_equal(core_copy_bytes(c, v, d, b, 3, a, 17, 20), 0);
    for (unsigned i = 0; i < bytes; i++)
        assert_int_equal(byte_of(b, i), i >= 3 && i < 23 ? byte_of(a, i + 14) : 0);
    assert_int_equal(core_copy_bytes(c, v, d, b, 0, a, 0, bytes), 0);
    assert_int_equal(byte_of(b, bytes - 1), byte_of(a, bytes - 1));
    assert_int_equal(core_copy_bytes(c, v, d, b, bytes, a, bytes, 0), 0);
    end(v);
    assert_frame(a, TYPE_NONE, 0, 1);
    assert_frame(b, TYPE_WRITABLE, 0, 1);
}

static void test_bytes_beyond_a_page_are_not_copied(void **state)
{
    const unsigned bytes = WORLD_TABLE_ENTRIES * 8;
    (void)state;
    mfn_t a = frame(), b = frame();
    begin(v);
    assert_refused(core_copy_bytes(c, v, d, b, 0, a, 1, bytes), CORE_EINVAL, REASON_BAD_ADDRESS, 3);
    assert_refused(core_copy_bytes(c, v, d, b, 1, a, 0, bytes), CORE_EINVAL, REASON_BAD_ADDRESS, 3);
    assert_refused(core_copy_bytes(c, v, d, b, 0, a, ~0u, 1), CORE_EINVAL, REASON_BAD_ADDRESS, 3);
    assert_refused(core_copy_bytes(c, v, d, b, ~0u, a, 0, 1), CORE_EINVAL, REASON_BAD_ADDRESS, 3);
    assert_refused(core_copy_bytes(c, v, d, b, 0, a, 0, ~0u), CORE_EINVAL, REASON_BAD_ADDRESS, 3);
    end(v);
    assert_frame(a, TYPE_NONE, 0, 1);
    assert_frame(b, TYPE_NONE, 0, 1);
}

static void test_bytes_of_a_table_are_read_and_not_written(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    put(l1, 1, RO(data));
    assert_int_equal(pin(l1, 1), 0);
    begin(v);
    assert_refused(core_copy_bytes(c, v, d, l1, 0, data, 0, 8), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_refused(core_copy_bytes(c, v, d, l1, 0, data, 0, 0), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_int_equal(core_copy_bytes(c, v, d, data, 0, l1, 8, 8), 0);
    assert_true(get(data, 0) == get(l1, 1));
    assert_refused(core_copy_bytes(c, v, d, data, 0, mfn(UNIT_FRAMES), 0, 8), CORE_EINVAL,
                   REASON_NO_SUCH_FRAME, 1);
    end(v);
}

/* The embedding says "pause" once and may not say it again at once: a batch that asked twice in a
 * row never paused. */
static void test_r4_a_batch_pauses_when_it_is_told_to_once(void **state)
{
    (void)state;
    mfn_t l1 = frame(), data = frame();
    assert_int_equal(pin(l1, 1), 0);
    const struct core_update u[] = {
        {place(l1, 0), RO(data)}, {place(l1, 1), RO(data)}, {place(l1, 2), RO(data)}};
    unsigned done;
    world_pause(w, PAUSE_AT, 2);
    begin(v);
    assert_int_equal(core_mmu_update(c, v, d, d, u, 3, &done), CORE_RESTART);
    assert_int_equal(done, 2);
    end(v);
    assert_true(get(l1, 1) != 0 && get(l1, 2) == 0);
    assert_true(mfn_eq(v->locked, NO_MFN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_r4_a_batch_pauses_when_it_is_told_to_once),
        TEST(test_a_place_in_no_table_is_stored_to),
        TEST(test_a_descriptor_page_is_not_stored_to),
        TEST(test_preserve_ad_keeps_what_the_hardware_set),
        TEST(test_unknown_commands),
        TEST(test_a_slot_beyond_the_table),
        TEST(test_r7_m2p_is_set_for_owned_frames_only),
        TEST(test_r7_m2p_of_a_table_is_set_too),
        TEST(test_r7_m2p_forgets_a_frame_that_goes),
        TEST(test_r7_m2p_of_a_named_domain),
        TEST(test_r10_a_batch_stops_at_the_first_refusal),
        TEST(test_r10_an_empty_batch),
        TEST(test_r10_a_batch_pauses_at_every_point_and_goes_on),
        TEST(test_r10_a_batch_that_drops_many_tables),
        TEST(test_r10_a_long_batch_makes_progress_under_permanent_pressure),
        TEST(test_update_va_changes_the_entry_that_maps_the_address),
        TEST(test_update_va_without_an_l1),
        TEST(test_update_va_is_refused_like_any_update),
        TEST(test_update_va_with_a_foreign_frame),
        TEST(test_write_l1_replaces_the_entry),
        TEST(test_write_l1_of_what_is_no_l1),
        TEST(test_write_l1_with_expected),
        TEST(test_write_l1_that_loses_on_the_light_path),
        TEST(test_walk_reports_each_step),
        TEST(test_walk_stops_where_nothing_is),
        TEST(test_walk_reads_tables_of_the_right_level_only),
        TEST(test_walk_does_not_enter_a_table_half_released),
        TEST(test_walk_covers_both_halves_of_the_address_space),
        TEST(test_clear_and_copy),
        TEST(test_a_table_is_neither_cleared_nor_copied_to),
        TEST(test_bytes_are_copied_where_they_belong),
        TEST(test_bytes_beyond_a_page_are_not_copied),
        TEST(test_bytes_of_a_table_are_read_and_not_written),
    };
    return RUN(tests);
}
