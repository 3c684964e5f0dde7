/* SPDX-License-Identifier: MIT */
/* Maps put in order, against a model that has one type for each unit of 1 KiB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pvguest/e820.h>

#define UNIT     1024u
#define UNITS    512u
#define LINES(x) (sizeof(x) / sizeof((x)[0]))

static struct pvg_e820 map, room;
static struct pvg_regions ram;
static unsigned bad;
static uint64_t seed;

static uint64_t random_below(uint64_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % n;
}

static void set(const struct pvg_e820_entry *e, unsigned count)
{
    memset(&map, 0xa5, sizeof(map));
    map.count = count;
    for (unsigned i = 0; i < count; i++)
        map.at[i] = e[i];
}

static void expect(const struct pvg_e820_entry *e, unsigned count)
{
    assert_int_equal(map.count, count);
    assert_memory_equal(map.at, e, count * sizeof(*e));
}

#define SET(...)                                                                                   \
    do {                                                                                           \
        const struct pvg_e820_entry e_[] = {__VA_ARGS__};                                          \
        set(e_, LINES(e_));                                                                        \
    } while (0)
#define EXPECT(...)                                                                                \
    do {                                                                                           \
        const struct pvg_e820_entry e_[] = {__VA_ARGS__};                                          \
        assert_int_equal(pvg_e820_sanitise(&map, &room, &bad), 0);                                 \
        expect(e_, LINES(e_));                                                                     \
    } while (0)

static void test_order(void **state)
{
    (void)state;
    SET({0x100000, 0x1000, 1}, {0, 0x1000, 1}, {0x5000, 0, 2}, {0xf0000, 0x10000, 2});
    EXPECT({0, 0x1000, 1}, {0xf0000, 0x10000, 2}, {0x100000, 0x1000, 1});
    SET({0x2000, 0x1000, 1}, {0x3000, 1, 1}, {0x3001, 0xfff, 2}, {0, 0x2000, 1});
    EXPECT({0, 0x3001, 1}, {0x3001, 0xfff, 2});
    set(NULL, 0);
    assert_int_equal(pvg_e820_sanitise(&map, &room, &bad), 0);
    assert_int_equal(map.count, 0);
    SET({0x5000, 0, 2}, {~0ull, 0, 1});
    assert_int_equal(pvg_e820_sanitise(&map, &room, &bad), 0);
    assert_int_equal(map.count, 0);
}

/* RAM loses to everything, type 0 to everything but RAM, else the higher wins. */
static uint32_t winner(uint32_t a, uint32_t b)
{
    if (a == 1 || b == 1)
        return a == 1 ? b : a;
    return a > b ? a : b;
}

static void test_overlaps_of_types(void **state)
{
    (void)state;
    static const uint32_t type[] = {0, 1, 2, 3, 4, 5, 7, 12, ~0u};
    for (unsigned i = 0; i < LINES(type) * LINES(type); i++) {
        uint32_t a = type[i / LINES(type)], b = type[i % LINES(type)], w = winner(a, b);
        for (unsigned turned = 0; turned < 2; turned++) {
            struct pvg_e820_entry e[2] = {{0x1000, 0x2000, a}, {0x2000, 0x2000, b}};
            set((struct pvg_e820_entry[]){e[turned], e[!turned]}, 2);
            if (a == b)
                EXPECT({0x1000, 0x3000, a});
            else if (w == a)
                EXPECT({0x1000, 0x2000, a}, {0x3000, 0x1000, b});
            else
                EXPECT({0x1000, 0x1000, a}, {0x2000, 0x2000, b});
            /* one inside the other */
            e[0] = (struct pvg_e820_entry){0, 0x9000, a};
            set((struct pvg_e820_entry[]){e[turned], e[!turned]}, 2);
            if (w == a)
                EXPECT({0, 0x9000, a});
            else
                EXPECT({0, 0x2000, a}, {0x2000, 0x2000, b}, {0x4000, 0x5000, a});
        }
    }
}

