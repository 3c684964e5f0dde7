/* SPDX-License-Identifier: MIT */
/* The image's string functions, built under other names, against the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

void *hv_memcpy(void *to, const void *from, size_t n);
void *hv_memmove(void *to, const void *from, size_t n);
void *hv_memset(void *to, int value, size_t n);
int hv_memcmp(const void *a, const void *b, size_t n);
size_t hv_strlen(const char *s);
int hv_strcmp(const char *a, const char *b);
int hv_strncmp(const char *a, const char *b, size_t n);
size_t copy_string(char *to, const char *from, size_t size);

#define ROOM 64u

static uint8_t ours[ROOM], theirs[ROOM];

static void fill(void)
{
    for (unsigned i = 0; i < ROOM; i++)
        ours[i] = theirs[i] = (uint8_t)(i * 7 + 1);
}

static void test_copies(void **state)
{
    (void)state;
    for (unsigned to = 0; to < 32; to++)
        for (unsigned from = 0; from < 32; from++)
            for (unsigned n = 0; n < 32; n++) {
                fill();
                assert_ptr_equal(hv_memmove(ours + to, ours + from, n), ours + to);
                memmove(theirs + to, theirs + from, n);
                assert_memory_equal(ours, theirs, ROOM);
                if (to + n > from && from + n > to)
                    continue;
                fill();
                hv_memcpy(ours + to, ours + from, n);
                assert_memory_equal(ours + to, ours + from, n);
            }
}

static void test_fills(void **state)
{
    (void)state;
    for (unsigned to = 0; to < 9; to++)
        for (unsigned n = 0; n < 40; n++) {
            fill();
            assert_ptr_equal(hv_memset(ours + to, 0x1a5, n), ours + to);
            memset(theirs + to, 0x1a5, n);
            assert_memory_equal(ours, theirs, ROOM);
        }
}

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void test_compares(void **state)
{
    static const char *const words[] = {"", "a", "ab", "abc", "abd", "b", "\xff", "ab\x80"};
    const unsigned n = sizeof(words) / sizeof(words[0]);

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(hv_strlen(words[i]), strlen(words[i]));
        for (unsigned k = 0; k < n; k++) {
            assert_int_equal(sign(hv_strcmp(words[i], words[k])), sign(strcmp(words[i], words[k])));
            for (unsigned most = 0; most < 5; most++)
                assert_int_equal(sign(hv_strncmp(words[i], words[k], most)),
                                 sign(strncmp(words[i], words[k], most)));
        }
    }
    assert_int_equal(hv_memcmp("abc", "abd", 2), 0);
    assert_true(hv_memcmp("abc", "abd", 3) < 0);
    assert_true(hv_memcmp("\xff", "a", 1) > 0);
}

static void test_copy_string(void **state)
{
    char to[8];

    (void)state;
    for (unsigned size = 1; size <= sizeof(to); size++) {
        unsigned n = size - 1 < 5 ? size - 1 : 5;

        memset(to, '#', sizeof(to));
        assert_int_equal(copy_string(to, "abcde", size), n);
        assert_memory_equal(to, "abcde", n);
        assert_int_equal(to[n], 0);
        assert_true(size == sizeof(to) || to[size] == '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_fills),
        cmocka_unit_test(test_compares),
        cmocka_unit_test(test_copy_string),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
