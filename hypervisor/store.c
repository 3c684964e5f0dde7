/* SPDX-License-Identifier: MIT */
#include "store.h"

#include "asm.h"

#define ENTRY_BYTES  8u
#define ACCUMULATOR  0u
#define FLAGS_RESULT (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

enum operation {
    OP_ADD,
    OP_OR,
    OP_ADC,
    OP_SBB,
    OP_AND,
    OP_SUB,
    OP_XOR, /* in the order of the opcodes */
    OP_CMP,
    OP_MOV,
    OP_XCHG,
    OP_XADD,
    OP_CMPXCHG,
    OP_INC,
    OP_DEC,
    OP_NOT,
    OP_NEG,
    OP_BTS,
    OP_BTR,
    OP_BTC,
};

struct operands {
    uint64_t old, source; /* both of `size` bytes */
    unsigned size;
    uint64_t result;
    uint64_t flags;
};

/* ---- flags */

static bool even_parity(uint64_t v)
{
    return !(__builtin_popcountll(v & 0xff) & 1);
}

static uint64_t sign_bit(unsigned size)
{
    return 1ull << (size * 8 - 1);
}

static void set_flag(struct operands *o, uint64_t flag, bool on)
{
    o->flags = on ? o->flags | flag : o->flags & ~flag;
}

static void flags_of_result(struct operands *o)
{
    set_flag(o, RFLAGS_ZF, o->result == 0);
    set_flag(o, RFLAGS_SF, o->result & sign_bit(o->size));
    set_flag(o, RFLAGS_PF, even_parity(o->result));
}

static void flags_of_logic(struct operands *o)
{
    o->flags &= ~(RFLAGS_CF | RFLAGS_OF | RFLAGS_AF);
    flags_of_result(o);
}

/* result = a + b + carry */
static void add(struct operands *o, uint64_t a, uint64_t b, unsigned carry)
{
    uint64_t carries;

    o->result = (a + b + carry) & size_mask(o->size);
    carries = (a & b) | ((a | b) & ~o->result); /* carry out of each bit */
    set_flag(o, RFLAGS_CF, carries & sign_bit(o->size));
    set_flag(o, RFLAGS_AF, carries & 8);
    set_flag(o, RFLAGS_OF, (a ^ o->result) & (b ^ o->result) & sign_bit(o->size));
    flags_of_result(o);
}

/* result = a - b - borrow */
static void subtract(struct operands *o, uint64_t a, uint64_t b, unsigned borrow)
{
    uint64_t borrows;

    o->result = (a - b - borrow) & size_mask(o->size);
    borrows = (~a & b) | ((~a | b) & o->result); /* borrow out of each bit */
    set_flag(o, RFLAGS_CF, borrows & sign_bit(o->size));
    set_flag(o, RFLAGS_AF, borrows & 8);
    set_flag(o, RFLAGS_OF, (a ^ b) & (a ^ o->result) & sign_bit(o->size));
    flags_of_result(o);
}

/* INC and DEC leave the carry alone. */
static void step(struct operands *o, bool up)
{
    uint64_t carry = o->flags & RFLAGS_CF;

    if (up)
        add(o, o->old, 1, 0);
    else
        subtract(o, o->old, 1, 0);
    o->flags = (o->flags & ~RFLAGS_CF) | carry;
}

/* ---- computing */

static void bit_operation(struct operands *o, enum operation operation)
{
    uint64_t bit = 1ull << (o->source & (o->size * 8 - 1));

    set_flag(o, RFLAGS_CF, o->old & bit);
    if (operation == OP_BTS)
        o->result = o->old | bit;
    else if (operation == OP_BTR)
        o->result = o->old & ~bit;
    else
        o->result = o->old ^ bit;
}

static void logic(struct operands *o, enum operation operation)
{
    if (operation == OP_OR)
        o->result = o->old | o->source;
    else if (operation == OP_AND)
        o->result = o->old & o->source;
    else
        o->result = o->old ^ o->source;
    flags_of_logic(o);
}

