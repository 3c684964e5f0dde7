/* SPDX-License-Identifier: MIT */
/* Objects: what in a page-aligned section is no whole pages, and what that shifts. */
#include "made.h"

#include <stdio.h>

#define BSS  ".bss..page_aligned"
#define PAGE 4096u

/* An object with one such section, aligned, of so many bytes. */
#define OBJECT(bytes, ...)                                                                         \
    make_elf(&(struct made_elf){                                                                   \
        .type = ET_REL, .section = {{BSS, 0, (bytes), PAGE, 0}}, .symbol = {__VA_ARGS__}})
#define VARIABLE(name, value, size)                                                                \
    {                                                                                              \
        name, 1, value, size, STT_OBJECT                                                           \
    }
#define LABEL(name, value)                                                                         \
    {                                                                                              \
        name, 1, value, 0, STT_NOTYPE                                                              \
    }

static void whole_pages_are_clean(void **state)
{
    (void)state;
    expect_clean(lint_of(OBJECT(4 * PAGE, VARIABLE("a", 0, PAGE), VARIABLE("b", PAGE, 2 * PAGE),
                                LABEL("c", 3 * PAGE)),
                         NULL),
                 3);
    expect_clean(lint_of(OBJECT(0, LABEL("nothing", 0)), NULL), 0);
}

/* The story of count_misaligned.c: a counter ahead of the tables. */
static void a_short_one_shifts_the_rest(void **state)
{
    (void)state;
    struct lint_report r = lint_of(OBJECT(8 + 2 * PAGE, VARIABLE("told", 0, 8),
                                          VARIABLE("l2", 8, PAGE), LABEL("l1", 8 + PAGE)),
                                   NULL);
    const struct lint_finding *f = expect(&r, 0, "symbol-size", "told", 2);

    /* l1 has no size of its own: up to the section's end it is whole pages. */
    assert_int_equal(r.nr_findings, 1);
    assert_string_equal(f->also, "l2, l1");
    assert_string_equal(f->section, BSS);
    assert_null(f->member);
    assert_true(f->has_address && f->address == 0 && f->has_size && f->size == 8);
    assert_int_equal(f->weight, LINT_FINDING);
    assert_int_equal(r.answer[LINT_ALIGNED], LINT_NO);
    assert_string_equal(r.why[LINT_ALIGNED], "1 finding");
    lint_free(&r);
}

static void an_alignment_ends_the_shift(void **state)
{
    (void)state;
    struct lint_report r =
        lint_of(OBJECT(3 * PAGE + 8, VARIABLE("a", 0, 8), VARIABLE("b", PAGE, PAGE),
                       VARIABLE("c", 2 * PAGE, 8), VARIABLE("d", 2 * PAGE + 8, PAGE)),
                NULL);

    expect(&r, 0, "symbol-size", "a", 0);
    assert_string_equal(expect(&r, 1, "symbol-size", "c", 1)->also, "d");
    assert_int_equal(r.nr_findings, 2);
    lint_free(&r);
}

/* Each of two shifts what is behind it; what they shift is nobody's third fault. */
static void two_short_ones(void **state)
{
    (void)state;
    struct lint_report r = lint_of(
        OBJECT(16 + PAGE, VARIABLE("a", 0, 8), VARIABLE("b", 8, 8), VARIABLE("t", 16, PAGE)), NULL);

    assert_string_equal(expect(&r, 0, "symbol-size", "a", 2)->also, "b, t");
    expect(&r, 1, "symbol-size", "b", 1);
    assert_int_equal(r.nr_findings, 2);
    lint_free(&r);
}

/* There is a gap before it, and nobody shifts it. */
static void an_address_of_its_own(void **state)
{
    (void)state;
    struct lint_report r =
        lint_of(OBJECT(3 * PAGE, VARIABLE("a", 0, PAGE), VARIABLE("b", PAGE + 64, PAGE),
                       VARIABLE("c", 2 * PAGE + 64, PAGE - 64)),
                NULL);

    expect(&r, 0, "symbol-address", "b", 1);
    expect(&r, 1, "symbol-size", "c", 0);
    assert_int_equal(r.nr_findings, 2);
    lint_free(&r);
}

