/* SPDX-License-Identifier: MIT */
/* The table of frames beside a list that is searched from its beginning. */
#include "made.h"

#include "internal.h"

#define NOTHING ~0ull
#define MOST    600u

struct model {
    uint32_t pfn[MOST], mfn[MOST];
    size_t n;
};

static uint32_t random_32(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 32);
}

/* The lowest index at which it stands, or whose number is the next at or above. */
static uint64_t find(const uint32_t *in, size_t n, uint64_t what)
{
    for (size_t i = 0; i < n; i++)
        if (in[i] == what)
            return i;
    return NOTHING;
}

static uint64_t next(const uint32_t *in, size_t n, uint64_t from)
{
    uint64_t best = NOTHING;
    for (size_t i = 0; i < n; i++)
        if (in[i] >= from && in[i] < best)
            best = in[i];
    return best;
}

static void assert_like(const struct pv_frames *f, const struct model *m, uint64_t what)
{
    assert_int_equal(pv_frames_pfn(f, pfn(what)), find(m->pfn, m->n, what));
    assert_int_equal(pv_frames_mfn(f, mfn(what)), find(m->mfn, m->n, what));
    assert_int_equal(pv_frames_next_mfn(f, mfn(what)).n, next(m->mfn, m->n, what));
    uint64_t at = next(m->pfn, m->n, what);
    assert_int_equal(pv_frames_pfn_from(f, pfn(what)),
                     at == NOTHING ? NOTHING : find(m->pfn, m->n, at));
}

/* Many at once: known ones, their neighbours, and what can be none. */
static void assert_each_like(const struct pv_frames *f, const struct model *m)
{
    mfn_t what[2 * MOST + 2];
    uint64_t index[2 * MOST + 2];
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        what[n++] = mfn(m->mfn[i]);
        what[n++] = mfn(m->mfn[i] + 1ull);
    }
    what[n++] = NO_MFN;
    what[n++] = mfn(1ull << 40);
    pv_frames_mfn_each(f, what, n, index);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(index[i], find(m->mfn, m->n, what[i].n));
}

static void compare(const struct pv_frames *f, const struct model *m, uint64_t *seed)
{
    const uint64_t odd[] = {0,          1,          ~0u - 1ull, ~0u,         1ull << 32,
                            1ull << 40, 1ull << 63, ~1ull,      ~0ull - 4096};
    assert_int_equal(f->n, m->n);
    assert_each_like(f, m);
    for (size_t i = 0; i < m->n; i++)
        for (int by = -1; by <= 1; by++) {
            assert_like(f, m, (uint64_t)m->pfn[i] + (uint64_t)by);
            assert_like(f, m, (uint64_t)m->mfn[i] + (uint64_t)by);
        }
    for (unsigned i = 0; i < sizeof(odd) / sizeof(*odd); i++)
        assert_like(f, m, odd[i]);
    for (unsigned i = 0; i < 50; i++)
        assert_like(f, m, random_32(seed));
}

/* pfns with gaps, of any density; mfns scattered below `range`, so that some stand twice. */
static void fill(struct model *m, size_t n, uint32_t gap, uint32_t range, uint64_t *seed)
{
    uint32_t p = random_32(seed) % gap;
    m->n = 0;
    for (size_t i = 0; i < n; i++) {
        m->pfn[m->n] = p;
        m->mfn[m->n++] = range ? random_32(seed) % range : random_32(seed);
        p += 1 + random_32(seed) % gap;
    }
}

static void like_a_list(void **state)
{
    (void)state;
    const uint32_t gaps[] = {1, 2, 100, 1u << 22}, ranges[] = {1, 100, 5000, 0};
    uint64_t seed = 6;
    for (unsigned g = 0; g < 4; g++)
        for (unsigned r = 0; r < 4; r++)
            for (size_t n = 0; n < MOST; n = 2 * n + 1 + random_32(&seed) % 3) {
                struct pv_frames f = {0};
                struct model m;
                fill(&m, n, gaps[g], ranges[r], &seed);
                for (size_t i = 0; i < m.n; i++)
                    assert_true(pv_frames_add(&f, pfn(m.pfn[i]), mfn(m.mfn[i])));
                assert_true(pv_frames_sort(&f));
                compare(&f, &m, &seed);
                pv_frames_free(&f);
            }
}

/* Added in any order; the list has them in that of the pfns. */
static void put_in_order(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (size_t n = 1; n < MOST; n = 2 * n + 1) {
        struct pv_frames f = {0};
        struct model m;
        uint32_t order[MOST], *from = NULL;
        fill(&m, n, 3, 5000, &seed);
        for (uint32_t i = 0; i < n; i++)
            order[i] = i;
        for (size_t i = n; i-- > 1;) {
            size_t k = random_32(&seed) % (i + 1);
            uint32_t was = order[i];
            order[i] = order[k];
            order[k] = was;
        }
        for (size_t i = 0; i < n; i++)
            assert_true(pv_frames_add(&f, pfn(m.pfn[order[i]]), mfn(m.mfn[order[i]])));
        assert_true(pv_frames_order(&f, &from));
        for (size_t i = 0; i < n; i++)
            assert_int_equal(order[from[i]], i);
        assert_true(pv_frames_sort(&f));
        compare(&f, &m, &seed);
        free(from);
        pv_frames_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_a_list),
        cmocka_unit_test(put_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
