/* SPDX-License-Identifier: MIT */
#include "insn.h"

#include <stddef.h>

#define ESCAPE_0F 0x0f

#define MOD_NONE     0u /* no displacement, but see RM_DISP32 */
#define MOD_DISP8    1u
#define MOD_DISP32   2u
#define MOD_REGISTER 3u
#define RM_SIB       4u
#define RM_DISP32    5u /* with MOD_NONE: RIP-relative; as SIB base: none */
#define INDEX_NONE   4u

bool insn_next(struct insn *i, const struct insn_text *t, unsigned bytes, uint64_t *out)
{
    if (i->at + bytes > t->n)
        return false;
    *out = 0;
    for (unsigned k = 0; k < bytes; k++)
        *out |= (uint64_t)t->byte[i->at++] << 8 * k;
    return true;
}

/* true: it was a legacy prefix. */
static bool take_prefix(struct insn *i, uint8_t byte)
{
    switch (byte) {
    case 0x66:
        i->operand16 = true;
        return true;
    case 0x67:
        i->address32 = true;
        return true;
    case 0xf0:
        i->lock = true;
        return true;
    case 0xf2:
        i->repeat_not = true;
        return true;
    case 0xf3:
        i->repeat = true;
        return true;
    case 0x64:
        i->segment_fs = true;
        return true;
    case 0x65:
        i->segment_gs = true;
        return true;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        return true; /* ES CS SS DS: base 0 in long mode */
    default:
        return false;
    }
}

static bool next_byte(struct insn *i, const struct insn_text *t, uint8_t *out)
{
    if (i->at >= t->n)
        return false;
    *out = t->byte[i->at++];
    return true;
}

bool insn_start(struct insn *i, const struct insn_text *t)
{
    uint8_t byte;

    *i = (struct insn){0};
    do {
        if (!next_byte(i, t, &byte))
            return false;
    } while (take_prefix(i, byte));
    if ((byte & 0xf0) == 0x40) {
        i->rex_present = true;
        i->rex = byte & 0xf;
        if (!next_byte(i, t, &byte))
            return false;
    }
    if (byte == ESCAPE_0F) {
        i->map = 1;
        if (!next_byte(i, t, &byte))
            return false;
    }
    i->opcode = byte;
    i->size = i->rex & REX_W ? 8 : i->operand16 ? 2 : 4;
    return true;
}

static bool add_displacement(struct insn *i, const struct insn_text *t, unsigned bytes)
{
    uint64_t v;

    if (!insn_next(i, t, bytes, &v))
        return false;
    i->displacement += sign_extend(v, bytes);
    return true;
}

static bool add_sib(struct insn *i, const struct insn_text *t)
{
    unsigned index, base;
    uint8_t sib;

    if (!next_byte(i, t, &sib))
        return false;
    index = (sib >> 3 & 7u) | (i->rex & REX_X ? 8u : 0);
    base = sib & 7;
    i->scale = sib >> 6;
    if (index != INDEX_NONE)
        i->index = (uint8_t)index;
    if (base == RM_DISP32 && i->mod == MOD_NONE)
        return add_displacement(i, t, 4);
    i->base = (uint8_t)(base | (i->rex & REX_B ? 8u : 0));
    return true;
}

static bool add_base(struct insn *i, const struct insn_text *t, unsigned immediate)
{
    if ((i->rm & 7) == RM_SIB)
        return add_sib(i, t);
    if ((i->rm & 7) == RM_DISP32 && i->mod == MOD_NONE) {
        if (!add_displacement(i, t, 4))
            return false;
        i->rip_relative = true;
        i->displacement += i->at + immediate;
        return true;
    }
    i->base = i->rm;
    return true;
}

void insn_modrm_registers(struct insn *i, uint64_t modrm)
{
    i->reg = (uint8_t)((modrm >> 3 & 7) | (i->rex & REX_R ? 8 : 0));
    i->rm = (uint8_t)((modrm & 7) | (i->rex & REX_B ? 8 : 0));
}

bool insn_modrm(struct insn *i, const struct insn_text *t, unsigned immediate)
{
    uint8_t modrm;

    if (!next_byte(i, t, &modrm))
        return false;
    insn_modrm_registers(i, modrm);
    i->mod = modrm >> 6 & 3;
    i->base = i->index = INSN_NO_REGISTER;
    if (i->mod == MOD_REGISTER)
        return true;
    if (!add_base(i, t, immediate))
        return false;
    if (i->mod == MOD_DISP8)
        return add_displacement(i, t, 1);
    return i->mod != MOD_DISP32 || add_displacement(i, t, 4);
}

uint64_t insn_address(const struct insn *i, const struct regs *r)
{
    uint64_t address = i->displacement;

    if (i->base != INSN_NO_REGISTER)
        address += insn_register_value(r, i->base);
    if (i->index != INSN_NO_REGISTER)
        address += insn_register_value(r, i->index) << i->scale;
    if (i->rip_relative)
        address += r->rip;
    return i->address32 ? address & size_mask(4) : address;
}

/* ---- registers */

#define PLACE(name) (uint8_t)(offsetof(struct regs, name) / sizeof(uint64_t))

static unsigned place_of(unsigned n)
{
    static const uint8_t place[16] = {PLACE(rax), PLACE(rcx), PLACE(rdx), PLACE(rbx),
                                      PLACE(rsp), PLACE(rbp), PLACE(rsi), PLACE(rdi),
                                      PLACE(r8),  PLACE(r9),  PLACE(r10), PLACE(r11),
                                      PLACE(r12), PLACE(r13), PLACE(r14), PLACE(r15)};

    return place[n & 15];
}

uint64_t *insn_register(struct regs *r, unsigned n)
{
    return (uint64_t *)r + place_of(n);
}

uint64_t insn_register_value(const struct regs *r, unsigned n)
{
    return ((const uint64_t *)r)[place_of(n)];
}

static bool is_high_byte(const struct insn *i, unsigned n, unsigned size)
{
    return size == 1 && !i->rex_present && n >= 4 && n < 8;
}

uint64_t insn_get(const struct insn *i, const struct regs *r, unsigned n, unsigned size)
{
    if (is_high_byte(i, n, size))
        return insn_register_value(r, n - 4) >> 8 & 0xff;
    return insn_register_value(r, n) & size_mask(size);
}

uint64_t insn_merge(const struct insn *i, const struct regs *r, unsigned *n, unsigned size,
                    uint64_t v)
{
    uint64_t mask = size_mask(size);

    if (is_high_byte(i, *n, size)) {
        *n -= 4;
        return (insn_register_value(r, *n) & ~0xff00ull) | (v & 0xff) << 8;
    }
    return size == 4 ? v & mask : (insn_register_value(r, *n) & ~mask) | (v & mask);
}

void insn_set(const struct insn *i, struct regs *r, unsigned n, unsigned size, uint64_t v)
{
    uint64_t whole = insn_merge(i, r, &n, size, v);

    *insn_register(r, n) = whole;
}