/* Both are wrong: what it is too short for comes first. */
static void a_short_one_at_an_address_of_its_own(void **state)
{
    (void)state;
    struct lint_report r =
        lint_of(OBJECT(2 * PAGE, VARIABLE("a", 0, PAGE), VARIABLE("b", PAGE + 64, 8)), NULL);

    assert_non_null(strstr(expect(&r, 0, "symbol-size", "b", 0)->text, "starts 0x40 bytes into"));
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
}

static void labels_are_as_long_as_up_to_the_next(void **state)
{
    (void)state;
    struct lint_report r = lint_of(OBJECT(PAGE + 24, LABEL("a", 0), LABEL("b", 24)), NULL);
    const struct lint_finding *f = expect(&r, 0, "symbol-size", "a", 1);

    assert_int_equal(f->size, 24);
    assert_non_null(strstr(f->text, "up to b"));
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
    r = lint_of(OBJECT(PAGE + 24, LABEL("a", 0)), NULL);
    assert_non_null(strstr(expect(&r, 0, "symbol-size", "a", 0)->text, "up to the section's end"));
    lint_free(&r);
}

static void marks_and_aliases_are_no_faults(void **state)
{
    (void)state;
    expect_clean(
        lint_of(OBJECT(3 * PAGE, LABEL("start", 0), VARIABLE("table", 0, 2 * PAGE),
                       VARIABLE("alias", 0, 8), VARIABLE("inner", 64, 8), LABEL("entry", PAGE + 8),
                       LABEL("last", 2 * PAGE), VARIABLE("t", 2 * PAGE, PAGE),
                       LABEL("end", 3 * PAGE), {"$d", 1, 8, 0, STT_NOTYPE}),
                NULL),
        2);
    /* The end of a short one, with padding behind: one fault, and the mark is none. */
    struct lint_report r = lint_of(
        OBJECT(2 * PAGE, VARIABLE("a", 0, 8), LABEL("a_end", 8), VARIABLE("t", PAGE, PAGE)), NULL);
    expect(&r, 0, "symbol-size", "a", 0);
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
}

static void other_kinds_of_symbols(void **state)
{
    (void)state;
    struct lint_report r =
        lint_of(OBJECT(PAGE + 8, {"file", 1, 4, 4, STT_FILE}, {"section", 1, 4, 4, STT_SECTION},
                       {"page", 1, 0, PAGE, STT_OBJECT}, {"code", 1, PAGE, 8, STT_FUNC},
                       {"elsewhere", 0, 4, 4, STT_OBJECT}),
                NULL);

    expect(&r, 0, "symbol-size", "code", 0);
    assert_int_equal(r.nr_findings, 1);
    assert_int_equal(r.symbols, 2);
    lint_free(&r);
}

static void bytes_without_a_name(void **state)
{
    const struct made_elf stripped = {
        .type = ET_REL, .no_symbols = true, .section = {{BSS, 0, PAGE + 8, PAGE, 0}}};
    struct lint_report r = lint_of(make_elf(&stripped), NULL);

    (void)state;
    expect(&r, 0, "section-size", "", 0);
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
    r = lint_of(OBJECT(PAGE + 8, VARIABLE("late", 8, PAGE)), NULL);
    assert_string_equal(expect(&r, 0, "section-size", "", 1)->also, "late");
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
    r = lint_of(OBJECT(PAGE + 8, VARIABLE("early", 0, PAGE)), NULL);
    assert_int_equal(expect(&r, 0, "section-size", "", 0)->address, PAGE);
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
}

