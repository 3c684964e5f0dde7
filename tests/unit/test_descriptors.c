/* SPDX-License-Identifier: MIT */
/* Descriptor pages: what may stand in them, and who holds them. */
#include "unit.h"

/* Fields of an 8-byte descriptor. */
#define DESCRIPTOR(type, s, dpl)                                                                   \
    (1ull << 47 | (uint64_t)(dpl) << 45 | (uint64_t)(s) << 44 | (uint64_t)(type) << 40)
#define SELECTOR(n) ((uint64_t)(n) << 16)

static void test_descriptor_fix(void **state)
{
    (void)state;
    static const struct {
        uint64_t given, fixed;
        bool good;
    } cases[] = {
        {0, 0, true},
        {~(1ull << 47), ~(1ull << 47), true}, /* not present: anything */
        /* data and code, DPL 0 and 3, all types */
        {DESCRIPTOR(2, 1, 0), DESCRIPTOR(2, 1, 3), true},
        {DESCRIPTOR(2, 1, 3), DESCRIPTOR(2, 1, 3), true},
        {DESCRIPTOR(10, 1, 1), DESCRIPTOR(10, 1, 3), true},
        {DESCRIPTOR(15, 1, 0), DESCRIPTOR(15, 1, 3), true},
        {DESCRIPTOR(0, 1, 0), DESCRIPTOR(0, 1, 3), true},
        /* the second half of a gate */
        {DESCRIPTOR(0, 0, 0), DESCRIPTOR(0, 0, 0), true},
        {DESCRIPTOR(0, 0, 3) | 0xffff, DESCRIPTOR(0, 0, 3) | 0xffff, true},
        /* system descriptors that raise privilege: LDT, TSS, task, interrupt and trap gates */
        {DESCRIPTOR(2, 0, 0), 0, false},
        {DESCRIPTOR(9, 0, 0), 0, false},
        {DESCRIPTOR(11, 0, 0), 0, false},
        {DESCRIPTOR(5, 0, 3), 0, false},
        {DESCRIPTOR(14, 0, 3), 0, false},
        {DESCRIPTOR(15, 0, 3), 0, false},
        {DESCRIPTOR(1, 0, 3), 0, false},
        {DESCRIPTOR(4, 0, 3), 0, false}, /* a 16-bit call gate */
        /* call gates: to the guest's own selectors, DPL 0 in the gate, 3 in the selector */
        {DESCRIPTOR(12, 0, 0) | SELECTOR(0x10), DESCRIPTOR(12, 0, 0) | SELECTOR(0x13), true},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0x10), DESCRIPTOR(12, 0, 0) | SELECTOR(0x13), true},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0xdff8), DESCRIPTOR(12, 0, 0) | SELECTOR(0xdffb), true},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0xe033), DESCRIPTOR(12, 0, 0) | SELECTOR(0xe033), true},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0xfff4), DESCRIPTOR(12, 0, 0) | SELECTOR(0xfff7), true},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0xe000), 0, false},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0xe008), 0, false},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0xe030), 0, false},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0xfff8), 0, false},
        /* reserved bits of a gate */
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0x10) | 1ull << 32, 0, false},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0x10) | 1ull << 39, 0, false},
        {DESCRIPTOR(12, 0, 3) | SELECTOR(0x10) | 1ull << 48 | 0xffff,
         DESCRIPTOR(12, 0, 0) | SELECTOR(0x13) | 1ull << 48 | 0xffff, true},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t x = cases[i].given;
        bool good = core_descriptor_fix(&x);
        if (good != cases[i].good || (good && x != cases[i].fixed))
            fail_msg("case %u: %s, %llx", i, good ? "good" : "bad", (unsigned long long)x);
    }
}

static void test_fixing_twice_changes_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t once = world_random(w);
        if (!core_descriptor_fix(&once))
            continue;
        uint64_t twice = once;
        assert_true(core_descriptor_fix(&twice));
        assert_true(once == twice);
    }
}

/* ---- GDT */

static int set_gdt(const mfn_t *frames, unsigned n)
{
    begin(v);
    int rc = core_set_gdt(c, v, frames, n, n * 512);
    end(v);
    return rc;
}

