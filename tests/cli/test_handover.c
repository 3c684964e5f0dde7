/* SPDX-License-Identifier: MIT */
/* The words of a migration: what is written is read, and nothing else is taken for a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "handover.h"

static struct handover_line parsed(const char *text)
{
    struct handover_line l;

    handover_parse(&l, text, strlen(text));
    return l;
}

static size_t formatted(char *to, enum handover_word word, uint64_t memory, const char *text)
{
    struct handover_line l = {.word = word, .memory = memory};

    snprintf(l.text, sizeof(l.text), "%s", text);
    return handover_format(to, HANDOVER_CHARS, &l);
}

static void what_is_written_is_read(void **state)
{
    static const struct {
        enum handover_word word;
        uint64_t memory;
        const char *text, *line;
    } all[] = {
        {HANDOVER_OFFER, 1 << 20, "web", "pvmm migration 1 1048576 web\n"},
        {HANDOVER_OFFER, UINT64_MAX, "", "pvmm migration 1 18446744073709551615 -\n"},
        {HANDOVER_READY, 0, "", "pvmm migration 1 ready\n"},
        {HANDOVER_ARRIVED, 0, "", "arrived\n"},
        {HANDOVER_GO, 0, "", "go\n"},
        {HANDOVER_RUNNING, 0, "", "running\n"},
        {HANDOVER_FAILED, 0, "no room: on the disk", "failed no room: on the disk\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        char text[HANDOVER_CHARS];
        const size_t n = formatted(text, all[i].word, all[i].memory, all[i].text);
        struct handover_line l;

        assert_int_equal(n, strlen(all[i].line));
        assert_string_equal(text, all[i].line);
        handover_parse(&l, text, n - 1);
        assert_int_equal(l.word, all[i].word);
        assert_string_equal(l.text, all[i].text);
        if (l.word == HANDOVER_OFFER)
            assert_true(l.memory == all[i].memory);
    }
}

static void nothing_else_is_a_word(void **state)
{
    static const char *const others[] = {
        "",
        "g",
        "go ",
        " go",
        "GO",
        "gone",
        "running 1",
        "failed",
        "pvmm migration ",
        "pvmm migration 2 ready",
        "pvmm migration 11 ready",
        "pvmm migration 1 ready ",
        "pvmm migration 1 5",
        "pvmm migration 1 5 ",
        "pvmm migration 1 -5 web",
        "pvmm migration 1 +5 web",
        "pvmm migration 1 5x web",
        "pvmm migration 1 99999999999999999999 web",
        "Xen saved domain, xl format",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        const struct handover_line l = parsed(others[i]);

        assert_int_equal(l.word, HANDOVER_UNKNOWN);
        assert_string_equal(l.text, others[i]);
    }
}

/* However long, whatever it has: a line stays one, is printable, and ends within its bounds. */
static void texts_stay_lines(void **state)
{
    char text[HANDOVER_CHARS], more[2 * HANDOVER_CHARS];
    struct handover_line l;
    size_t n;

    (void)state;
    n = formatted(text, HANDOVER_FAILED, 0, "two\nlines\x01\xff");
    assert_string_equal(text, "failed two?lines??\n");
    memset(l.text, 'x', sizeof(l.text) - 1);
    l.text[sizeof(l.text) - 1] = '\0';
    l.word = HANDOVER_FAILED;
    n = handover_format(text, sizeof(text), &l);
    assert_true(n > HANDOVER_CHARS / 2 && n < sizeof(text) && text[n - 1] == '\n');
    l.word = HANDOVER_UNKNOWN;
    assert_int_equal(handover_format(text, sizeof(text), &l), 0);
    memset(more, '\xfe', sizeof(more));
    handover_parse(&l, more, sizeof(more));
    assert_int_equal(l.word, HANDOVER_UNKNOWN);
    assert_int_equal(strspn(l.text, "?"), HANDOVER_CHARS - 1);
}

static void bytes_at_random_are_read(void **state)
{
    static const char *const begins[] = {"", "pvmm migration ", "pvmm migration 1 ", "failed "};
    char text[HANDOVER_CHARS + 64];
    struct handover_line l;

    (void)state;
    srandom(1);
    for (unsigned i = 0; i < 100000; i++) {
        const char *begin = begins[i % 4];
        size_t n = strlen(begin) + (size_t)random() % (i % 100 ? 24 : HANDOVER_CHARS);

        memcpy(text, begin, strlen(begin));
        for (size_t at = strlen(begin); at < n; at++)
            text[at] = (char)(random() % 3 ? "0123456789 -rega"[random() % 16] : (char)random());
        handover_parse(&l, text, n);
        assert_true(l.word <= HANDOVER_UNKNOWN && strlen(l.text) < HANDOVER_CHARS);
        for (const char *c = l.text; *c != '\0'; c++)
            assert_true(*c >= ' ' && *c <= '~');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(nothing_else_is_a_word),
        cmocka_unit_test(texts_stay_lines),
        cmocka_unit_test(bytes_at_random_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
