/* SPDX-License-Identifier: MIT */
/* What the parts of the xenstore client use of each other. */
#ifndef PVGUEST_STORE_H
#define PVGUEST_STORE_H

#include "internal.h"

/* ---- xenstore_ring.c */

/*
 * A request of `head`, its NUL and `bytes` more, and its reply: 0, and the reply is in
 * store_reply() until the next call of anything here. What fails on the way leaves the request as
 * it may be: half sent, then the rest goes before the next one, or without its reply, which is
 * thrown away when it comes.
 */
int store_ask(struct pvguest *g, uint32_t type, pvg_xs_tx tx, const char *head, const char *rest,
              size_t bytes);
/* There is a NUL behind it. */
static inline const char *store_reply(const struct xenstore *s)
{
    return s->in.bytes + sizeof(struct xsd_sockmsg);
}
/* Takes what has come and sends what can be sent; never waits. Negative, or 0. */
int store_look(struct pvguest *g);
/* Breaks with the peer; returns -XEN_EIO. */
int store_give_up(struct pvguest *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* -XEN_ENODEV, -XEN_EIO: it cannot be used. */
int store_usable(struct pvguest *g);

/* ---- xenstore_watch.c */

/* A watch event of `bytes`, with a NUL behind them. */
int store_event(struct pvguest *g, const char *payload, size_t bytes);
/* A watch that is set whether or not the store has it already, so that it fires now. */
int store_set_watch(struct pvguest *g, const char *path, const char *token);
int store_clear_watch(struct pvguest *g, const char *path, const char *token);
int store_watch_again(struct pvguest *g);

/* ---- control.c */

/* Whether the token is one of control's own; then it is noted that it fired. */
bool control_event(struct pvguest *g, const char *token);
bool control_owns(const char *token);
int control_again(struct pvguest *g);

#endif