static void test_gdt_frames_are_validated_and_fixed(void **state)
{
    (void)state;
    mfn_t m = frame();
    put(m, 0, DESCRIPTOR(10, 1, 0));
    put(m, WORLD_TABLE_ENTRIES - 1, DESCRIPTOR(12, 0, 3) | SELECTOR(8));
    assert_int_equal(set_gdt(&m, 1), 0);
    assert_frame(m, TYPE_DESC, 1, 2);
    assert_true(get(m, 0) == DESCRIPTOR(10, 1, 3));
    assert_true(get(m, WORLD_TABLE_ENTRIES - 1) == (DESCRIPTOR(12, 0, 0) | SELECTOR(11)));
    assert_int_equal(v->gdt_entries, 512);
    assert_int_equal(set_gdt(NULL, 0), 0);
    assert_frame(m, TYPE_DESC, 0, 1);
}

static void test_gdt_with_a_bad_descriptor_anywhere(void **state)
{
    (void)state;
    for (unsigned slot = 0; slot < WORLD_TABLE_ENTRIES; slot++) {
        mfn_t m = frame();
        put(m, slot, DESCRIPTOR(9, 0, 0));
        assert_refused(set_gdt(&m, 1), CORE_EINVAL, REASON_BAD_DESCRIPTOR, 2);
        assert_true(v->refusal.value == DESCRIPTOR(9, 0, 0));
        assert_int_equal(v->refusal.wanted, TYPE_DESC);
        assert_int_equal(core_frame_uses(c, m), 0);
        put(m, slot, 0);
        assert_int_equal(set_gdt(&m, 1), 0);
        assert_int_equal(set_gdt(NULL, 0), 0);
        assert_int_equal(decrease(m), 0);
    }
}

static void test_gdt_refused_leaves_the_old_one(void **state)
{
    (void)state;
    mfn_t a = frame(), b = frame(), bad = frame(), l1 = frame();
    put(bad, 1, DESCRIPTOR(2, 0, 0));
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(set_gdt(&a, 1), 0);
    const mfn_t lists[][2] = {{b, bad}, {b, l1}, {b, frame_of_other()}, {b, NO_MFN}};
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(set_gdt(lists[i], 2), CORE_EINVAL);
        assert_frame(b, TYPE_DESC, 0, 1);
        assert_frame(a, TYPE_DESC, 1, 2);
        assert_true(mfn_eq(v->gdt[0], a));
        assert_int_equal(v->gdt_entries, 512);
    }
}

static void test_gdt_of_14_frames_and_not_more(void **state)
{
    (void)state;
    mfn_t list[CORE_GDT_FRAMES + 1];
    for (unsigned i = 0; i <= CORE_GDT_FRAMES; i++)
        list[i] = frame();
    assert_int_equal(set_gdt(list, CORE_GDT_FRAMES), 0);
    assert_refused(set_gdt(list, CORE_GDT_FRAMES + 1), CORE_EINVAL, REASON_BAD_ADDRESS, 2);
    assert_true(mfn_eq(v->gdt[CORE_GDT_FRAMES - 1], list[CORE_GDT_FRAMES - 1]));
    assert_int_equal(set_gdt(list, 2), 0);
    assert_frame(list[5], TYPE_DESC, 0, 1);
    assert_true(mfn_eq(v->gdt[2], NO_MFN));
}

static void test_gdt_with_the_same_frame_again(void **state)
{
    (void)state;
    mfn_t m = frame();
    const mfn_t list[] = {m, m, m};
    assert_int_equal(set_gdt(list, 3), 0);
    assert_frame(m, TYPE_DESC, 3, 4);
    assert_int_equal(set_gdt(list, 1), 0);
    assert_int_equal(set_gdt(list, 1), 0);
    assert_frame(m, TYPE_DESC, 1, 2);
    begin(v2);
    assert_int_equal(core_set_gdt(c, v2, list, 1, 8), 0);
    end(v2);
    assert_frame(m, TYPE_DESC, 2, 3);
}

