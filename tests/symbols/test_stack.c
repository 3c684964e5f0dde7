/* SPDX-License-Identifier: MIT */
/* Stack walks: which words are frames, and which of them are certain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake.h"

#define TEXT  0xffffffff81000000ull
#define DATA  0xffffffff81008000ull
#define STACK 0xffffc90000003f00ull

/* Functions of 0x100 bytes each, one behind the other. */
#define F(n) (TEXT + 0x100 * (n))

static const char map[] = "ffffffff81000000 T start\n"
                          "ffffffff81000100 T outer\n"
                          "ffffffff81000200 T middle\n"
                          "ffffffff81000300 T inner\n"
                          "ffffffff81000400 T thunk\n"
                          "ffffffff81000500 T other\n"
                          "ffffffff81001000 T hypercall_page\n"
                          "ffffffff81001020 T xen_hypercall_mmu_update\n"
                          "ffffffff81001040 T etext\n"
                          "ffffffff81008000 D data\n"
                          "ffffffff81009000 D data_end\n";

static struct pv_symbols *s;
static struct pv_stack_frame frame[PV_FRAMES];
static uint64_t stack[64];
static size_t words;
static uint64_t rbp;

static int setup(void **state)
{
    int fd = memfd_create("map", MFD_CLOEXEC);
    struct pv_error e;
    size_t count;

    (void)state;
    assert_int_equal(write(fd, map, sizeof(map) - 1), sizeof(map) - 1);
    s = pv_symbols_new();
    assert_int_equal(pv_symbols_fd(s, fd, "map", &count, &e), 0);
    close(fd);
    fake_map(TEXT, 0x2000, true);
    fake_map(DATA, 0x1000, false);
    memset(stack, 0, sizeof(stack));
    words = 0;
    rbp = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pv_symbols_free(s);
    fake_clear();
    return 0;
}

/* A call at `at`: the return address. */
static uint64_t direct(uint64_t at, uint64_t target)
{
    int32_t offset = (int32_t)(target - (at + 5));

    *fake_at(at) = 0xe8;
    fake_put(at + 1, &offset, 4);
    return at + 5;
}

static uint64_t coded(uint64_t at, const char *code, size_t n)
{
    fake_put(at, code, n);
    return at + n;
}
#define INDIRECT(at, code) coded(at, code, sizeof(code) - 1)

