/* SPDX-License-Identifier: MIT */
/* Archives, and files that are cut short, damaged, or made to mislead. */
#include "made.h"

#include <ar.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#define BSS  ".bss..page_aligned"
#define PAGE 4096u

static struct bytes short_variable(void)
{
    return make_elf(&(struct made_elf){
        .type = ET_REL,
        .section = {{BSS, 0, 8 + PAGE, PAGE, 0}},
        .symbol = {{"small", 1, 0, 8, STT_OBJECT}, {"table", 1, 8, PAGE, STT_OBJECT}}});
}

static struct bytes text(const char *s)
{
    struct bytes b = {malloc(strlen(s) + 1), strlen(s)};

    memcpy(b.data, s, b.size + 1);
    return b;
}

/* ---- archives */

static void archives_in_archives(void **state)
{
    (void)state;
    struct bytes inner =
        make_archive((const char *[]){"deep.o"}, (struct bytes[]){short_variable()}, 1);
    struct bytes outer = make_archive(
        (const char *[]){"a_name_of_more_than_fifteen_letters.o", "inner.a", "README", "odd.o"},
        (struct bytes[]){short_variable(), inner, text("odd"), short_variable()}, 4);
    struct lint_report r = lint_of(outer, NULL);

    assert_string_equal(r.kind, "archive of 3 objects");
    assert_int_equal(r.members, 3);
    assert_string_equal(expect(&r, 0, "symbol-size", "small", 1)->member,
                        "a_name_of_more_than_fifteen_letters.o");
    assert_string_equal(expect(&r, 1, "symbol-size", "small", 1)->member, "inner.a(deep.o)");
    assert_string_equal(expect(&r, 2, "symbol-size", "small", 1)->member, "odd.o");
    assert_int_equal(expect(&r, 3, "no-object", "", 0)->weight, LINT_NOTE);
    assert_int_equal(r.nr_findings, 4);
    lint_free(&r);
    expect_clean(lint_of(text(ARMAG), NULL), 0);
}

static void names_as_bsd_has_them(void **state)
{
    struct bytes b = make_archive((const char *[]){"x"}, (struct bytes[]){short_variable()}, 1),
                 with_name;

    (void)state;
    with_name = (struct bytes){calloc(1, b.size + 8), b.size + 8};
    memcpy(with_name.data, b.data, SARMAG + sizeof(struct ar_hdr));
    memcpy(with_name.data + SARMAG, "#1/8            ", 16);
    char size[32];
    snprintf(size, sizeof(size), "%-10zu", b.size - SARMAG - sizeof(struct ar_hdr) + 8);
    memcpy(with_name.data + SARMAG + offsetof(struct ar_hdr, ar_size), size, 10);
    memcpy(with_name.data + SARMAG + sizeof(struct ar_hdr), "bsd.o\0\0", 8);
    memcpy(with_name.data + SARMAG + sizeof(struct ar_hdr) + 8,
           b.data + SARMAG + sizeof(struct ar_hdr), b.size - SARMAG - sizeof(struct ar_hdr));
    free(b.data);
    struct lint_report r = lint_of(with_name, NULL);
    assert_string_equal(expect(&r, 0, "symbol-size", "small", 1)->member, "bsd.o");
    lint_free(&r);
}

static void thin_archives_say_so(void **state)
{
    struct bytes b = make_archive((const char *[]){"first.o"}, (struct bytes[]){text("")}, 1);

    (void)state;
    memcpy(b.data, "!<thin>\n", SARMAG);
    refuse(b, NULL,
           "a thin archive: its members are files of their own, to be given themselves "
           "(the first: first.o)");
}

/* What a thin archive's members are, and how often each was opened and closed. */
struct shelf {
    struct bytes file;
    char asked[64]; /* the last */
    unsigned opened, closed;
};

static int take_off(void *context, const char *name, struct lint_input *in, struct lint_error *e)
{
    struct shelf *s = context;

    snprintf(s->asked, sizeof(s->asked), "%s", name);
    if (strcmp(name, "gone.o") == 0) {
        snprintf(e->text, sizeof(e->text), "it is gone");
        return -1;
    }
    in->data = s->file.data;
    in->size = s->file.size;
    s->opened++;
    return 0;
}

static void put_back(void *context, struct lint_input *in)
{
    struct shelf *s = context;

    assert_ptr_equal(in->data, s->file.data);
    s->closed++;
}

