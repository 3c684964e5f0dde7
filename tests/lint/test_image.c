/* SPDX-License-Identifier: MIT */
/* Linked images: by sections that are there, by a linker's map, by the names of page tables. */
#include "made.h"

#include <stdio.h>

#define BSS  ".bss..page_aligned"
#define PAGE 4096u
#define BASE 0xffffffff80124000ull

#define IMAGE(...)               make_elf(&(struct made_elf){.type = ET_EXEC, __VA_ARGS__})
#define ONE(name, address, size) .section = {{name, address, size, 32, 0}}
#define VARIABLE(name, value, size)                                                                \
    {                                                                                              \
        name, 1, value, size, STT_OBJECT                                                           \
    }
#define LABEL(name, value)                                                                         \
    {                                                                                              \
        name, 1, value, 0, STT_NOTYPE                                                              \
    }

/* The kernel of the story: five tables behind a counter. */
#define STORY                                                                                      \
    IMAGE(ONE(".bss", BASE, 0x64000),                                                              \
          .symbol = {VARIABLE("told", BASE, 8), VARIABLE("fix_l2", BASE + 8, PAGE),                \
                     VARIABLE("fix_l1", BASE + 8 + PAGE, PAGE), LABEL("start", BASE),              \
                     LABEL("end", BASE + 8 + 2 * PAGE)})
#define STORY_MAP                                                                                  \
    "Discarded input sections\n\n"                                                                 \
    " .bss..page_aligned\n                0x0000000000000000        0x9 gone.o\n\n"                \
    "Linker script and memory map\n\nLOAD a.o\n\n"                                                 \
    ".bss            0xffffffff80124000    0x64000\n"                                              \
    "                0xffffffff80124000                start = .\n"                                \
    " *(.bss..page_aligned)\n"                                                                     \
    " .bss..page_aligned\n"                                                                        \
    "                0xffffffff80124000        0x8 my dir/a.o\n"                                   \
    "                0xffffffff80124000                told\n"                                     \
    " .bss..page_aligned\n"                                                                        \
    "                0xffffffff80124008     0x2000 lib.a(b.o)\n"                                   \
    "                0xffffffff80124008                fix_l2\n"                                   \
    "                0xffffffff80125008                fix_l1\n"                                   \
    "                0xffffffff80126008                end = .\n"                                  \
    " *fill*         0xffffffff80126008      0xff8 \n"                                             \
    " .bss           0xffffffff80127000       0x10 a.o\n"                                          \
    "\n/DISCARD/\n"                                                                                \
    " .bss..page_aligned\n                0xffffffff80130000        0x9 gone.o\n"
#define STORY_LLD                                                                                  \
    "             VMA              LMA     Size Align Out     In      Symbol\n"                    \
    "ffffffff80124000           124000    64000    32 .bss\n"                                      \
    "ffffffff80124000           124000        0     1         start = .\n"                         \
    "ffffffff80124000           124000        8     8         my dir/a.o:(.bss..page_aligned)\n"   \
    "ffffffff80124000           124000        8     1                 told\n"                      \
    "ffffffff80124008           124008     2000     1         lib.a(b.o):(.bss..page_aligned)\n"   \
    "ffffffff80124008           124008     1000     1                 fix_l2\n"                    \
    "ffffffff80125008           125008     1000     1                 fix_l1\n"                    \
    "ffffffff80127000           127000       10    16         a.o:(.bss)\n"

static struct lint_options with_map(const char *map)
{
    return (struct lint_options){.map = map, .map_size = strlen(map), .no_boot = true};
}

static struct lint_report lint_map(struct bytes b, const char *map)
{
    const struct lint_options o = with_map(map);

    return lint_of(b, &o);
}

