/* SPDX-License-Identifier: MIT */
/* pvg_format(): what it writes, and where it stops. */
#include "themes.h"

static void numbers(struct tap *t)
{
    char s[64];
    pvg_format(s, sizeof(s), "%d %u %x %lu %lx %zu", -5, 7u, 0xbeefu, ~0ul, ~0ul, (size_t)3);
    CHECK_TEXT(t, s, "-5 7 beef 18446744073709551615 ffffffffffffffff 3");
    pvg_format(s, sizeof(s), "%ld %lld", INT64_MIN, (long long)INT64_MAX);
    CHECK_TEXT(t, s, "-9223372036854775808 9223372036854775807");
}

static void widths(struct tap *t)
{
    char s[64];
    pvg_format(s, sizeof(s), "[%4d][%04d][%2x][%8s]", -5, -5, 0x123u, "ab");
    CHECK_TEXT(t, s, "[  -5][-005][123][      ab]");
}

static void others(struct tap *t)
{
    char s[64];
    pvg_format(s, sizeof(s), "%c%%%s %p", 'x', "yz", (void *)0x1000);
    CHECK_TEXT(t, s, "x%yz 0x1000");
}

static void room(struct tap *t)
{
    char s[8] = "#######";
    CHECK_SAME(t, pvg_format(s, 4, "%s", "abcdef"), 6);
    CHECK_TEXT(t, s, "abc");
    CHECK_SAME(t, s[4], '#');
    CHECK_SAME(t, pvg_format(NULL, 0, "%u", 12345u), 5);
}

static const struct test tests[] = {
    {"numbers", numbers},
    {"widths", widths},
    {"others", others},
    {"room", room},
};

const struct theme format_theme = THEME("format", tests);