static struct bytes make_thin(const char *first, const char *second)
{
    struct bytes b =
        make_archive((const char *[]){first, second}, (struct bytes[]){text(""), text("")}, 2);

    memcpy(b.data, "!<thin>\n", SARMAG);
    return b;
}

static void members_of_a_thin_archive(void **state)
{
    struct shelf shelf = {.file = short_variable()};
    const struct lint_members members = {take_off, put_back, &shelf};
    const struct lint_options o = {.members = &members};
    struct lint_report r = lint_of(make_thin("a.o", "in/a_directory/b.o"), &o);

    (void)state;
    assert_int_equal(r.members, 2);
    assert_string_equal(expect(&r, 0, "symbol-size", "small", 1)->member, "a.o");
    assert_string_equal(expect(&r, 1, "symbol-size", "small", 1)->member, "in/a_directory/b.o");
    assert_string_equal(shelf.asked, "in/a_directory/b.o");
    lint_free(&r);
    refuse(make_thin("a.o", "gone.o"), &o, "made: gone.o: it is gone");
    free(shelf.file.data);
    shelf.file = make_thin("b.o", "c.o");
    refuse(make_thin("in.a", "a.o"), &o, "made: in.a: a thin archive: its members are files");
    refuse(make_archive((const char *[]){"in.a"}, &shelf.file, 1), &o, "(the first: b.o)");
    assert_int_equal(shelf.opened, 4); /* those of in.a are not */
    assert_int_equal(shelf.closed, 4);
}

static void archives_too_deep(void **state)
{
    struct bytes b = short_variable();

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        b = make_archive((const char *[]){"in"}, &b, 1);
    struct bytes copy = {malloc(b.size), b.size};
    memcpy(copy.data, b.data, b.size);
    struct lint_report r = lint_of(copy, NULL);
    expect(&r, 0, "symbol-size", "small", 1);
    lint_free(&r);
    refuse(make_archive((const char *[]){"in"}, &b, 1), NULL, "8 deep");
}

static void damaged_archives(void **state)
{
    struct bytes b;

    (void)state;
    b = make_archive((const char *[]){"x.o"}, (struct bytes[]){short_variable()}, 1);
    memset(b.data + SARMAG + offsetof(struct ar_hdr, ar_size), '9', 10);
    refuse(b, NULL, "truncated: a member has 9999999999 bytes");
    b = make_archive((const char *[]){"x.o"}, (struct bytes[]){short_variable()}, 1);
    memcpy(b.data + SARMAG, "/77 ", 4);
    refuse(b, NULL, "no place in the table of names");
    b = make_archive((const char *[]){"x.o"}, (struct bytes[]){short_variable()}, 1);
    memcpy(b.data + SARMAG, "#1/999999       ", 16);
    refuse(b, NULL, "longer than the member");
    b = make_archive((const char *[]){"x.o"}, (struct bytes[]){short_variable()}, 1);
    b.data[SARMAG + offsetof(struct ar_hdr, ar_fmag)] = '?';
    refuse(b, NULL, "no member's header is at 8");
    b = make_archive((const char *[]){"bad.o"}, (struct bytes[]){short_variable()}, 1);
    memset(b.data + SARMAG + sizeof(struct ar_hdr) + offsetof(Elf64_Ehdr, e_shoff), 0xff, 8);
    refuse(b, NULL, "made: bad.o: truncated");
}

/* ---- ELF files that lie */

static void headers_that_lie(void **state)
{
    struct bytes b;

    (void)state;
    b = short_variable();
    header_of(b)->e_shoff = UINT64_MAX - 63; /* wraps */
    refuse(b, NULL, "truncated: the section headers are at 18446744073709551552");
    b = short_variable();
    header_of(b)->e_shnum = 0xfeff;
    refuse(b, NULL, "section headers at");
    b = short_variable();
    header_of(b)->e_shnum = 0; /* 2^32 of them, as the first says */
    section_of(b, 0)->sh_size = 1ull << 32;
    refuse(b, NULL, "");
    b = short_variable();
    header_of(b)->e_shnum = 0;
    section_of(b, 0)->sh_size = 1ull << 58; /* 2^64 bytes of headers */
    refuse(b, NULL, "");
    b = short_variable();
    header_of(b)->e_shentsize = 32;
    refuse(b, NULL, "section headers of 32 bytes");
    b = short_variable();
    header_of(b)->e_shoff = 0;
    refuse(b, NULL, "no table of them");
    b = short_variable();
    b.data[EI_CLASS] = 7;
    refuse(b, NULL, "class 7");
    b = short_variable();
    b.data[EI_DATA] = 0;
    refuse(b, NULL, "byte order 0");
    b = short_variable();
    b.data[EI_VERSION] = 9;
    refuse(b, NULL, "version 9");
}