static void test_gdt_frame_that_is_mapped(void **state)
{
    (void)state;
    mfn_t l1 = frame(), m = frame();
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(update(l1, 0, RO(m)), 0);
    assert_int_equal(set_gdt(&m, 1), 0);
    assert_refused(update(l1, 1, RW(m)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    assert_int_equal(set_gdt(NULL, 0), 0);
    assert_int_equal(update(l1, 1, RW(m)), 0);
    assert_refused(set_gdt(&m, 1), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
}

static void test_gdt_content_is_judged_anew_after_a_write(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(set_gdt(&m, 1), 0);
    assert_int_equal(set_gdt(NULL, 0), 0);
    assert_int_equal(update(m, 0, DESCRIPTOR(9, 0, 0)), 0);
    assert_refused(set_gdt(&m, 1), CORE_EINVAL, REASON_BAD_DESCRIPTOR, 2);
}

/* ---- LDT */

static int set_ldt(gva_t base, unsigned entries, bool *changed)
{
    begin(v);
    int rc = core_set_ldt(c, v, base, entries, changed);
    end(v);
    return rc;
}

static void test_ldt_place(void **state)
{
    (void)state;
    bool changed;
    gva_t base = va_of(1, 0, 0, 0);
    assert_int_equal(set_ldt(base, 8192, &changed), 0);
    assert_true(changed);
    assert_int_equal(set_ldt(base, 8192, &changed), 0);
    assert_false(changed);
    assert_refused(set_ldt(base, 8193, &changed), CORE_EINVAL, REASON_BAD_ADDRESS, 2);
    assert_refused(set_ldt(gva(base.a + 8), 1, &changed), CORE_EINVAL, REASON_BAD_ADDRESS, 2);
    assert_false(changed);
    assert_true(v->ldt_base.a == base.a && v->ldt_entries == 8192);
    assert_int_equal(set_ldt(base, 4, &changed), 0);
    assert_true(changed);
    assert_int_equal(set_ldt(gva(0x123), 0, &changed), 0); /* none: the address means nothing */
    assert_true(changed && v->ldt_base.a == 0 && v->ldt_entries == 0);
    assert_int_equal(set_ldt(gva(0x456), 0, &changed), 0);
    assert_false(changed);
}

/* The tree with its data page mapped read-only, as an LDT must be. */
static struct tree ldt_tree(void)
{
    struct tree t = tree();
    put(t.l1, L1_SLOT, RO(t.data));
    assert_int_equal(load(t.l4), 0);
    return t;
}

static int ldt_page(unsigned index, mfn_t *m)
{
    begin(v);
    int rc = core_ldt_page(c, v, index, m);
    end(v);
    return rc;
}

static void test_ldt_pages_are_taken_on_demand(void **state)
{
    (void)state;
    bool changed;
    mfn_t m;
    struct tree t = ldt_tree();
    assert_int_equal(set_ldt(tree_va(), 512, &changed), 0);
    assert_frame(t.data, TYPE_NONE, 0, 2);
    assert_int_equal(ldt_page(0, &m), 0);
    assert_true(mfn_eq(m, t.data));
    assert_frame(t.data, TYPE_DESC, 1, 3);
    assert_int_equal(ldt_page(0, &m), 0);
    assert_frame(t.data, TYPE_DESC, 1, 3);
    assert_refused(update(t.l1, 0, RW(t.data)), CORE_EBUSY, REASON_TYPE_IN_USE, 2);
    core_drop_ldt(c, v);
    assert_frame(t.data, TYPE_DESC, 0, 2);
    assert_true(v->ldt_entries == 512);
    assert_int_equal(ldt_page(0, &m), 0);
    assert_int_equal(set_ldt(tree_va(), 511, &changed), 0);
    assert_frame(t.data, TYPE_DESC, 0, 2);
}

static void test_ldt_page_that_moved(void **state)
{
    (void)state;
    bool changed;
    mfn_t m, next = frame();
    struct tree t = ldt_tree();
    assert_int_equal(set_ldt(tree_va(), 512, &changed), 0);
    assert_int_equal(ldt_page(0, &m), 0);
    assert_int_equal(update_va(tree_va(), RO(next)), 0);
    assert_int_equal(ldt_page(0, &m), 0);
    assert_true(mfn_eq(m, next));
    assert_frame(t.data, TYPE_DESC, 0, 1);
    assert_frame(next, TYPE_DESC, 1, 3);
}

static void test_ldt_page_refused(void **state)
{
    (void)state;
    bool changed;
    mfn_t m;
    struct tree t = ldt_tree();
    assert_refused(ldt_page(0, &m), CORE_EINVAL, REASON_BAD_ADDRESS, 2);
    assert_int_equal(set_ldt(tree_va(), 513, &changed), 0);
    assert_refused(ldt_page(2, &m), CORE_EINVAL, REASON_BAD_ADDRESS, 2);
    assert_refused(ldt_page(CORE_LDT_FRAMES, &m), CORE_EINVAL, REASON_BAD_ADDRESS, 2);
    assert_refused(ldt_page(1, &m), CORE_EINVAL, REASON_NO_L1, 2); /* nothing mapped there */
    put(t.data, 2, DESCRIPTOR(9, 0, 0));
    assert_refused(ldt_page(0, &m), CORE_EINVAL, REASON_BAD_DESCRIPTOR, 2);
    assert_int_equal(update(t.data, 2, 0), 0);
    assert_int_equal(update_va(tree_va(), RW(t.data)), 0);
    assert_refused(ldt_page(0, &m), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
}

/* ---- update_descriptor */

static int set_descriptor(mfn_t m, unsigned offset, uint64_t x)
{
    begin(v);
    int rc = core_update_descriptor(c, v, mfn_address(m, offset), x);
    end(v);
    return rc;
}

static void test_update_descriptor(void **state)
{
    (void)state;
    mfn_t gdt = frame(), plain = frame(), l1 = frame();
    assert_int_equal(set_gdt(&gdt, 1), 0);
    assert_int_equal(pin(l1, 1), 0);
    assert_int_equal(set_descriptor(gdt, 8, DESCRIPTOR(2, 1, 0)), 0);
    assert_true(get(gdt, 1) == DESCRIPTOR(2, 1, 3));
    assert_frame(gdt, TYPE_DESC, 1, 2);
    assert_int_equal(set_descriptor(plain, 0, DESCRIPTOR(2, 1, 0)), 0);
    assert_true(get(plain, 0) == DESCRIPTOR(2, 1, 3));
    assert_frame(plain, TYPE_WRITABLE, 0, 1);
    assert_refused(set_descriptor(gdt, 8, DESCRIPTOR(9, 0, 0)), CORE_EINVAL, REASON_BAD_DESCRIPTOR,
                   2);
    assert_true(get(gdt, 1) == DESCRIPTOR(2, 1, 3));
    assert_refused(set_descriptor(gdt, 4, 0), CORE_EINVAL, REASON_BAD_ADDRESS, 2);
    assert_refused(set_descriptor(l1, 0, 0), CORE_EINVAL, REASON_TYPE_IN_USE, 2);
    assert_refused(set_descriptor(mfn(UNIT_FRAMES), 0, 0), CORE_EINVAL, REASON_NO_SUCH_FRAME, 1);
    if (WORLD_TABLE_ENTRIES < 512)
        assert_refused(set_descriptor(gdt, 4088, 0), CORE_EINVAL, REASON_BAD_ADDRESS, 2);
}

static void test_update_of_a_page_that_was_one(void **state)
{
    (void)state;
    mfn_t m = frame();
    assert_int_equal(set_gdt(&m, 1), 0);
    assert_int_equal(set_gdt(NULL, 0), 0);
    assert_int_equal(set_descriptor(m, 0, DESCRIPTOR(2, 1, 0)), 0);
    assert_int_equal(core_frame_uses(c, m), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_descriptor_fix),
        TEST(test_fixing_twice_changes_nothing),
        TEST(test_gdt_frames_are_validated_and_fixed),
        TEST(test_gdt_with_a_bad_descriptor_anywhere),
        TEST(test_gdt_refused_leaves_the_old_one),
        TEST(test_gdt_of_14_frames_and_not_more),
        TEST(test_gdt_with_the_same_frame_again),
        TEST(test_gdt_frame_that_is_mapped),
        TEST(test_gdt_content_is_judged_anew_after_a_write),
        TEST(test_ldt_place),
        TEST(test_ldt_pages_are_taken_on_demand),
        TEST(test_ldt_page_that_moved),
        TEST(test_ldt_page_refused),
        TEST(test_update_descriptor),
        TEST(test_update_of_a_page_that_was_one),
    };
    return RUN(tests);
}
