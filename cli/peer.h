/* SPDX-License-Identifier: MIT */
/* The other end of a migration: a command with its standard input and output as pipes, what is said
 * over them in lines (handover.h), and its end. It has a process group of its own. */
#ifndef PVMM_CLI_PEER_H
#define PVMM_CLI_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "error.h"
#include "handover.h"

struct peer {
    pid_t pid;   /* 0: none, or reaped */
    int in, out; /* its; -1: closed */
    int status;  /* of waitpid(), once it was reaped */
    bool ended;
    char line[HANDOVER_CHARS]; /* what came and was not taken */
    size_t used;
};

#define PEER_NONE ((struct peer){.in = -1, .out = -1})

int peer_start(struct peer *p, const char *command, struct error *e);

/* A line to it. 1: nobody is there to read it, and nobody has; -1: nobody knows. */
int peer_say(struct peer *p, const struct handover_line *l, struct error *e);

/*
 * The next line from it, within so many seconds; `signals` (-1: none) end the waiting. -1: none
 * comes, and *e says what came instead; l->word is HANDOVER_UNKNOWN.
 */
int peer_await(struct peer *p, struct handover_line *l, unsigned seconds, int signals,
               struct error *e);

/* Its last words, if it has some: what it failed of; else how it ended, or `why` stays. */
void peer_blame(struct peer *p, struct error *why);

/* What was not said to it will not be; it gets so many seconds to end, and is reaped. `spared`: if
 * it does not, it is let be; else it is killed with all of its group. */
void peer_end(struct peer *p, unsigned seconds, bool spared);

/*
 * Somebody looks after the signals while a write to it may block: when one comes, or `seconds`
 * after peer_guard_limit(), the command is ended, so that the write is.
 */
struct peer_guard {
    struct peer *peer;
    int signals;
    int wake[2]; /* a pipe */
    pthread_t thread;
    bool late; /* it was ended as its time was over */
};

int peer_guard(struct peer_guard *g, struct peer *p, int signals, struct error *e);
void peer_guard_limit(struct peer_guard *g, unsigned seconds);
void peer_guard_end(struct peer_guard *g);

#endif