static void test_top_of_the_addresses(void **state)
{
    (void)state;
    const uint64_t half = 1ull << 63;
    SET({half, half, 2}, {half - 0x1000, 0x2000, 1});
    EXPECT({half - 0x1000, 0x1000, 1}, {half, half, 2});
    SET({0, half + 0x800, 1}, {half + 0x800, half - 0x800, 1});
    EXPECT({0, half + 0x800, 1}, {half + 0x800, half - 0x800, 1}); /* 2^64 is no 64-bit number */
    assert_int_equal(pvg_e820_ram(&map, ~0ull, &ram), 0);
    assert_int_equal(ram.count, 1);
    assert_true(ram.at[0].from == 0 && ram.at[0].to == 1ull << 52);
    SET({~0ull, 1, 1});
    EXPECT({~0ull, 1, 1});
    assert_int_equal(pvg_e820_ram(&map, ~0ull, &ram), 0);
    assert_int_equal(ram.count, 0);
}

static void refused(int rc, unsigned which)
{
    static struct pvg_e820 before;
    before = map;
    bad = 4242;
    assert_int_equal(pvg_e820_sanitise(&map, &room, &bad), rc);
    assert_int_equal(bad, which);
    assert_memory_equal(&map, &before, sizeof(map));
}

static void test_wraps(void **state)
{
    (void)state;
    SET({0x2000, 0x1000, 1}, {0, 0x1000, 1}, {~0ull - 0xfff, 0x1001, 2});
    refused(-XEN_EINVAL, 2);
    SET({1, ~0ull, 1}, {2, ~0ull, 1});
    refused(-XEN_EINVAL, 1);
    SET({2, ~0ull, 0}, {1, ~0ull, 1});
    refused(-XEN_EINVAL, 0);
}

/* ---- many */

static void single(unsigned i, uint64_t address, uint64_t bytes, uint32_t type)
{
    map.at[i] = (struct pvg_e820_entry){address, bytes, type};
}

static void test_many(void **state)
{
    (void)state;
    map.count = PVG_E820_MAX;
    for (unsigned i = 0; i < PVG_E820_MAX; i++)
        single(i, (PVG_E820_MAX - 1 - i) * 0x2000ull, 0x1000, 1);
    assert_int_equal(pvg_e820_sanitise(&map, &room, &bad), 0);
    assert_int_equal(map.count, PVG_E820_MAX);
    for (unsigned i = 0; i < PVG_E820_MAX; i++)
        assert_true(map.at[i].address == i * 0x2000ull && map.at[i].bytes == 0x1000);
    assert_int_equal(pvg_e820_ram(&map, ~0ull, &ram), 0);
    assert_int_equal(ram.count, PVG_E820_MAX);
    assert_int_equal(pvg_regions_pages(&ram), PVG_E820_MAX);

    for (unsigned i = 0; i < PVG_E820_MAX; i++)
        single(i, (PVG_E820_MAX - 1 - i) * 0x1000ull, 0x1000, 1);
    EXPECT({0, PVG_E820_MAX * 0x1000ull, 1});
}

static void test_too_many(void **state)
{
    (void)state;
    set(NULL, 0);
    map.count = PVG_E820_MAX + 1;
    refused(-XEN_ENOSPC, 4242);
    /* the last one splits the one before: 1025 */
    map.count = PVG_E820_MAX;
    for (unsigned i = 0; i < PVG_E820_MAX - 1; i++)
        single(i, i * 0x4000ull, 0x3000, 1);
    single(PVG_E820_MAX - 1, (PVG_E820_MAX - 2) * 0x4000ull + 0x1000, 0x1000, 2);
    refused(-XEN_ENOSPC, 4242);
    /* one less before it: 1024 */
    map.at[0].bytes = 0;
    assert_int_equal(pvg_e820_sanitise(&map, &room, &bad), 0);
    assert_int_equal(map.count, PVG_E820_MAX);
}

/* ---- RAM */

