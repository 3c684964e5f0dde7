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
    uint64_t value;   /* the whole entry afterwards */
    bool reads;       /* the value depends on the old one: it must still be there */
    bool writes;      /* false: the entry keeps its value (failed CMPXCHG: it is written back) */
    struct regs regs; /* afterwards: registers, flags, rip */
};

/*
 * `fault` is where the CPU's write failed, `old` the content of the aligned 8 bytes around it.
 * false: no store that is handled here, or not to `fault`, or across the entry's bounds.
 */
bool store_decode(const struct insn_text *t, const struct regs *r, uint64_t fault, uint64_t old,
                  struct store *s);

#endif
