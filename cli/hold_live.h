/* SPDX-License-Identifier: MIT */
/*
 * A guest that is copied while it runs: the word "live" of hold.h, and what a hand-over leaves
 * behind. One connection at a time; what it says, line by line, and whether that has come true.
 *
 * The watch begins with the first "round", and ends when the connection goes, whatever the reason:
 * the bell for that waits until the one before was heeded.
 */
#ifndef PVMM_CLI_HOLD_LIVE_H
#define PVMM_CLI_HOLD_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "mailbox.h"

struct hold;
struct hold_ticket;

enum live_word {
    LIVE_NOTHING,
    LIVE_ROUND,
    LIVE_SUSPEND,
    LIVE_HANDOVER,
    LIVE_RESUME,
    LIVE_PAUSE,
    LIVE_END,
};

/* What the hypervisor told of a round, checked. */
struct live_round {
    uint64_t round; /* 0: this is no answer to "round" */
    uint64_t at;    /* of the bitmap in the memory file */
    uint64_t bytes, frames, told;
};

/* Part of struct hold; all zero: nobody copies it. */
struct hold_live {
    bool connected;       /* somebody copies it */
    enum live_word doing; /* what he said last and was not answered yet */
    int64_t deadline;     /* for that */
    char bell;            /* that is to be heeded; 0: none is */
    bool wanted;          /* "round" was said, and not rung yet */
    uint64_t heeded;      /* of the mailbox, before that bell */
    bool watched;         /* by the hypervisor, as far as was asked */
    bool handed;          /* "handover" was said: it stands until "resume", or is over */
    struct live_round is;
    char trouble[160]; /* what the hypervisor says of a round makes no sense; "": it does */
};

/* Can it be copied like that? */
int hold_live_check(const struct hold *h, struct error *e);

void hold_live_begin(struct hold *h);

/* A line came. false: it has no business to say that now. */
bool hold_live_told(struct hold *h, const struct hold_ticket *t, const char *line);

/* Is there an answer? 1: it has come true, and *round is filled in; 0: not yet; -1: it will not. */
int hold_live_look(struct hold *h, const struct hold_ticket *t, struct live_round *round,
                   struct error *e);

/* The connection is gone. true: the guest stands on, as it was handed over. */
bool hold_live_leave(struct hold *h);

/* What there is to ring. */
void hold_live_serve(struct hold *h);

#endif
