/* SPDX-License-Identifier: MIT */
/*
 * When a guest that is copied while it runs is to stand (docs/migration.md): what is known after a
 * round, and what follows.
 */
#ifndef PVMM_CLI_STOPRULE_H
#define PVMM_CLI_STOPRULE_H

#include <stdbool.h>
#include <stdint.h>

struct round_facts {
    unsigned round;         /* how many there were */
    uint64_t sent, written; /* pages of the last one; and meanwhile, by the guest */
    uint64_t left;          /* pages that go while it stands, whatever it writes: its tables */
    double rate;            /* pages a second; 0: not known, and taken for 1 */
};

struct stop_wish {
    unsigned downtime; /* milliseconds that it may stand */
    unsigned rounds;   /* at most */
};

enum stop {
    STOP_NOT_YET,
    STOP_NOW,         /* it would stand for no longer than it may */
    STOP_TOO_FAST,    /* in two rounds in a row as many pages were written as went */
    STOP_ROUNDS,      /* there were as many as there may be */
    STOP_BOUND_SHORT, /* one of these two, and if it wrote nothing it would stand for too long */
};

/* Seconds for which it would stand now. */
double stop_expected(const struct round_facts *f);

/* `stuck` counts rounds of no use, and begins with 0. */
enum stop stop_rule(const struct round_facts *f, const struct stop_wish *w, unsigned *stuck);

#endif
