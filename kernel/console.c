/* SPDX-License-Identifier: MIT */
/* The console: texts longer than its ring, and none at all. What arrives is for xen.sh to see. */
#include "themes.h"

#define LONG_LINES 100u /* 64 bytes each: three times the ring */

static void long_text(struct tap *t)
{
    char line[65];
    for (unsigned i = 0; i < LONG_LINES; i++) {
        size_t n = pvg_format(line, sizeof(line), "# long %04u %051u\n", i, i);
        CHECK_SAME(t, n, 64);
        pvg_write(t->g, line, n);
    }
}

static void one_long_write(struct tap *t)
{
    static char text[LONG_LINES * 64];
    for (unsigned i = 0; i < LONG_LINES; i++) {
        char line[65];
        pvg_format(line, sizeof(line), "# once %04u %051u\n", i, i);
        for (unsigned j = 0; j < 64; j++)
            text[i * 64 + j] = line[j];
    }
    pvg_write(t->g, text, sizeof(text));
}

static void nothing(struct tap *t)
{
    pvg_write(t->g, "", 0);
    pvg_print(t->g, "%s", "");
}

/* The cut is marked. */
static void print_is_cut(struct tap *t)
{
    pvg_print(t->g, "# %02000u\n", 1u);
}

static void no_input(struct tap *t)
{
    char text[16];
    CHECK_SAME(t, pvg_read(t->g, text, 0), 0);
    CHECK_SAME(t, pvg_read(t->g, text, sizeof(text)), 0);
}

static const struct test tests[] = {
    {"long_text", long_text}, {"one_long_write", one_long_write},
    {"nothing", nothing},     {"print_is_cut", print_is_cut},
    {"no_input", no_input},
};

const struct theme console_theme = THEME("console", tests);
