/* SPDX-License-Identifier: MIT */
/* A running guest that stands still for a command, and its memory as an image. */
#ifndef PVMM_CLI_HELD_H
#define PVMM_CLI_HELD_H

#include <stdint.h>

#include "ask.h"
#include "error.h"
#include "image.h"

struct held {
    const char *name;
    int connection; /* -1: none */
    int memory;     /* -1: none */
    uint64_t bytes; /* of the guest's memory */
    int64_t since;  /* it stands */
    double stood;   /* seconds, once it does not any more */
    struct pv_view *view;
};

#define HELD_NONE ((struct held){.connection = -1, .memory = -1})

/* Ask (`q` is "hold", "suspend" or "live"), and open what its pvmm passes; of "live" as it runs. */
int held_take(struct held *h, const char *name, const struct question *q, struct error *e);

/* Does it still stand? -1: its pvmm has hung up. */
int held_check(const struct held *h, struct error *e);

/* Of "live", and it stands by now: its memory once more, as it is from now on. */
int held_open_standing(const struct held *h, int signals, struct pv_view **out, struct error *e);

/* A line for its pvmm that is answered; the answer goes to *reply, unless that is NULL. */
int held_ask(const struct held *h, const struct question *q, struct json_object **reply,
             struct error *e);

/* A line for its pvmm (hold_told()). */
int held_tell(const struct held *h, const char *line, struct error *e);

/* Unless it is over it goes on; all is closed. */
void held_let_go(struct held *h);

#endif
