/* SPDX-License-Identifier: MIT */
/* memblock against a model that has one flag for each page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pvguest/memblock.h>

#define PAGES (6 * PVG_REGIONS_MAX + 160)

static uint64_t seed;

static uint64_t random_below(uint64_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % n;
}

/* ---- the model */

struct model {
    bool has[PAGES];
};

static unsigned model_runs(const struct model *m)
{
    unsigned runs = 0;
    for (unsigned i = 0; i < PAGES; i++)
        runs += m->has[i] && (i == 0 || !m->has[i - 1]);
    return runs;
}

/* What the list must be; false: it has no room for it. */
static bool model_set(struct model *m, uint64_t from, uint64_t to, bool value)
{
    struct model next = *m;
    for (uint64_t i = from; i < to; i++)
        next.has[i] = value;
    if (model_runs(&next) > PVG_REGIONS_MAX)
        return false;
    *m = next;
    return true;
}

static void check_list(const struct pvg_regions *r, const struct model *m)
{
    struct model got = {0};
    uint64_t pages = 0;
    assert_true(r->count <= PVG_REGIONS_MAX);
    for (unsigned i = 0; i < r->count; i++) {
        assert_true(r->at[i].from < r->at[i].to && r->at[i].to <= PAGES);
        assert_true(i == 0 || r->at[i - 1].to < r->at[i].from);
        for (uint64_t p = r->at[i].from; p < r->at[i].to; p++)
            got.has[p] = true;
        pages += r->at[i].to - r->at[i].from;
    }
    assert_memory_equal(&got, m, sizeof(got));
    assert_int_equal(pvg_regions_pages(r), pages);
}

static unsigned model_search(const struct pvg_regions *r, uint64_t page)
{
    unsigned i = 0;
    while (i < r->count && r->at[i].to <= page)
        i++;
    return i;
}

/* ---- one list */

/* Short pieces make many ranges, the long ones join them again now and then. */
static struct pvg_range random_range(unsigned longest)
{
    uint64_t from = random_below(PAGES);
    uint64_t to = from + 1 + random_below(random_below(64) == 0 ? longest : 2);
    return (struct pvg_range){from, to > PAGES ? PAGES : to};
}

/* Returns how often the list was full. */
static unsigned random_changes(struct pvg_regions *r, struct model *m, unsigned changes,
                               unsigned longest)
{
    unsigned full = 0;
    for (unsigned i = 0; i < changes; i++) {
        struct pvg_range x = random_range(longest);
        bool adds = random_below(2);
        struct pvg_regions before = *r;
        bool fits = model_set(m, x.from, x.to, adds);
        int rc = adds ? pvg_regions_add(r, x.from, x.to) : pvg_regions_remove(r, x.from, x.to);
        assert_int_equal(rc, fits ? 0 : -XEN_ENOSPC);
        if (!fits)
            assert_memory_equal(r, &before, sizeof(before));
        full += !fits;
        check_list(r, m);
        uint64_t page = random_below(PAGES + 1);
        assert_int_equal(pvg_regions_search(r, page), model_search(r, page));
        assert_int_equal(pvg_regions_holds(r, page), page < PAGES && m->has[page]);
    }
    return full;
}

/* Three pages and three that are none: a single page can join, split, or be a range of its own. */
static void fill(struct pvg_regions *r, struct model *m)
{
    *r = (struct pvg_regions){0};
    *m = (struct model){0};
    for (uint64_t i = 0; i < 6 * PVG_REGIONS_MAX; i += 6) {
        assert_int_equal(pvg_regions_add(r, i, i + 3), 0);
        model_set(m, i, i + 3, true);
    }
    check_list(r, m);
}

static void test_random(void **state)
{
    (void)state;
    static struct pvg_regions r;
    static struct model m;
    for (unsigned i = 1; i <= 5; i++) {
        seed = i;
        r = (struct pvg_regions){0};
        m = (struct model){0};
        random_changes(&r, &m, 2000, PAGES / 4);
    }
}

static void test_random_full(void **state)
{
    (void)state;
    static struct pvg_regions r;
    static struct model m;
    unsigned full = 0;
    seed = 77;
    for (unsigned i = 0; i < 30; i++) {
        fill(&r, &m);
        full += random_changes(&r, &m, 200, 8);
    }
    assert_true(full > 100);
}

