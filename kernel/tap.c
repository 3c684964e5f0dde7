/* SPDX-License-Identifier: MIT */
/* Choosing tests, running them, and saying what came of it. */
#include "tap.h"

#include "count.h"

#define NAME_MAX 80u
#define LINE_MAX 640u

void say(struct pvguest *g, const char *format, ...)
{
    char line[LINE_MAX];
    va_list list;
    va_start(list, format);
    size_t length = pvg_format_list(line, sizeof(line), format, list);
    va_end(list);
    pvg_write(g, line, length < sizeof(line) ? length : sizeof(line) - 1);
}

void say_trouble(struct pvguest *g, const char *text)
{
    troubles_told++;
    say(g, "%s", text);
}

/* ---- checks */

bool tap_fail(struct tap *t, const char *file, int line, const char *format, ...)
{
    va_list list;
    size_t n = pvg_format(t->reason, sizeof(t->reason), "%s:%d: ", file, line);
    va_start(list, format);
    pvg_format_list(t->reason + n, sizeof(t->reason) - n, format, list);
    va_end(list);
    t->failed = true;
    return false;
}

void tap_skip(struct tap *t, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    pvg_format_list(t->skip, sizeof(t->skip), format, list);
    va_end(list);
}

bool tap_same(struct tap *t, const char *file, int line, const char *what, uint64_t is,
              uint64_t wanted)
{
    return is == wanted || tap_fail(t, file, line, "%s is 0x%lx (%ld), not 0x%lx (%ld)", what, is,
                                    (int64_t)is, wanted, (int64_t)wanted);
}

static bool same_text(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

bool tap_text(struct tap *t, const char *file, int line, const char *what, const char *is,
              const char *wanted)
{
    return same_text(is, wanted) ||
           tap_fail(t, file, line, "%s is \"%s\", not \"%s\"", what, is, wanted);
}

bool tap_ok(struct tap *t, const char *file, int line, const char *what, int64_t rc)
{
    return rc == 0 || tap_fail(t, file, line, "%s is %ld: %s", what, rc, pvg_reason(t->g));
}

/* ---- which ones */

/* A star is tried with nothing first, then with a character more each time that the rest fails. */
bool glob_fits(const char *glob, const char *text)
{
    const char *star = NULL, *again = NULL;
    while (*text) {
        if (*glob == '*') {
            star = glob++;
            again = text;
        } else if (*glob == '?' || *glob == *text) {
            glob++;
            text++;
        } else if (star) {
            glob = star + 1;
            text = ++again;
        } else {
            return false;
        }
    }
    while (*glob == '*')
        glob++;
    return *glob == 0;
}

static bool chosen(const struct theme *theme, const struct test *test, const char *glob)
{
    char name[NAME_MAX];
    pvg_format(name, sizeof(name), "%s.%s", theme->name, test->name);
    return glob_fits(glob, name);
}

static unsigned count_chosen(const char *glob)
{
    unsigned n = 0;
    for (const struct theme *const *theme = themes; *theme; theme++)
        for (unsigned i = 0; i < (*theme)->count; i++)
            n += chosen(*theme, &(*theme)->test[i], glob);
    return n;
}

/* ---- running them */

static void run_one(struct pvguest *g, const struct theme *theme, const struct test *test,
                    struct tap_result *r)
{
    static struct tap t;
    unsigned number = r->passed + r->failed + r->skipped + 1;
    t = (struct tap){.g = g};
    test->run(&t);
    r->failed += t.failed;
    r->skipped += !t.failed && t.skip[0];
    r->passed += !t.failed && !t.skip[0];
    if (t.failed)
        say_trouble(g, "not ");
    say(g, "ok %u - %s.%s%s%s%s\n", number, theme->name, test->name, t.failed ? "  # " : "",
        t.failed    ? t.reason
        : t.skip[0] ? " # SKIP "
                    : "",
        t.failed ? "" : t.skip);
}

struct tap_result tap_run(struct pvguest *g, const char *glob)
{
    struct tap_result r = {.planned = count_chosen(glob)};
    say(g, "1..%u\n", r.planned);
    for (const struct theme *const *theme = themes; *theme; theme++)
        for (unsigned i = 0; i < (*theme)->count; i++)
            if (chosen(*theme, &(*theme)->test[i], glob))
                run_one(g, *theme, &(*theme)->test[i], &r);
    return r;
}
