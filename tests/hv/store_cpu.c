/* SPDX-License-Identifier: MIT */
/*
 * The decoder of direct page-table stores against the processor itself: random instructions of
 * every kind it knows are executed here and given to store_decode(); memory, registers and defined
 * flags must agree. Usage: store-cpu [COUNT [SEED]].
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "asm.h"
#include "store.h"

#define CELLS         64u /* 8-byte words around the one that is hit: nothing else may change */
#define CELL_HIT      32u
#define DEFAULT_COUNT 1000000ul
#define RET           0xc3
#define EXIT_SKIPPED  77 /* as Meson has it */

/* Executes the code at `insn` (which ends with RET) with the registers of *r; the stack pointer is
 * not loaded. */
void run_code(struct regs *r, const void *insn);
__asm__(".text\n"
        "run_code:\n"
        "  pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
        "  pushq %rdi; pushq %rsi\n"
        "  pushq 152(%rdi); popfq\n"
        "  movq 0(%rdi),%r15; movq 8(%rdi),%r14; movq 16(%rdi),%r13; movq 24(%rdi),%r12\n"
        "  movq 32(%rdi),%rbp; movq 40(%rdi),%rbx; movq 48(%rdi),%r11; movq 56(%rdi),%r10\n"
        "  movq 64(%rdi),%r9; movq 72(%rdi),%r8; movq 80(%rdi),%rax; movq 88(%rdi),%rcx\n"
        "  movq 96(%rdi),%rdx; movq 104(%rdi),%rsi; movq 112(%rdi),%rdi\n"
        "  call *(%rsp)\n"
        "  pushfq; pushq %rdi; movq 24(%rsp),%rdi\n"
        "  movq %r15,0(%rdi); movq %r14,8(%rdi); movq %r13,16(%rdi); movq %r12,24(%rdi)\n"
        "  movq %rbp,32(%rdi); movq %rbx,40(%rdi); movq %r11,48(%rdi); movq %r10,56(%rdi)\n"
        "  movq %r9,64(%rdi); movq %r8,72(%rdi); movq %rax,80(%rdi); movq %rcx,88(%rdi)\n"
        "  movq %rdx,96(%rdi); movq %rsi,104(%rdi)\n"
        "  popq %rax; movq %rax,112(%rdi); popq %rax; movq %rax,152(%rdi)\n"
        "  addq $16,%rsp\n"
        "  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
        "  cld; ret\n");

enum kind { REGISTER, IMMEDIATE, IMMEDIATE8, UNARY, BIT_REGISTER };

struct opcode {
    uint8_t map, opcode; /* the even one where there is a byte form */
    bool byte_form;
    enum kind kind;
    int extension; /* ModRM.reg, or -1: a register */
    bool lockable;
    uint64_t undefined; /* flags */
};

#define UNDEFINED_BIT (RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF | RFLAGS_ZF)

static const struct opcode opcodes[] = {
    {0, 0x00, true, REGISTER, -1, true, 0},         /* ADD */
    {0, 0x08, true, REGISTER, -1, true, RFLAGS_AF}, /* OR */
    {0, 0x10, true, REGISTER, -1, true, 0},         /* ADC */
    {0, 0x18, true, REGISTER, -1, true, 0},         /* SBB */
    {0, 0x20, true, REGISTER, -1, true, RFLAGS_AF}, /* AND */
    {0, 0x28, true, REGISTER, -1, true, 0},         /* SUB */
    {0, 0x30, true, REGISTER, -1, true, RFLAGS_AF}, /* XOR */
    {0, 0x80, true, IMMEDIATE, 0, true, 0},
    {0, 0x80, true, IMMEDIATE, 1, true, RFLAGS_AF},
    {0, 0x80, true, IMMEDIATE, 2, true, 0},
    {0, 0x80, true, IMMEDIATE, 3, true, 0},
    {0, 0x80, true, IMMEDIATE, 4, true, RFLAGS_AF},
    {0, 0x80, true, IMMEDIATE, 5, true, 0},
    {0, 0x80, true, IMMEDIATE, 6, true, RFLAGS_AF},
    {0, 0x83, false, IMMEDIATE8, 0, true, 0},
    {0, 0x83, false, IMMEDIATE8, 3, true, 0},
    {0, 0x83, false, IMMEDIATE8, 4, true, RFLAGS_AF},
    {0, 0x86, true, REGISTER, -1, true, 0},  /* XCHG */
    {0, 0x88, true, REGISTER, -1, false, 0}, /* MOV */
    {0, 0xc6, true, IMMEDIATE, 0, false, 0},
    {0, 0xf6, true, UNARY, 2, true, 0}, /* NOT */
    {0, 0xf6, true, UNARY, 3, true, 0}, /* NEG */
    {0, 0xfe, true, UNARY, 0, true, 0}, /* INC */
    {0, 0xfe, true, UNARY, 1, true, 0}, /* DEC */
    {1, 0xab, false, BIT_REGISTER, -1, true, UNDEFINED_BIT},
    {1, 0xb3, false, BIT_REGISTER, -1, true, UNDEFINED_BIT},
    {1, 0xbb, false, BIT_REGISTER, -1, true, UNDEFINED_BIT},
    {1, 0xba, false, IMMEDIATE8, 5, true, UNDEFINED_BIT},
    {1, 0xba, false, IMMEDIATE8, 6, true, UNDEFINED_BIT},
    {1, 0xba, false, IMMEDIATE8, 7, true, UNDEFINED_BIT},
    {1, 0xb0, true, REGISTER, -1, true, 0}, /* CMPXCHG */
    {1, 0xc0, true, REGISTER, -1, true, 0}, /* XADD */
};