static void a_section_that_is_still_there(void **state)
{
    (void)state;
    expect_clean(lint_of(IMAGE(ONE(BSS, BASE, 2 * PAGE),
                               .symbol = {VARIABLE("a", BASE, PAGE), LABEL("b", BASE + PAGE)}),
                         NULL),
                 2);
    struct lint_report r =
        lint_of(IMAGE(ONE(BSS, BASE, 8 + PAGE),
                      .symbol = {VARIABLE("a", BASE, 8), VARIABLE("t", BASE + 8, PAGE)}),
                NULL);
    const struct lint_finding *f = expect(&r, 0, "symbol-size", "a", 1);
    assert_true(f->has_address && f->address == BASE);
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
}

static void a_section_that_starts_inside_a_page(void **state)
{
    (void)state;
    struct lint_report r = lint_of(
        IMAGE(ONE(BSS, BASE + 64, 2 * PAGE),
              .symbol = {VARIABLE("a", BASE + 64, PAGE), VARIABLE("b", BASE + 64 + PAGE, PAGE)}),
        NULL);
    const struct lint_finding *f = expect(&r, 0, "section-alignment", "", 2);

    assert_string_equal(f->also, "a, b");
    assert_int_equal(f->address, BASE + 64);
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
}

static void a_merged_section_is_not_decided(void **state)
{
    (void)state;
    struct lint_report r =
        lint_of(IMAGE(ONE(".bss", BASE, 0x4000), .symbol = {VARIABLE("a", BASE, 8)}), NULL);
    assert_int_equal(expect(&r, 0, "sections-merged", "", 0)->weight, LINT_OPEN);
    assert_int_equal(r.answer[LINT_ALIGNED], LINT_UNDECIDABLE);
    assert_string_equal(r.why[LINT_ALIGNED], r.finding[0].text);
    lint_free(&r);

    struct bytes b = IMAGE(ONE(".bss", BASE, 0x4000));
    header_of(b)->e_shoff = header_of(b)->e_shnum = header_of(b)->e_shstrndx = 0;
    r = lint_of(b, NULL);
    expect(&r, 0, "no-sections", "", 0);
    assert_int_equal(r.answer[LINT_ALIGNED], LINT_UNDECIDABLE);
    lint_free(&r);
}

/* Without a map: the first table that is off, and who is ahead of it. */
static void tables_are_known_by_name(void **state)
{
    (void)state;
    struct lint_report r = lint_of(STORY, NULL);
    const struct lint_finding *f = expect(&r, 0, "table-address", "fix_l2", 1);

    assert_non_null(strstr(expect(&r, 1, "sections-merged", "", 0)->text, "2 page tables, as"));
    assert_int_equal(r.nr_findings, 2);
    assert_string_equal(f->also, "fix_l1");
    assert_non_null(strstr(f->text, "told, 8 bytes long"));
    assert_int_equal(r.answer[LINT_ALIGNED], LINT_NO);
    lint_free(&r);
}

static bool is_table(const char *name, uint64_t size, unsigned char type, uint64_t flags)
{
    struct lint_report r = lint_of(IMAGE(.section = {{".data", BASE, 0x4000, 32, flags}},
                                         .symbol = {{name, 1, BASE + 64, size, type}}),
                                   NULL);
    const bool found = r.nr_findings > 1;

    lint_free(&r);
    return found;
}

static void names_of_tables(void **state)
{
    static const char *const tables[] = {
        "level3_kernel_pgt", "init_top_pgt",    "early_dynamic_pgts", "swapper_pg_dir",
        "idle_pg_table",     "l2_identmap",     "l1_fixmap",          "level1_fixmap_pgt",
        "pvg_own_l4",        "boot_page_table", "kernel_pml4",        "initial_pg_pmd"};

    (void)state;
    for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        assert_true(is_table(tables[i], PAGE, STT_OBJECT, 0));
        assert_false(is_table(tables[i], 8, STT_OBJECT, 0)); /* a pointer to it */
        assert_false(is_table(tables[i], PAGE, STT_FUNC, 0));
        assert_false(is_table(tables[i], PAGE, STT_OBJECT, SHF_ALLOC | SHF_EXECINSTR));
    }
    assert_true(is_table("init_top_pgt", 0, STT_NOTYPE, 0));
    assert_false(is_table("l1_entry", 0, STT_NOTYPE, 0));
    assert_false(is_table("buffer", PAGE, STT_OBJECT, 0));
    assert_false(is_table("level5_x", PAGE, STT_OBJECT, 0));
}

