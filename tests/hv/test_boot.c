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

#define MAGIC  0x2badb002u
#define MAGIC2 0x36d76289u

#define INFO      0x1000u
#define MAP       0x2000u
#define MODULES   0x3000u
#define STRINGS   0x4000u
#define MAP_ENTRY 24u
#define FLAG_LINE 4u
#define FLAG_MODS 8u
#define FLAG_MAP  64u
#define FLAG_NAME 512u

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

/* ---- loaders' strings */

static void put_loader(const char *name)
{
    strcpy((char *)hosted_ram + STRINGS + 128, name);
    put32(INFO, FLAG_MAP | FLAG_MODS | FLAG_NAME);
    put32(INFO + 64, STRINGS + 128);
}

/* GRUB 2 leaves the file's name out; its forerunner and all others put it there. */
static void test_who_puts_names(void **state)
{
    (void)state;
    put_range(0, 0, 0x100000, 1);
    put_module(0, 0x400000, 0x500001, STRINGS);
    put_info(FLAG_MAP | FLAG_MODS, 1, 1);
    strcpy((char *)hosted_ram + STRINGS, "first second");
    put_loader("GRUB 2.06-13");
    assert_true(read_loader(MAGIC));
    assert_string_equal(loader.module[0].arguments, "first second");
    put_loader("GNU GRUB 0.97");
    assert_true(read_loader(MAGIC));
    assert_string_equal(loader.module[0].arguments, "second");
    put_loader("qemu");
    assert_true(read_loader(MAGIC));
    assert_string_equal(loader.module[0].arguments, "second");
    assert_string_equal(loader.loader, "qemu");
}

static void unquotes(const char *quoted, const char *wanted)
{
    char text[64];

    strcpy(text, quoted);
    option_unquote(text);
    assert_string_equal(text, wanted);
}

static void test_grub_quoting(void **state)
{
    (void)state;
    unquotes("", "");
    unquotes("console=hvc0 quiet", "console=hvc0 quiet");
    unquotes("\"a b\" c", "a b c");
    unquotes("a\\\\b \\\"c\\' d", "a\\b \"c' d");
    unquotes("a\\x20b", "a b");
    unquotes("a\\\\x20b\\\\x5cx20", "a b\\x20");
    unquotes("\\xC3\\xb6", "\xc3\xb6");
    unquotes("\\x00", "x00"); /* no string ends in its middle */
    unquotes("\\x4", "x4");
    unquotes("\\xg1", "xg1");
    unquotes("end\\", "end\\");
}

/* ---- RAM */

/* A map with more ranges than there is room for loses the smallest ones, whatever their place. */
static void test_largest_are_kept(void **state)
{
    uint64_t sum = 0;

    (void)state;
    for (unsigned i = 0; i < BOOT_RANGES_MAX; i++)
        put_range(i, 0x100000 * i, 0x1000 * (i + 3), 1);
    put_range(BOOT_RANGES_MAX, 0x80000000, 0x40000000, 1);
    put_range(BOOT_RANGES_MAX + 1, 0x7f000000, 0x1000, 1);
    put_info(FLAG_MAP, BOOT_RANGES_MAX + 2, 0);
    assert_true(read_loader(MAGIC));
    assert_int_equal(loader.nr_ram, BOOT_RANGES_MAX);
    for (unsigned i = 0; i < loader.nr_ram; i++) {
        assert_int_not_equal(loader.ram[i].start, 0x7f000000);
        sum += loader.ram[i].end - loader.ram[i].start;
    }
    assert_in_range(sum, 0x40000000, 0x50000000);
    assert_int_equal(loader.ranges_left_out, 2);
    assert_int_equal(loader.bytes_left_out, 0x4000);
}

static void test_neighbours_are_one(void **state)
{
    (void)state;
    put_range(0, 0, 0x1000, 1);
    put_range(1, 0x1000, 0x1000, 1);
    put_range(2, 0x3000, 0x1000, 1);
    put_info(FLAG_MAP, 3, 0);
    assert_true(read_loader(MAGIC));
    assert_int_equal(loader.nr_ram, 2);
    assert_int_equal(loader.ram[0].end, 0x2000);
}

/* The direct map has ten slots: 5 TiB. What is above could not be reached. */
static void test_out_of_reach(void **state)
{
    (void)state;
    put_range(0, 4ull << 40, 2ull << 40, 1);
    put_range(1, 7ull << 40, 1ull << 40, 1);
    put_info(FLAG_MAP, 2, 0);
    assert_true(read_loader(MAGIC));
    assert_int_equal(loader.nr_ram, 1);
    assert_int_equal(loader.ram[0].end, 5ull << 40);
    assert_int_equal(loader.bytes_left_out, 2ull << 40);
}

/* ---- multiboot2 */

static uint32_t tag_end; /* where the next tag goes */

static void start_tags(void)
{
    memset(hosted_ram, 0xaa, 0x10000);
    tag_end = INFO + 8;
}

static uint32_t put_tag(uint32_t type, uint32_t bytes)
{
    uint32_t at = tag_end;

    put32(at, type);
    put32(at + 4, bytes);
    tag_end += (bytes + 7) & ~7u;
    return at + 8;
}

static void put_text_tag(uint32_t type, const char *text)
{
    memcpy(hosted_ram + put_tag(type, (uint32_t)(8 + strlen(text) + 1)), text, strlen(text) + 1);
}

static void put_module_tag(uint32_t start, uint32_t end, const char *text)
{
    uint32_t at = put_tag(3, (uint32_t)(16 + strlen(text) + 1));

    put32(at, start);
    put32(at + 4, end);
    memcpy(hosted_ram + at + 8, text, strlen(text) + 1);
}

