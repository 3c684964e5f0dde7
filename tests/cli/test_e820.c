/* SPDX-License-Identifier: MIT */
/* Memory maps out of text: what an entry may look like, and each reason to refuse one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "e820.h"
#include "exitcodes.h"

static struct memory_map map;
static struct error error;

/* From a block of exactly its size, without a NUL. */
static int parse_bytes(const char *text, size_t n)
{
    uint8_t *block = malloc(n ? n : 1);
    int rc;

    memcpy(block, text, n);
    rc = memory_map_parse((struct view){block, n}, &map, &error);
    free(block);
    return rc;
}

static int parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

struct good {
    const char *line;
    uint64_t start, bytes;
    uint32_t type;
};

static const struct good goods[] = {
    {"0-0x9efff ram", 0, 0x9f000, 1},
    {"0x0-0x9fbff usable", 0, 0x9fc00, 1},
    {"  0x9F000-0xfffff\treserved\r", 0x9f000, 0x61000, 2},
    {"1M+95M RAM # the first", 0x100000, 0x5f00000, 1},
    {"1m+1g acpi#", 0x100000, 0x40000000, 3},
    {"0x1G+0x2K nvs", 0x40000000, 0x800, 4},
    {"4096-8191 unusable", 4096, 4096, 5},
    {"5-5 ram", 5, 1, 1},
    {"0+0 ram", 0, 0, 1},
    {"0-0xfffffffffffffffe 12", 0, ~0ull, 12},
    {"1-0xffffffffffffffff 0", 1, ~0ull, 0},
    {"0xffffffffffffffff+18446744073709551615 0xffffffff", ~0ull, ~0ull, ~0u},
    {"0x1000+0x1000 type 20", 0x1000, 0x1000, 20},
    {"[mem 0x0000000000000000-0x000000000009fbff] usable", 0, 0x9fc00, 1},
    {"[    0.000000] BIOS-e820: [mem 0x00000000bffe0000-0x00000000bfffffff] ACPI data", 0xbffe0000,
     0x20000, 3},
    {"(early) [    0.000000] Xen: [mem 0x06000000-0x07ffffff]   ACPI NVS", 0x6000000, 0x2000000, 4},
    {"[mem 0x100-0x1ff] type 7", 0x100, 0x100, 7},
};

static void entries_are_taken_as_they_stand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        const struct good *g = &goods[i];

        if (parse(g->line) != 0)
            fail_msg("%s: %s", g->line, error.text);
        assert_int_equal(map.head.count, 1);
        assert_int_equal(map.at[0].start, g->start);
        assert_int_equal(map.at[0].bytes, g->bytes);
        assert_int_equal(map.at[0].type, g->type);
    }
}

struct bad {
    const char *text, *why;
};

static const struct bad bads[] = {
    {"", "no entry in it (START-END TYPE or START+SIZE TYPE)"},
    {"\n# nothing\n \t\r\n", "no entry in it (START-END TYPE or START+SIZE TYPE)"},
    {"garbage", "line 1: a number is wanted (decimal or 0x...), not \"garbage\""},
    {"0+1 ram\n\n0x ram", "line 3: a number is wanted (decimal or 0x...), not \"0x ram\""},
    {"-1-5 ram", "line 1: a number is wanted (decimal or 0x...), not \"-1-5 ram\""},
    {" +5 ram", "line 1: a number is wanted (decimal or 0x...), not \"+5 ram\""},
    {"0- ram", "line 1: a number is wanted (decimal or 0x...), not \" ram\""},
    {"0--5 ram", "line 1: a number is wanted (decimal or 0x...), not \"-5 ram\""},
    {"0x0x5+1 ram", "line 1: START-END or START+SIZE is wanted, but behind START is \"x5+1 ram\""},
    {"0 0x1000 ram",
     "line 1: START-END or START+SIZE is wanted, but behind START is \" 0x1000 ram\""},
    {"5T+1 ram", "line 1: START-END or START+SIZE is wanted, but behind START is \"T+1 ram\""},
    {"5", "line 1: START-END or START+SIZE is wanted, but behind START is nothing"},
    {"0x10000000000000000+1 ram", "line 1: 0x10000000000000000 does not fit into 64 bits"},
    {"0+18446744073709551616 ram", "line 1: 18446744073709551616 does not fit into 64 bits"},
    {"17179869184G+1 ram", "line 1: 17179869184G does not fit into 64 bits"},
    {"0x2000-0xfff ram", "line 1: the end 0xfff lies before the start 0x2000"},
    {"1M-96M ram", "line 1: the end 0x6000000 is the first byte of a page, but END is the last "
                   "byte that belongs to the entry (or write START+SIZE)"},
    {"0-0xffffffffffffffff ram", "line 1: all addresses there are: no size fits them"},
    {"0+4K", "line 1: no type behind the range: ram, reserved, acpi, nvs, unusable or a number is "
             "wanted"},
    {"0+4K # ram", "line 1: no type behind the range: ram, reserved, acpi, nvs, unusable or a "
                   "number is wanted"},
    {"0+4Kram", "line 1: the range is followed by \"ram\" without a blank"},
    {"0+4K rum", "line 1: type \"rum\": ram, reserved, acpi, nvs, unusable or a number is wanted"},
    {"0+4K ram 5", "line 1: type \"ram 5\": ram, reserved, acpi, nvs, unusable or a number is "
                   "wanted"},
    {"0+4K -1", "line 1: type \"-1\": ram, reserved, acpi, nvs, unusable or a number is wanted"},
    {"0+4K type",
     "line 1: type \"type\": ram, reserved, acpi, nvs, unusable or a number is wanted"},
    {"0+4K 1 2", "line 1: type \"1 2\": \" 2\" follows the number"},
    {"0+4K 4294967296", "line 1: type \"4294967296\" does not fit into 32 bits"},
    {"0+4K 99999999999999999999",
     "line 1: type \"99999999999999999999\": 99999999999999999999 does not fit into 64 bits"},
    {"[mem 0-0xfff ram", "line 1: no ] closes the range of a line of Linux's log"},
    {"[mem ", "line 1: a number is wanted (decimal or 0x...), not \"[mem\""},
    {"[mem 0-0xfff]", "line 1: no type behind the range: ram, reserved, acpi, nvs, unusable or a "
                      "number is wanted"},
    {"0+1 ram\n0+\xc3\xb6 ram", "line 2: byte 0xc3 is no text"},
    {"0+1\x1b[31m ram", "line 1: byte 0x1b is no text"},
};

