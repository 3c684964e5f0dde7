/* SPDX-License-Identifier: MIT */
/* Where a new guest's pages lie, and the words for a guest that does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "guest_layout.h"

#define MIB        (1ull << 20)
#define PAGES(mib) ((mib)*256ull)
#define BASE       0xffffffff80000000ull
#define P2M        0x8000000000ull

static struct guest_layout l;
static char said[512];
static enum builder_cause cause;

static bool make(const struct guest_image *g, uint64_t total, uint64_t module)
{
    struct builder_error e = {.text = ""};
    bool ok = guest_layout_make(&l, g, total, module, &e);

    cause = e.cause;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(said, sizeof(said), e.text, e.value[0], e.value[1], e.value[2], e.value[3]);
#pragma GCC diagnostic pop
    return ok;
}

static void fits(const struct guest_image *g, uint64_t total, uint64_t module)
{
    if (!make(g, total, module))
        fail_msg("refused: %s", said);
}

/* An image of `mib` MiB from 16 MiB on, as Linux is. */
static struct guest_image kernel(uint64_t mib)
{
    return (struct guest_image){
        .virt_base = BASE,
        .start = BASE + 16 * MIB,
        .end = BASE + (16 + mib) * MIB,
        .has_init_p2m = true,
        .init_p2m = P2M,
        .unmapped_module = true,
    };
}

/* No two areas share a page, tables suffice, and everything lies within the guest. */
static void check(const struct guest_image *g)
{
    const struct guest_pages single[] = {
        l.module,          l.p2m,           l.tables,       l.p2m_tables,
        {l.start_info, 1}, {l.xenstore, 1}, {l.console, 1}, {l.stack, 1},
    };
    const unsigned n = sizeof(single) / sizeof(single[0]);
    uint64_t image_end = (g->end - g->virt_base + 4095) / 4096;
    uint64_t region = (l.region_end - l.virt_base) / 4096;

    for (unsigned i = 0; i < n; i++) {
        assert_true(single[i].count == 0 || single[i].first >= image_end);
        assert_true(single[i].first + single[i].count <= l.total || single[i].count == 0);
        for (unsigned k = 0; k < i; k++)
            assert_true(single[i].first + single[i].count <= single[k].first ||
                        single[k].first + single[k].count <= single[i].first || !single[i].count ||
                        !single[k].count);
    }
    assert_int_equal(l.region_end % (4 * MIB), 0);
    assert_true(l.stack + 128 < region); /* half a MiB of slack */
    assert_true(l.level[1].count * 512 >= region);
    assert_true(l.mapped <= l.total && l.mapped <= region);
}

static void test_linux(void **state)
{
    struct guest_image g = kernel(40);

    (void)state;
    fits(&g, PAGES(256), 10 * MIB + 1);
    check(&g);
    assert_int_equal(l.module.count, 2561);
    assert_true(l.module.first * 4096 >= l.region_end - BASE); /* not mapped */
    assert_int_equal(l.p2m_va, P2M);
    assert_int_equal(l.p2m.count, 128);
    assert_int_equal(l.p2m_tables.count, 3); /* an L3, an L2, an L1: the L4 is there */
}

static void test_mapped_module_and_list(void **state)
{
    struct guest_image g = kernel(4);

    (void)state;
    g.unmapped_module = g.has_init_p2m = false;
    fits(&g, PAGES(128), 5 * MIB);
    check(&g);
    assert_int_equal(l.module.first, PAGES(20));
    assert_int_equal(l.p2m.first, PAGES(25));
    assert_int_equal(l.p2m_va, BASE + 25 * MIB);
    assert_int_equal(l.p2m_tables.count, 0);
}

static void test_from_address_0(void **state)
{
    struct guest_image g = {.end = 2 * MIB};

    (void)state;
    fits(&g, PAGES(64), 0);
    check(&g);
    assert_int_equal(l.virt_base, 0);
    assert_int_equal(l.region_end, 4 * MIB);
}

/* The list next to the region shares its tables, and needs only what is missing. */
static void test_list_beside_the_region(void **state)
{
    struct guest_image g = kernel(40);

    (void)state;
    fits(&g, PAGES(512), 0);
    g.init_p2m = l.region_end;
    fits(&g, PAGES(512), 0);
    check(&g);
    assert_int_equal(l.p2m_tables.count, 1); /* an L1 */
}

static void test_every_size(void **state)
{
    struct guest_image g = kernel(1);

    (void)state;
    for (uint64_t pages = PAGES(24); pages < PAGES(64); pages += 37) {
        g.end += 4096 * 3;
        fits(&g, pages * 4, pages * 1000);
        check(&g);
    }
}

static void test_large(void **state)
{
    struct guest_image g = kernel(40);

    (void)state;
    fits(&g, PAGES(64 * 1024), 512 * MIB);
    check(&g);
    assert_int_equal(l.p2m.count, 64 * 1024 * 256 / 512);
}

