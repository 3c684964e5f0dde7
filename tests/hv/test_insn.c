/* SPDX-License-Identifier: MIT */
/* Reading instructions: prefixes, operand sizes, the addresses of memory operands, registers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "insn.h"

#define RIP 0xffffffff81000000ull

/* An instruction, and what has to come out. `immediate` bytes follow the operand. */
struct row {
    const char *bytes;
    unsigned n, immediate;
    uint8_t map, opcode, mod, reg, rm;
    unsigned size;
    uint64_t address;
    unsigned read; /* bytes, up to the immediate */
};

#define BYTES(text) text, sizeof(text) - 1

/* General register n holds (n + 1) << 32 | n << 4. */
#define REG(n) (((n) + 1ull) << 32 | (uint64_t)(n) << 4)
#define LOW(a) ((a)&0xffffffff)

static const struct row rows[] = {
    /* no displacement */
    {BYTES("\x89\x08"), 0, 0, 0x89, 0, 1, 0, 4, REG(0), 2},
    {BYTES("\x48\x89\x37"), 0, 0, 0x89, 0, 6, 7, 8, REG(7), 3},
    {BYTES("\x66\x89\x37"), 0, 0, 0x89, 0, 6, 7, 2, REG(7), 3},
    {BYTES("\x66\x48\x89\x37"), 0, 0, 0x89, 0, 6, 7, 8, REG(7), 4}, /* REX.W wins */
    {BYTES("\x4d\x89\x3e"), 0, 0, 0x89, 0, 15, 14, 8, REG(14), 3},
    /* 8-bit and 32-bit displacements, both signs */
    {BYTES("\x48\x89\x48\x7f"), 0, 0, 0x89, 1, 1, 0, 8, REG(0) + 0x7f, 4},
    {BYTES("\x48\x89\x48\x80"), 0, 0, 0x89, 1, 1, 0, 8, REG(0) - 0x80, 4},
    {BYTES("\x48\x89\x88\x78\x56\x34\x12"), 0, 0, 0x89, 2, 1, 0, 8, REG(0) + 0x12345678, 7},
    {BYTES("\x48\x89\x88\x00\x00\x00\x80"), 0, 0, 0x89, 2, 1, 0, 8, REG(0) - 0x80000000, 7},
    /* RBP and R13 need a displacement; without, it is RIP-relative, from the instruction's end */
    {BYTES("\x48\x89\x4d\x00"), 0, 0, 0x89, 1, 1, 5, 8, REG(5), 4},
    {BYTES("\x49\x89\x4d\x00"), 0, 0, 0x89, 1, 1, 13, 8, REG(13), 4},
    {BYTES("\x48\x89\x0d\x10\x00\x00\x00"), 0, 0, 0x89, 0, 1, 5, 8, RIP + 7 + 0x10, 7},
    {BYTES("\x48\xc7\x05\xf0\xff\xff\xff\1\0\0\0"), 4, 0, 0xc7, 0, 0, 5, 8, RIP + 11 - 0x10, 7},
    {BYTES("\x49\x89\x0d\x10\x00\x00\x00"), 0, 0, 0x89, 0, 1, 13, 8, RIP + 7 + 0x10, 7},
    {BYTES("\x67\x89\x0d\x10\x00\x00\x00"), 0, 0, 0x89, 0, 1, 5, 4, LOW(RIP + 7 + 0x10), 7},
    /* SIB: scale, index, base; RSP is no index, RBP without displacement no base */
    {BYTES("\x48\x89\x0c\x24"), 0, 0, 0x89, 0, 1, 4, 8, REG(4), 4},
    {BYTES("\x48\x89\x0c\xc8"), 0, 0, 0x89, 0, 1, 4, 8, REG(0) + (REG(1) << 3), 4},
    {BYTES("\x4a\x89\x0c\x60"), 0, 0, 0x89, 0, 1, 4, 8, REG(0) + (REG(12) << 1), 4},
    {BYTES("\x49\x89\x0c\x24"), 0, 0, 0x89, 0, 1, 12, 8, REG(12), 4},
    {BYTES("\x48\x89\x0c\x25\x00\x10\x00\x00"), 0, 0, 0x89, 0, 1, 4, 8, 0x1000, 8},
    {BYTES("\x48\x89\x0c\x25\x00\x00\x00\x80"), 0, 0, 0x89, 0, 1, 4, 8, ~0x7fffffffull, 8},
    {BYTES("\x48\x89\x0c\x8d\xf0\xff\xff\xff"), 0, 0, 0x89, 0, 1, 4, 8, (REG(1) << 2) - 16, 8},
    {BYTES("\x49\x89\x0c\xcd\x10\x00\x00\x00"), 0, 0, 0x89, 0, 1, 12, 8, (REG(1) << 3) + 16, 8},
    {BYTES("\x48\x89\x4c\x5d\xf8"), 0, 0, 0x89, 1, 1, 4, 8, REG(5) + (REG(3) << 1) - 8, 5},
    {BYTES("\x4b\x89\x8c\x7d\x00\x01\x00\x00"), 0, 0, 0x89, 2, 1, 12, 8,
     REG(13) + (REG(15) << 1) + 0x100, 8},
    {BYTES("\x67\x89\x4c\x5d\xf8"), 0, 0, 0x89, 1, 1, 4, 4, LOW(REG(5) + (REG(3) << 1) - 8), 5},
    /* two-byte opcodes, a register operand, flat segments */
    {BYTES("\xf0\x48\x0f\xb1\x0f"), 0, 1, 0xb1, 0, 1, 7, 8, REG(7), 5},
    {BYTES("\x0f\x22\xd8"), 0, 1, 0x22, 3, 3, 0, 4, 0, 3},
    {BYTES("\x44\x0f\x20\xc7"), 0, 1, 0x20, 3, 8, 7, 4, 0, 4},
    {BYTES("\x3e\x2e\x26\x36\x89\x08"), 0, 0, 0x89, 0, 1, 0, 4, REG(0), 6},
};

