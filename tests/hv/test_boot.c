/* SPDX-License-Identifier: MIT */
/*
 * What comes from the boot loader: its tables, the words of the command line, the modules' strings.
 * hosted_machine.h makes the machine's memory an array.
 */
#include <string.h>

#include "hosted.h"
#include "hosted_machine.h"
#include "multiboot.h"
#include "options.h"

#define MAGIC 0x2badb002u

#define INFO      0x1000u
#define MAP       0x2000u
#define MODULES   0x3000u
#define STRINGS   0x4000u
#define MAP_ENTRY 24u
#define FLAG_LINE 4u
#define FLAG_MODS 8u
#define FLAG_MAP  64u

static struct boot_loader_info loader;

static void put32(uint32_t at, uint32_t v)
{
    memcpy(hosted_ram + at, &v, sizeof(v));
}

static void put64(uint32_t at, uint64_t v)
{
    memcpy(hosted_ram + at, &v, sizeof(v));
}

static void put_range(unsigned i, uint64_t base, uint64_t bytes, uint32_t type)
{
    put32(MAP + i * MAP_ENTRY, 20);
    put64(MAP + i * MAP_ENTRY + 4, base);
    put64(MAP + i * MAP_ENTRY + 12, bytes);
    put32(MAP + i * MAP_ENTRY + 20, type);
}

static void put_info(uint32_t flags, unsigned ranges, unsigned modules)
{
    put32(INFO, flags);
    put32(INFO + 16, STRINGS);
    put32(INFO + 20, modules);
    put32(INFO + 24, MODULES);
    put32(INFO + 44, ranges * MAP_ENTRY);
    put32(INFO + 48, MAP);
}

static void put_module(unsigned i, uint32_t start, uint32_t end, uint32_t string)
{
    put32(MODULES + i * 16, start);
    put32(MODULES + i * 16 + 4, end);
    put32(MODULES + i * 16 + 8, string);
}

static bool read_loader(uint32_t magic)
{
    memset(&loader, 0, sizeof(loader));
    return multiboot_read(&loader, magic, INFO);
}

static int clear(void **state)
{
    (void)state;
    hosted_machine_init();
    return 0;
}

/* ---- multiboot */

static void test_all_of_it(void **state)
{
    (void)state;
    put_range(0, 0, 0x9fc00, 1);
    put_range(1, 0xf0000, 0x10000, 2);
    put_range(2, 0x100000, 0x7f00000, 1);
    put_module(0, 0x400000, 0x500001, STRINGS + 64);
    put_module(1, 0x600000, 0x600010, 0);
    strcpy((char *)hosted_ram + STRINGS, "pvmm mem=4096");
    strcpy((char *)hosted_ram + STRINGS + 64, "vmlinux console=hvc0");
    put_info(FLAG_LINE | FLAG_MODS | FLAG_MAP, 3, 2);
    assert_true(read_loader(MAGIC));
    assert_int_equal(loader.nr_ram, 2);
    assert_int_equal(loader.ram[1].start, 0x100000);
    assert_int_equal(loader.ram[1].end, 0x8000000);
    assert_int_equal(loader.nr_modules, 2);
    assert_int_equal(loader.module[0].range.end, 0x500001);
    assert_string_equal(loader.module[0].arguments, "console=hvc0");
    assert_string_equal(loader.module[1].arguments, "");
    assert_string_equal(loader.command_line, "pvmm mem=4096");
}

static void test_not_multiboot(void **state)
{
    (void)state;
    put_range(0, 0, 0x100000, 1);
    put_info(FLAG_MAP, 1, 0);
    assert_false(read_loader(0));
    assert_true(read_loader(MAGIC));
    put_info(FLAG_LINE | FLAG_MODS, 1, 0);
    assert_false(read_loader(MAGIC));
    put_info(FLAG_MAP, 0, 0);
    assert_false(read_loader(MAGIC));
}

static void test_not_asked_for(void **state)
{
    (void)state;
    put_range(0, 0, 0x100000, 1);
    put_module(0, 1, 2, STRINGS);
    strcpy((char *)hosted_ram + STRINGS, "nothing");
    put_info(FLAG_MAP, 1, 1);
    assert_true(read_loader(MAGIC));
    assert_int_equal(loader.nr_modules, 0);
    assert_string_equal(loader.command_line, "");
}

/* A size that leads back to the same entry once kept the loop going for ever. */
static void test_map_that_leads_nowhere(void **state)
{
    (void)state;
    put_range(0, 0, 0x100000, 2);
    put32(MAP, 0xfffffffc);
    put_info(FLAG_MAP, 2, 0);
    assert_false(read_loader(MAGIC));
    put32(MAP, 0);
    put_info(FLAG_MAP, 100, 0);
    assert_false(read_loader(MAGIC));
}

static void test_ranges_that_are_none(void **state)
{
    (void)state;
    put_range(0, 0x100000, 0, 1);
    put_range(1, 0x100000, ~0ull, 1);
    put_range(2, ~0ull, 1, 1);
    put_info(FLAG_MAP, 3, 0);
    assert_false(read_loader(MAGIC));
    put_range(2, 0x100000, 1, 1); /* cut off by a byte */
    put32(INFO + 44, 3 * MAP_ENTRY - 1);
    assert_false(read_loader(MAGIC));
    put32(INFO + 44, 3 * MAP_ENTRY);
    assert_true(read_loader(MAGIC));
}

