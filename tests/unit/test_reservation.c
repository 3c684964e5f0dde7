/* SPDX-License-Identifier: MIT */
/* How much memory a domain has: populate, increase, decrease, exchange, relinquish (R1, R7). */
#include "unit.h"

static int populate(pfn_t p, unsigned order, mfn_t *m)
{
    begin(v);
    int rc = core_populate(c, v, d, p, order, CORE_NO_LIMIT, m);
    end(v);
    return rc;
}

static void test_populate_enters_the_pfns(void **state)
{
    (void)state;
    mfn_t m;
    assert_int_equal(populate(pfn(0x100), 2, &m), 0);
    for (uint64_t i = 0; i < 4; i++) {
        assert_frame(mfn(m.n + i), TYPE_NONE, 0, 1);
        assert_int_equal(core_frame_owner(c, mfn(m.n + i)), d->id);
        assert_true(w->m2p[m.n + i] == 0x100 + i);
    }
    assert_int_equal(d->frames, 4);
}

static void test_increase_knows_no_pfns(void **state)
{
    (void)state;
    mfn_t m;
    begin(v);
    assert_int_equal(core_increase(c, v, d, 1, CORE_NO_LIMIT, &m), 0);
    end(v);
    assert_true(w->m2p[m.n] == NO_PFN.n && w->m2p[m.n + 1] == NO_PFN.n);
    assert_int_equal(d->frames, 2);
}

static void test_populate_stops_at_the_maximum(void **state)
{
    (void)state;
    mfn_t m;
    d->max_frames = 3;
    assert_int_equal(populate(pfn(0), 1, &m), 0);
    assert_refused(populate(pfn(2), 1, &m), CORE_ENOMEM, REASON_NO_MEMORY, 1);
    assert_int_equal(populate(pfn(2), 0, &m), 0);
    assert_refused(populate(pfn(3), 0, &m), CORE_ENOMEM, REASON_NO_MEMORY, 1);
    assert_int_equal(d->frames, 3);
}

static void test_populate_without_free_frames(void **state)
{
    (void)state;
    mfn_t m;
    w->take_fail_at = 2;
    assert_int_equal(populate(pfn(0), 0, &m), 0);
    assert_refused(populate(pfn(1), 0, &m), CORE_ENOMEM, REASON_NO_MEMORY, 1);
    assert_int_equal(d->frames, 1);
}

/* An order comes from the guest as it is: it must not be shifted by before it is looked at. */
static void test_populate_of_any_order(void **state)
{
    (void)state;
    mfn_t m;
    d->max_frames = ~0ull;
    for (unsigned order = 6; order < 80; order++)
        assert_refused(populate(pfn(0), order, &m), CORE_ENOMEM, REASON_NO_MEMORY, 1);
    assert_refused(populate(pfn(0), ~0u, &m), CORE_ENOMEM, REASON_NO_MEMORY, 1);
}

/* ---- decrease */

static void test_decrease_gives_a_frame_back(void **state)
{
    (void)state;
    mfn_t m;
    assert_int_equal(populate(pfn(5), 0, &m), 0);
    assert_int_equal(decrease(m), 0);
    assert_free(m);
    assert_int_equal(d->frames, 0);
    assert_refused(decrease(m), CORE_ENXIO, REASON_FOREIGN_FRAME, 8);
}

static void test_decrease_drops_the_allocation_once(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(pin(m, 1), 0);
    assert_frame(m, TYPE_L1, 1, 2);
    assert_int_equal(decrease(m), 0);
    assert_int_equal(decrease(m), 0);
    assert_frame(m, TYPE_L1, 1, 1);
    assert_int_equal(d->frames, 1);
    assert_int_equal(unpin(m), 0);
    assert_free(m);
}

