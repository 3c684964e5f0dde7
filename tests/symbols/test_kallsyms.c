/* SPDX-License-Identifier: MIT */
/* kallsyms in a guest's memory: every order of its tables, and tables that are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"
#include "tables.h"

#define TEXT    0xffffffff81000000ull
#define RODATA  0xffffffff82000000ull
#define BYTES   (192u << 10)
#define AT      0x5008u /* of the tables, in rodata */
#define NR      3000u
#define PERCPU  5u
#define MUTANTS 1200u

static const struct tables_kind kinds[] = {
    {"2.6 to 4.5", VALUES_ADDRESSES, false, false, 8},
    {"4.6 to 4.19", VALUES_PERCPU, false, false, 8},
    {"4.20 to 6.1", VALUES_PERCPU, false, false, 4},
    {"4.20 to 6.1, no offsets", VALUES_ADDRESSES, false, false, 4},
    {"6.2 and 6.3", VALUES_PERCPU, false, true, 4},
    {"6.4 and later", VALUES_PERCPU, true, true, 4},
    {"6.4 and later, no offsets", VALUES_ADDRESSES, true, true, 4},
    {"6.15 and later", VALUES_OFFSETS, true, true, 4},
    {"7.2", VALUES_RELATIVE, true, true, 4},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct tables_symbol symbol[NR];
static char name[NR][600];
static struct pv_symbols *s;
static struct pv_error e;
static size_t count;

static bool has_percpu(const struct tables_kind *kind)
{
    return kind->values == VALUES_ADDRESSES || kind->values == VALUES_PERCPU;
}

static void make_symbols(bool percpu)
{
    for (unsigned i = 0; i < NR; i++) {
        snprintf(name[i], sizeof(name[i]), "%sfunction_%u", i % 7 ? "" : "__init_xen_", i);
        symbol[i] = (struct tables_symbol){TEXT + 64 * i, i % 3 ? 't' : 'T', name[i]};
        if (percpu && i < PERCPU)
            symbol[i].address = 16 * i;
    }
    /* More than 127 codes: a length of two bytes. */
    memset(name[1000], 'q', 300);
    name[1000][300] = '\0';
}

static uint8_t *make(const struct tables_kind *kind)
{
    uint8_t *rodata = fake_map(RODATA, BYTES, false);

    make_symbols(has_percpu(kind));
    memset(rodata, 0xa5, AT); /* something before, as in a kernel */
    assert_true(tables_build(kind, symbol, NR, TEXT, RODATA + AT, rodata + AT, BYTES - AT) != 0);
    return rodata;
}

static int setup(void **state)
{
    (void)state;
    s = pv_symbols_new();
    assert_non_null(s);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pv_symbols_free(s);
    fake_clear();
    return 0;
}

static int load(void)
{
    memset(&e, 0, sizeof(e));
    return pv_symbols_guest(s, NULL, mfn(1), &count, &e);
}

static void check_all(const struct tables_kind *kind)
{
    unsigned first = has_percpu(kind) ? PERCPU : 0;

    assert_int_equal(count, NR - first);
    for (unsigned i = first; i < NR; i++) {
        struct pv_symbol at;

        if (!pv_symbol_at(s, TEXT + 64 * i + 5, &at))
            fail_msg("%s: %u has no name", kind->name, i);
        if (strncmp(at.name, name[i], sizeof(at.name) - 1) != 0)
            fail_msg("%s: %u is %s, not %s", kind->name, i, at.name, name[i]);
        assert_int_equal(at.offset, 5);
        assert_true(at.is_code);
        assert_string_equal(at.module, "");
    }
}

static void every_order_is_read(void **state)
{
    for (unsigned i = 0; i < KINDS; i++) {
        uint64_t va;

        make(&kinds[i]);
        if (load() != 0)
            fail_msg("%s: %s", kinds[i].name, e.text);
        check_all(&kinds[i]);
        assert_true(pv_symbol_find(s, "function_100", &va));
        assert_int_equal(va, TEXT + 6400);
        assert_false(pv_symbol_find(s, "function_3000", &va));
        /* Why there are no modules. */
        assert_string_equal(e.text, "the kernel names no list of modules");
        teardown(state);
        setup(state);
    }
}

static void offsets_of_percpu_data_name_nothing(void **state)
{
    struct pv_symbol at;

    (void)state;
    make(&kinds[2]);
    assert_int_equal(load(), 0);
    assert_false(pv_symbol_at(s, 0x10, &at));
    assert_false(pv_symbol_at(s, TEXT, &at));
    assert_true(pv_symbol_at(s, TEXT + 64 * PERCPU, &at));
    /* The last one is not the name of all that follows. */
    assert_true(pv_symbol_at(s, TEXT + 64 * NR, &at));
    assert_false(pv_symbol_at(s, TEXT + 64 * NR + 8192, &at));
}

static void names_that_are_there_remain_when_they_cannot_be_read_again(void **state)
{
    struct pv_symbol at;

    (void)state;
    make(&kinds[5]);
    assert_int_equal(load(), 0);
    assert_int_equal(load(), 0);
    check_all(&kinds[5]);
    fake_clear();
    assert_int_equal(load(), -1);
    assert_true(pv_symbol_at(s, TEXT + 6400, &at));
}

static void refused(const char *why)
{
    assert_int_equal(load(), -1);
    if (strstr(e.text, why) == NULL)
        fail_msg("refused by \"%s\", not \"%s\"", e.text, why);
}

static void what_is_no_linux_is_refused(void **state)
{
    (void)state;
    refused("nothing is mapped");
    fake_map(0x100000, 4096, true);
    refused("nothing is mapped");
    fake_map(RODATA, BYTES, false);
    refused("no table of symbols");
}

static void a_lone_token_table_is_refused(void **state)
{
    uint8_t *rodata = make(&kinds[2]);
    uint8_t *mark = memmem(rodata, BYTES, "0\0001\0002\0003", 7);

    (void)state;
    assert_non_null(mark);
    memset(rodata, 0xa5, (size_t)(mark - rodata) - 96);
    refused("makes no sense");
}

/* A mark on every page, and everything mapped: the search must end soon. */
static void a_guest_full_of_marks_is_refused(void **state)
{
    uint8_t *rodata = fake_map(RODATA, 64u << 20, false);

    (void)state;
    for (size_t at = 0; at < 64u << 20; at += 64)
        memcpy(rodata + at, "0\0001\0002\0003\0004\0005\0006\0007\0008\0009", 20);
    refused("makes no sense");
}

/* Valid tokens, and what could be markers and counts wherever one looks. */
static void tables_that_lead_in_circles_are_refused(void **state)
{
    uint8_t *rodata = fake_map(RODATA, 48u << 20, false);
    size_t n = 46u << 20;

    (void)state;
    make_symbols(false);
    for (size_t at = 0; at < n; at += 8) {
        uint32_t zero_or_step[2] = {at % 64 ? 4096 + (uint32_t)(at % 64) * 1024 : 0, 1024};

        memcpy(rodata + at, zero_or_step, 8);
    }
    assert_true(tables_build(&kinds[2], symbol, NR, TEXT, RODATA + n, rodata + n, 1u << 20) != 0);
    /* The true markers are gone. */
    for (size_t at = n; at < (48u << 20) - 4; at += 4)
        if (memcmp(rodata + at, "\0\0\0\0", 4) == 0 && rodata[at + 5] != 0 && rodata[at + 7] == 0) {
            memset(rodata + at, 0x11, 16);
            break;
        }
    load();
}

/* Cuts, and bytes changed at random: nothing may be touched beyond what was read. */
static void damaged_tables_do_no_harm(void **state)
{
    unsigned refusals = 0;

    (void)state;
    srand(1);
    for (unsigned i = 0; i < KINDS; i++) {
        uint8_t *rodata = make(&kinds[i]), *good = malloc(BYTES);
        size_t tokens = (size_t)((uint8_t *)memmem(rodata, BYTES, "0\0001\0002\0003", 7) - rodata);

        assert_non_null(good);
        memcpy(good, rodata, BYTES);
        for (unsigned m = 0; m < MUTANTS / KINDS; m++) {
            unsigned changes = 1 + (unsigned)rand() % 4;

            memcpy(rodata, good, BYTES);
            for (unsigned c = 0; c < changes; c++) {
                /* Half of them around the tokens, where all hangs together. */
                size_t at = c % 2 ? tokens - 512 + (size_t)rand() % 2048
                                  : AT + (size_t)rand() % (64u << 10);

                rodata[at] = (uint8_t)rand();
            }
            refusals += load() != 0;
        }
        free(good);
        teardown(state);
        setup(state);
    }
    assert_in_range(refusals, MUTANTS / 10, MUTANTS);
}

/* The tables end where memory does. */
static void tables_that_are_cut_off_are_refused(void **state)
{
    static uint8_t all[BYTES];
    size_t n;

    (void)state;
    for (unsigned i = 0; i < KINDS; i++) {
        make_symbols(has_percpu(&kinds[i]));
        n = tables_build(&kinds[i], symbol, NR, TEXT, RODATA, all, sizeof(all));
        if (kinds[i].values_last && kinds[i].order_of_names)
            n -= 3 * NR; /* what nobody misses */
        for (size_t cut = 4096; cut < n; cut += 4 * 4096) {
            size_t bytes = (n - cut + 4095) & ~(size_t)4095;

            /* Without the first `cut` bytes. */
            fake_map(RODATA, bytes, false);
            fake_put(RODATA, all + cut, n - cut);
            assert_int_equal(load(), -1);
            fake_clear();
            /* Without what is behind them. */
            fake_map(RODATA, cut, false);
            fake_put(RODATA, all, cut);
            assert_int_equal(load(), -1);
            fake_clear();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_order_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(offsets_of_percpu_data_name_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_are_there_remain_when_they_cannot_be_read_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_linux_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lone_token_table_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_guest_full_of_marks_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_that_lead_in_circles_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_tables_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_that_are_cut_off_are_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
