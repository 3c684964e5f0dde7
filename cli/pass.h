/* SPDX-License-Identifier: MIT */
/*
 * A pass over a recording, from its first instruction on, that stops wherever one wants, for a look
 * at the machine: a replay is exact to the instruction, and the same each time. It goes forward
 * only; who wants to go back begins another pass. Every wait ends by itself, and at a signal.
 */
#ifndef PVMM_CLI_PASS_H
#define PVMM_CLI_PASS_H

#include <pvmm/channel.h>

#include "debugger.h"
#include "player.h"

/* What passes, one after the other, have in common. */
struct playing {
    const struct recording *recording;
    const char *qemu; /* program */
    bool any_qemu;    /* of any version */
    int signals;      /* a signalfd (signals.h) */
    int64_t deadline;
    unsigned pass;   /* this is the pass-th ... */
    unsigned passes; /* ... of so many, as far as is known; 0: it is not */
    bool shown;      /* progress is on the terminal */
};

struct pass {
    struct playing *playing;
    struct player player; /* icount: where it stands */
    int stub;             /* a connection to QEMU's debugger stub; -1: none */
};

/* The vCPU's registers while the machine stands, and its mode. */
struct pass_registers {
    struct pvmm_regs r; /* of 32-bit code, which runs before the hypervisor does, rip and rflags */
    uint64_t cr3;
    unsigned level; /* of privilege: 0 the hypervisor, 1 a 32-bit guest kernel, 3 */
};

/* Makes a machine that stands before its first instruction. */
int pass_open(struct pass *p, struct playing *playing, struct error *e);
void pass_close(struct pass *p);

/* Runs until `icount` instructions were executed. Returns 1: it stands there (or was there already,
 * or beyond); 0: the machine was over before, and has its memory and its registers as they were
 * left. */
int pass_run_to(struct pass *p, uint64_t icount, struct error *e);

/* The same, but with points of pass_point() it stops at them, too: before the instruction, after
 * the store. The caller sees by the icount and the registers where it is. */
int pass_run(struct pass *p, uint64_t limit, struct error *e);

/*
 * One instruction on. One that faults is not counted: before it and behind its trap, in the
 * hypervisor, the icount is the same, and which of the two pass_run_to() stands at is chance. This
 * stands behind the trap; a point stands before the instruction.
 */
int pass_step(struct pass *p, struct error *e);

/* Sets or clears one; `bytes` of an instruction are 1. */
int pass_point(struct pass *p, enum debugger_point kind, bool set, uint64_t va, unsigned bytes,
               struct error *e);

/* Opens QEMU's debugger stub for others, at that port of this host; 0: at any. They let the machine
 * run as far as they like: points should have been cleared. */
int pass_listen(struct pass *p, unsigned port, struct error *e);
/* Stays until a debugger has let the machine go to its end, or killed it. */
int pass_stay(struct pass *p, struct error *e);

int pass_registers(struct pass *p, struct pass_registers *r, struct error *e);

/* Where in the memory's file that machine address lies; false: it is no RAM of the machine's. */
bool pass_place(const struct pass *p, uint64_t address, uint64_t *offset);
/* Eight bytes of the machine's memory. */
int pass_word(const struct pass *p, uint64_t address, uint64_t *word, struct error *e);

/* Wipes progress away, before output. */
void playing_hide(struct playing *playing);

#endif
