/* SPDX-License-Identifier: MIT */
/*
 * Tests inside a guest, in the Test Anything Protocol, version 13, on the console.
 *
 * A test is a function that returns; the first check that fails ends it, by a return. Checks show
 * the values that they were about.
 */
#ifndef KERNEL_TAP_H
#define KERNEL_TAP_H

#include <pvguest/pvguest.h>

struct tap {
    struct pvguest *g;
    bool failed;
    char skip[120];   /* not empty: skipped, and why */
    char reason[400]; /* of a failure */
};

struct test {
    const char *name;
    void (*run)(struct tap *t);
};

/* The tests of one subject; tests are known as "theme.name". */
struct theme {
    const char *name;
    const struct test *test;
    unsigned count;
};

#define THEME(title, list)                                                                         \
    {                                                                                              \
        title, list, sizeof(list) / sizeof((list)[0])                                              \
    }

extern const struct theme *const themes[]; /* themes.c; the last is NULL */

struct tap_result {
    unsigned planned, passed, failed, skipped;
};

/* Runs those whose name fits `glob` (* and ?). */
struct tap_result tap_run(struct pvguest *g, const char *glob);

bool glob_fits(const char *glob, const char *text);

/* Text on the console. */
void say(struct pvguest *g, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same of what should not be, counted. */
void say_trouble(struct pvguest *g, const char *text);

/* ---- what a test says; false where the test is to end */

bool tap_fail(struct tap *t, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void tap_skip(struct tap *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool tap_same(struct tap *t, const char *file, int line, const char *what, uint64_t is,
              uint64_t wanted);
bool tap_text(struct tap *t, const char *file, int line, const char *what, const char *is,
              const char *wanted);
/* A result of the library's: 0, or the reason is shown. */
bool tap_ok(struct tap *t, const char *file, int line, const char *what, int64_t rc);

#define TAP_END_IF_NOT(condition)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return;                                                                                \
    } while (0)

#define CHECK(t, condition)                                                                        \
    TAP_END_IF_NOT((condition) || tap_fail(t, __FILE_NAME__, __LINE__, "%s", #condition))
/* The same, with what there is to say of the values. */
#define CHECK_SAY(t, condition, ...)                                                               \
    TAP_END_IF_NOT((condition) || tap_fail(t, __FILE_NAME__, __LINE__, __VA_ARGS__))
#define CHECK_SAME(t, is, wanted)                                                                  \
    TAP_END_IF_NOT(tap_same(t, __FILE_NAME__, __LINE__, #is, (uint64_t)(is), (uint64_t)(wanted)))
#define CHECK_TEXT(t, is, wanted)                                                                  \
    TAP_END_IF_NOT(tap_text(t, __FILE_NAME__, __LINE__, #is, is, wanted))
#define CHECK_OK(t, call) TAP_END_IF_NOT(tap_ok(t, __FILE_NAME__, __LINE__, #call, call))

#endif