static void test_decrease_of_what_is_not_the_domains(void **state)
{
    (void)state;
    assert_refused(decrease(frame_of_other()), CORE_ENXIO, REASON_FOREIGN_FRAME, 8);
    assert_refused(decrease(free_frame()), CORE_ENXIO, REASON_FOREIGN_FRAME, 8);
    assert_refused(decrease(device_frame()), CORE_ENXIO, REASON_NOT_RAM, 8);
    assert_refused(decrease(mfn(UNIT_FRAMES)), CORE_EINVAL, REASON_NO_SUCH_FRAME, 1);
    assert_refused(decrease(mfn(WORLD_SHARED_FRAME)), CORE_EINVAL, REASON_FRAME_HELD, 1);
    assert_frame(mfn(WORLD_SHARED_FRAME), TYPE_WRITABLE, 1, 1);
}

/* ---- exchange */

static uint64_t limit_of_exchange = CORE_NO_LIMIT;

static int exchange(const mfn_t *in, unsigned nr_in, unsigned in_order, mfn_t *out, unsigned nr_out,
                    unsigned out_order)
{
    pfn_t pfns[16];
    for (unsigned i = 0; i < 16; i++)
        pfns[i] = pfn(0x40 + 16 * i);
    begin(v);
    int rc = core_exchange(c, v, d, in, nr_in, in_order, pfns, out, nr_out, out_order,
                           limit_of_exchange);
    end(v);
    return rc;
}

static void test_exchange_swaps_single_frames_for_a_contiguous_piece(void **state)
{
    (void)state;
    mfn_t in[4], out;
    for (unsigned i = 0; i < 4; i++)
        in[i] = frame();
    assert_int_equal(exchange(in, 4, 0, &out, 1, 2), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_free(in[i]);
        assert_frame(mfn(out.n + i), TYPE_NONE, 0, 1);
        assert_true(w->m2p[out.n + i] == 0x40 + i);
    }
    assert_int_equal(d->frames, 4);
}

/* Below a limit, or not at all. */
static void test_exchange_keeps_to_the_limit(void **state)
{
    (void)state;
    mfn_t in[4], out[4];
    for (unsigned i = 0; i < 4; i++)
        in[i] = frame();
    for (uint64_t limit = 1; limit <= UNIT_FRAMES; limit++) {
        limit_of_exchange = limit;
        int rc = exchange(in, 4, 0, out, 4, 0);
        if (rc == 0)
            for (unsigned i = 0; i < 4; i++)
                assert_true(out[i].n < limit);
        else
            assert_int_equal(rc, CORE_ENOMEM);
        assert_int_equal(d->frames, 4);
        memcpy(in, rc ? in : out, sizeof(in));
    }
    limit_of_exchange = CORE_NO_LIMIT;
}

static void test_exchange_swaps_a_piece_for_single_frames(void **state)
{
    (void)state;
    mfn_t in, out[4];
    assert_int_equal(populate(pfn(0), 2, &in), 0);
    assert_int_equal(exchange(&in, 1, 2, out, 4, 0), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_free(mfn(in.n + i));
        assert_true(w->m2p[out[i].n] == 0x40 + 16 * i);
    }
}

/* The refused exchange has no effect: every input is as it was. */
static void refuse_exchange(const mfn_t *in, unsigned n, int error, enum core_reason reason)
{
    mfn_t out[16];
    uint64_t frames = d->frames, given = w->given, taken = w->taken;
    assert_refused(exchange(in, n, 0, out, n, 0), error, reason, 1);
    assert_int_equal(d->frames, frames);
    assert_true(error == CORE_ENOMEM || w->taken == taken);
    assert_true(error == CORE_ENOMEM || w->given == given);
}

static void test_exchange_with_an_input_that_cannot_go(void **state)
{
    (void)state;
    mfn_t l1 = frame(), mapped = frame(), good = frame(), gone = frame();
    put(l1, 0, RO(mapped));
    put(l1, 1, RO(gone));
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(decrease(gone), 0);
    const mfn_t bad[] = {l1,
                         mapped,
                         gone,
                         free_frame(),
                         device_frame(),
                         frame_of_other(),
                         NO_MFN,
                         mfn(UNIT_FRAMES),
                         mfn(WORLD_SHARED_FRAME),
                         mfn(WORLD_HYPERVISOR_FRAME)};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const mfn_t first[] = {bad[i], good}, second[] = {good, bad[i]};
        refuse_exchange(first, 2, CORE_EINVAL, REASON_FRAME_HELD);
        refuse_exchange(second, 2, CORE_EINVAL, REASON_FRAME_HELD);
        assert_frame(good, TYPE_NONE, 0, 1);
    }
}