static void put_map_tag(unsigned ranges, uint32_t entry_bytes)
{
    uint32_t at = put_tag(6, 16 + ranges * entry_bytes);

    put32(at, entry_bytes);
    put32(at + 4, 0);
    for (unsigned i = 0; i < ranges; i++) {
        put64(at + 8 + i * entry_bytes, 0x100000ull * i);
        put64(at + 8 + i * entry_bytes + 8, 0x1000);
        put32(at + 8 + i * entry_bytes + 16, i % 2 ? 2 : 1);
    }
}

static bool read_tags(void)
{
    put_tag(0, 8);
    put32(INFO, tag_end - INFO);
    put32(INFO + 4, 0);
    memset(&loader, 0, sizeof(loader));
    return multiboot2_read(&loader, MAGIC2, INFO);
}

static void test_tags(void **state)
{
    (void)state;
    start_tags();
    put_text_tag(1, "mem=4096");
    put_module_tag(0x400000, 0x500001, "console=hvc0 a\\x20b");
    put_module_tag(0x600000, 0x600010, "");
    put_text_tag(77, "unheard of");
    put_map_tag(3, 24);
    put_text_tag(2, "Other 1");
    assert_true(read_tags());
    assert_string_equal(loader.command_line, "mem=4096");
    assert_int_equal(loader.nr_ram, 2);
    assert_int_equal(loader.ram[1].start, 0x200000);
    assert_int_equal(loader.ram[1].end, 0x201000);
    assert_int_equal(loader.nr_modules, 2);
    assert_int_equal(loader.module[0].range.start, 0x400000);
    assert_int_equal(loader.module[0].range.end, 0x500001);
    assert_string_equal(loader.module[0].arguments, "console=hvc0 a\\x20b");
    assert_string_equal(loader.module[1].arguments, "");
}

/* The name may come after the strings whose meaning it decides. */
static void test_tags_of_grub(void **state)
{
    (void)state;
    start_tags();
    put_module_tag(0x400000, 0x500001, "console=hvc0 \"a b\"\\\\x24");
    put_map_tag(1, 40); /* entries may grow */
    put_text_tag(2, "GRUB 2.06");
    assert_true(read_tags());
    assert_int_equal(loader.nr_ram, 1);
    assert_string_equal(loader.module[0].arguments, "console=hvc0 a b$");
}

static void test_tags_that_lie(void **state)
{
    (void)state;
    start_tags();
    put_map_tag(1, 24);
    assert_true(read_tags());
    assert_false(multiboot2_read(&loader, MAGIC, INFO));
    assert_false(multiboot_read(&loader, MAGIC2, INFO));
    assert_false(multiboot2_read(&loader, MAGIC2, INFO + 4));
    put32(INFO + 12, 4); /* smaller than its own header: the loop would never end */
    memset(&loader, 0, sizeof(loader));
    assert_false(multiboot2_read(&loader, MAGIC2, INFO));
    start_tags();
    put_map_tag(1, 16);
    assert_false(read_tags());
    start_tags();
    put_map_tag(1, 25);
    assert_false(read_tags());
    start_tags();
    put_map_tag(0, 24);
    assert_false(read_tags());
    start_tags();
    put32(put_tag(3, 12), 5); /* a module without an end */
    put_map_tag(1, 24);
    assert_true(read_tags());
    assert_int_equal(loader.nr_modules, 0);
}

/* A tag that reaches beyond the structure ends it; what was read before stands. */
static void test_cut_tags(void **state)
{
    (void)state;
    start_tags();
    put_map_tag(1, 24);
    put_module_tag(1, 2, "text");
    memset(&loader, 0, sizeof(loader));
    put32(INFO, tag_end - INFO - 8);
    assert_true(multiboot2_read(&loader, MAGIC2, INFO));
    assert_int_equal(loader.nr_modules, 0);
    put32(INFO, 0);
    memset(&loader, 0, sizeof(loader));
    assert_false(multiboot2_read(&loader, MAGIC2, INFO));
    put32(INFO, 0xffffffff);
    assert_false(multiboot2_read(&loader, MAGIC2, INFO));
}

/* A string without its NUL ends with its tag. */
static void test_string_without_end(void **state)
{
    (void)state;
    start_tags();
    put_map_tag(1, 24);
    memcpy(hosted_ram + put_tag(1, 8 + 8), "mem=4096", 8);
    assert_true(read_tags());
    assert_string_equal(loader.command_line, "mem=4096");
}

static void test_garbage_tags(void **state)
{
    uint64_t random = 11;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        start_tags();
        for (unsigned k = 0; k < 200; k++) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            put32(INFO + 8 + k * 4, (uint32_t)(random >> 33) >> (random >> 27 & 31));
        }
        put32(INFO, (uint32_t)(random >> 40) % 808);
        memset(&loader, 0, sizeof(loader));
        if (multiboot2_read(&loader, MAGIC2, INFO))
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
    expect_bad("quiet mem=1 store=1 e820=2", NULL);
    expect_bad("e820=here", "e820=here");
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
        cmocka_unit_test_setup(test_who_puts_names, clear),
        cmocka_unit_test(test_grub_quoting),
        cmocka_unit_test_setup(test_largest_are_kept, clear),
        cmocka_unit_test_setup(test_neighbours_are_one, clear),
        cmocka_unit_test_setup(test_out_of_reach, clear),
        cmocka_unit_test_setup(test_tags, clear),
        cmocka_unit_test_setup(test_tags_of_grub, clear),
        cmocka_unit_test_setup(test_tags_that_lie, clear),
        cmocka_unit_test_setup(test_cut_tags, clear),
        cmocka_unit_test_setup(test_string_without_end, clear),
        cmocka_unit_test_setup(test_garbage_tags, clear),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bad_words),
        cmocka_unit_test(test_module_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
