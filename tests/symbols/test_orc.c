/* SPDX-License-Identifier: MIT */
/* Stack walks by Linux's own tables: of either age, damaged, and where they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake.h"

#define TEXT    0xffffffff81000000ull
#define IPS     0xffffffff82000000ull
#define ENTRIES 0xffffffff82001000ull
#define STACK   0xffffc90000003f00ull
#define F(n)    (TEXT + 0x100 * (n))
#define NR      6u
#define MUTANTS 20000u

static const char map[] = "ffffffff81000000 T entry\n"
                          "ffffffff81000100 T outer\n"
                          "ffffffff81000200 T middle\n"
                          "ffffffff81000300 T framed\n"
                          "ffffffff81000400 T inner\n"
                          "ffffffff81000500 T handler\n"
                          "ffffffff81000600 T etext\n"
                          "ffffffff82000000 R __start_orc_unwind_ip\n"
                          "ffffffff82000018 R __stop_orc_unwind_ip\n"
                          "ffffffff82001000 R __start_orc_unwind\n"
                          "ffffffff82001024 R __stop_orc_unwind\n";

enum { SP = 5, BP = 4, PREVIOUS = 1 };
enum kind { CALL, REGS, IRET, END, NONE };

static struct pv_symbols *s;
static struct pv_stack_frame frame[PV_FRAMES];
static uint64_t stack[64];
static size_t words;
static uint64_t rbp;
static bool newer, renumbered; /* kinds; registers, as in 7.2 */

static void put_entry(unsigned i, unsigned sp_reg, int sp_offset, unsigned bp_reg, int bp_offset,
                      enum kind kind)
{
    static const uint16_t older_bits[] = {0, 1 << 8, 2 << 8, 1 << 10, 0};
    static const uint16_t newer_bits[] = {2 << 8, 3 << 8, 4 << 8, 1 << 8, 0};
    int32_t offset = (int32_t)(F(i) - (IPS + 4 * i));
    int16_t value[3] = {(int16_t)sp_offset, (int16_t)bp_offset};

    if (renumbered) {
        sp_reg = sp_reg == SP ? 3 : sp_reg;
        bp_reg = bp_reg == PREVIOUS ? 8 : bp_reg;
    }
    value[2] = (int16_t)(sp_reg | bp_reg << 4 | (newer ? newer_bits : older_bits)[kind]);
    fake_put(IPS + 4 * i, &offset, 4);
    fake_put(ENTRIES + 6 * i, value, 6);
}

static void put_entries(void)
{
    put_entry(0, SP, 0, 0, 0, REGS);
    put_entry(1, SP, 24, 0, 0, CALL);
    put_entry(2, SP, 32, PREVIOUS, -16, CALL);
    put_entry(3, BP, 16, PREVIOUS, -16, CALL);
    put_entry(4, SP, 16, 0, 0, CALL);
    put_entry(5, SP, 0, 0, 0, IRET);
}

static void load_map(void)
{
    int fd = memfd_create("map", MFD_CLOEXEC);
    struct pv_error e;
    size_t count;

    assert_int_equal(write(fd, map, sizeof(map) - 1), sizeof(map) - 1);
    s = pv_symbols_new();
    assert_int_equal(pv_symbols_fd(s, fd, "map", &count, &e), 0);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    load_map();
    fake_map(TEXT, 0x1000, true);
    fake_map(IPS, 0x2000, false);
    memset(fake_at(TEXT), 0x90, 0x1000);
    memset(stack, 0, sizeof(stack));
    words = 0;
    rbp = 0;
    newer = renumbered = false;
    put_entries();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pv_symbols_free(s);
    fake_clear();
    return 0;
}

/* An indirect call at `at`: only the tables make it certain. */
static uint64_t call_at(uint64_t at)
{
    fake_put(at, "\xff\xd0", 2);
    return at + 2;
}

static void push(uint64_t word)
{
    stack[words++] = word;
}

static void push_registers(uint64_t ip, uint64_t cs, uint64_t sp)
{
    for (unsigned i = 0; i < 16; i++)
        push(0);
    push(ip);
    push(cs);
    push(0x246);
    push(sp);
    push(0xe02b);
}

static size_t walk(uint64_t rip)
{
    memset(frame, 0, sizeof(frame));
    const struct pv_stack top = {rip, STACK, rbp, stack, words};

    return pv_stack_walk(s, NULL, mfn(1), &top, frame);
}

static void is_frame(unsigned i, uint64_t address, bool certain)
{
    assert_int_equal(frame[i].address, address);
    assert_int_equal(frame[i].certain, certain);
}

/* inner, called by middle, called by outer, called by entry, which user mode entered. */
static void push_chain(uint64_t *in_middle, uint64_t *in_outer, uint64_t *in_entry)
{
    *in_middle = call_at(F(2) + 0x10);
    *in_outer = call_at(F(1) + 0x10);
    *in_entry = call_at(F(0) + 0x10);
    push(*in_outer); /* left over: inner has a word of its own */
    push(*in_middle);
    push(*in_entry); /* left over */
    push(0);
    push(0); /* rbp as it was */
    push(*in_outer);
    push(*in_middle); /* left over */
    push(0);
    push(*in_entry);
    push_registers(0x401000, 0xe033, 0x7fff0000);
    push(*in_middle); /* beyond the end */
}

static void set_age(unsigned age)
{
    newer = age >= 1;
    renumbered = age >= 2;
    put_entries();
}