/* ---- maps */

static void expect_story(struct lint_report r)
{
    const struct lint_finding *f = expect(&r, 0, "symbol-size", "told", 2);

    assert_int_equal(r.nr_findings, 1);
    assert_string_equal(f->also, "fix_l2, fix_l1");
    assert_string_equal(f->member, "my dir/a.o");
    assert_string_equal(f->section, BSS);
    assert_int_equal(f->address, BASE);
    assert_int_equal(f->size, 8);
    assert_int_equal(r.sections, 2);
    assert_int_equal(r.answer[LINT_ALIGNED], LINT_NO);
    lint_free(&r);
}

static void a_map_names_the_culprit(void **state)
{
    (void)state;
    expect_story(lint_map(STORY, STORY_MAP));
    expect_story(lint_map(STORY, STORY_LLD));
    /* The map alone knows its symbols. */
    expect_story(lint_map(IMAGE(ONE(".bss", BASE, 0x64000), .no_symbols = true), STORY_MAP));
    expect_story(lint_map(IMAGE(ONE(".bss", BASE, 0x64000), .no_symbols = true), STORY_LLD));
}

static void lines_of_windows_and_none_at_the_end(void **state)
{
    char map[sizeof(STORY_LLD) * 2];
    size_t n = 0;

    (void)state;
    for (const char *c = STORY_LLD; *c != '\0'; c++) {
        if (*c == '\n')
            map[n++] = '\r';
        map[n++] = *c;
    }
    map[n - 2] = '\0';
    expect_story(lint_map(STORY, map));
}

static void a_map_without_faults(void **state)
{
    static const char map[] = "Memory map\n"
                              ".bss            0xffffffff80124000    0x64000\n"
                              " .bss..page_aligned\n"
                              "                0xffffffff80124000     0x2000 lib.a(b.o)\n"
                              "                0xffffffff80124000                a\n"
                              " .data.page_aligned 0xffffffff80127000     0x1000 c.o\n"
                              " .bss           0xffffffff80128000        0x8 c.o\n";
    static const char empty[] = "Memory map\n"
                                ".bss            0xffffffff80124000    0x64000\n"
                                " .bss           0xffffffff80128000        0x8 c.o\n";

    (void)state;
    expect_clean(lint_map(IMAGE(ONE(".bss", BASE, 0x64000),
                                .symbol = {VARIABLE("a", BASE, PAGE), LABEL("b", BASE + PAGE)}),
                          map),
                 2);
    struct lint_report r = lint_map(IMAGE(ONE(".bss", BASE, 0x64000)), empty);
    assert_string_equal(r.why[LINT_ALIGNED], "no page-aligned section is in it");
    expect_clean(r, 0);
}

/* What has a section of its own is judged once. */
static void a_map_and_the_section(void **state)
{
    (void)state;
    struct lint_report r =
        lint_map(IMAGE(ONE(BSS, BASE, 0x2008), .symbol = {VARIABLE("told", BASE, 8),
                                                          VARIABLE("fix_l2", BASE + 8, 2 * PAGE)}),
                 STORY_MAP);
    assert_int_equal(r.nr_findings, 1);
    assert_int_equal(r.sections, 1);
    lint_free(&r);
}