static void push(uint64_t word)
{
    stack[words++] = word;
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

static void calls_of_the_function_above_are_certain(void **state)
{
    uint64_t a = direct(F(2) + 0x10, F(3)), b = direct(F(1) + 0x20, F(2));

    (void)state;
    push(0x1234);
    push(a);
    push(DATA + 8);
    push(b);
    assert_int_equal(walk(F(3) + 7), 3);
    is_frame(0, F(3) + 7, true);
    assert_int_equal(frame[0].sp, 0);
    is_frame(1, a, true);
    assert_int_equal(frame[1].sp, STACK + 8);
    is_frame(2, b, true);
    assert_int_equal(frame[2].sp, STACK + 24);
}

static void what_is_left_over_is_not_certain(void **state)
{
    uint64_t a = direct(F(2) + 0x10, F(3)), stale = direct(F(5) + 0x10, F(4));

    (void)state;
    push(stale);
    assert_int_equal(walk(F(3) + 7), 2);
    is_frame(1, stale, false);
    /* With the true caller behind it, it goes. */
    push(a);
    assert_int_equal(walk(F(3) + 7), 2);
    is_frame(1, a, true);
}

/* Two frames by rbp; what lies between is left over. The second was called through a pointer, so
 * the chain alone speaks for it. */
static void frame_pointers_lead_to_callers(void **state)
{
    uint64_t a = direct(F(2) + 0x10, F(3)), stale = direct(F(5) + 0x10, F(4));
    uint64_t b = INDIRECT(F(1) + 0x20, "\xff\xd0"), c = direct(F(0) + 0x10, F(1));

    (void)state;
    push(stale);
    push(STACK + 32);
    push(a);
    push(stale);
    push(STACK + 56);
    push(b);
    push(stale);
    push(0);
    push(c);
    rbp = STACK + 8;
    assert_int_equal(walk(F(3) + 7), 4);
    is_frame(1, a, true);
    assert_int_equal(frame[1].sp, STACK + 16);
    is_frame(2, b, false);
    assert_int_equal(frame[2].sp, STACK + 40);
    is_frame(3, c, false);
    /* One that leads nowhere is no frame pointer. */
    for (uint64_t odd = STACK - 8; odd < STACK + 80; odd += 4)
        if ((odd - STACK) % 24 != 8) {
            rbp = odd;
            assert_in_range(walk(F(3) + 7), 2, 9);
            is_frame(1, a, true);
        }
    rbp = STACK + 8;
    stack[1] = STACK + 8; /* to itself */
    assert_in_range(walk(F(3) + 7), 2, 9);
    is_frame(1, a, true);
}

static void indirect_calls_are_frames(void **state)
{
    const uint64_t at[] = {
        INDIRECT(F(0) + 0x10, "\xff\xd0"),                         /* call *%rax */
        INDIRECT(F(0) + 0x20, "\x41\xff\xd3"),                     /* call *%r11 */
        INDIRECT(F(0) + 0x30, "\xff\x50\x18"),                     /* call *0x18(%rax) */
        INDIRECT(F(0) + 0x40, "\xff\x15\x10\x20\x30\x00"),         /* call *...(%rip) */
        INDIRECT(F(0) + 0x50, "\xff\x14\xc5\x00\x10\x00\x81"),     /* call *...(,%rax,8) */
        INDIRECT(F(0) + 0x60, "\x41\xff\x94\x24\x10\x20\x00\x00"), /* call *...(%r12) */
        INDIRECT(F(0) + 0x70, "\xff\x54\x24\x08"),                 /* call *8(%rsp) */
        direct(F(0) + 0x80, F(4)),                                 /* through a thunk */
    };
    size_t n = sizeof(at) / sizeof(at[0]);

    (void)state;
    for (size_t i = 0; i < n; i++)
        push(at[i]);
    assert_int_equal(walk(F(3) + 7), n + 1);
    for (unsigned i = 0; i < n; i++)
        is_frame(i + 1, at[i], false);
}

static void words_that_follow_no_call_are_none(void **state)
{
    (void)state;
    push(F(2) + 0x10);                       /* code, but nothing before it */
    push(INDIRECT(F(0) + 0x10, "\xff\xe0")); /* jmp *%rax */
    push(INDIRECT(F(0) + 0x20, "\xff\x18")); /* far */
    push(direct(DATA + 0x10, F(3)));         /* data */
    push(TEXT);                              /* nothing is before it */
    push(0);
    push(~0ull);
    push(5);
    assert_int_equal(walk(F(3) + 7), 1);
}

/* Xen's stub: push %rcx; push %r11; mov $1, %eax; syscall. */
static void the_hypercall_page_leads_to_its_caller(void **state)
{
    uint64_t stub = TEXT + 0x1020;
    uint64_t caller = INDIRECT(F(3) + 0x10, "\xff\xd0"), a = direct(F(2) + 0x10, F(3));

    (void)state;
    push(0x246);       /* r11 */
    push(F(2) + 0x44); /* rcx */
    push(caller);
    push(a);
    assert_int_equal(walk(stub + 10), 3);
    is_frame(0, stub + 10, true);
    is_frame(1, caller, true);
    assert_int_equal(frame[1].sp, STACK + 16);
    is_frame(2, a, true);
    /* Elsewhere that word is no better than others. */
    stack[2] = F(2) + 0x44;
    assert_int_equal(walk(stub + 10), 3);
    words = 2;
    assert_int_equal(walk(stub + 10), 1);
}

static void without_symbols_code_is_what_may_be_executed(void **state)
{
    uint64_t a = direct(F(2) + 0x10, F(3));
    struct pv_symbols *none = pv_symbols_new();

    (void)state;
    push(a);
    push(direct(DATA + 0x10, F(3)));
    push(0x1000);
    assert_int_equal(
        pv_stack_walk(none, NULL, mfn(1), &(struct pv_stack){F(3), STACK, 0, stack, words}, frame),
        2);
    is_frame(1, a, false);
    pv_symbols_free(none);
}

static void frames_end(void **state)
{
    uint64_t a = direct(F(2) + 0x10, F(3));

    (void)state;
    while (words < 64)
        push(a);
    assert_int_equal(walk(F(4)), PV_FRAMES);
    assert_int_equal(
        pv_stack_walk(s, NULL, mfn(1), &(struct pv_stack){F(3), STACK, 0, stack, 0}, frame), 1);
}

static void a_call_at_the_start_of_a_page_is_seen(void **state)
{
    uint64_t a;

    (void)state;
    fake_clear();
    fake_map(TEXT, 0x1000, true); /* and nothing before it */
    a = INDIRECT(TEXT, "\xff\xd0");
    push(a);
    assert_int_equal(walk(F(3)), 2);
    is_frame(1, a, false);
}

/* ---- one instruction */

static void reads_as(const char *code, size_t n, const char *text)
{
    char said[96];

    assert_true(pv_disassemble((const uint8_t *)code, n, TEXT, said, sizeof(said)));
    assert_string_equal(said, text);
}
#define READS_AS(code, text) reads_as(code, sizeof(code) - 1, text)

static void instructions_read_as_kernel_people_write_them(void **state)
{
    char said[96];

    (void)state;
    READS_AS("\x48\x89\x07", "mov %rax, (%rdi)");
    READS_AS("\x0f\x05", "syscall");
    READS_AS("\x0f\x05\x00\x00", "syscall");
    READS_AS("\xc7\x07\x10\x00\x00\x00", "movl $0x10, (%rdi)");
    READS_AS("\xe8\xfb\x01\x00\x00", "call 0xffffffff81000200");
    READS_AS("\xf0\x48\x0f\xb1\x0f", "lock cmpxchg %rcx, (%rdi)");
    assert_false(pv_disassemble((const uint8_t *)"\x06", 1, TEXT, said, sizeof(said)));
    assert_false(pv_disassemble((const uint8_t *)"\x48\x89", 2, TEXT, said, sizeof(said)));
    assert_false(pv_disassemble((const uint8_t *)"", 0, TEXT, said, sizeof(said)));
    assert_string_equal(said, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(calls_of_the_function_above_are_certain, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_left_over_is_not_certain, setup, teardown),
        cmocka_unit_test_setup_teardown(frame_pointers_lead_to_callers, setup, teardown),
        cmocka_unit_test_setup_teardown(indirect_calls_are_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(words_that_follow_no_call_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(the_hypercall_page_leads_to_its_caller, setup, teardown),
        cmocka_unit_test_setup_teardown(without_symbols_code_is_what_may_be_executed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(frames_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_call_at_the_start_of_a_page_is_seen, setup, teardown),
        cmocka_unit_test(instructions_read_as_kernel_people_write_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
