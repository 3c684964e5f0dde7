/* SPDX-License-Identifier: MIT */
/* The library's own memory and string functions, against the C library's. */
#include "fake.h"

void *pv_memset(void *to, int c, size_t bytes);
void *pv_memcpy(void *to, const void *from, size_t bytes);
void *pv_memmove(void *to, const void *from, size_t bytes);
int pv_memcmp(const void *a, const void *b, size_t bytes);
size_t pv_strlen(const char *text);
int pv_strcmp(const char *a, const char *b);
int pv_strncmp(const char *a, const char *b, size_t bytes);

#define ROOM 64

static uint8_t ours[ROOM], theirs[ROOM];

static void fill(void)
{
    for (unsigned i = 0; i < ROOM; i++)
        ours[i] = theirs[i] = (uint8_t)(i * 37 + 11);
}

static void setting(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 9; at++)
        for (unsigned n = 0; n < 40; n++) {
            fill();
            assert_ptr_equal(pv_memset(ours + at, 0x1a5, n), ours + at);
            memset(theirs + at, 0xa5, n);
            assert_memory_equal(ours, theirs, ROOM);
        }
}

static void copying(void **state)
{
    uint8_t from[ROOM];
    (void)state;
    for (unsigned i = 0; i < ROOM; i++)
        from[i] = (uint8_t)(200 - i);
    for (unsigned at = 0; at < 9; at++)
        for (unsigned n = 0; n < 40; n++) {
            fill();
            assert_ptr_equal(pv_memcpy(ours + at, from + 3, n), ours + at);
            memcpy(theirs + at, from + 3, n);
            assert_memory_equal(ours, theirs, ROOM);
        }
}

/* Each distance, both ways. */
static void moving(void **state)
{
    (void)state;
    for (unsigned from = 0; from < 20; from++)
        for (unsigned to = 0; to < 20; to++)
            for (unsigned n = 0; n < 40; n++) {
                fill();
                assert_ptr_equal(pv_memmove(ours + to, ours + from, n), ours + to);
                memmove(theirs + to, theirs + from, n);
                assert_memory_equal(ours, theirs, ROOM);
            }
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void comparing(void **state)
{
    static const char *const text[] = {"", "a", "b", "ab", "abc", "abd", "\x80", "a\xff", "a\x01"};
    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(pv_strlen(text[i]), strlen(text[i]));
        for (unsigned j = 0; j < 9; j++) {
            assert_int_equal(sign(pv_strcmp(text[i], text[j])), sign(strcmp(text[i], text[j])));
            for (unsigned n = 0; n < 5; n++)
                assert_int_equal(sign(pv_strncmp(text[i], text[j], n)),
                                 sign(strncmp(text[i], text[j], n)));
        }
    }
    assert_int_equal(pv_memcmp("a\0b", "a\0c", 2), 0);
    assert_true(pv_memcmp("a\0b", "a\0c", 3) < 0);
    assert_true(pv_memcmp("\x80", "\x7f", 1) > 0);
    assert_int_equal(pv_memcmp("a", "b", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(setting), cmocka_unit_test(copying),
                                       cmocka_unit_test(moving), cmocka_unit_test(comparing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
