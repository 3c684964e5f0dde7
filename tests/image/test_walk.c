/* SPDX-License-Identifier: MIT */
/* Virtual addresses: where a walk ends and why, by the words of a mapping and by reading alike. */
#include "flat.h"

#include <string.h>

#define FLAGS (PTE_PRESENT | PTE_RW)

/* Slot n of the table of level n, in frame n. */
#define VA (4ull << 39 | 3ull << 30 | 2ull << 21 | 1ull << 12)

static void chain(struct flat *f, unsigned top)
{
    for (unsigned level = top; level >= 1; level--)
        f->frame[level][level] = pte_make(mfn(level == 1 ? 20 : level - 1), FLAGS);
}

static void every_level_is_told(void **state)
{
    (void)state;
    static struct flat f;
    for (unsigned words = 0; words < 2; words++) {
        struct pv_walk w;
        flat_init(&f, words, 8);
        chain(&f, 4);
        assert_true(pv_walk(&f.view, mfn(4), gva(VA + 0x123), &w));
        assert_int_equal(w.top, 4);
        assert_int_equal(w.level, 1);
        assert_int_equal(w.to.a, 20 * 4096 + 0x123);
        for (unsigned level = 1; level <= 4; level++) {
            assert_int_equal(w.at[level].a, level * 4096 + level * 8);
            assert_int_equal(w.entry[level], f.frame[level][level]);
        }
        assert_int_equal(f.reads, words ? 0 : 4);
    }
}

static void it_ends_where_nothing_is(void **state)
{
    (void)state;
    static struct flat f;
    for (unsigned words = 0; words < 2; words++)
        for (unsigned level = 1; level <= 4; level++) {
            struct pv_walk w;
            flat_init(&f, words, 8);
            chain(&f, 4);
            f.frame[level][level] &= ~PTE_PRESENT;
            assert_false(pv_walk(&f.view, mfn(4), gva(VA), &w));
            assert_int_equal(w.level, level);
            assert_false(w.present || w.absent);
            if (level == 1)
                continue;
            /* The next table is not in the image. */
            f.frame[level][level] = pte_make(mfn(FLAT_FRAMES + 9), FLAGS);
            assert_false(pv_walk(&f.view, mfn(4), gva(VA), &w));
            assert_int_equal(w.level, level - 1);
            assert_true(w.absent);
            assert_int_equal(w.at[level - 1].a >> 12, FLAT_FRAMES + 9);
        }
}

static void superpages_are_followed(void **state)
{
    (void)state;
    static struct flat f;
    struct pv_walk w;
    flat_init(&f, true, 8);
    chain(&f, 4);
    f.frame[2][2] = pte_make(mfn(0x4600), FLAGS | PTE_PSE);
    assert_true(pv_walk(&f.view, mfn(4), gva(VA + 0x123), &w));
    assert_int_equal(w.level, 2);
    assert_int_equal(w.to.a, 0x4601123);
    f.frame[3][3] = pte_make(mfn(0x80000), FLAGS | PTE_PSE);
    assert_true(pv_walk(&f.view, mfn(4), gva(VA + 0x123), &w));
    assert_int_equal(w.level, 3);
    assert_int_equal(w.to.a, 0x80401123);
    /* An L4 entry has no such bit. */
    chain(&f, 4);
    f.frame[4][4] |= PTE_PSE;
    assert_true(pv_walk(&f.view, mfn(4), gva(VA), &w));
    assert_int_equal(w.level, 1);
}

static void addresses_that_are_none(void **state)
{
    (void)state;
    static struct flat f;
    const uint64_t bad[] = {1ull << 47, 0xffff7fffffffffff, 1ull << 63, 0xfffull << 52};
    struct pv_walk w;
    flat_init(&f, true, 8);
    for (unsigned i = 0; i < 512; i++)
        f.frame[9][i] = pte_make(mfn(9), FLAGS);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_false(pv_walk(&f.view, mfn(9), gva(bad[i]), &w));
        assert_int_equal(w.level, 0);
    }
    assert_true(pv_walk(&f.view, mfn(9), gva((1ull << 47) - 1), &w));
    assert_true(pv_walk(&f.view, mfn(9), gva(0xffff800000000000), &w));
    assert_true(pv_walk(&f.view, mfn(9), gva(~0ull), &w));
    assert_false(pv_walk(&f.view, NO_MFN, gva(0), &w));
}

static void thirty_two_bits(void **state)
{
    (void)state;
    static struct flat f;
    struct pv_walk w;
    for (unsigned words = 0; words < 2; words++) {
        flat_init(&f, words, 4);
        chain(&f, 3);
        assert_true(pv_walk(&f.view, mfn(3), gva(3ull << 30 | 2 << 21 | 1 << 12 | 0x77), &w));
        assert_int_equal(w.top, 3);
        assert_int_equal(w.level, 1);
        assert_int_equal(w.to.a, 20 * 4096 + 0x77);
        assert_false(pv_walk(&f.view, mfn(3), gva(1ull << 32), &w));
        assert_int_equal(w.level, 0);
        assert_false(pv_walk(&f.view, mfn(3), gva(VA), &w));
        f.frame[2][2] = pte_make(mfn(0x1600), FLAGS | PTE_PSE);
        assert_true(pv_walk(&f.view, mfn(3), gva(3ull << 30 | 2 << 21 | 1 << 12 | 0x77), &w));
        assert_int_equal(w.to.a, 0x1601077);
    }
}

static void reading_ends_where_the_mapping_does(void **state)
{
    (void)state;
    static struct flat f;
    uint8_t bytes[3 * 4096];
    flat_init(&f, true, 8);
    chain(&f, 4);
    f.frame[1][2] = pte_make(mfn(21), FLAGS);
    memset(f.frame[20], 20, 4096);
    memset(f.frame[21], 21, 4096);
    assert_int_equal(pv_read_va(&f.view, mfn(4), gva(VA + 4000), bytes, sizeof(bytes)), 96 + 4096);
    for (unsigned i = 0; i < 96 + 4096; i++)
        assert_int_equal(bytes[i], i < 96 ? 20 : 21);
    assert_int_equal(pv_read_va(&f.view, mfn(4), gva(VA - 1), bytes, sizeof(bytes)), 0);
    /* It does not go on at 0 behind the end. */
    for (unsigned i = 0; i < 512; i++)
        f.frame[9][i] = pte_make(mfn(9), FLAGS);
    assert_int_equal(pv_read_va(&f.view, mfn(9), gva(~0ull - 9), bytes, sizeof(bytes)), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_is_told),
        cmocka_unit_test(it_ends_where_nothing_is),
        cmocka_unit_test(superpages_are_followed),
        cmocka_unit_test(addresses_that_are_none),
        cmocka_unit_test(thirty_two_bits),
        cmocka_unit_test(reading_ends_where_the_mapping_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