static void refused(const struct guest_image *g, uint64_t total, uint64_t module,
                    enum builder_cause because, const char *text)
{
    if (make(g, total, module))
        fail_msg("laid out, instead of \"%s\"", text);
    if (strstr(said, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", said, text);
    assert_int_equal(cause, because);
}

/* Said of the whole start. It once came out as an initial mapping that ended at address 0. */
static void test_too_small(void **state)
{
    struct guest_image g = kernel(40);

    (void)state;
    refused(&g, PAGES(16), 0, BUILDER_MEMORY,
            "memory is too small: 16384 KiB given, its start needs 57");
    refused(&g, PAGES(56), 0, BUILDER_MEMORY, "memory is too small: 57344 KiB given");
    refused(&g, PAGES(64), 32 * MIB, BUILDER_MEMORY, "memory is too small: 65536 KiB given");
    refused(&g, PAGES(64), 32 * MIB, BUILDER_MEMORY,
            "(the image ends at 57344 KiB, the ramdisk has 32768 KiB)");
    refused(&g, 1, 0, BUILDER_MEMORY, "memory is too small: 4 KiB given");
    g.unmapped_module = false;
    refused(&g, PAGES(64), 32 * MIB, BUILDER_MEMORY, "memory is too small");
    g.end = g.virt_base + (1ull << 30);
    refused(&g, PAGES(256), 0, BUILDER_MEMORY,
            "memory is too small: 262144 KiB given, its start needs 10485");
}

/* Numbers that would overflow on the way: a list of 2^64 bytes is one of none. */
static void test_beyond_all_memory(void **state)
{
    struct guest_image g = kernel(40);
    const uint64_t most = 1ull << 40;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        refused(&g, 0, 0, BUILDER_MEMORY, "memory is too small: 0 KiB given");
        refused(
            &g, most + 1, 0, BUILDER_MEMORY,
            "memory is too large: 0x10000000001 pages, where page tables can name 0x10000000000");
        for (unsigned shift = 51; shift < 64; shift++)
            refused(&g, 1ull << shift, ~0ull, BUILDER_MEMORY, "memory is too large");
        refused(&g, ~0ull, ~0ull, BUILDER_MEMORY, "memory is too large");
        refused(&g, most, ~0ull, BUILDER_MEMORY, "the ramdisk has 18014398509481984 KiB");
        g.has_init_p2m = g.unmapped_module = false;
    }
    g = kernel(40);
    fits(&g, most, 0);
    assert_int_equal(l.p2m.count, most / 512);
}

/*
 * What the image leaves of its half of the address space has to hold the rest. An image in the last
 * megabytes once made the search for the region's end run in a circle for ever: the end wrapped,
 * and the number of tables with it.
 */
static void test_no_room_behind(void **state)
{
    struct guest_image g = {.virt_base = ~0x3fffffull, .start = ~0x3fffffull, .end = ~0xfffull};

    (void)state;
    g.unmapped_module = g.has_init_p2m = true;
    g.init_p2m = P2M;
    refused(&g, PAGES(64), 0, BUILDER_VIRT_BASE, "leaves its half");
    g.unmapped_module = false;
    refused(&g, PAGES(64), 20 * MIB, BUILDER_VIRT_BASE, "leaves its half");
    g.virt_base = g.start = 0x7fffffc00000;
    g.end = g.start + 4096;
    refused(&g, PAGES(64), 5 * MIB, BUILDER_VIRT_BASE, "leaves its half");
    g.end = g.start + 4 * MIB;
    refused(&g, PAGES(64), 0, BUILDER_VIRT_BASE, "leaves its half");
}

static void test_list_out_of_place(void **state)
{
    struct guest_image g = kernel(40);

    (void)state;
    g.init_p2m = BASE;
    refused(&g, PAGES(128), 0, BUILDER_INIT_P2M,
            "INIT_P2M 0xffffffff80000000 lies in its initial mapping");
    g.init_p2m = BASE - 4096;
    refused(&g, PAGES(128), 0, BUILDER_INIT_P2M, "lies in its initial mapping");
    g.init_p2m = 0x7ffffffff000;
    refused(&g, PAGES(128), 0, BUILDER_INIT_P2M, "leaves no room for a list of 0x40000 bytes");
    g.init_p2m = ~0x1ffffull; /* the list would go on at address 0 */
    refused(&g, PAGES(128), 0, BUILDER_INIT_P2M, "leaves no room for a list");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linux),          cmocka_unit_test(test_mapped_module_and_list),
        cmocka_unit_test(test_from_address_0), cmocka_unit_test(test_list_beside_the_region),
        cmocka_unit_test(test_every_size),     cmocka_unit_test(test_large),
        cmocka_unit_test(test_too_small),      cmocka_unit_test(test_beyond_all_memory),
        cmocka_unit_test(test_no_room_behind), cmocka_unit_test(test_list_out_of_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