static void a_section_that_nothing_aligns(void **state)
{
    static const uint64_t aligns[] = {0, 1, 8, 2048, 4096 + 8};

    (void)state;
    for (unsigned i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++) {
        struct lint_report r =
            lint_of(make_elf(&(struct made_elf){.type = ET_REL,
                                                .section = {{BSS, 0, PAGE, aligns[i], 0}},
                                                .symbol = {VARIABLE("t", 0, PAGE)}}),
                    NULL);

        assert_string_equal(expect(&r, 0, "section-alignment", "", 0)->section, BSS);
        assert_int_equal(r.nr_findings, 1);
        lint_free(&r);
    }
    expect_clean(lint_of(make_elf(&(struct made_elf){.type = ET_REL,
                                                     .section = {{BSS, 0, 2 * PAGE, 2 * PAGE, 0}},
                                                     .symbol = {VARIABLE("t", 0, 2 * PAGE)}}),
                         NULL),
                 1);
}

/* A short variable in the section of that name: whether it is one of those that are judged. */
static bool is_judged(const char *section, const char *variable, const struct lint_options *o)
{
    struct lint_report r =
        lint_of(make_elf(&(struct made_elf){.type = ET_REL,
                                            .section = {{section, 0, 8, PAGE, 0}},
                                            .symbol = {VARIABLE(variable, 0, 8)}}),
                o);
    const bool judged = r.nr_findings != 0;

    lint_free(&r);
    return judged;
}

static void names_of_sections(void **state)
{
    static const char *const more[] = {".mine", ".bss.own"};
    const struct lint_options o = {.sections = more, .nr_sections = 2, .no_boot = true};

    (void)state;
    assert_true(is_judged(".bss..page_aligned", "x", NULL));
    assert_true(is_judged(".data..page_aligned", "x", NULL));
    assert_true(is_judged(".bss.page_aligned", "x", NULL));
    assert_true(is_judged(".data.page_aligned", "x", NULL));
    assert_true(is_judged(".bss..page_aligned.x", "x", NULL));
    assert_true(is_judged(".data.page_aligned.const", "x", NULL));
    assert_false(is_judged(".bss..page_aligned_not", "x", NULL));
    assert_false(is_judged(".rela.bss..page_aligned", "x", NULL));
    assert_false(is_judged(".mine", "x", NULL));
    assert_true(is_judged(".mine", "x", &o));
    assert_true(is_judged(".bss.own.x", "x", &o));
    assert_true(is_judged(".bss..page_aligned", "x", &o));
    assert_false(is_judged(".mine2", "x", &o));
    /* -fdata-sections: a variable of that name, global, or static in a function. */
    assert_false(is_judged(".bss.page_aligned", "page_aligned", NULL));
    assert_false(is_judged(".data.page_aligned.0", "page_aligned.0", NULL));
    assert_true(is_judged(".bss..page_aligned", "page_aligned", NULL));
}

static void symbols_that_overlap_or_lie(void **state)
{
    (void)state;
    struct lint_report r =
        lint_of(OBJECT(2 * PAGE, VARIABLE("a", 0, PAGE), VARIABLE("across", PAGE / 2, PAGE)), NULL);
    expect(&r, 0, "symbol-address", "across", 0);
    lint_free(&r);
    r = lint_of(OBJECT(PAGE, VARIABLE("huge", 0, 1ull << 63), VARIABLE("in", 8, 8)), NULL);
    assert_non_null(strstr(expect(&r, 0, "symbol-size", "huge", 0)->text, "more than its section"));
    lint_free(&r);
    r = lint_of(OBJECT(PAGE, VARIABLE("wraps", PAGE - 8, UINT64_MAX)), NULL);
    expect(&r, 0, "section-size", "", 1);
    expect(&r, 1, "symbol-size", "wraps", 0);
    lint_free(&r);
    expect_clean(
        lint_of(OBJECT(PAGE, VARIABLE("t", 0, PAGE), VARIABLE("out", 1ull << 40, 8)), NULL), 1);
}

