/* SPDX-License-Identifier: MIT */
/* The hypervisor's own printf: the same as the C library's for all that it knows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "machine.h"

/* Both must write the same text and return its length. */
#define SAME(...)                                                                                  \
    do {                                                                                           \
        char ours_[256], theirs_[256];                                                             \
        int n_ = format(ours_, sizeof(ours_), __VA_ARGS__);                                        \
        assert_int_equal(n_, snprintf(theirs_, sizeof(theirs_), __VA_ARGS__));                     \
        assert_string_equal(ours_, theirs_);                                                       \
    } while (0)

static void test_text(void **state)
{
    (void)state;
    SAME("%s", "");
    SAME("plain");
    SAME("%s and %s", "one", "two");
    SAME("[%8s] [%-8s] [%1s]", "abc", "abc", "abc");
    SAME("[%.2s] [%.*s] [%.9s] [%-5.1s]", "abc", 1, "abc", "abc", "abc");
    SAME("%c%c 100%%", 'x', 'y');
}

static void test_signed(void **state)
{
    (void)state;
    SAME("%d %d %d %i", 0, 1, -1, 42);
    SAME("%d %d", INT32_MAX, INT32_MIN);
    SAME("%ld %ld", INT64_MAX, INT64_MIN);
    SAME("[%5d] [%-5d] [%05d]", -42, -42, -42);
    SAME("[%1d] [%01d] [%020ld]", -12345, -12345, -12345l);
}

static void test_unsigned(void **state)
{
    (void)state;
    SAME("%u %u", 0u, UINT32_MAX);
    SAME("%lu %lx", UINT64_MAX, UINT64_MAX);
    SAME("%x %08x [%8x] [%-8x]", 0xabcu, 0xabcu, 0xabcu, 0xabcu);
    SAME("%016lx %04lx", 0x123456789abcul, 0x123456789abcul);
    SAME("%zu", sizeof(int));
    SAME("%lx %02x", 0ul, 0u);
}

/* "0x" is not put in front of pointers. */
static void test_pointer(void **state)
{
    char text[32];

    (void)state;
    assert_int_equal(format(text, sizeof(text), "%p", (void *)0xffff830000001000), 16);
    assert_string_equal(text, "ffff830000001000");
}

static void test_no_text(void **state)
{
    const char *volatile none = NULL;
    char text[32];

    (void)state;
    format(text, sizeof(text), "%s", none);
    assert_string_equal(text, "(null)");
}

/* Whatever the size: terminated, nothing beyond it, and the length is that of the whole. */
static void test_every_size(void **state)
{
    static const char whole[] = "abc 0000002a -7 fed  x";
    char text[64];

    (void)state;
    for (unsigned size = 0; size < sizeof(text); size++) {
        memset(text, '#', sizeof(text));
        assert_int_equal(format(text, size, "%s %08x %d %-4lx %c", "abc", 42u, -7, 0xfedul, 'x'),
                         strlen(whole));
        for (unsigned i = size; i < sizeof(text); i++)
            assert_int_equal(text[i], '#');
        if (size) {
            unsigned n = size <= strlen(whole) ? size - 1 : (unsigned)strlen(whole);

            assert_int_equal(strlen(text), n);
            assert_memory_equal(text, whole, n);
        }
    }
}

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-security"

/* Not known: shown as it stands. Cut off: ends there. */
static void test_strange_formats(void **state)
{
    char text[32];

    (void)state;
    format(text, sizeof(text), "a%qb");
    assert_string_equal(text, "a%qb");
    format(text, sizeof(text), "a%");
    assert_string_equal(text, "a");
    format(text, sizeof(text), "a%08l");
    assert_string_equal(text, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_signed),
        cmocka_unit_test(test_unsigned),
        cmocka_unit_test(test_pointer),
        cmocka_unit_test(test_no_text),
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_strange_formats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