static void test_exchange_with_the_same_frame_twice(void **state)
{
    (void)state;
    mfn_t a = frame(), b = frame();
    const mfn_t in[] = {a, b, a};
    refuse_exchange(in, 3, CORE_EINVAL, REASON_FRAME_HELD);
    assert_frame(a, TYPE_NONE, 0, 1);
    assert_frame(b, TYPE_NONE, 0, 1);
}

static void test_exchange_with_overlapping_pieces(void **state)
{
    (void)state;
    mfn_t in[2], out[16];
    assert_int_equal(populate(pfn(0), 2, &in[0]), 0);
    in[1] = mfn(in[0].n + 1);
    assert_refused(exchange(in, 2, 1, out, 4, 0), CORE_EINVAL, REASON_FRAME_HELD, 1);
    assert_int_equal(d->frames, 4);
}

static void test_exchange_when_frames_run_out_at_each_take(void **state)
{
    (void)state;
    mfn_t in[8];
    for (unsigned i = 0; i < 8; i++)
        in[i] = frame();
    for (unsigned at = 1; at <= 8; at++) {
        w->take_fail_at = at;
        refuse_exchange(in, 8, CORE_ENOMEM, REASON_NO_MEMORY);
        for (unsigned i = 0; i < 8; i++)
            assert_frame(in[i], TYPE_NONE, 0, 1);
        assert_null(world_check_free(w));
    }
}

static void test_exchange_of_pieces_gives_each_frame_back_when_one_is_missing(void **state)
{
    (void)state;
    mfn_t in[8], out[2];
    for (unsigned i = 0; i < 8; i++)
        in[i] = frame();
    w->take_fail_at = 2;
    assert_refused(exchange(in, 8, 0, out, 2, 2), CORE_ENOMEM, REASON_NO_MEMORY, 1);
    assert_null(world_check_free(w));
}

static void test_exchange_sizes(void **state)
{
    (void)state;
    mfn_t m = frame(), out[16];
    const struct {
        unsigned nr_in, in_order, nr_out, out_order;
    } bad[] = {{1, 0, 2, 0},  {2, 0, 1, 0},  {1, 1, 1, 0},    {CORE_EXCHANGE_MAX + 1, 0, 1, 0},
               {1, 10, 2, 9}, {2, 9, 1, 10}, {1, 64, 1, 0},   {1, 0, 1, 64},
               {1, 0, 0, 0},  {0, 0, 1, 0},  {~0u, 0, ~0u, 0}};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused(
            exchange(&m, bad[i].nr_in, bad[i].in_order, out, bad[i].nr_out, bad[i].out_order),
            CORE_EINVAL, REASON_BAD_ADDRESS, 1);
    assert_int_equal(exchange(&m, 0, 0, out, 0, 0), 0);
    assert_frame(m, TYPE_NONE, 0, 1);
}

static void test_exchange_of_a_frame_that_was_a_table(void **state)
{
    (void)state;
    mfn_t m = frame(), out;
    assert_int_equal(pin(m, 4), 0);
    assert_int_equal(unpin(m), 0);
    assert_int_equal(exchange(&m, 1, 0, &out, 1, 0), 0);
    assert_free(m);
}

/* ---- relinquish */