static void test_too_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BOOT_RANGES_MAX + 10; i++)
        put_range(i, 0x100000 * i, 0x1000, 1);
    for (unsigned i = 0; i < BOOT_MODULES_MAX + 3; i++)
        put_module(i, 0x1000 * i, 0x1000 * i + 1, 0);
    put_info(FLAG_MAP | FLAG_MODS, BOOT_RANGES_MAX + 10, BOOT_MODULES_MAX + 3);
    assert_true(read_loader(MAGIC));
    assert_int_equal(loader.nr_ram, BOOT_RANGES_MAX);
    assert_int_equal(loader.nr_modules, BOOT_MODULES_MAX);
}

/* It would have the size of nearly all addresses. */
static void test_module_that_ends_before_it_starts(void **state)
{
    (void)state;
    put_range(0, 0, 0x100000, 1);
    put_module(0, 0x500000, 0x400000, 0);
    put_info(FLAG_MAP | FLAG_MODS, 1, 1);
    assert_true(read_loader(MAGIC));
    assert_int_equal(loader.module[0].range.end, loader.module[0].range.start);
}

static void test_long_string(void **state)
{
    (void)state;
    put_range(0, 0, 0x100000, 1);
    memset(hosted_ram + STRINGS, 'x', BOOT_STRING_MAX + 10);
    put_info(FLAG_MAP | FLAG_LINE, 1, 0);
    assert_true(read_loader(MAGIC));
    assert_int_equal(strlen(loader.command_line), BOOT_STRING_MAX - 1);
}

static void test_garbage(void **state)
{
    uint64_t random = 7;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        for (unsigned k = 0; k < 64; k++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            put32(INFO + k % 13 * 4, (uint32_t)(random >> 33));
            put32(MAP + k * 4, (uint32_t)(random >> 32));
        }
        put32(INFO + 16, STRINGS); /* what is pointed to must exist */
        put32(INFO + 24, MODULES);
        put32(INFO + 48, MAP);
        put32(INFO + 44, (uint32_t)(random >> 40) % 4096);
        if (read_loader(MAGIC))
            for (unsigned k = 0; k < loader.nr_ram; k++)
                assert_true(loader.ram[k].start < loader.ram[k].end);
    }
}

/* ---- words */

struct number_row {
    const char *line;
    bool there;
    uint64_t value;
};

static void test_numbers(void **state)
{
    static const struct number_row rows[] = {
        {"mem=4096", true, 4096},
        {"pvmm.elf mem=0x10000 seed=1", true, 65536},
        {"mem=0xAbC", true, 0xabc},
        {"mem=1 mem=2", true, 1},
        {"mem=18446744073709551615", true, ~0ull},
        {"mem=0xffffffffffffffff", true, ~0ull},
        {"mem=18446744073709551616", false, 0},
        {"mem=0x10000000000000000", false, 0},
        {"mem=99999999999999999999999", false, 0},
        {"", false, 0},
        {"mem", false, 0},
        {"mem=", false, 0},
        {"mem= 5", false, 0},
        {"mem=0x", false, 0},
        {"mem=-1", false, 0},
        {"mem=5M", false, 0},
        {"mem=12a", false, 0},
        {"xmem=5", false, 0},
        {"a=mem=5", false, 0},
    };
    uint64_t value;

    (void)state;
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(option_number(rows[i].line, PVMM_OPT_MEM, &value), rows[i].there);
        if (rows[i].there)
            assert_int_equal(value, rows[i].value);
    }
}

static void expect_bad(const char *line, const char *bad)
{
    int length = 0;
    const char *at = option_bad(line, &length);

    if (bad == NULL) {
        assert_null(at);
        return;
    }
    assert_non_null(at);
    assert_int_equal(length, strlen(bad));
    assert_memory_equal(at, bad, length);
}

static void test_bad_words(void **state)
{
    (void)state;
    expect_bad("", NULL);
    expect_bad("  ", NULL);
    expect_bad("/a/path/pvmm.elf32 mem=4096 seed=0x12", NULL);
    expect_bad("quiet mem=1 store=1", NULL);
    expect_bad("store=yes", "store=yes");
    expect_bad("mem=1 color=red seed=2", "color=red");
    expect_bad("pvmm mem=1 memory=2", "memory=2");
    expect_bad("mem=many", "mem=many");
    expect_bad("mem=1 seed=", "seed=");
    expect_bad("mem=1  seed=0y1 ", "seed=0y1");
    expect_bad("=5", "=5");
}

static void test_module_strings(void **state)
{
    (void)state;
    assert_string_equal(option_arguments("vmlinux console=hvc0 quiet"), "console=hvc0 quiet");
    assert_string_equal(option_arguments("vmlinux   a=b "), "a=b ");
    assert_string_equal(option_arguments("vmlinux"), "");
    assert_string_equal(option_arguments("vmlinux "), "");
    assert_string_equal(option_arguments(""), "");
    assert_string_equal(option_arguments(" first"), "first");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_all_of_it, clear),
        cmocka_unit_test_setup(test_not_multiboot, clear),
        cmocka_unit_test_setup(test_not_asked_for, clear),
        cmocka_unit_test_setup(test_map_that_leads_nowhere, clear),
        cmocka_unit_test_setup(test_ranges_that_are_none, clear),
        cmocka_unit_test_setup(test_too_many, clear),
        cmocka_unit_test_setup(test_module_that_ends_before_it_starts, clear),
        cmocka_unit_test_setup(test_long_string, clear),
        cmocka_unit_test_setup(test_garbage, clear),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bad_words),
        cmocka_unit_test(test_module_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
