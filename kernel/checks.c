/* SPDX-License-Identifier: MIT */
/* The tests' own means: checks that fail say so, with the values; names are chosen by * and ?. */
#include "themes.h"

static void failing_checks(struct tap *t)
{
    static struct tap other;
    other = (struct tap){.g = t->g};
    CHECK(t, !tap_same(&other, "f.c", 12, "a", 255, (uint64_t)-1));
    CHECK(t, other.failed);
    CHECK_TEXT(t, other.reason, "f.c:12: a is 0xff (255), not 0xffffffffffffffff (-1)");
    CHECK(t, !tap_text(&other, "f.c", 13, "s", "ab", "abc"));
    CHECK_TEXT(t, other.reason, "f.c:13: s is \"ab\", not \"abc\"");
    CHECK(t, !tap_fail(&other, "f.c", 14, "%u of %u", 1u, 2u));
    CHECK_TEXT(t, other.reason, "f.c:14: 1 of 2");
    CHECK(t, !tap_ok(&other, "f.c", 15, "call()", -XEN_EINVAL));
    CHECK_SAY(t, other.reason[0] == 'f', "the reason is \"%s\"", other.reason);
}

static void passing_checks(struct tap *t)
{
    static struct tap other;
    other = (struct tap){.g = t->g};
    CHECK(t, tap_same(&other, "f.c", 1, "a", 1, 1));
    CHECK(t, tap_text(&other, "f.c", 1, "s", "", ""));
    CHECK(t, tap_ok(&other, "f.c", 1, "call()", 0));
    CHECK(t, !other.failed);
}

/* A check in a test ends it. */
static void first_of_two(struct tap *t)
{
    CHECK_SAME(t, 1, 2);
    CHECK_SAME(t, 3, 4);
}

static void first_failure_ends(struct tap *t)
{
    static struct tap other;
    other = (struct tap){.g = t->g};
    first_of_two(&other);
    CHECK(t, other.failed);
    CHECK_SAY(t, glob_fits("checks.c:*: 1 is 0x1 (1), not 0x2 (2)", other.reason),
              "the reason is \"%s\"", other.reason);
}

static void globs(struct tap *t)
{
    static const struct {
        const char *glob, *text;
        bool fits;
    } at[] = {
        {"*", "", true},       {"*", "a.b", true},     {"", "a", false},
        {"a.b", "a.b", true},  {"a.b", "a.bc", false}, {"a.*", "a.b", true},
        {"a.*", "ab", false},  {"*.c", "a.b.c", true}, {"?.b", "a.b", true},
        {"?.b", ".b", false},  {"*a*b", "xaab", true}, {"*ab", "aab", true},
        {"*ab", "aba", false}, {"**?", "x", true},     {"**?", "", false},
    };
    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        CHECK_SAY(t, glob_fits(at[i].glob, at[i].text) == at[i].fits, "\"%s\" and \"%s\"",
                  at[i].glob, at[i].text);
}

static const struct test tests[] = {
    {"failing_checks", failing_checks},
    {"passing_checks", passing_checks},
    {"first_failure_ends", first_failure_ends},
    {"globs", globs},
};

const struct theme checks_theme = THEME("checks", tests);