struct trial {
    const struct opcode *opcode;
    struct insn_text text;
    unsigned length;
    struct regs regs;
    uint64_t fault;
    unsigned size;
};

static uint64_t cells[CELLS];
static uint64_t state;

static uint64_t random64(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dull;
}

static unsigned below(unsigned n)
{
    return (unsigned)(random64() >> 33) % n;
}

/* Values near the edges are worth more than uniform ones. */
static uint64_t random_value(void)
{
    switch (below(4)) {
    case 0:
        return random64();
    case 1:
        return below(3) - 1ull;
    case 2:
        return 1ull << below(64);
    default:
        return (1ull << below(64)) - 1;
    }
}

static void emit(struct trial *t, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes && t->length < INSN_BYTES_MAX; i++)
        t->text.byte[t->length++] = (uint8_t)(v >> 8 * i);
}

static unsigned random_register(void)
{
    unsigned n;

    do {
        n = below(16);
    } while (n == 4); /* the stack pointer stays out of it */
    return n;
}

static void random_registers(struct trial *t)
{
    for (unsigned i = 0; i < 16; i++)
        *insn_register(&t->regs, i) = random_value();
    t->regs.rflags =
        RFLAGS_ONE | RFLAGS_IF |
        (random64() & (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF));
    if (below(2)) /* lets CMPXCHG succeed */
        t->regs.rax = cells[CELL_HIT];
}

/* What is chosen for one trial. */
struct choice {
    bool byte, operand16, wide, use_index;
    unsigned mod, base, index, scale, reg;
    int64_t disp;
};

static struct choice choose(const struct opcode *o)
{
    struct choice c = {
        .byte = o->byte_form && below(2),
        .wide = below(2),
        .use_index = below(3) == 0,
        .mod = below(3),
        .base = random_register(),
        .index = random_register(),
        .scale = below(4),
        .reg = o->extension >= 0 ? (unsigned)o->extension : random_register(),
    };

    c.operand16 = !c.byte && below(4) == 0;
    c.disp = c.mod == 1 ? (int8_t)random64() : c.mod == 2 ? (int32_t)random64() : 0;
    return c;
}

/* Registers that would need two values at once, and encodings that mean something else. */
static bool works_out(const struct choice *c, enum kind kind)
{
    if (c->use_index && c->index == c->base)
        return false;
    if (kind == BIT_REGISTER && (c->reg == c->base || (c->use_index && c->reg == c->index)))
        return false;
    return c->mod != 0 || (c->base & 7) != 5;
}

/* A bit number in a register moves the operand: how far. */
static int64_t choose_bit(struct trial *t, unsigned reg)
{
    unsigned shift = t->size == 8 ? 6 : t->size == 4 ? 5 : 4;

    *insn_register(&t->regs, reg) = random64() % 4096 - 2048;
    return ((int64_t)sign_extend(*insn_register(&t->regs, reg), t->size) >> shift) *
           (int64_t)t->size;
}

/* Makes the operand's address that of a part of the cell that is hit. */
static void aim(struct trial *t, const struct choice *c)
{
    uint64_t *base = insn_register(&t->regs, c->base);

    t->fault = (uint64_t)&cells[CELL_HIT] + (t->size == 8 ? 0 : below(8 / t->size) * t->size);
    *base = t->fault - (uint64_t)c->disp;
    if (t->opcode->kind == BIT_REGISTER)
        *base -= (uint64_t)choose_bit(t, c->reg);
    if (c->use_index)
        *base -= *insn_register(&t->regs, c->index) << c->scale;
}

