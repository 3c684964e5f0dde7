/* SPDX-License-Identifier: MIT */
/* The guest's memory map as a boot module: what is taken, and each reason to refuse one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "e820.h"

#define MUTANTS 50000u

static struct {
    struct pvmm_e820 head;
    struct pvmm_e820_entry at[PVMM_E820_MAX + 1];
} module;

static struct e820_map map;
static char said[256];

static uint64_t bytes_of(uint64_t entries)
{
    return sizeof(module.head) + entries * sizeof(module.at[0]);
}

static void make_module(uint32_t count)
{
    module.head = (struct pvmm_e820){PVMM_E820_MAGIC, PVMM_E820_VERSION, count};
    for (uint32_t i = 0; i <= PVMM_E820_MAX; i++)
        module.at[i] = (struct pvmm_e820_entry){0x1000ull * i, 0x1000, i % 3};
}

/* From a block of exactly its size, at an odd address. */
static bool read_bytes(uint64_t n)
{
    struct e820_error why = {"", {0}};
    uint8_t *block = malloc(n + 1);
    bool ok;

    memcpy(block + 1, &module, n);
    ok = e820_read(&map, block + 1, n, &why);
    free(block);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(said, sizeof(said), why.text, why.value[0], why.value[1]);
#pragma GCC diagnostic pop
    return ok;
}

static void expect_refused(uint64_t bytes, const char *text)
{
    struct e820_map before = map;

    assert_false(read_bytes(bytes));
    assert_string_equal(said, text);
    assert_memory_equal(&map, &before, sizeof(map));
}

static int flat(void **state)
{
    (void)state;
    memset(&map, 0, sizeof(map));
    e820_flat(&map, 1 << 28);
    return 0;
}

static void test_flat(void **state)
{
    (void)state;
    assert_int_equal(map.count, 1);
    assert_int_equal(map.at[0].start, 0);
    assert_int_equal(map.at[0].bytes, 1 << 28);
    assert_int_equal(map.at[0].type, 1);
    assert_int_equal(e820_ram(&map), 1 << 28);
}

static void test_taken_as_it_is(void **state)
{
    static const uint32_t counts[] = {1, 2, 128, 129, PVMM_E820_MAX};

    (void)state;
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        make_module(counts[i]);
        module.at[0] = (struct pvmm_e820_entry){~0ull, ~0ull, ~0u};
        assert_true(read_bytes(bytes_of(counts[i])));
        assert_int_equal(map.count, counts[i]);
        assert_memory_equal(map.at, module.at, counts[i] * sizeof(module.at[0]));
    }
    assert_int_equal(e820_ram(&map), 0x1000ull * (PVMM_E820_MAX / 3));
}

static void test_refused(void **state)
{
    (void)state;
    make_module(3);
    expect_refused(0, "it has 0 bytes, its header alone 16");
    expect_refused(15, "it has 15 bytes, its header alone 16");
    expect_refused(16, "it has 16 bytes, its entries make 76");
    expect_refused(bytes_of(3) - 1, "it has 75 bytes, its entries make 76");
    expect_refused(bytes_of(3) + 1, "it has 77 bytes, its entries make 76");
    module.head.magic ^= 1;
    expect_refused(bytes_of(3), "it starts with 0x303238656d6d7671 instead of 0x303238656d6d7670");
    make_module(3);
    module.head.version = 2;
    expect_refused(bytes_of(3), "version 2, and 1 is the one known");
    make_module(0);
    expect_refused(bytes_of(0), "0 entries, and there may be 1 to 1024");
    make_module(PVMM_E820_MAX + 1);
    expect_refused(bytes_of(PVMM_E820_MAX + 1), "1025 entries, and there may be 1 to 1024");
    make_module(~0u); /* the size of so many wraps in 32 bits */
    expect_refused(bytes_of(3), "4294967295 entries, and there may be 1 to 1024");
}

/* What is taken has the size its header says, and is in the map. */
static void test_mutants(void **state)
{
    uint64_t random = 5, taken = 0;

    (void)state;
    for (unsigned i = 0; i < MUTANTS; i++) {
        uint64_t bytes;

        random = random * 6364136223846793005ull + 1442695040888963407ull;
        make_module(random >> 60);
        bytes = bytes_of(module.head.count) + (random >> 50) % 3 - 1;
        if ((random >> 40) % 4 == 0)
            ((uint8_t *)&module)[(random >> 33) % sizeof(module.head)] ^= 1 << (random >> 30) % 8;
        if (!read_bytes(bytes))
            continue;
        taken++;
        assert_int_equal(bytes, bytes_of(map.count));
        assert_memory_equal(map.at, module.at, map.count * sizeof(map.at[0]));
    }
    assert_in_range(taken, MUTANTS / 6, MUTANTS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_flat, flat),
        cmocka_unit_test_setup(test_taken_as_it_is, flat),
        cmocka_unit_test_setup(test_refused, flat),
        cmocka_unit_test_setup(test_mutants, flat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
