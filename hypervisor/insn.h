/* SPDX-License-Identifier: MIT */
/*
 * Reading one x86-64 instruction: prefixes, opcode, ModRM, the address of its memory operand. Pure:
 * bytes and registers in, numbers out.
 */
#ifndef PVMM_HV_INSN_H
#define PVMM_HV_INSN_H

#include <stdbool.h>
#include <stdint.h>

#include "regs.h"

#define INSN_BYTES_MAX  15u
#define INSN_TEXT_BYTES 16u /* two words: quickly read and compared */

struct insn_text {
    union {
        uint8_t byte[INSN_TEXT_BYTES];
        uint64_t word[INSN_TEXT_BYTES / 8];
    };
    unsigned n; /* bytes that could be read */
};

static inline bool insn_same_text(const struct insn_text *a, const struct insn_text *b)
{
    return a->word[0] == b->word[0] && a->word[1] == b->word[1] && a->n == b->n;
}

struct insn {
    bool operand16, lock, repeat, repeat_not, segment_fs, segment_gs, address32, rex_present;
    uint8_t rex; /* low four bits: W R X B */
    uint8_t map; /* 0: one-byte opcodes, 1: 0f xx */
    uint8_t opcode;
    unsigned size; /* operand bytes of a non-byte opcode: 2, 4, 8 */
    unsigned at;   /* next byte to read */

    uint8_t mod, reg, rm; /* after insn_modrm(); reg and rm with REX's bits */

    /* The memory operand (mod != 3): insn_address() adds it up. */
    uint8_t base, index; /* registers, or INSN_NO_REGISTER */
    uint8_t scale;       /* the index is shifted left by so many bits */
    bool rip_relative;
    uint64_t displacement;
};

#define INSN_NO_REGISTER 16u

#define REX_B 1u
#define REX_X 2u
#define REX_R 4u
#define REX_W 8u

/* Prefixes and opcode. false: cut off, or no long-mode instruction. */
bool insn_start(struct insn *i, const struct insn_text *t);
/* ModRM, SIB and displacement. `immediate`: bytes that follow (RIP-relative counts from the end).
 */
bool insn_modrm(struct insn *i, const struct insn_text *t, unsigned immediate);
/* Of the memory operand, without segment base. */
uint64_t insn_address(const struct insn *i, const struct regs *r);
/* Of a ModRM byte only reg and rm, both registers. */
void insn_modrm_registers(struct insn *i, uint64_t modrm);
/* The next `bytes` (1, 2, 4, 8) as an unsigned number. */
bool insn_next(struct insn *i, const struct insn_text *t, unsigned bytes, uint64_t *out);

/* General register `n` (0..15) in the processor's numbering. */
uint64_t *insn_register(struct regs *r, unsigned n);
uint64_t insn_register_value(const struct regs *r, unsigned n);
/* Register operand of `size` bytes: reading, and writing with the processor's rules (32-bit results
 * clear the upper half; without REX, 1-byte registers 4..7 are AH..BH). */
uint64_t insn_get(const struct insn *i, const struct regs *r, unsigned n, unsigned size);
void insn_set(const struct insn *i, struct regs *r, unsigned n, unsigned size, uint64_t v);
/* What insn_set() would do: *n becomes the number of the whole register, the result its value. */
uint64_t insn_merge(const struct insn *i, const struct regs *r, unsigned *n, unsigned size,
                    uint64_t v);

static inline uint64_t size_mask(unsigned size)
{
    return size == 8 ? ~0ull : (1ull << size * 8) - 1;
}

/* `v` of `size` bytes with its sign carried to 64 bits. */
static inline uint64_t sign_extend(uint64_t v, unsigned size)
{
    unsigned up = 64 - size * 8;

    return (uint64_t)((int64_t)(v << up) >> up);
}

#endif
