/* SPDX-License-Identifier: MIT */
/*
 * A recording that is played, from its first instruction on, to stop wherever one wants: QEMU's
 * replay is exact to the instruction, and the same each time. It goes forward only; who wants to go
 * back starts another player. Every wait ends by itself, and at SIGINT, SIGTERM and SIGHUP.
 */
#ifndef PVMM_CLI_PASS_H
#define PVMM_CLI_PASS_H

#include <pvmm/channel.h>

#include "debugger.h"
#include "mailbox.h"
#include "qmp.h"
#include "recording.h"

/* What several players one after the other have in common. */
struct playing {
    const struct recording *recording;
    const char *qemu; /* program; NULL: as it was recorded */
    int signals;      /* a signalfd (signals.h) */
    unsigned pass;    /* this player is the pass-th ... */
    unsigned passes;  /* ... of so many, as far as is known; 0: it is not */
    bool shown;       /* progress is on the terminal */
};

struct pass {
    struct playing *playing;
    struct machine machine;
    struct qemu qemu;
    struct qmp qmp;
    struct mailbox mailbox; /* of our hypervisor, once it runs */
    int stub;               /* a connection to QEMU's debugger stub; -1: none */
    uint64_t icount;        /* instructions executed */
    bool ended;             /* the machine is gone: its memory is as it was left */
};

/* The vCPU's registers while the machine stands, and its mode. */
struct pass_registers {
    struct pvmm_regs r; /* of 32-bit code, which runs before the hypervisor does, rip and rflags */
    uint64_t cr3;
    unsigned level; /* of privilege: 0 the hypervisor, 1 a 32-bit guest kernel, 3 */
};

/* Starts a machine that stands before its first instruction; the next pass of `playing`. */
int pass_open(struct pass *p, struct playing *playing, struct error *e);
void pass_close(struct pass *p);

/* Runs until `icount` instructions were executed. Returns 1: it stands there (or was there already,
 * or beyond); 0: the machine ended before. */
int pass_run_to(struct pass *p, uint64_t icount, struct error *e);

/* The same, but with points of pass_point() it stops at them, too: before the instruction, after
 * the store. The caller sees by p->icount and the registers where it is. */
int pass_run(struct pass *p, uint64_t limit, struct error *e);

/* Sets or clears one; `bytes` of an instruction are 1. */
int pass_point(struct pass *p, enum debugger_point kind, bool set, uint64_t va, unsigned bytes,
                 struct error *e);

/* Opens QEMU's debugger stub for others, at that port of this host. */
int pass_listen(struct pass *p, unsigned port, struct error *e);
/* Stays until the machine is gone. 0: it is, and a debugger let it go to its end. */
int pass_stay(struct pass *p, struct error *e);

int pass_registers(struct pass *p, struct pass_registers *r, struct error *e);

/* Where in the memory's file that machine address lies; false: it is no RAM of the machine's. */
bool pass_place(const struct pass *p, uint64_t address, uint64_t *offset);
/* Eight bytes of the machine's memory. */
int pass_word(const struct pass *p, uint64_t address, uint64_t *word, struct error *e);

/* Wipes progress away, before output. */
void playing_hide(struct playing *playing);

#endif
