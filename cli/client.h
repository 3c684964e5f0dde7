/* SPDX-License-Identifier: MIT */
/* The connections of a supervisor (control.h), for those files that serve them: control*.c. */
#ifndef PVMM_CLI_CLIENT_H
#define PVMM_CLI_CLIENT_H

#include "control.h"
#include "registry.h"

#define REQUEST_TIME  (5 * SECOND)  /* for a request to come, and for its reply to go */
#define CONSOLE_BYTES (64u * 1024u) /* what a slow console may lag behind */

enum client_state {
    CLIENT_FREE,
    CLIENT_ASKING,
    CLIENT_WAITING, /* for a reply that takes its time */
    CLIENT_STREAMING,
    CLIENT_LEAVING,
};

struct client {
    enum client_state state;
    int fd;
    int64_t deadline;       /* when asking or leaving */
    char in[REQUEST_CHARS]; /* the request; of a console then, what the guest has not taken yet */
    size_t in_size;
    bool in_ended;
    bool hung_up; /* takes nothing more; what it typed before is still to be passed on */
    char out[REPLY_CHARS];
    size_t out_at, out_size;
    int pass; /* goes with the first byte of `out`, and is closed then; -1: nothing */
    enum stream stream;
    bool follow; /* after a reply that was late */
    struct hold_ticket ticket;
    bool json;     /* of a trace */
    uint64_t at;   /* position in the stream's ring; of a trace the record */
    uint64_t stop; /* where the stream ends; ~0: with the guest */
    uint64_t lost; /* bytes to be owned up to */
};

struct control {
    struct supervised guest;
    struct claim claim;
    struct client clients[CONTROL_CLIENTS];
    char output[CONSOLE_BYTES]; /* of the guest's console */
    uint64_t written;
};

/* The connection ends, now; or, of a console, when what was typed before is passed on. */
void client_drop(struct client *k);
void client_hang_up(struct client *k);

/* What goes out (control_out.c). */
struct ring client_ring(const struct control *c, const struct client *k);
uint64_t client_trace_written(const struct control *c);
bool client_has_news(const struct control *c, const struct client *k);
void client_pump(const struct control *c, struct client *k);

/* The reply, whole, in front of whatever follows it. */
void client_say(struct client *k, const struct answer *a);

/* Holds and late replies (control_hold.c). */
void client_wait(struct client *k, const struct answer *a);
void client_look(struct control *c, struct client *k);              /* is it time for the reply? */
bool client_pass_memory(const struct control *c, struct client *k); /* goes with the reply */
void client_lines(struct client *k); /* of a connection that holds the guest */
void client_lose_machine(struct control *c, struct client *k);

#endif