static void test_full(void **state)
{
    (void)state;
    static struct pvg_regions r, before;
    static struct model m;
    fill(&r, &m);
    before = r;
    assert_int_equal(r.count, PVG_REGIONS_MAX);
    assert_int_equal(pvg_regions_add(&r, PAGES - 1, PAGES), -XEN_ENOSPC);
    assert_memory_equal(&r, &before, sizeof(r));
    assert_int_equal(pvg_regions_add(&r, 3, 6), 0); /* joins two */
    assert_int_equal(r.count, PVG_REGIONS_MAX - 1);
    assert_int_equal(pvg_regions_add(&r, PAGES - 1, PAGES), 0);
    before = r;
    assert_int_equal(pvg_regions_remove(&r, 1, 2), -XEN_ENOSPC); /* would split */
    assert_memory_equal(&r, &before, sizeof(r));
    assert_int_equal(pvg_regions_remove(&r, 0, PAGES), 0);
    assert_int_equal(r.count, 0);
}

static void test_ends_of_the_numbers(void **state)
{
    (void)state;
    static struct pvg_regions r;
    r.count = 0;
    assert_int_equal(pvg_regions_add(&r, 5, 4), -XEN_EINVAL);
    assert_int_equal(pvg_regions_remove(&r, 5, 4), -XEN_EINVAL);
    assert_int_equal(pvg_regions_add(&r, 5, 5), 0);
    assert_int_equal(r.count, 0);
    assert_int_equal(pvg_regions_add(&r, ~0ull - 1, ~0ull), 0);
    assert_int_equal(pvg_regions_add(&r, 0, 1), 0);
    assert_int_equal(r.count, 2);
    assert_true(pvg_regions_holds(&r, ~0ull - 1));
    assert_false(pvg_regions_holds(&r, ~0ull));
    assert_int_equal(pvg_regions_add(&r, 0, ~0ull), 0);
    assert_int_equal(r.count, 1);
    assert_true(pvg_regions_pages(&r) == ~0ull);
    assert_int_equal(pvg_regions_remove(&r, 0, ~0ull), 0);
    assert_int_equal(r.count, 0);
}

/* ---- two lists */

static void test_refused(void **state)
{
    (void)state;
    static struct pvg_memblock m;
    int (*const change[])(struct pvg_memblock *, uint64_t, uint64_t) = {
        pvg_memblock_add, pvg_memblock_remove, pvg_memblock_reserve, pvg_memblock_free};
    m = (struct pvg_memblock){0};
    assert_int_equal(pvg_memblock_add(&m, 10, 10), 0);
    assert_int_equal(pvg_memblock_reserve(&m, 12, 1), 0);
    struct pvg_memblock before = m;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(change[i](&m, 10, 0), -XEN_EINVAL);
        assert_int_equal(change[i](&m, 10, ~0ull), -XEN_EINVAL);
        assert_int_equal(change[i](&m, ~0ull, 1), -XEN_EINVAL);
        assert_memory_equal(&m, &before, sizeof(m));
    }
    assert_int_equal(pvg_memblock_free(&m, 0, 9), 0);
    assert_int_equal(pvg_memblock_remove(&m, 20, 9), 0);
    assert_memory_equal(&m, &before, sizeof(m));
    assert_int_equal(pvg_memblock_free_pages(&m), 9);
}

static uint64_t model_find(const struct model *memory, const struct model *reserved, uint64_t pages,
                           uint64_t align, struct pvg_range within, enum pvg_direction direction)
{
    uint64_t found = PVG_NONE;
    for (uint64_t first = 0; first < PAGES; first += align) {
        uint64_t n = 0;
        if (first < within.from)
            continue;
        while (n < pages && first + n < PAGES && first + n < within.to && memory->has[first + n] &&
               !reserved->has[first + n])
            n++;
        if (n < pages)
            continue;
        found = first;
        if (direction == PVG_BOTTOM_UP)
            break;
    }
    return found;
}

struct both {
    struct pvg_memblock lists;
    struct model memory, reserved;
};

