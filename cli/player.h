/* SPDX-License-Identifier: MIT */
/*
 * A recorded machine that is played again: it takes the steps it took, up to any instruction, and
 * stands still there. Its inputs are the record's; ours go nowhere.
 */
#ifndef PVMM_CLI_PLAYER_H
#define PVMM_CLI_PLAYER_H

#include "console.h"
#include "mailbox.h"
#include "qmp.h"
#include "recording.h"

#define PLAY_TO_END UINT64_MAX

enum played {
    PLAYED_THERE, /* it stands at the instruction */
    PLAYED_POINT, /* with `points`: it stands before it, where a debugger's stub has it stop */
    PLAYED_END,   /* the machine is over, as it was when it was recorded */
    PLAYED_AWRY,  /* QEMU died, or goes other ways than the record: `trouble` */
    PLAYED_TIMEOUT,
    PLAYED_INTERRUPT, /* SIGINT */
    PLAYED_TERMINATE, /* SIGTERM, SIGHUP */
    PLAYED_OUTPUT,    /* standard output cannot be written */
};

struct player {
    /* set by the caller */
    const struct recording *recording;
    const char *qemu;        /* program */
    bool any_qemu;           /* another version than the record's will do */
    unsigned gdb_port;       /* of the debugger stub; 0: none */
    struct console *console; /* its output goes to standard output; NULL: nowhere */
    FILE *log;               /* of the hypervisor; NULL: nowhere */
    int signals;             /* a signalfd */
    int64_t deadline;
    bool verbose;
    bool points; /* stops before the end are wanted */

    /* its own */
    struct machine machine;
    struct qemu qemu_process;
    struct qmp qmp;
    struct mailbox mailbox;
    uint64_t icount;      /* where it stands, or stood last */
    struct error trouble; /* with PLAYED_AWRY */
    bool over;            /* the machine or QEMU is: nothing more is to be played */

    int64_t asked, moved; /* when QEMU was asked how far it is, and when that had changed last */
    bool asking;
};

/* Makes the machine; it stands before its first instruction. */
int player_start(struct player *p, struct error *e);

/* Play up to that instruction, beyond where it stands. */
enum played player_run(struct player *p, uint64_t icount);

/* A debugger has let it execute an instruction, and it stands again. */
int player_stepped(struct player *p, struct error *e);

/* A debugger plays, at its stub: until the machine is over (PLAYED_END) or QEMU is (PLAYED_AWRY).
 */
enum played player_stay(struct player *p);

void player_end(struct player *p);

#endif