static void expect_ram(uint64_t limit, const struct pvg_range *range, unsigned count)
{
    memset(&ram, 0xa5, sizeof(ram));
    assert_int_equal(pvg_e820_ram(&map, limit, &ram), 0);
    assert_int_equal(ram.count, count);
    assert_memory_equal(ram.at, range, count * sizeof(*range));
}

static void test_ram(void **state)
{
    (void)state;
    SET({0, 0x9fc00, 1}, {0x9fc00, 0x400, 2}, {0xf0000, 0x10000, 2}, {0x100000, 0x7fe0000, 1},
        {0x80e0000, 0x20000, 3}, {0x8200800, 0x900, 1}, {0x8300800, 0x1000, 1},
        {0x8400800, 0x2000, 1});
    assert_int_equal(pvg_e820_sanitise(&map, &room, &bad), 0);
    const struct pvg_range all[] = {{0, 0x9f}, {0x100, 0x80e0}, {0x8401, 0x8402}};
    expect_ram(~0ull, all, 3);
    expect_ram(0x8402, all, 3);
    expect_ram(0x8401, all, 2);
    expect_ram(0x100, all, 1);
    expect_ram(0, all, 0);
    const struct pvg_range cut[] = {{0, 0x9f}, {0x100, 0x101}};
    expect_ram(0x101, cut, 2);
}

/* ---- random maps, by units */

static void model_add(uint32_t *model, const struct pvg_e820_entry *e)
{
    for (uint64_t u = e->address / UNIT; u < (e->address + e->bytes) / UNIT; u++)
        model[u] = model[u] == ~0u ? e->type : winner(model[u], e->type);
}

static void check_map(const uint32_t *model)
{
    uint32_t got[UNITS];
    memset(got, 0xff, sizeof(got));
    for (unsigned i = 0; i < map.count; i++) {
        const struct pvg_e820_entry *e = &map.at[i], *before = i ? e - 1 : NULL;
        assert_true(e->bytes > 0);
        if (before) {
            uint64_t end = before->address + before->bytes;
            assert_true(end < e->address || (end == e->address && before->type != e->type));
        }
        for (uint64_t u = e->address / UNIT; u < (e->address + e->bytes) / UNIT; u++)
            got[u] = e->type;
    }
    assert_memory_equal(got, model, sizeof(got));
}

static void check_ram(const uint32_t *model, uint64_t limit)
{
    assert_int_equal(pvg_e820_ram(&map, limit, &ram), 0);
    for (unsigned i = 0; i < ram.count; i++) {
        assert_true(ram.at[i].from < ram.at[i].to);
        assert_true(i == 0 || ram.at[i - 1].to < ram.at[i].from);
    }
    for (uint64_t page = 0; page < UNITS / 4; page++) {
        bool whole = page < limit;
        for (unsigned i = 0; i < 4; i++)
            whole = whole && model[page * 4 + i] == PVG_E820_RAM;
        assert_int_equal(pvg_regions_holds(&ram, page), whole);
    }
}

static void test_random(void **state)
{
    (void)state;
    seed = 12;
    for (unsigned turn = 0; turn < 20000; turn++) {
        uint32_t model[UNITS];
        memset(model, 0xff, sizeof(model));
        map.count = random_below(turn % 100 ? 20 : 300);
        for (unsigned i = 0; i < map.count; i++) {
            uint64_t first = random_below(UNITS), units = random_below(turn % 2 ? 12 : 200);
            if (first + units > UNITS)
                units = UNITS - first;
            single(i, first * UNIT, units * UNIT, random_below(3) ? 1 : random_below(7));
            model_add(model, &map.at[i]);
        }
        assert_int_equal(pvg_e820_sanitise(&map, &room, &bad), 0);
        check_map(model);
        check_ram(model, random_below(UNITS / 4 + 10));
        struct pvg_e820 once = map;
        assert_int_equal(pvg_e820_sanitise(&map, &room, &bad), 0);
        expect(once.at, once.count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_overlaps_of_types),
        cmocka_unit_test(test_top_of_the_addresses),
        cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_ram),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
