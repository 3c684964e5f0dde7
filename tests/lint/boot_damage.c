/* SPDX-License-Identifier: MIT */
/* A kernel's file cut short and damaged in any way must be judged, whatever the judgement: nothing
 * outside of it is read (the sanitizers watch), and nothing takes for ever. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "internal.h"

#define MUTATIONS 20000u

static uint8_t *kernel;
static size_t kernel_size;

/* xorshift: the same on each run. */
static uint64_t chance(void)
{
    static uint64_t x = 0x9e3779b97f4a7c15;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static struct lint_report judge(const uint8_t *data, size_t size)
{
    const struct lint_options o = {.memory = UINT64_C(64) << 20};
    const struct lint_input in = {.name = "damaged", .data = data, .size = size};
    struct lint_report r = {.finding = NULL};
    struct lint_error e = {.text = ""};

    if (lint_boot(&in, &o, &r, &e) != 0)
        assert_string_not_equal(e.text, "");
    else
        for (int q = LINT_BOOT_PVMM; q <= LINT_BOOT_XEN; q++)
            assert_true(r.answer[q] != LINT_NOT_ASKED && r.why[q][0] != '\0');
    return r;
}

static void judge_copy(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size > 0 ? size : 1);
    struct lint_report r;

    assert_non_null(exact);
    memcpy(exact, data, size);
    r = judge(exact, size);
    lint_free(&r);
    free(exact);
}

static void test_cut_short(void **state)
{
    (void)state;
    for (size_t n = 0; n < 512; n++)
        judge_copy(kernel, n);
    for (size_t n = 512; n < kernel_size; n += 997)
        judge_copy(kernel, n);
}

static uint64_t odd_number(void)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   0xff,
                                   0x7fffffff,
                                   0xffffffff,
                                   0x7fffffffffffffff,
                                   UINT64_MAX,
                                   UINT64_MAX - 4095,
                                   UINT64_C(1) << 63,
                                   0x0000800000000000,
                                   0xffff800000000000,
                                   0xfffffffffffff000};
    const uint64_t n = chance() % (sizeof(odd) / sizeof(odd[0]) + 3);

    return n < sizeof(odd) / sizeof(odd[0]) ? odd[n] : chance() >> chance() % 64;
}

/* ELF header, program headers, a page around the notes, section headers. */
static size_t odd_place(void)
{
    uint64_t sections, notes;

    memcpy(&sections, kernel + 40, sizeof(sections));
    memcpy(&notes, kernel + 64 + 56 + 8, sizeof(notes));
    switch (chance() % 4) {
    case 0:
        return chance() % 64;
    case 1:
        return 64 + chance() % 112;
    case 2:
        return notes + chance() % 0x140;
    default:
        return sections + chance() % (kernel_size - sections);
    }
}

static void test_damaged(void **state)
{
    uint8_t *copy = malloc(kernel_size);
    unsigned yes = 0;

    (void)state;
    assert_non_null(copy);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        memcpy(copy, kernel, kernel_size);
        for (uint64_t n = 1 + chance() % 4; n > 0; n--) {
            const uint64_t value = odd_number();
            const size_t at = odd_place(), bytes = (size_t)1 << chance() % 4;

            if (at + bytes <= kernel_size)
                memcpy(copy + at, &value, bytes);
        }
        struct lint_report r = judge(copy, kernel_size);

        yes += r.answer[LINT_BOOT_PVMM] == LINT_YES;
        lint_free(&r);
    }
    free(copy);
    /* It does not refuse whatever it is given. */
    assert_true(yes > MUTATIONS / 100 && yes < MUTATIONS);
}

/* 65535 note headers, each for all of the file. */
static void test_notes_without_end(void **state)
{
    const size_t headers = 65535, size = 64 + headers * 56;
    uint8_t *data = calloc(1, size);
    struct lint_report r;

    (void)state;
    assert_non_null(data);
    memcpy(data, kernel, 64);
    data[56] = data[57] = 0xff;
    for (size_t i = 0; i < headers; i++) {
        const uint64_t offset = 64, bytes = size - 64;
        uint8_t *h = data + 64 + i * 56;

        h[0] = 4;
        memcpy(h + 8, &offset, sizeof(offset));
        memcpy(h + 32, &bytes, sizeof(bytes));
    }
    r = judge(data, size);
    assert_int_equal(r.answer[LINT_BOOT_PVMM], LINT_UNDECIDABLE);
    assert_int_equal(r.answer[LINT_BOOT_XEN], LINT_UNDECIDABLE);
    lint_free(&r);
    free(data);
}

static void read_kernel(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (f == NULL || fseek(f, 0, SEEK_END) != 0)
        exit(2);
    kernel_size = (size_t)ftell(f);
    kernel = malloc(kernel_size);
    rewind(f);
    if (kernel == NULL || fread(kernel, 1, kernel_size, f) != kernel_size)
        exit(2);
    fclose(f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_notes_without_end),
    };
    int rc;

    if (argc != 2)
        return 2;
    read_kernel(argv[1]);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    free(kernel);
    return rc;
}