/* Prefixes and REX; false: the register has no such encoding. */
static bool emit_prefixes(struct trial *t, struct choice *c)
{
    const struct opcode *o = t->opcode;
    unsigned rex = (c->wide && !c->byte ? REX_W : 0) | (c->reg & 8 ? REX_R : 0) |
                   (c->base & 8 ? REX_B : 0) | (c->use_index && c->index & 8 ? REX_X : 0);

    if (o->lockable && below(2))
        emit(t, 0xf0, 1);
    if (c->operand16)
        emit(t, 0x66, 1);
    if (rex || below(4) == 0)
        emit(t, 0x40 | rex, 1);
    else if (c->byte && o->extension < 0 && below(2))
        c->reg = 4 + below(4); /* AH CH DH BH */
    else if (c->byte && c->reg == 4)
        return false;
    return true;
}

static void emit_operands(struct trial *t, const struct choice *c)
{
    bool sib = c->use_index || (c->base & 7) == 4;

    emit(t, c->mod << 6 | (c->reg & 7) << 3 | (sib ? 4 : c->base & 7), 1);
    if (sib)
        emit(t, c->scale << 6 | (c->use_index ? c->index & 7 : 4) << 3 | (c->base & 7), 1);
    emit(t, (uint64_t)c->disp, c->mod == 1 ? 1 : c->mod == 2 ? 4 : 0);
    if (t->opcode->kind == IMMEDIATE)
        emit(t, random_value(), t->size == 8 ? 4 : t->size);
    if (t->opcode->kind == IMMEDIATE8)
        emit(t, random_value(), 1);
}

/* false: the choice does not work out. */
static bool make_trial(struct trial *t)
{
    const struct opcode *o = &opcodes[below(sizeof(opcodes) / sizeof(opcodes[0]))];
    struct choice c = choose(o);

    memset(t, 0, sizeof(*t));
    if (!works_out(&c, o->kind))
        return false;
    t->opcode = o;
    t->size = c.byte ? 1 : c.wide ? 8 : c.operand16 ? 2 : 4;
    random_registers(t);
    aim(t, &c);
    if (!emit_prefixes(t, &c))
        return false;
    if (o->map)
        emit(t, 0x0f, 1);
    emit(t, o->opcode | (o->byte_form && !c.byte ? 1u : 0), 1);
    emit_operands(t, &c);
    t->text.n = INSN_BYTES_MAX;
    return t->length <= INSN_BYTES_MAX;
}

static void print_trial(const struct trial *t, const char *what)
{
    printf("%s:", what);
    for (unsigned i = 0; i < t->length; i++)
        printf(" %02x", t->text.byte[i]);
    printf(" (at offset %u of the entry)\n", (unsigned)(t->fault % 8));
}

static bool same_registers(const struct trial *t, struct regs *a, struct regs *b)
{
    const uint64_t compared =
        (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF) &
        ~t->opcode->undefined;

    for (unsigned i = 0; i < 16; i++) {
        if (i != 4 && *insn_register(a, i) != *insn_register(b, i))
            return false;
    }
    return ((a->rflags ^ b->rflags) & compared) == 0;
}

static const char *check(struct trial *t, uint8_t *code)
{
    uint64_t before[CELLS], old = cells[CELL_HIT];
    struct regs real = t->regs, emulated = t->regs;
    struct store_form form;
    struct store s;

    memcpy(before, cells, sizeof(cells));
    if (!store_read(&t->text, &form))
        return "not decoded";
    if (store_compute(&form, &t->regs, t->fault ^ 16, old, &s))
        return "accepted at another address";
    if (!store_compute(&form, &t->regs, t->fault, old, &s))
        return "not computed";
    store_finish(&s, &emulated);
    memcpy(code, t->text.byte, t->length);
    code[t->length] = RET;
    run_code(&real, code);

    if (emulated.rip - t->regs.rip != t->length)
        return "wrong length";
    if ((s.writes ? s.value : old) != cells[CELL_HIT])
        return "wrong value";
    if (!s.reads && t->size != 8)
        return "a part of an entry, not dependent on it";
    if (!same_registers(t, &real, &emulated))
        return "wrong registers or flags";
    before[CELL_HIT] = cells[CELL_HIT];
    if (memcmp(before, cells, sizeof(cells)))
        return "the processor wrote elsewhere: the test is wrong";
    return NULL;
}

/* Runs `count` trials; false: one of them differs. */
static bool run_trials(unsigned long count, uint8_t *code)
{
    for (unsigned long done = 0; done < count;) {
        struct trial t;
        const char *wrong;

        cells[CELL_HIT] = random_value();
        if (!make_trial(&t))
            continue;
        wrong = check(&t, code);
        if (wrong) {
            print_trial(&t, wrong);
            return false;
        }
        done++;
    }
    return true;
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_COUNT;
    uint8_t *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    state = argc > 2 ? strtoul(argv[2], NULL, 0) : 1;
    if (code == MAP_FAILED) {
        printf("no executable memory here\n");
        return EXIT_SKIPPED;
    }
    if (!run_trials(count, code))
        return EXIT_FAILURE;
    printf("%lu stores agree with the processor\n", count);
    return EXIT_SUCCESS;
}