static void sections_that_lie(void **state)
{
    struct bytes b;

    (void)state;
    b = short_variable();
    section_of(b, 2)->sh_entsize = 7;
    refuse(b, NULL, "symbols of 7 bytes");
    b = short_variable();
    section_of(b, 2)->sh_size -= 1;
    refuse(b, NULL, "symbol table");
    b = short_variable();
    section_of(b, 2)->sh_offset = UINT64_MAX - 8; /* wraps */
    refuse(b, NULL, "section 2 has");
    b = short_variable();
    section_of(b, 4)->sh_size = 1ull << 40;
    refuse(b, NULL, "section 4 has");
    b = make_elf(
        &(struct made_elf){.type = ET_EXEC, .section = {{BSS, UINT64_MAX - 8, PAGE, PAGE, 0}}});
    refuse(b, NULL, "section 1 has 4096 bytes from fffffffffffffff7 on");
}

/* Names that are nowhere are no names: neither of sections nor of symbols. */
static void strings_that_are_nowhere(void **state)
{
    struct bytes b;

    (void)state;
    b = short_variable();
    section_of(b, 1)->sh_name = 0xffffff;
    expect_clean(lint_of(b, NULL), 0);
    b = short_variable();
    header_of(b)->e_shstrndx = 0;
    expect_clean(lint_of(b, NULL), 0);
    b = short_variable();
    section_of(b, 2)->sh_link = 77;
    struct lint_report r = lint_of(b, NULL);
    expect(&r, 0, "section-size", "", 0); /* all of it */
    lint_free(&r);
    b = short_variable(); /* a table in which no string ends */
    memset(b.data + section_of(b, 4)->sh_offset, 'x', section_of(b, 4)->sh_size);
    expect_clean(lint_of(b, NULL), 0);
}

/* Every file that is a part of a good one: refused, or judged, and never more than that. */
static void cut_short_at_each_byte(void **state)
{
    struct bytes whole = short_variable();
    const struct bytes b[2] = {
        whole,
        make_archive(
            (const char *[]){"a_name_that_is_a_long_one.o", "in.a"},
            (struct bytes[]){short_variable(), make_archive((const char *[]){"x.o"},
                                                            (struct bytes[]){short_variable()}, 1)},
            2),
    };

    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        unsigned refused = 0;

        for (size_t n = 0; n < b[k].size; n++) {
            uint8_t *part = malloc(n + 1);
            memcpy(part, b[k].data, n);
            uint8_t *exact = realloc(part, n + (n == 0));
            const struct lint_input in = {"part", exact, n};
            const struct lint_options o = {.no_boot = true};
            struct lint_report r;
            struct lint_error e;

            if (lint_file(&in, &o, &r, &e) == 0)
                lint_free(&r);
            else
                refused++;
            free(exact);
        }
        /* Only an archive can end well where a member does. */
        assert_true(k == 0 ? refused == b[k].size : refused > b[k].size - 80);
        free(b[k].data);
    }
}

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Bytes of it replaced, again and again, for some seconds. */
static void damaged_at_random(void **state)
{
    struct bytes b = make_archive((const char *[]){"x.o"}, (struct bytes[]){short_variable()}, 1);
    const size_t at = SARMAG + sizeof(struct ar_hdr), n = b.size - at;
    uint8_t *file = malloc(n);
    const time_t end = time(NULL) + 3;
    uint64_t seed = 88172645463325252ull, runs = 0;

    (void)state;
    do {
        memcpy(file, b.data + at, n);
        for (uint64_t k = next(&seed) % 6; k-- > 0;)
            file[next(&seed) % 3 == 0 ? next(&seed) % 64 : next(&seed) % n] =
                next(&seed) % 2 ? (uint8_t)next(&seed) : 0xff;
        const struct lint_input in = {"damaged", file, n};
        const struct lint_options o = {.no_boot = true};
        struct lint_report r;
        struct lint_error e;
        if (lint_file(&in, &o, &r, &e) == 0)
            lint_free(&r);
        runs++;
    } while (time(NULL) < end);
    printf("%llu files\n", (unsigned long long)runs);
    assert_true(runs > 1000);
    free(file);
    free(b.data);
}

