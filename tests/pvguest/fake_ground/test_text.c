/* SPDX-License-Identifier: MIT */
/* Formatted text, against the C library's; and the chain of reasons. */
#include "fake.h"

#include <stdio.h>

static struct pvguest guest;

#define SAME(...)                                                                                  \
    do {                                                                                           \
        char ours[128], theirs[128];                                                               \
        int wanted = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                                \
        assert_int_equal(pvg_format(ours, sizeof(ours), __VA_ARGS__), wanted);                     \
        assert_string_equal(ours, theirs);                                                         \
    } while (0)

static void as_the_c_library(void **state)
{
    static const int64_t value[] = {0,   1,         -1,        9,         10,       -10,
                                    255, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    (void)state;
    for (size_t i = 0; i < sizeof(value) / sizeof(value[0]); i++) {
        int64_t v = value[i];
        SAME("%d|%5d|%05d|%1d|%020d", (int)v, (int)v, (int)v, (int)v, (int)v);
        SAME("%ld|%7ld|%07ld", (long)v, (long)v, (long)v);
        SAME("%lld|%llu|%llx", (long long)v, (unsigned long long)v, (unsigned long long)v);
        SAME("%u|%12u|%012u|%x|%3x|%016x", (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v,
             (unsigned)v, (unsigned)v);
        SAME("%lu|%lx|%025lx|%zu|%zx", (unsigned long)v, (unsigned long)v, (unsigned long)v,
             (size_t)v, (size_t)v);
    }
    SAME("%s|%8s|%2s|%c|%%|%p", "abc", "abc", "abc", 'x', (void *)0x12345000);
}

/* Every size of the buffer: the length is the whole text's, and nothing behind it is touched. */
static void any_room(void **state)
{
    static const char whole[] = "a-0042 -7 beef xyz";
    (void)state;
    for (size_t size = 0; size < 24; size++) {
        char to[32];
        memset(to, '#', sizeof(to));
        assert_int_equal(pvg_format(to, size, "a-%04u %d %x %s", 42u, -7, 0xbeefu, "xyz"), 18);
        size_t n = size == 0 ? 0 : size - 1 < 18 ? size - 1 : 18;
        assert_memory_equal(to, whole, n);
        if (size > 0)
            assert_int_equal(to[n], 0);
        assert_int_equal(to[size], '#');
    }
}

/* By hand, as the compiler would not have it. */
static size_t unchecked(char *to, size_t size, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    size_t n = pvg_format_list(to, size, format, list);
    va_end(list);
    return n;
}

static void mistakes(void **state)
{
    char to[32];
    (void)state;
    unchecked(to, sizeof(to), "%q %d", 5);
    assert_string_equal(to, "%q 5");
    assert_int_equal(unchecked(to, sizeof(to), "end %08l"), 5);
    assert_string_equal(to, "end %");
    unchecked(to, sizeof(to), "%s", NULL);
    assert_string_equal(to, "(null)");
}

static void chain(void **state)
{
    (void)state;
    memset(&guest, 0, sizeof(guest));
    assert_string_equal(pvg_reason(&guest), "");
    assert_int_equal(fail_in(&guest, 0, "nothing"), 0);
    assert_string_equal(pvg_reason(&guest), "");
    assert_int_equal(fail(&guest, -XEN_EINVAL, "cause %d", 3), -XEN_EINVAL);
    assert_int_equal(fail_in(&guest, -XEN_EINVAL, "inner %x", 0xabu), -XEN_EINVAL);
    assert_int_equal(fail_in(&guest, -XEN_ENOMEM, "outer"), -XEN_ENOMEM);
    assert_string_equal(pvg_reason(&guest), "outer: inner ab: cause 3");
    assert_int_equal(fail_in(&guest, 0, "later"), 0);
    assert_string_equal(pvg_reason(&guest), "outer: inner ab: cause 3");
    fail(&guest, -1, "again, after %s", guest.reason);
    assert_string_equal(pvg_reason(&guest), "again, after outer: inner ab: cause 3");
}

/* The cause stays, whatever does not fit before it. */
static void chain_is_full(void **state)
{
    char text[100];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[99] = 0;
    fail(&guest, -1, "cause");
    for (unsigned i = 0; i < 20; i++)
        fail_in(&guest, -1, "%s", text);
    size_t n = strlen(guest.reason);
    assert_int_equal(n, 5 + 5 * 101);
    assert_string_equal(guest.reason + n - 5, "cause");
    fail_in(&guest, -1, "%s", "z");
    assert_int_equal(strlen(guest.reason), n);
    fail(&guest, -1, "%s%s%s%s%s%s", text, text, text, text, text, text);
    assert_int_equal(strlen(guest.reason), REASON_MAX - 1);
    fail_in(&guest, -1, "a");
    assert_int_equal(guest.reason[0], 'x');
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(error_name(-XEN_EINVAL), "EINVAL");
    assert_string_equal(error_name(-XEN_EPERM), "EPERM");
    assert_string_equal(error_name(-XEN_ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(error_name(0), "E?");
    assert_string_equal(error_name(XEN_EINVAL), "E?");
    assert_string_equal(error_name(INT32_MIN + 1), "E?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_c_library), cmocka_unit_test(any_room),
        cmocka_unit_test(mistakes),         cmocka_unit_test(chain),
        cmocka_unit_test(chain_is_full),    cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
