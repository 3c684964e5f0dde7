/* SPDX-License-Identifier: MIT */
/* The asking side of the protocol in control.h. */
#ifndef PVMM_CLI_ASK_H
#define PVMM_CLI_ASK_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "registry.h"

struct question {
    const char *word;
    bool follow;
    const char *how;   /* of a shutdown; NULL: none */
    unsigned timeout;  /* seconds that the guest has; 0: it is not asked */
    unsigned patience; /* seconds more, for the reply; 0: a few */
    int signals;       /* a signalfd: what comes there ends the waiting; -1: none */
};

/* What comes with a reply. */
struct reply {
    struct json_object *o; /* to be put */
    int passed;            /* a descriptor that is the caller's now; -1: none */
};

/*
 * Put one request to a guest's supervisor. Returns the connection, blocking, with nothing read from
 * it behind the reply; -1 if there is no such guest (EXIT_NO_GUEST), no sensible reply, or a
 * refusal. The reply goes to `*reply`.
 */
int ask(const struct registry *r, const char *name, const char *word, bool follow,
        struct json_object **reply, struct error *e);

/* The same for a guest whose name was given by the user, and the registry nobody has opened yet. */
int ask_guest(const char *name, const char *word, bool follow, struct error *e);

/* The same for whatever there is to be asked; what comes with the reply goes to `*reply`, unless
 * that is NULL. */
int ask_question(const char *name, const struct question *q, struct reply *reply, struct error *e);

/* One line more over a connection, and the answer to it: `q` has its word, and what it may take.
 * The reply goes to `*reply`, unless that is NULL. */
int ask_line(int fd, const struct question *q, struct json_object **reply, struct error *e);

/* Until the supervisor hangs up, as the guest is over and its name free; 0 seconds: for ever. */
int ask_await_end(int fd, const char *name, unsigned seconds, struct error *e);

#endif