/* A piece of the map without any symbol, behind one that is whole pages. */
static void unnamed_pieces(void **state)
{
    static const char map[] = "Memory map\n"
                              " .bss..page_aligned\n"
                              "                0xffffffff80124000     0x1000 a.o\n"
                              " .bss..page_aligned\n"
                              "                0xffffffff80125000       0x10 b.o\n"
                              " .bss..page_aligned\n"
                              "                0xffffffff80125010     0x1000 c.o\n"
                              "                0xffffffff80125010                t\n";

    (void)state;
    struct lint_report r = lint_map(IMAGE(ONE(".bss", BASE, 0x64000), .no_symbols = true), map);
    const struct lint_finding *f = expect(&r, 0, "section-size", "", 1);
    assert_string_equal(f->member, "b.o");
    assert_string_equal(f->also, "t");
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
}

static void a_map_of_another_image(void **state)
{
    const struct lint_options gnu = with_map(STORY_MAP), lld = with_map(STORY_LLD);

    (void)state;
    refuse(IMAGE(ONE(".bss", BASE, 0x1000)), &gnu, "the map: it is of another image");
    refuse(IMAGE(ONE(".bss", BASE + 0x100000, 0x64000)), &lld, "the map: it is of another image");
    refuse(IMAGE(ONE(".bss", BASE, 0x64000), .symbol = {VARIABLE("told", BASE + 0x10000, 8)}), &gnu,
           "it has told at ffffffff80124000");
    /* A static of the same name elsewhere is no contradiction. */
    struct lint_report r =
        lint_map(IMAGE(ONE(".bss", BASE, 0x64000),
                       .symbol = {VARIABLE("told", BASE, 8), VARIABLE("told", BASE + 0x10000, 8)}),
                 STORY_MAP);
    lint_free(&r);
}

static void no_map_at_all(void **state)
{
    static const char *const texts[] = {"", "hello\n", "Memory map\n", "VMA LMA Size\n",
                                        "\n\n.bss 0x1 0x2\n"};

    (void)state;
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct lint_options o = with_map(texts[i]);

        refuse(STORY, &o, "the map: ");
    }
}

/* An object is judged by itself. */
static void a_map_is_of_an_image(void **state)
{
    (void)state;
    const struct lint_options o = {.map = STORY_MAP, .map_size = strlen(STORY_MAP)};

    refuse(make_elf(&(struct made_elf){.type = ET_REL}), &o, "a map is of a linked image");
}

static void what_is_no_object_nor_image(void **state)
{
    (void)state;
    refuse(make_elf(&(struct made_elf){.type = ET_CORE}), NULL, "core file");
    refuse(make_elf(&(struct made_elf){.type = 77}), NULL, "type 77");
    refuse((struct bytes){calloc(1, 1), 0}, NULL, "empty");
    refuse((struct bytes){calloc(1, 100), 100}, NULL, "neither an ELF file nor an archive");
}

static void kinds(void **state)
{
    (void)state;
    struct lint_report r = lint_of(IMAGE(ONE(".bss", BASE, PAGE)), NULL);
    assert_string_equal(r.kind, "ELF executable");
    lint_free(&r);
    r = lint_of(make_elf(&(struct made_elf){.type = ET_DYN}), NULL);
    assert_string_equal(r.kind, "ELF shared object");
    lint_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_that_is_still_there),
        cmocka_unit_test(a_section_that_starts_inside_a_page),
        cmocka_unit_test(a_merged_section_is_not_decided),
        cmocka_unit_test(tables_are_known_by_name),
        cmocka_unit_test(names_of_tables),
        cmocka_unit_test(a_map_names_the_culprit),
        cmocka_unit_test(lines_of_windows_and_none_at_the_end),
        cmocka_unit_test(a_map_without_faults),
        cmocka_unit_test(a_map_and_the_section),
        cmocka_unit_test(unnamed_pieces),
        cmocka_unit_test(a_map_of_another_image),
        cmocka_unit_test(no_map_at_all),
        cmocka_unit_test(a_map_is_of_an_image),
        cmocka_unit_test(what_is_no_object_nor_image),
        cmocka_unit_test(kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
