/* SPDX-License-Identifier: MIT */
/*
 * `pvmm restore -` as the other end of a migration (handover.h, docs/migration.md): standard input
 * begins with an offer in place of a stream. The guest comes in, stands before its first
 * instruction, and runs when the source says so, in the background from then on; or it never does.
 *
 * What it says and is told goes by these two pipes alone: nothing else may come to standard output.
 */
#ifndef PVMM_CLI_TARGET_H
#define PVMM_CLI_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "handover.h"
#include "hold.h"
#include "mailbox.h"

enum target_stage {
    TARGET_NONE,    /* no migration: a plain stream */
    TARGET_OFFERED, /* nothing was answered yet */
    TARGET_COMES,   /* "ready": the stream is on its way, and then into the domain */
    TARGET_STANDS,  /* "arrived" */
    TARGET_GOES,    /* it was told "go": no "failed" from here on */
    TARGET_RUNS,    /* "running" */
};

struct target {
    enum target_stage stage;
    struct handover_line offer;
    int in, out;                /* -1: closed, or none */
    bool stays;                 /* by the user's wish it stands when it is here (--paused) */
    int64_t patience;           /* until when "go" may come */
    char heard[HANDOVER_CHARS]; /* the line under way */
    size_t n;
};

#define TARGET_NO_MIGRATION ((struct target){.in = -1, .out = -1})

/*
 * Reads the beginning of standard input. Of a migration: the offer, and standard output is let go.
 * Of anything else: `begun` has what was read of it, *n bytes (0 or 1). -1: an offer that cannot be
 * understood. Where nothing came before the deadline or a signal (of the signalfd), or it ended, it
 * is no migration.
 */
int target_open(struct target *t, int signals, int64_t deadline, uint8_t *begun, size_t *n,
                struct error *e);

/* Everything is there that can be told before the stream comes. */
int target_ready(struct target *t, struct error *e);

/* Is a guest on its way, or standing, that must not run yet? */
static inline bool target_holds_back(const struct target *t)
{
    return t->stage != TARGET_NONE && t->stage < TARGET_GOES;
}

static inline bool target_is_done(const struct target *t)
{
    return t->stage == TARGET_NONE || t->stage == TARGET_RUNS;
}

/* The descriptor on which the source's word comes; -1: none is waited for. */
int target_news(const struct target *t);

/* For the session, whenever something may have happened. -1: the guest is not to run here. */
int target_serve(struct target *t, const struct mailbox *m, struct hold *h, struct error *e);

/* Its machine is gone, or never was: says so, if it may, and closes the pipes. */
void target_close(struct target *t, const char *why);

#endif