static void compute(struct operands *o, enum operation operation)
{
    unsigned carry = o->flags & RFLAGS_CF ? 1 : 0;

    switch (operation) {
    case OP_ADD:
    case OP_XADD:
        add(o, o->old, o->source, 0);
        break;
    case OP_ADC:
        add(o, o->old, o->source, carry);
        break;
    case OP_SUB:
        subtract(o, o->old, o->source, 0);
        break;
    case OP_SBB:
        subtract(o, o->old, o->source, carry);
        break;
    case OP_OR:
    case OP_AND:
    case OP_XOR:
        logic(o, operation);
        break;
    case OP_INC:
    case OP_DEC:
        step(o, operation == OP_INC);
        break;
    case OP_NEG:
        subtract(o, 0, o->old, 0);
        break;
    case OP_NOT:
        o->result = ~o->old & size_mask(o->size);
        break;
    case OP_BTS:
    case OP_BTR:
    case OP_BTC:
        bit_operation(o, operation);
        break;
    default: /* OP_MOV, OP_XCHG, OP_CMPXCHG once equal */
        o->result = o->source;
    }
}

/* ---- opcodes */

static unsigned width(const struct insn *i)
{
    return i->opcode & 1 ? i->size : 1;
}

static unsigned immediate_width(const struct insn *i)
{
    unsigned size = width(i);

    return size == 8 ? 4 : size;
}

/* Groups of opcodes whose operation is in ModRM's reg field. */
static bool shape_of_group(const struct insn *i, struct store_form *s)
{
    switch (i->opcode) {
    case 0x80:
    case 0x81:
    case 0x83:
        s->operation = (enum operation)(i->reg & 7);
        return s->operation != OP_CMP;
    case 0xc6:
    case 0xc7:
        return (i->reg & 7) == 0; /* MOV */
    case 0xf6:
    case 0xf7:
        s->operation = (i->reg & 7) == 2 ? OP_NOT : OP_NEG;
        return (i->reg & 7) == 2 || (i->reg & 7) == 3;
    case 0xfe:
    case 0xff:
        s->operation = (i->reg & 7) == 0 ? OP_INC : OP_DEC;
        return (i->reg & 7) <= 1;
    default:
        return true;
    }
}

static bool shape_one_byte(const struct insn *i, struct store_form *s)
{
    s->size = width(i);
    if (i->opcode < 0x40 && (i->opcode & 7) <= 1) { /* ALU m, r */
        s->operation = (enum operation)(i->opcode >> 3);
        return s->operation != OP_CMP;
    }
    switch (i->opcode) {
    case 0x80:
    case 0x83:
        s->immediate = 1;
        return true;
    case 0x81:
        s->immediate = immediate_width(i);
        return true;
    case 0x86:
    case 0x87:
        s->operation = OP_XCHG;
        return true;
    case 0x88:
    case 0x89:
        s->operation = OP_MOV;
        return true;
    case 0xc6:
    case 0xc7:
        s->operation = OP_MOV;
        s->immediate = immediate_width(i);
        return true;
    case 0xf6:
    case 0xf7:
    case 0xfe:
    case 0xff:
        return true;
    default:
        return false;
    }
}

static bool shape_two_byte(const struct insn *i, struct store_form *s)
{
    s->size = i->size;
    switch (i->opcode) {
    case 0xab:
        s->operation = OP_BTS;
        s->bit_register = true;
        return true;
    case 0xb3:
        s->operation = OP_BTR;
        s->bit_register = true;
        return true;
    case 0xbb:
        s->operation = OP_BTC;
        s->bit_register = true;
        return true;
    case 0xba:
        s->immediate = 1;
        return true;
    case 0xb0:
    case 0xb1:
        s->operation = OP_CMPXCHG;
        s->size = width(i);
        return true;
    case 0xc0:
    case 0xc1:
        s->operation = OP_XADD;
        s->size = width(i);
        return true;
    default:
        return false;
    }
}

/* 0f ba: /5 BTS /6 BTR /7 BTC; /4 only tests. */
static bool shape_of_bit_group(const struct insn *i, struct store_form *s)
{
    s->operation = (enum operation)(OP_BTS + (i->reg & 7) - 5);
    return (i->reg & 7) >= 5;
}

static bool read_number(struct store_form *f, const struct insn_text *t)
{
    if (!f->immediate)
        return true;
    if (!insn_next(&f->insn, t, f->immediate, &f->number))
        return false;
    f->number = sign_extend(f->number, f->immediate) & size_mask(f->size);
    return true;
}

static bool shape_of_opcode(struct store_form *f)
{
    return f->insn.map ? shape_two_byte(&f->insn, f) : shape_one_byte(&f->insn, f);
}

/* What ModRM's reg field adds to the opcode. */
static bool shape_of_reg(struct store_form *f)
{
    if (!f->insn.map)
        return shape_of_group(&f->insn, f);
    return f->insn.opcode != 0xba || shape_of_bit_group(&f->insn, f);
}