static void what_cannot_be_said_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++) {
        assert_int_equal(parse(bads[i].text), -1);
        assert_string_equal(error.text, bads[i].why);
        assert_int_equal(error.code, EXIT_USAGE);
    }
    assert_int_equal(parse_bytes("0+1 ram\0", 8), -1);
    assert_string_equal(error.text, "line 1: byte 0x00 is no text");
}

static void lines_have_a_length(void **state)
{
    char text[400];

    (void)state;
    snprintf(text, sizeof(text), "0+1%*s", 252, "ram");
    assert_int_equal(parse(text), 0);
    snprintf(text, sizeof(text), "0+1%*s", 253, "ram");
    assert_int_equal(parse(text), -1);
    assert_string_equal(error.text, "line 1: longer than 255 characters");
    snprintf(text, sizeof(text), "0+1 ram #%*s", 300, "any");
    assert_int_equal(parse(text), 0);
}

/* Order, neighbours and overlaps are the guest's affair. */
static void maps_are_passed_verbatim(void **state)
{
    (void)state;
    assert_int_equal(parse("# odd\n0x8000+0x1000 ram\n0x0+0x9000 2\n\n0x8000+0x1000 ram\n"), 0);
    assert_int_equal(map.head.magic, PVMM_E820_MAGIC);
    assert_int_equal(map.head.version, PVMM_E820_VERSION);
    assert_int_equal(map.head.count, 3);
    assert_int_equal(map.at[0].start, 0x8000);
    assert_int_equal(map.at[1].bytes, 0x9000);
    assert_int_equal(map.at[2].start, 0x8000);
}

static void there_is_a_limit(void **state)
{
    static char text[20 * (PVMM_E820_MAX + 1)];
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < PVMM_E820_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%u+1 ram\n", i);
    assert_int_equal(parse(text), 0);
    assert_int_equal(map.head.count, PVMM_E820_MAX);
    snprintf(text + n, sizeof(text) - n, "# one more\n0+1 2");
    assert_int_equal(parse(text), -1);
    assert_string_equal(error.text, "line 1026: more than 1024 entries");
}

/* The module holds the header and the entries there are. */
static void a_file_becomes_a_module(void **state)
{
    char path[] = "/tmp/test-e820-XXXXXX";
    int file = mkstemp(path), fd;
    struct view v;

    (void)state;
    assert_true(file >= 0);
    assert_int_equal(write(file, "0+64M ram\n64M+4K 2\n", 19), 19);
    close(file);
    fd = memory_map_load(path, &error);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(view_of_fd(fd, &v, &error), 0);
    assert_int_equal(v.size, sizeof(struct pvmm_e820) + 2 * 20);
    assert_memory_equal(v.data, "pvmme820\1\0\0\0\2\0\0\0", 16);
    assert_memory_equal(v.data + 36, "\0\0\0\4\0\0\0\0\0\20\0\0\0\0\0\0\2\0\0\0", 20);
    view_drop(&v);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_taken_as_they_stand),
        cmocka_unit_test(what_cannot_be_said_is_refused),
        cmocka_unit_test(lines_have_a_length),
        cmocka_unit_test(maps_are_passed_verbatim),
        cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(a_file_becomes_a_module),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
