/* SPDX-License-Identifier: MIT */
#include "insn.h"

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

bool insn_start(struct insn *i, const struct insn_text *t)
{
    uint64_t byte;

    *i = (struct insn){0};
    do {
        if (!insn_next(i, t, 1, &byte))
            return false;
    } while (take_prefix(i, (uint8_t)byte));
    if ((byte & 0xf0) == 0x40) {
        i->rex_present = true;
        i->rex = byte & 0xf;
        if (!insn_next(i, t, 1, &byte))
            return false;
    }
    if (byte == ESCAPE_0F) {
        i->map = 1;
        if (!insn_next(i, t, 1, &byte))
            return false;
    }
    i->opcode = (uint8_t)byte;
    i->size = i->rex & REX_W ? 8 : i->operand16 ? 2 : 4;
    return true;
}

static bool add_displacement(struct insn *i, const struct insn_text *t, unsigned bytes)
{
    uint64_t v;

    if (!insn_next(i, t, bytes, &v))
        return false;
    i->address += sign_extend(v, bytes);
    return true;
}

static bool add_sib(struct insn *i, const struct insn_text *t, struct regs *r)
{
    unsigned scale, index, base;
    uint64_t sib;

    if (!insn_next(i, t, 1, &sib))
        return false;
    scale = (unsigned)sib >> 6;
    index = (sib >> 3 & 7) | (i->rex & REX_X ? 8 : 0);
    base = sib & 7;
    if (index != INDEX_NONE)
        i->address += *insn_register(r, index) << scale;
    if (base == RM_DISP32 && i->mod == MOD_NONE)
        return add_displacement(i, t, 4);
    i->address += *insn_register(r, base | (i->rex & REX_B ? 8u : 0));
    return true;
}

static bool add_base(struct insn *i, const struct insn_text *t, struct regs *r, unsigned immediate)
{
    if ((i->rm & 7) == RM_SIB)
        return add_sib(i, t, r);
    if ((i->rm & 7) == RM_DISP32 && i->mod == MOD_NONE) {
        if (!add_displacement(i, t, 4))
            return false;
        i->address += r->rip + i->at + immediate;
        return true;
    }
    i->address += *insn_register(r, i->rm);
    return true;
}

void insn_modrm_registers(struct insn *i, uint64_t modrm)
{
    i->reg = (uint8_t)((modrm >> 3 & 7) | (i->rex & REX_R ? 8 : 0));
    i->rm = (uint8_t)((modrm & 7) | (i->rex & REX_B ? 8 : 0));
}

bool insn_modrm(struct insn *i, const struct insn_text *t, const struct regs *r, unsigned immediate)
{
    struct regs copy = *r;
    uint64_t modrm;

    if (!insn_next(i, t, 1, &modrm))
        return false;
    insn_modrm_registers(i, modrm);
    i->mod = modrm >> 6 & 3;
    i->address = 0;
    if (i->mod == MOD_REGISTER)
        return true;
    if (!add_base(i, t, &copy, immediate))
        return false;
    if (i->mod == MOD_DISP8 && !add_displacement(i, t, 1))
        return false;
    if (i->mod == MOD_DISP32 && !add_displacement(i, t, 4))
        return false;
    if (i->address32)
        i->address &= size_mask(4);
    return true;
}

/* ---- registers */

uint64_t *insn_register(struct regs *r, unsigned n)
{
    uint64_t *const by_number[16] = {&r->rax, &r->rcx, &r->rdx, &r->rbx, &r->rsp, &r->rbp,
                                     &r->rsi, &r->rdi, &r->r8,  &r->r9,  &r->r10, &r->r11,
                                     &r->r12, &r->r13, &r->r14, &r->r15};

    return by_number[n & 15];
}

static bool is_high_byte(const struct insn *i, unsigned n, unsigned size)
{
    return size == 1 && !i->rex_present && n >= 4 && n < 8;
}

uint64_t insn_get(const struct insn *i, struct regs *r, unsigned n, unsigned size)
{
    if (is_high_byte(i, n, size))
        return *insn_register(r, n - 4) >> 8 & 0xff;
    return *insn_register(r, n) & size_mask(size);
}

void insn_set(const struct insn *i, struct regs *r, unsigned n, unsigned size, uint64_t v)
{
    uint64_t *to, mask = size_mask(size);

    if (is_high_byte(i, n, size)) {
        to = insn_register(r, n - 4);
        *to = (*to & ~0xff00ull) | (v & 0xff) << 8;
        return;
    }
    to = insn_register(r, n);
    *to = size == 4 ? v & mask : (*to & ~mask) | (v & mask);
}
