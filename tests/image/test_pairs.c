/* SPDX-License-Identifier: MIT */
/* The tables that pfns and mfns are looked up in, against a search from the first to the last. */
#include "made.h"

#include "../../image/internal.h"

static uint64_t state_of_chance = 88172645463325252ull;

static uint64_t chance(void)
{
    state_of_chance ^= state_of_chance << 13;
    state_of_chance ^= state_of_chance >> 7;
    state_of_chance ^= state_of_chance << 17;
    return state_of_chance;
}

/* The first added of the lowest key that is `key` or above. */
static const struct pv_pair *search(const struct pv_pairs *p, uint64_t key)
{
    const struct pv_pair *best = NULL;
    for (size_t i = 0; i < p->n; i++) {
        const struct pv_pair *pair = &p->pair[i];
        if (pair->key < key)
            continue;
        if (!best || pair->key < best->key || (pair->key == best->key && pair->value < best->value))
            best = pair;
    }
    return best;
}

static void assert_found(const struct pv_pairs *p, uint64_t key)
{
    const struct pv_pair *expected = search(p, key);
    assert_ptr_equal(pv_pairs_from(p, key), expected);
    assert_ptr_equal(pv_pairs_find(p, key), expected && expected->key == key ? expected : NULL);
}

/* Keys below 2^bits, some of them more than once. */
static void try_table(unsigned n, unsigned bits)
{
    struct pv_pairs p = {0};
    for (unsigned i = 0; i < n; i++)
        assert_true(pv_pairs_add(&p, chance() >> (64 - bits), i));
    assert_true(pv_pairs_sort(&p));
    assert_int_equal(p.n, n);
    for (unsigned i = 1; i < n; i++)
        assert_true(p.pair[i - 1].key < p.pair[i].key ||
                    (p.pair[i - 1].key == p.pair[i].key && p.pair[i - 1].value < p.pair[i].value));
    for (unsigned i = 0; i < n; i++) {
        assert_found(&p, p.pair[i].key);
        assert_found(&p, p.pair[i].key + 1);
        assert_found(&p, chance() >> (64 - bits));
    }
    assert_found(&p, 0);
    assert_found(&p, ~0ull);
    assert_true(n == 0 || pv_pairs_add(&p, ~0ull, n)); /* it can grow on */
    pv_pairs_free(&p);
}

static void whatever_is_there_is_found(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 70; n++)
        for (unsigned bits = 1; bits <= 64; bits += 7)
            try_table(n, bits);
    try_table(3000, 11);
    try_table(3000, 33);
}

static void a_dense_table_is_found(void **state)
{
    (void)state;
    struct pv_pairs p = {0};
    for (unsigned i = 0; i < 2000; i++)
        assert_true(pv_pairs_add(&p, 1999 - i, i));
    assert_true(pv_pairs_sort(&p));
    for (unsigned i = 0; i < 2001; i++)
        assert_found(&p, i);
    pv_pairs_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_there_is_found),
        cmocka_unit_test(a_dense_table_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
