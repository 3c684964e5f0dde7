/* SPDX-License-Identifier: MIT */
/*
 * Stores into a page-table entry, one by one: what the entry becomes, and what is no such store.
 * store_cpu.c has the breadth, from the processor itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "asm.h"
#include "store.h"

#define AT  0xffff888000001238ull /* the entry; in RDI */
#define OLD 0x8000000123456067ull
#define NEW 0x00000006789ab025ull /* in RSI */

static struct store s;
static struct regs regs, after;

static bool store_at(const char *bytes, unsigned n, uint64_t fault)
{
    struct insn_text t = {.n = n};
    struct store_form form;

    memcpy(t.byte, bytes, n);
    regs.rdi = AT;
    regs.rsi = NEW;
    regs.rip = 0x1000;
    after = regs;
    if (!store_read(&t, &form) || !store_compute(&form, &regs, fault, OLD, &s))
        return false;
    store_finish(&s, &after);
    return true;
}

/* Accepted, and only in its whole length. */
static void accepts(const char *bytes, unsigned n, uint64_t fault)
{
    for (unsigned cut = 0; cut < n; cut++)
        assert_false(store_at(bytes, cut, fault));
    assert_true(store_at(bytes, n, fault));
    assert_int_equal(after.rip, 0x1000 + n);
}

#define ACCEPTS(text) accepts(text, sizeof(text) - 1, AT)
#define REFUSES(text) assert_false(store_at(text, sizeof(text) - 1, AT))

static void test_plain(void **state)
{
    (void)state;
    ACCEPTS("\x48\x89\x37"); /* mov %rsi, (%rdi): whatever was there before */
    assert_true(s.writes && !s.reads);
    assert_int_equal(s.value, NEW);
    ACCEPTS("\x48\xc7\x07\x00\x00\x00\x80"); /* movq $-0x80000000, (%rdi) */
    assert_int_equal(s.value, 0xffffffff80000000);
    ACCEPTS("\x48\x87\x37"); /* xchg */
    assert_true(s.writes && s.reads);
    assert_int_equal(s.value, NEW);
    assert_int_equal(after.rsi, OLD);
}

static void test_parts(void **state)
{
    (void)state;
    ACCEPTS("\x89\x37"); /* mov %esi, (%rdi) */
    assert_true(s.writes && s.reads);
    assert_int_equal(s.value, (OLD & ~0xffffffffull) | (NEW & 0xffffffff));
    accepts("\xc6\x47\x01\xaa", 4, AT + 1); /* movb $0xaa, 1(%rdi) */
    assert_int_equal(s.value, (OLD & ~0xff00ull) | 0xaa00);
    accepts("\x66\x89\x77\x06", 4, AT + 6);
    assert_int_equal(s.value, (OLD & 0xffffffffffff) | 0xb025ull << 48);
    assert_false(store_at("\x66\x89\x77\x07", 4, AT + 7)); /* over the entry's end */
    assert_false(store_at("\x89\x77\x05", 3, AT + 5));
    assert_false(store_at("\x48\x89\x77\x01", 4, AT + 1));
}

static void test_bits(void **state)
{
    (void)state;
    ACCEPTS("\xf0\x80\x27\xfd"); /* lock andb $~2, (%rdi) */
    assert_int_equal(s.value, OLD & ~2ull);
    ACCEPTS("\xf0\x48\x0f\xba\x37\x01"); /* lock btrq $1, (%rdi) */
    assert_int_equal(s.value, OLD & ~2ull);
    assert_true(after.rflags & RFLAGS_CF);
    ACCEPTS("\x48\x0f\xba\x2f\x3f"); /* btsq $63 */
    assert_int_equal(s.value, OLD);
    ACCEPTS("\x48\x0f\xba\x3f\x40"); /* btcq $64: that is bit 0 */
    assert_int_equal(s.value, OLD ^ 1);
}

/* In a failed CMPXCHG the processor writes the old value back. */
static void test_compare_and_exchange(void **state)
{
    (void)state;
    regs.rax = OLD;
    ACCEPTS("\xf0\x48\x0f\xb1\x37");
    assert_true(s.writes && s.reads && after.rflags & RFLAGS_ZF);
    assert_int_equal(s.value, NEW);
    assert_int_equal(after.rax, OLD);
    regs.rax = OLD + 1;
    ACCEPTS("\xf0\x48\x0f\xb1\x37");
    assert_false(s.writes || after.rflags & RFLAGS_ZF);
    assert_int_equal(s.value, OLD);
    assert_int_equal(after.rax, OLD);
}

static void test_elsewhere(void **state)
{
    (void)state;
    assert_false(store_at("\x48\x89\x37", 3, AT + 8));
    assert_false(store_at("\x48\x89\x77\x08", 4, AT));
    assert_true(store_at("\x48\x89\x77\x08", 4, AT + 8));
}

static void test_no_store(void **state)
{
    (void)state;
    REFUSES("\x48\x8b\x37");             /* mov (%rdi), %rsi */
    REFUSES("\x48\x39\x37");             /* cmp */
    REFUSES("\x48\x83\x3f\x00");         /* cmp $0 */
    REFUSES("\x48\x85\x37");             /* test */
    REFUSES("\xf6\x07\x01");             /* test $1 */
    REFUSES("\xf7\x27");                 /* mul */
    REFUSES("\xff\x17");                 /* call */
    REFUSES("\xfe\x17");                 /* nothing */
    REFUSES("\xc7\x0f\x00\x00\x00\x00"); /* nothing */
    REFUSES("\x48\x0f\xba\x27\x01");     /* bt */
    REFUSES("\x48\x0f\xa3\x37");         /* bt */
    REFUSES("\x0f\xb6\x37");             /* movzx */
    REFUSES("\x0f\x11\x07");             /* movups */
    REFUSES("\x48\xab");                 /* stos */
    REFUSES("\x48\x89\xf7");             /* to a register */
    REFUSES("\x90");
}

/* Prefixes that change where, or what. */
static void test_prefixes(void **state)
{
    (void)state;
    REFUSES("\x64\x48\x89\x37");
    REFUSES("\x65\x48\x89\x37");
    REFUSES("\xf3\x48\x89\x37");
    REFUSES("\xf2\x48\x89\x37");
    REFUSES("\x67\x48\x89\x37"); /* the address is cut to 32 bits */
    ACCEPTS("\x3e\x48\x89\x37");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),     cmocka_unit_test(test_parts),
        cmocka_unit_test(test_bits),      cmocka_unit_test(test_compare_and_exchange),
        cmocka_unit_test(test_elsewhere), cmocka_unit_test(test_no_store),
        cmocka_unit_test(test_prefixes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
