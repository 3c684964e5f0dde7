/* SPDX-License-Identifier: MIT */
/*
 * The supervisor's side of a guest with a name: `pvmm run` answers the other commands over the
 * socket that the registry holds.
 *
 * The protocol: a client connects and sends one line of JSON, {"pvmm": 1, "do": "WORD", ...}; one
 * line comes back, {"pvmm": 1, "ok": true, ...} or {"pvmm": 1, "ok": false, "code": EXIT-CODE,
 * "error": "TEXT"}. After some words (requests.c) the connection then carries a stream of bytes.
 * One request for each connection; its end is the end of what was asked for, or of the guest.
 *
 * Some replies come late, as the guest or the hypervisor has to do something first (hold.h); who
 * hangs up meanwhile is forgotten.
 *
 * Nothing here blocks, and nothing a client does or leaves undone holds the guest up: what is to be
 * sent comes out of rings, and a client that reads too slowly loses bytes, and is told so.
 */
#ifndef PVMM_CLI_CONTROL_H
#define PVMM_CLI_CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "console.h"
#include "error.h"
#include "explainer.h"
#include "hold.h"
#include "mailbox.h"
#include "ring.h"

#define CONTROL_VERSION 1
#define CONTROL_CLIENTS 32
#define CONTROL_POLLS   (1 + CONTROL_CLIENTS) /* descriptors to poll */
#define REQUEST_CHARS   1024
#define REPLY_CHARS     16384

/* The guest as requests see it. */
struct supervised {
    /* set by whoever opens the control */
    const char *name, *kernel, *hypervisor;
    uint64_t memory; /* bytes */
    unsigned vcpus;
    bool real_xen;
    struct explainer *explainer; /* knows the recorder */

    /* set by control_attach(), while there is a machine */
    const struct mailbox *mailbox; /* NULL: no machine */
    struct console *console;
    struct hold *hold; /* NULL: no machine, or one of a real Xen */
    pid_t qemu;

    /* what was asked for; the session does it */
    bool destroy;
};

/* What a connection is about to become when its reply is out. */
enum stream {
    STREAM_NONE,    /* nothing: it ends */
    STREAM_CONSOLE, /* the guest's console, both ways */
    STREAM_LOG,     /* the hypervisor's log */
    STREAM_TRACE,   /* the flight recorder, a line for each record */
    STREAM_END,     /* nothing is sent, and its end says that the guest is gone */
    STREAM_HOLD, /* the same, until the machine is gone; the guest may stand for it, and lines come
                    (hold_told()) */
};

struct answer {
    char text[REPLY_CHARS]; /* the reply, with its newline */
    size_t size;
    enum stream stream;
    bool follow; /* go on with what is still to come */
    bool json;   /* of a trace */
    bool memory; /* the machine's memory file goes with it, to be read only */
    struct hold_ticket
        ticket; /* its hold is not NULL: the reply, which is not there yet, is late */
};

/* Answer one request, a line without its end (requests.c). */
void request_answer(struct supervised *g, const char *line, size_t size, struct answer *a);

/* Refuse one without looking at it. */
void request_refuse(struct answer *a, int code, const char *why);

/* The late reply to what was granted. */
void request_grant(const struct supervised *g, enum hold_wish wish, struct answer *a);

/* The reply to a line of what is copied while it runs, which has come true. */
void request_tell(const struct live_round *round, struct answer *a);

struct control;

/* Take the guest's name and listen. NULL, with the reason, if that fails. */
struct control *control_open(const struct supervised *g, struct error *e);

/* The guest is over: give the name back, let the clients have the rest, and hang up. NULL is fine.
 */
void control_close(struct control *c);

/* For the session; a NULL control does nothing. */
void control_attach(struct control *c, const struct mailbox *mailbox, struct console *console,
                    struct hold *hold, pid_t qemu);
void control_detach(struct control *c); /* before the mailbox and the machine go away */
unsigned control_fill(const struct control *c, struct pollfd *p); /* how many were filled in */
void control_handle(struct control *c, const struct pollfd *p);
void control_answer(struct control *c); /* replies that have become possible; after hold_serve() */
bool control_destroyed(const struct control *c);

#endif