static void tables_of_any_age_lead_to_the_end(void **state)
{
    uint64_t in_middle, in_outer, in_entry;

    (void)state;
    push_chain(&in_middle, &in_outer, &in_entry);
    for (unsigned age = 0; age < 3; age++) {
        set_age(age);
        assert_int_equal(walk(F(4) + 0x20), 4);
        is_frame(0, F(4) + 0x20, true);
        is_frame(1, in_middle, true);
        assert_int_equal(frame[1].sp, STACK + 8);
        is_frame(2, in_outer, true);
        assert_int_equal(frame[2].sp, STACK + 40);
        is_frame(3, in_entry, true);
        assert_int_equal(frame[3].sp, STACK + 64);
    }
}

static void a_thread_of_the_kernel_ends(void **state)
{
    uint64_t in_middle, in_outer, in_entry;

    (void)state;
    push_chain(&in_middle, &in_outer, &in_entry);
    for (unsigned age = 0; age < 3; age++) {
        set_age(age);
        put_entry(1, 0, 0, 0, 0, END);
        assert_int_equal(walk(F(4) + 0x20), 3);
        is_frame(2, in_outer, true);
    }
}

/* What was interrupted goes on before an instruction, not behind a call. */
static void exceptions_lead_to_what_they_interrupted(void **state)
{
    uint64_t in_entry = call_at(F(0) + 0x10), in_handler = call_at(F(5) + 0x10);

    (void)state;
    push(0);
    push(in_handler); /* inner was called by the handler */
    push(F(1));       /* the frame that the exception made: the very start of outer */
    push(0xe030);
    push(0x246);
    push(STACK + 8 * 8);
    push(0xe02b);
    push(0);
    push(0);
    push(0);
    push(in_entry);
    push_registers(0x401000, 0xe033, 0x7fff0000);
    assert_int_equal(walk(F(4) + 0x20), 4);
    is_frame(1, in_handler, true);
    is_frame(2, F(1), true);
    assert_int_equal(frame[2].sp, STACK + 16);
    is_frame(3, in_entry, true);
}

static void what_rbp_points_to_is_believed_where_the_tables_say_so(void **state)
{
    uint64_t in_middle = call_at(F(2) + 0x10), in_outer = call_at(F(1) + 0x10);

    (void)state;
    put_entry(1, 0, 0, 0, 0, END);
    push(in_outer); /* left over */
    push(0);
    push(in_middle);
    push(0);
    push(0);
    push(0);
    push(in_outer);
    rbp = STACK + 8;
    assert_int_equal(walk(F(3) + 0x20), 3);
    is_frame(1, in_middle, true);
    assert_int_equal(frame[1].sp, STACK + 16);
    is_frame(2, in_outer, true);
    assert_int_equal(frame[2].sp, STACK + 48);
}

/* framed needs rbp, which points to no stack here: a certain caller is searched, and from there the
 * tables go on. */
static void where_tables_do_not_tell_the_search_goes_on(void **state)
{
    int32_t offset = (int32_t)(F(3) - (F(2) + 0x35));
    uint64_t in_middle = F(2) + 0x35, in_outer = call_at(F(1) + 0x10);

    (void)state;
    *fake_at(F(2) + 0x30) = 0xe8;
    fake_put(F(2) + 0x31, &offset, 4);
    put_entry(1, 0, 0, 0, 0, END);
    push(in_outer); /* left over */
    push(in_middle);
    push(0);
    push(0);
    push(0);
    push(in_outer);
    assert_int_equal(walk(F(3) + 0x20), 3);
    is_frame(1, in_middle, true);
    is_frame(2, in_outer, true);
    assert_int_equal(frame[2].sp, STACK + 40);
}

static void what_the_tables_name_must_be_a_caller(void **state)
{
    (void)state;
    push(0);
    push(F(2) + 0x50); /* no call is before it */
    assert_int_equal(walk(F(4) + 0x20), 1);
    stack[1] = 0x401002;
    assert_int_equal(walk(F(4) + 0x20), 1);
    words = 1;
    assert_int_equal(walk(F(4) + 0x20), 1);
}

static void tables_without_memory_tell_nothing(void **state)
{
    uint64_t in_middle = call_at(F(2) + 0x10);

    (void)state;
    fake_clear();
    fake_map(TEXT, 0x1000, true);
    call_at(F(2) + 0x10);
    push(0);
    push(in_middle);
    assert_int_equal(walk(F(4) + 0x20), 2);
    is_frame(1, in_middle, false);
}

static void damage_does_no_harm(void **state)
{
    uint64_t in_middle, in_outer, in_entry;

    (void)state;
    srand(1);
    push_chain(&in_middle, &in_outer, &in_entry);
    for (unsigned m = 0; m < MUTANTS; m++) {
        size_t n;

        set_age(m % 3);
        rbp = m % 2 ? STACK + 8 * (unsigned)(rand() % 16) : (uint64_t)rand();
        for (unsigned c = 0; c < 1 + m % 3; c++) {
            if (rand() % 2)
                *fake_at(IPS + (unsigned)rand() % (4 * NR)) = (uint8_t)rand();
            else
                *fake_at(ENTRIES + (unsigned)rand() % (6 * NR)) = (uint8_t)rand();
        }
        n = walk(F(rand() % (int)NR) + (unsigned)rand() % 0x100);
        assert_in_range(n, 1, PV_FRAMES);
        for (size_t i = 2; i < n; i++)
            assert_true(frame[i].sp > frame[i - 1].sp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tables_of_any_age_lead_to_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thread_of_the_kernel_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(exceptions_lead_to_what_they_interrupted, setup, teardown),
        cmocka_unit_test_setup_teardown(what_rbp_points_to_is_believed_where_the_tables_say_so,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(where_tables_do_not_tell_the_search_goes_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_the_tables_name_must_be_a_caller, setup, teardown),
        cmocka_unit_test_setup_teardown(tables_without_memory_tell_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_does_no_harm, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