/* What can be shown is bounded; that there is more is said, and counts. */
static void many_findings(void **state)
{
    struct made_elf m = {.type = ET_REL, .section = {{BSS, 0, 80, PAGE, 0}}};
    char names[80][4];

    (void)state;
    for (unsigned i = 0; i < 80; i++) {
        snprintf(names[i], sizeof(names[i]), "s%u", i);
        m.symbol[i] = (struct made_symbol){names[i], 1, i, 1, STT_OBJECT};
    }
    struct lint_report r = lint_of(make_elf(&m), NULL);
    assert_int_equal(r.nr_findings, 65);
    assert_int_equal(r.weight[LINT_FINDING], 65);
    assert_non_null(strstr(expect(&r, 0, "symbol-size", "s0", 79)->also, "s1, s2, "));
    assert_non_null(strstr(r.finding[0].also, " more"));
    assert_non_null(strstr(expect(&r, 64, "more-findings", "", 0)->text, "16 more"));
    lint_free(&r);
}

static void a_long_name_is_cut(void **state)
{
    char name[600];

    (void)state;
    memset(name, 'x', sizeof(name));
    name[0] = '\033';
    name[sizeof(name) - 1] = '\0';
    struct lint_report r = lint_of(OBJECT(8, VARIABLE(name, 0, 8)), NULL);
    assert_int_equal(r.nr_findings, 1);
    assert_int_equal(r.finding[0].symbol[0], '?');
    assert_true(strlen(r.finding[0].symbol) < 300);
    lint_free(&r);
}

static void intermediate_code_is_not_decided(void **state)
{
    (void)state;
    struct lint_report r =
        lint_of(make_elf(&(struct made_elf){.type = ET_REL,
                                            .symbol = {{"__gnu_lto_slim", 0, 1, 1, STT_OBJECT}}}),
                NULL);
    assert_int_equal(expect(&r, 0, "intermediate-code", "", 0)->weight, LINT_OPEN);
    assert_int_equal(r.answer[LINT_ALIGNED], LINT_UNDECIDABLE);
    lint_free(&r);
    struct bytes b = {malloc(4), 4};
    memcpy(b.data, "BC\xc0\xde", 4);
    r = lint_of(b, NULL);
    expect(&r, 0, "intermediate-code", "", 0);
    lint_free(&r);
}

/* 70000 sections: their number and the symbols' sections do not fit where they usually are. */
static void more_sections_than_a_header_can_tell(void **state)
{
    struct made_elf m = {.type = ET_REL,
                         .empty = 70000,
                         .section = {{BSS, 0, 8 + PAGE, PAGE, 0}},
                         .symbol = {VARIABLE("a", 0, 8), VARIABLE("t", 8, PAGE)}};

    (void)state;
    struct lint_report r = lint_of(make_elf(&m), NULL);
    assert_string_equal(expect(&r, 0, "symbol-size", "a", 1)->also, "t");
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
}

static void the_other_byte_order(void **state)
{
    struct bytes b = OBJECT(8 + PAGE, VARIABLE("a", 0, 8), VARIABLE("t", 8, PAGE));

    (void)state;
    turn_elf(b);
    struct lint_report r = lint_of(b, NULL);
    assert_string_equal(r.kind, "ELF object, big-endian");
    assert_string_equal(expect(&r, 0, "symbol-size", "a", 1)->also, "t");
    assert_int_equal(r.nr_findings, 1);
    lint_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_pages_are_clean),
        cmocka_unit_test(a_short_one_shifts_the_rest),
        cmocka_unit_test(an_alignment_ends_the_shift),
        cmocka_unit_test(two_short_ones),
        cmocka_unit_test(an_address_of_its_own),
        cmocka_unit_test(a_short_one_at_an_address_of_its_own),
        cmocka_unit_test(labels_are_as_long_as_up_to_the_next),
        cmocka_unit_test(marks_and_aliases_are_no_faults),
        cmocka_unit_test(other_kinds_of_symbols),
        cmocka_unit_test(bytes_without_a_name),
        cmocka_unit_test(a_section_that_nothing_aligns),
        cmocka_unit_test(names_of_sections),
        cmocka_unit_test(symbols_that_overlap_or_lie),
        cmocka_unit_test(many_findings),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(intermediate_code_is_not_decided),
        cmocka_unit_test(more_sections_than_a_header_can_tell),
        cmocka_unit_test(the_other_byte_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