static void random_both(struct both *b)
{
    *b = (struct both){0};
    for (unsigned i = 0; i < 12; i++) {
        uint64_t from = random_below(PAGES), pages = 1 + random_below(PAGES / 6);
        if (from + pages > PAGES)
            pages = PAGES - from;
        assert_int_equal(pvg_memblock_add(&b->lists, from, pages), 0);
        model_set(&b->memory, from, from + pages, true);
    }
    for (unsigned i = random_below(60); i > 0; i--) {
        uint64_t from = random_below(PAGES), pages = 1 + random_below(40);
        if (from + pages > PAGES)
            pages = PAGES - from;
        assert_int_equal(pvg_memblock_reserve(&b->lists, from, pages), 0);
        model_set(&b->reserved, from, from + pages, true);
    }
}

static void find_each(const struct both *b, unsigned *found)
{
    uint64_t pages = 1 + random_below(random_below(2) ? 8 : 300);
    uint64_t align = 1ull << random_below(8);
    struct pvg_range within = {random_below(PAGES), random_below(PAGES + 1)};
    if (random_below(2))
        within = (struct pvg_range){0, random_below(2) ? PAGES : ~0ull};
    for (unsigned direction = PVG_TOP_DOWN; direction <= PVG_BOTTOM_UP; direction++) {
        uint64_t is = pvg_memblock_find(&b->lists, pages, align, within, direction);
        assert_true(is == model_find(&b->memory, &b->reserved, pages, align, within, direction));
        *found += is != PVG_NONE;
    }
}

static void test_find_random(void **state)
{
    (void)state;
    static struct both b;
    unsigned found = 0;
    seed = 4711;
    for (unsigned i = 0; i < 400; i++) {
        random_both(&b);
        uint64_t free_pages = 0;
        for (unsigned p = 0; p < PAGES; p++)
            free_pages += b.memory.has[p] && !b.reserved.has[p];
        assert_int_equal(pvg_memblock_free_pages(&b.lists), free_pages);
        for (unsigned j = 0; j < 20; j++)
            find_each(&b, &found);
    }
    assert_in_range(found, 4000, 14000); /* both answers came often */
}

static void test_find_corners(void **state)
{
    (void)state;
    static struct pvg_memblock m;
    struct pvg_range all = {0, ~0ull};
    m = (struct pvg_memblock){0};
    assert_true(pvg_memblock_find(&m, 1, 1, all, PVG_TOP_DOWN) == PVG_NONE);
    assert_int_equal(pvg_memblock_add(&m, ~0ull - 8, 8), 0);
    assert_true(pvg_memblock_find(&m, 8, 0, all, PVG_TOP_DOWN) == ~0ull - 8);
    assert_true(pvg_memblock_find(&m, 8, 0, all, PVG_BOTTOM_UP) == ~0ull - 8);
    assert_true(pvg_memblock_find(&m, 9, 0, all, PVG_BOTTOM_UP) == PVG_NONE);
    assert_true(pvg_memblock_find(&m, 1, 1ull << 63, all, PVG_BOTTOM_UP) == PVG_NONE);
    assert_true(pvg_memblock_find(&m, 1, 1ull << 63, all, PVG_TOP_DOWN) == PVG_NONE);
    assert_true(pvg_memblock_find(&m, ~0ull, 1, all, PVG_TOP_DOWN) == PVG_NONE);
    assert_true(pvg_memblock_find(&m, 0, 1, all, PVG_TOP_DOWN) == PVG_NONE);
    assert_true(pvg_memblock_find(&m, 1, 3, all, PVG_TOP_DOWN) == PVG_NONE);
    struct pvg_range none = {7, 7}, backwards = {~0ull, 0};
    assert_true(pvg_memblock_find(&m, 1, 1, none, PVG_BOTTOM_UP) == PVG_NONE);
    assert_true(pvg_memblock_find(&m, 1, 1, backwards, PVG_TOP_DOWN) == PVG_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),       cmocka_unit_test(test_random_full),
        cmocka_unit_test(test_full),         cmocka_unit_test(test_ends_of_the_numbers),
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_find_random),
        cmocka_unit_test(test_find_corners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
