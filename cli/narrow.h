/* SPDX-License-Identifier: MIT */
/*
 * Which instruction of a recording stored a word of the machine's memory: the last that changed it
 * to the value it has at a given end.
 *
 * The word is looked at now and then over the whole time; the last look that finds another value
 * and the one after it bound the time, which is looked at again, more finely, until one instruction
 * is left. A value that went away and came back between two looks is not seen that way: so the time
 * from the store found to the end is watched at the virtual addresses by which the word is stored
 * to, by QEMU's watchpoints, which miss nothing there. What remains unseen is a value that comes
 * back by way of another virtual address, or of a device.
 *
 * What CPU and hypervisor set by themselves in an entry that is present, ACCESSED and DIRTY, and in
 * tables in use USER and the mark of a kernel's mapping (bit 52), is nobody's store: where the word
 * has PRESENT at the end, these bits do not count.
 */
#ifndef PVMM_CLI_NARROW_H
#define PVMM_CLI_NARROW_H

#include "pass.h"

#define NARROW_WATCHES 16

struct change {
    uint64_t address; /* of the word */
    uint64_t final;   /* its value at the end */
    uint64_t icount;  /* the change is done by the icount-th instruction */
    unsigned looks;   /* in all */
};

/* What is to be looked at when a machine stands at the end. */
typedef int narrow_look(void *context, struct pass *p, struct error *e);

/* Passes that narrow_change() will take, at most. */
unsigned narrow_passes(uint64_t end);

/* Fills in *c for c->address; `end`: instructions. Returns 1; 0: the word has had its final value
 * from the first instruction on, as far as it was looked at; -1: error. */
int narrow_change(struct playing *playing, uint64_t end, struct change *c, narrow_look *look,
                  void *context, struct error *e);

/* Where the word is stored to, besides. */
struct narrow_watch {
    uint64_t va[NARROW_WATCHES];
    unsigned count;
    uint64_t seen;  /* stores, of any value */
    uint64_t until; /* it was watched up to there */
};
void narrow_watch_add(struct narrow_watch *w, uint64_t va);

/* Watches from the change, behind which the pass stands, to the end. Returns 1 if there is a later
 * one, to which *c is set; 0: there is none. */
int narrow_verify(struct pass *p, uint64_t end, struct change *c, struct narrow_watch *w,
                  struct error *e);

/* Does the word have its final value? */
bool narrow_is_final(const struct change *c, uint64_t value);

#endif
