/* SPDX-License-Identifier: MIT */
/*
 * A guest copied while it runs, in rounds: all of it, then what was written meanwhile, and so on,
 * until what is left would not let it stand for longer than is allowed. Then it is asked to suspend
 * itself, and the rest goes.
 */
#ifndef PVMM_CLI_ROUNDS_H
#define PVMM_CLI_ROUNDS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "held.h"
#include "stoprule.h"
#include "transfer.h"

#define ROUNDS_DOWNTIME 300u /* milliseconds that it may stand */
#define ROUNDS_MAX      30u
#define ROUNDS_LIMIT    60u /* a page that goes in each of them is believed at the other end */

enum rounds_voice { ROUNDS_QUIET, ROUNDS_TELL, ROUNDS_VERBOSE };

struct rounds_wish {
    const char *command; /* for what is said */
    struct stop_wish stop;
    bool gives_up;     /* on a guest that writes too fast; else it stands for longer */
    unsigned timeout;  /* seconds for it to suspend itself */
    unsigned patience; /* seconds for which nothing need go while it runs; 0: any time */
    enum rounds_voice voice;
    int signals;
};

struct rounds {
    const struct rounds_wish *wish;
    struct held *guest;
    struct pv_live *live;
    uint64_t *words; /* what was written and did not go yet, */
    size_t bytes;    /* of it */
    uint64_t frames, told;
    uint64_t number;           /* of the hypervisor's round */
    struct pv_live_told last;  /* what went last, */
    double seconds, rate;      /* for how long; pages a second */
    uint64_t sent_pages, sent; /* in all; bytes */
    bool too_fast, interrupted, deaf, drawn;
    int64_t begun, next, stood; /* stood: since when; 0: it does not */
    uint64_t went;              /* bytes that had gone when it was looked last, */
    int64_t looked, waited;     /* when that was, and since how long none have gone (ns) */
    struct json_object *list;   /* of the rounds */
};

/* Of a guest that is held as "live"; the heads of the stream go to `fd`. Of *r `begun` is set
 * already. rounds_end() also after an error. */
int rounds_begin(struct rounds *r, const struct rounds_wish *w, struct held *guest, int fd,
                 const struct pv_save_options *how, struct error *e);

/* Until it may stand. EXIT_TOO_FAST: it writes faster than this goes, and that was not wanted. */
int rounds_copy(struct rounds *r, struct error *e);

/* It stands, and the rest goes. */
int rounds_finish(struct rounds *r, struct pv_saved *saved, struct error *e);

/* Nothing more will be written: the stream's end is that of `fd`, which it has a descriptor of. */
void rounds_close(struct rounds *r);
void rounds_end(struct rounds *r);

/* For people, behind the time since it began. */
void rounds_say(const struct rounds *r, const char *what);

void rounds_put_seconds(struct json_object *o, const char *key, double seconds);

#endif