static struct regs make_regs(void)
{
    struct regs r = {.rip = RIP};

    for (unsigned n = 0; n < 16; n++)
        *insn_register(&r, n) = REG(n);
    return r;
}

static bool read_row(const struct row *row, unsigned n, struct insn *i)
{
    struct insn_text t = {.n = n};

    memcpy(t.byte, row->bytes, row->n);
    return insn_start(i, &t) && insn_modrm(i, &t, row->immediate);
}

static void check_row(const struct row *row)
{
    struct regs r = make_regs();
    struct insn i;

    assert_true(read_row(row, row->n, &i));
    assert_int_equal(i.map, row->map);
    assert_int_equal(i.opcode, row->opcode);
    assert_int_equal(i.size, row->size);
    assert_int_equal(i.mod, row->mod);
    assert_int_equal(i.reg, row->reg);
    assert_int_equal(i.rm, row->rm);
    if (i.mod != 3)
        assert_int_equal(insn_address(&i, &r), row->address);
    assert_int_equal(i.at, row->read);
    for (unsigned n = 0; n < row->read; n++)
        assert_false(read_row(row, n, &i));
}

static void test_operands(void **state)
{
    (void)state;
    for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
        check_row(&rows[k]);
}

static struct insn start(const char *bytes, unsigned n)
{
    struct insn_text t = {.n = n};
    struct insn i;

    memcpy(t.byte, bytes, n);
    assert_true(insn_start(&i, &t));
    return i;
}

static void test_prefixes(void **state)
{
    struct insn i;

    (void)state;
    i = start("\xf0\xf2\xf3\x64\x65\x66\x67\x90", 8);
    assert_true(i.lock && i.repeat_not && i.repeat && i.segment_fs && i.segment_gs && i.operand16 &&
                i.address32 && !i.rex_present);
    i = start("\x40\x90", 2);
    assert_true(i.rex_present && i.rex == 0);
    i = start("\x4f\x90", 2);
    assert_int_equal(i.rex, REX_W | REX_R | REX_X | REX_B);
    i = start("\x48\x66\x90", 3); /* a prefix behind REX: taken for the opcode, which none has */
    assert_int_equal(i.opcode, 0x66);
}

static void test_nothing_but_prefixes(void **state)
{
    struct insn_text t = {.n = INSN_BYTES_MAX};
    struct insn i;

    (void)state;
    memset(t.byte, 0x66, sizeof(t.byte));
    assert_false(insn_start(&i, &t));
    t.n = 0;
    assert_false(insn_start(&i, &t));
}

static void test_numbers(void **state)
{
    struct insn_text t = {.byte = {1, 2, 3, 4, 5, 6, 7, 0x88}, .n = 8};
    struct insn i = {0};
    uint64_t v;

    (void)state;
    assert_true(insn_next(&i, &t, 2, &v) && v == 0x0201);
    assert_false(insn_next(&i, &t, 8, &v));
    assert_true(insn_next(&i, &t, 4, &v) && v == 0x06050403);
    i.at = 0;
    assert_true(insn_next(&i, &t, 8, &v) && v == 0x8807060504030201);
    assert_int_equal(sign_extend(0x80, 1), ~0x7full);
    assert_int_equal(sign_extend(0x7f, 1), 0x7f);
    assert_int_equal(sign_extend(0x8000, 2), ~0x7fffull);
    assert_int_equal(sign_extend(0x80000000, 4), ~0x7fffffffull);
    assert_int_equal(sign_extend(~1ull, 8), ~1ull);
}

/* Narrow results keep the rest of the register, 32-bit ones clear it. */
static void test_registers(void **state)
{
    struct insn plain = {0}, rex = {.rex_present = true};
    struct regs r = {.rax = 0x1122334455667788, .rsi = 0x99aabbccddeeff00};

    (void)state;
    assert_int_equal(insn_get(&plain, &r, 0, 1), 0x88);
    assert_int_equal(insn_get(&plain, &r, 4, 1), 0x77); /* AH */
    assert_int_equal(insn_get(&rex, &r, 6, 1), 0x00);   /* SIL */
    assert_int_equal(insn_get(&plain, &r, 0, 2), 0x7788);
    assert_int_equal(insn_get(&plain, &r, 0, 4), 0x55667788);
    insn_set(&plain, &r, 4, 1, 0xabcd);
    assert_int_equal(r.rax, 0x112233445566cd88);
    insn_set(&plain, &r, 0, 1, 0x1ff);
    assert_int_equal(r.rax, 0x112233445566cdff);
    insn_set(&rex, &r, 6, 1, 0x55);
    assert_int_equal(r.rsi, 0x99aabbccddeeff55);
    insn_set(&plain, &r, 0, 2, 0x10001);
    assert_int_equal(r.rax, 0x1122334455660001);
    insn_set(&plain, &r, 0, 4, ~0ull);
    assert_int_equal(r.rax, 0xffffffff);
    insn_set(&plain, &r, 0, 8, ~1ull);
    assert_int_equal(r.rax, ~1ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_nothing_but_prefixes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
