/* SPDX-License-Identifier: MIT */
/*
 * A guest's store into an 8-byte page-table entry, decoded and computed but not performed. Pure, so
 * that it can be tested on any machine.
 */
#ifndef PVMM_HV_STORE_H
#define PVMM_HV_STORE_H

#include "insn.h"

/* The instruction's outcome, given what the entry holds. */
struct store {
    uint64_t value; /* the whole entry afterwards */
    bool reads;     /* the value depends on the old one: it must still be there */
    bool writes;    /* false: the entry keeps its value (failed CMPXCHG: it is written back) */
    uint64_t rip, rflags; /* afterwards */
    int changed;          /* the one general register that changes (0..15), to: */
    uint64_t changed_to;  /* -1: none does */
};

/* What the instruction's bytes say by themselves. */
struct store_form {
    struct insn insn;
    unsigned operation; /* store.c's */
    unsigned size;      /* of the operand in bytes */
    unsigned immediate; /* bytes of immediate operand; 0: a register or none */
    uint64_t number;    /* that immediate */
    bool bit_register;  /* bit number in a register: it may reach beyond the operand */
};

/* false: no store that is handled here. */
bool store_read(const struct insn_text *t, struct store_form *f);

/*
 * `fault` is where the CPU's write failed, `old` the content of the aligned 8 bytes around it.
 * false: no store to `fault`, or one across the entry's bounds.
 */
bool store_compute(const struct store_form *f, const struct regs *r, uint64_t fault, uint64_t old,
                   struct store *s);
/* The registers as the instruction leaves them. */
void store_finish(const struct store *s, struct regs *r);

#endif