/* As many symbols as fit, all of one long name that ends nowhere near, all short, all wrong. */
static void what_it_costs(void **state)
{
    const size_t symbols = 200000, strings = 4u << 20;
    const size_t symbols_at = sizeof(Elf64_Ehdr), strings_at = symbols_at + symbols * 24,
                 sections_at = strings_at + strings;
    struct bytes b = {calloc(1, sections_at + 4 * 64), sections_at + 4 * 64};
    struct rusage before, after;

    (void)state;
    struct bytes small = short_variable();
    memcpy(b.data, small.data, sizeof(Elf64_Ehdr));
    free(small.data);
    header_of(b)->e_shoff = sections_at;
    header_of(b)->e_shnum = 4;
    header_of(b)->e_shstrndx = 3;
    memset(b.data + strings_at, 'x', strings - 1);
    strcpy((char *)b.data + strings_at + 1, BSS);
    *section_of(b, 1) = (Elf64_Shdr){.sh_name = 1, .sh_type = SHT_NOBITS, .sh_size = symbols};
    *section_of(b, 2) = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
                                     .sh_offset = symbols_at,
                                     .sh_size = symbols * 24,
                                     .sh_link = 3,
                                     .sh_entsize = 24};
    *section_of(b, 3) =
        (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_offset = strings_at, .sh_size = strings};
    for (size_t i = 0; i < symbols; i++)
        ((Elf64_Sym *)(b.data + symbols_at))[i] = (Elf64_Sym){
            .st_name = 100, .st_info = STT_OBJECT, .st_shndx = 1, .st_value = i, .st_size = 1};
    getrusage(RUSAGE_SELF, &before);
    struct lint_report r = lint_of(b, NULL);
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(r.nr_findings, 66); /* 64, and that there are more, and the alignment */
    assert_int_equal(r.symbols, symbols);
    printf("%ld KiB more, %ld s\n", after.ru_maxrss - before.ru_maxrss,
           after.ru_utime.tv_sec - before.ru_utime.tv_sec);
    assert_true(after.ru_utime.tv_sec - before.ru_utime.tv_sec < 20);
    assert_true(after.ru_maxrss - before.ru_maxrss < 200 * 1024);
    lint_free(&r);
}

/* Each section has its own two findings, and costs the file no more than its header and a symbol.
 */
static void many_sections(void **state)
{
    static const struct made_elf one = {.type = ET_REL,
                                        .section = {{".bss..page_aligned", 0, 8, 1, 0}},
                                        .symbol = {{"small", 1, 0, 8, STT_OBJECT}}};
    const unsigned nr = 4096;
    const char **name = calloc(nr, sizeof(*name));
    struct bytes *member = calloc(nr, sizeof(*member));

    (void)state;
    for (unsigned i = 0; i < nr; i++) {
        name[i] = "x.o";
        member[i] = make_elf(&one);
    }
    struct lint_report r = lint_of(make_archive(name, member, nr), NULL);
    assert_int_equal(r.weight[LINT_FINDING], 2 * nr);
    assert_int_equal(r.nr_findings, nr + 1);
    assert_string_equal(r.finding[nr].code, "more-findings");
    assert_string_equal(r.finding[nr].text, "4096 more of the file are not listed");
    assert_int_equal(r.answer[LINT_ALIGNED], LINT_NO);
    lint_free(&r);
    free(name);
    free(member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archives_in_archives),
        cmocka_unit_test(names_as_bsd_has_them),
        cmocka_unit_test(thin_archives_say_so),
        cmocka_unit_test(members_of_a_thin_archive),
        cmocka_unit_test(archives_too_deep),
        cmocka_unit_test(damaged_archives),
        cmocka_unit_test(headers_that_lie),
        cmocka_unit_test(sections_that_lie),
        cmocka_unit_test(strings_that_are_nowhere),
        cmocka_unit_test(cut_short_at_each_byte),
        cmocka_unit_test(damaged_at_random),
        cmocka_unit_test(what_it_costs),
        cmocka_unit_test(many_sections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
