/* SPDX-License-Identifier: MIT */
/*
 * Names that the library uses inside, used by its kernel for things of its own: the link must not
 * mind, and each side must reach its own. What the compiler expects of a C library is the kernel's,
 * if it has one.
 */
#include "themes.h"

size_t strlen(const char *text);
int fail(int a);
void publish(void);

static unsigned lengths, failures, publications;

size_t strlen(const char *text)
{
    size_t n = 0;
    lengths++;
    while (text[n])
        n++;
    return n;
}

int fail(int a)
{
    failures++;
    return a + 1;
}

void publish(void)
{
    publications++;
}

static void own_strlen(struct tap *t)
{
    char s[16];
    lengths = 0;
    pvg_format(s, sizeof(s), "%s", "text");
    CHECK_SAME(t, lengths, 1);
}

static void own_functions(struct tap *t)
{
    CHECK_SAME(t, failures, 0);
    CHECK_SAME(t, publications, 0);
    CHECK_SAME(t, fail(7), 8);
    publish();
    CHECK_SAME(t, failures, 1);
    CHECK_SAME(t, publications, 1);
    failures = publications = 0;
}

static const struct test tests[] = {
    {"own_strlen", own_strlen},
    {"own_functions", own_functions},
};

const struct theme names_theme = THEME("names", tests);