static void test_relinquish_frees_everything(void **state)
{
    (void)state;
    struct tree t = tree(), half = tree();
    mfn_t gdt = frame();
    bool changed;
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(load_user(half.l4), 0);
    assert_int_equal(pin(half.l2, 2), 0);
    assert_int_equal(decrease(half.l1), 0);
    begin(v);
    assert_int_equal(core_set_gdt(c, v, &gdt, 1, 8), 0);
    assert_int_equal(core_set_ldt(c, v, tree_va(), 8, &changed), 0);
    assert_int_equal(core_hold_writable(c, v, frame()), 0);
    end(v);
    world_relinquish(w, 0);
    assert_int_equal(d->frames, 0);
    assert_int_equal(v->ldt_entries, 0);
    assert_audit_clean();
    world_relinquish(w, 1);
}

static void test_relinquish_with_the_shared_frame_mapped(void **state)
{
    (void)state;
    struct tree t = tree();
    mfn_t shared = mfn(WORLD_SHARED_FRAME);
    put(t.l1, 0, RW(shared));
    put(t.l1, 1, RO(shared));
    assert_int_equal(load(t.l4), 0);
    assert_int_equal(pin(t.l1, 1), 0);
    world_pause(w, PAUSE_ALWAYS, 0);
    while (core_relinquish(c, d) == CORE_RESTART)
        assert_audit_clean();
    assert_audit_clean();
    assert_frame(shared, TYPE_NONE, 0, 0);
    world_relinquish(w, 1);
}

static void test_relinquish_while_another_maps_the_shared_frame(void **state)
{
    (void)state;
    mfn_t l1 = frame(), shared = mfn(WORLD_SHARED_FRAME + 1);
    d->controls_all = true;
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update_for(d, other, l1, 0, RW(shared)), 0);
    world_relinquish(w, 1);
    assert_audit_clean();
    assert_frame(shared, TYPE_WRITABLE, 1, 1);
    assert_int_equal(update(l1, 0, 0), 0);
    assert_frame(shared, TYPE_NONE, 0, 0);
    assert_false(w->free[shared.n]); /* the hypervisor's, as before */
}

/* Where no vCPU is left, relinquish works as a vCPU of its own, which was born with frame 0 for its
 * locked table: a table there was put aside instead of released, and never freed. */
static void test_relinquish_without_vcpus_frees_a_table_in_frame_0(void **state)
{
    (void)state;
    mfn_t l2 = frame(), zero = mfn(0);
    assert_int_equal(core_assign(c, d, zero), 0);
    put(zero, 1, 0);
    put(l2, 0, TABLE(zero));
    assert_int_equal(pin(l2, 2), 0);
    d->vcpus = NULL;
    assert_int_equal(core_relinquish(c, d), 0);
    assert_int_equal(d->frames, 0);
    assert_frame(zero, TYPE_NONE, 0, 0);
    assert_free(l2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_populate_enters_the_pfns),
        TEST_DEAD(test_relinquish_without_vcpus_frees_a_table_in_frame_0),
        TEST(test_increase_knows_no_pfns),
        TEST(test_populate_stops_at_the_maximum),
        TEST(test_populate_without_free_frames),
        TEST(test_populate_of_any_order),
        TEST(test_decrease_gives_a_frame_back),
        TEST(test_decrease_drops_the_allocation_once),
        TEST(test_decrease_of_what_is_not_the_domains),
        TEST(test_exchange_swaps_single_frames_for_a_contiguous_piece),
        TEST(test_exchange_keeps_to_the_limit),
        TEST(test_exchange_swaps_a_piece_for_single_frames),
        TEST(test_exchange_with_an_input_that_cannot_go),
        TEST(test_exchange_with_the_same_frame_twice),
        TEST(test_exchange_with_overlapping_pieces),
        TEST(test_exchange_when_frames_run_out_at_each_take),
        TEST(test_exchange_of_pieces_gives_each_frame_back_when_one_is_missing),
        TEST(test_exchange_sizes),
        TEST(test_exchange_of_a_frame_that_was_a_table),
        TEST_DEAD(test_relinquish_frees_everything),
        TEST_DEAD(test_relinquish_with_the_shared_frame_mapped),
        TEST(test_relinquish_while_another_maps_the_shared_frame),
    };
    return RUN(tests);
}