bool store_read(const struct insn_text *t, struct store_form *f)
{
    struct insn *i = &f->insn;

    *f = (struct store_form){.operation = OP_MOV};
    if (!insn_start(i, t) || i->repeat || i->repeat_not || i->segment_fs || i->segment_gs)
        return false;
    if (!shape_of_opcode(f) || !insn_modrm(i, t, f->immediate) || i->mod == 3)
        return false;
    return shape_of_reg(f) && read_number(f, t);
}

/* ---- what it does here */

/* A bit number in a register counts from the operand's address on, in either direction. */
static uint64_t address_of_bit(const struct store_form *f, uint64_t address, uint64_t bit)
{
    int64_t number = (int64_t)sign_extend(bit, f->size);
    unsigned shift = f->size == 8 ? 6 : f->size == 4 ? 5 : 4;

    return address + (uint64_t)(number >> shift) * f->size;
}

static void change_register(struct store *s, const struct insn *i, const struct regs *r, unsigned n,
                            unsigned size, uint64_t to)
{
    s->changed_to = insn_merge(i, r, &n, size, to);
    s->changed = (int)n;
}

/* Not equal: the accumulator takes the old value, and the CPU writes the old value back. */
static bool compare_failed(const struct store_form *f, struct operands *o, const struct regs *r,
                           struct store *s)
{
    uint64_t accumulator;
    struct operands compared = {.size = f->size, .flags = o->flags};

    if (f->operation != OP_CMPXCHG)
        return false;
    accumulator = insn_get(&f->insn, r, ACCUMULATOR, f->size);
    subtract(&compared, accumulator, o->old, 0);
    o->flags = compared.flags;
    if (accumulator == o->old)
        return false;
    change_register(s, &f->insn, r, ACCUMULATOR, f->size, o->old);
    return true;
}

/* A whole entry from a register, stored or exchanged: nearly all of what kernels do. */
static bool is_whole(const struct store_form *f)
{
    return f->size == ENTRY_BYTES && !f->immediate &&
           (f->operation == OP_MOV || f->operation == OP_XCHG);
}

static bool compute_whole(const struct store_form *f, const struct regs *r, uint64_t fault,
                          uint64_t old, struct store *s)
{
    const struct insn *i = &f->insn;
    bool exchanged = f->operation == OP_XCHG;

    if (insn_address(i, r) != fault || fault % ENTRY_BYTES)
        return false;
    *s = (struct store){
        .value = insn_register_value(r, i->reg),
        .reads = exchanged,
        .writes = true,
        .rip = r->rip + i->at,
        .rflags = r->rflags,
        .changed = exchanged ? i->reg : -1,
        .changed_to = old,
    };
    return true;
}

static __attribute__((noinline)) bool compute_any(const struct store_form *f, const struct regs *r,
                                                  uint64_t fault, uint64_t old, struct store *s)
{
    const struct insn *i = &f->insn;
    struct operands o = {.flags = r->rflags, .size = f->size};
    uint64_t address = insn_address(i, r);
    unsigned shift = (unsigned)(fault % ENTRY_BYTES) * 8;

    o.source = f->immediate ? f->number : insn_get(i, r, i->reg, f->size);
    if (f->bit_register)
        address = address_of_bit(f, address, o.source);
    if (address != fault || fault % ENTRY_BYTES + f->size > ENTRY_BYTES)
        return false;

    o.old = old >> shift & size_mask(f->size);
    s->changed = -1;
    s->reads = f->size < ENTRY_BYTES || f->operation != OP_MOV;
    s->writes = !compare_failed(f, &o, r, s);
    if (s->writes)
        compute(&o, f->operation);
    else
        o.result = o.old;
    s->value = (old & ~(size_mask(f->size) << shift)) | o.result << shift;
    if (f->operation == OP_XCHG || f->operation == OP_XADD)
        change_register(s, i, r, i->reg, f->size, o.old);
    s->rflags = (r->rflags & ~FLAGS_RESULT) | (o.flags & FLAGS_RESULT);
    s->rip = r->rip + i->at;
    return true;
}

bool store_compute(const struct store_form *f, const struct regs *r, uint64_t fault, uint64_t old,
                   struct store *s)
{
    return is_whole(f) ? compute_whole(f, r, fault, old, s) : compute_any(f, r, fault, old, s);
}

void store_finish(const struct store *s, struct regs *r)
{
    if (s->changed >= 0)
        *insn_register(r, (unsigned)s->changed) = s->changed_to;
    r->rflags = s->rflags;
    r->rip = s->rip;
}
