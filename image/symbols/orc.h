/* SPDX-License-Identifier: MIT */
/*
 * ORC: Linux's own tables of where each instruction's caller is found on the stack (from 4.14;
 * Documentation/x86/orc-unwinder.rst). Two arrays of one length: addresses, each relative to where
 * it stands itself, ascending; and entries of 6 bytes.
 */
#ifndef PVMM_IMAGE_SYMBOLS_ORC_H
#define PVMM_IMAGE_SYMBOLS_ORC_H

#include "table.h"

struct orc {
    const struct pv_symbols *s;
    const struct pv_view *v;
    mfn_t root;
    uint64_t rsp; /* of the first word of the stack */
    const uint64_t *stack;
    size_t words;
    struct orc_table kernel; /* nr 0: none */
};

struct orc_place {
    uint64_t ip, at; /* where it goes on, and where that stands */
    uint64_t sp;
    uint64_t bp;
    bool bp_known;
    bool interrupted; /* before the instruction at ip, not behind a call */
};

enum orc_step {
    ORC_UNKNOWN, /* the tables do not say, or what they say is not so */
    ORC_CALLER,
    ORC_END, /* the guest's kernel was entered here */
};

void orc_open(struct orc *o);
/* For kernels without these tables: by the chain that rbp begins, if it is one. */
enum orc_step orc_frame_pointer(const struct orc *o, struct orc_place *p);
enum orc_step orc_step(const struct orc *o, struct orc_place *p);

#endif
