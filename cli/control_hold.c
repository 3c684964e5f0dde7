/* SPDX-License-Identifier: MIT */
/* Clients that wait for a guest to do something, and those for which it stands still (hold.h). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "clock.h"
#include "exitcodes.h"

static void leave_with(struct client *k, const struct answer *a)
{
    client_say(k, a);
    k->state = CLIENT_LEAVING;
    k->deadline = clock_now() + REQUEST_TIME;
    hold_leave(&k->ticket);
}

void client_wait(struct client *k, const struct answer *a)
{
    k->state = CLIENT_WAITING;
    k->ticket = a->ticket;
    k->follow = a->follow;
}

/* Opened anew, as what is passed on could be written to like the one it is made from. */
static int read_only(int fd)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

bool client_pass_memory(const struct control *c, struct client *k)
{
    k->pass = c->guest.hold != NULL ? read_only(c->guest.hold->ram_fd) : -1;
    return k->pass >= 0;
}

static bool holds(const struct client *k)
{
    return k->ticket.wish == WISH_HOLD || k->ticket.wish == WISH_SUSPEND ||
           k->ticket.wish == WISH_LIVE;
}

static void grant(const struct control *c, struct client *k, struct answer *a)
{
    request_grant(&c->guest, k->ticket.wish, a);
    if (!holds(k) && !k->follow) {
        leave_with(k, a);
        return;
    }
    if (holds(k) && (k->pass = read_only(k->ticket.hold->ram_fd)) < 0) {
        request_refuse(a, EXIT_ENVIRONMENT, "its memory cannot be opened once more");
        leave_with(k, a);
        return;
    }
    client_say(k, a);
    k->state = CLIENT_STREAMING;
    k->stream = holds(k) ? STREAM_HOLD : STREAM_END;
    k->at = 0;
    k->stop = UINT64_MAX;
}

/* A line of a client that copies a guest while it runs is answered when it has come true. */
static void look_live(const struct control *c, struct client *k)
{
    static struct answer a; /* large */
    struct live_round round;
    struct error e;
    int rc;

    if (k->stream != STREAM_HOLD || k->ticket.hold == NULL || k->ticket.wish != WISH_LIVE ||
        k->out_size > 0)
        return;
    rc = hold_live_look(k->ticket.hold, &k->ticket, &round, &e);
    if (rc == 0)
        return;
    if (rc > 0)
        request_tell(&round, &a);
    else
        request_refuse(&a, e.code, e.text);
    client_say(k, &a);
    client_pump(c, k);
}

void client_look(struct control *c, struct client *k)
{
    static struct answer a; /* large */
    struct error e;

    if (k->state == CLIENT_STREAMING)
        look_live(c, k);
    if (k->state != CLIENT_WAITING)
        return;
    switch (hold_look(&k->ticket, &e)) {
    case HOLD_WAIT:
        return;
    case HOLD_GRANTED:
        grant(c, k, &a);
        break;
    case HOLD_REFUSED:
        request_refuse(&a, e.code, e.text);
        leave_with(k, &a);
        break;
    }
    client_pump(c, k);
    client_lines(k); /* what came too early */
}

static bool obey(struct client *k)
{
    char *end = memchr(k->in, '\n', k->in_size);
    size_t used;

    if (end == NULL)
        return k->in_size < sizeof(k->in);
    *end = '\0';
    if (!hold_told(&k->ticket, k->in))
        return false;
    used = (size_t)(end - k->in) + 1;
    k->in_size -= used;
    memmove(k->in, k->in + used, k->in_size);
    return true;
}

void client_lines(struct client *k)
{
    if (k->state != CLIENT_WAITING && (k->state != CLIENT_STREAMING || k->stream != STREAM_HOLD))
        return;
    while (k->state == CLIENT_STREAMING && k->in_size > 0) {
        const size_t before = k->in_size;

        if (!obey(k)) {
            client_drop(k);
            return;
        }
        if (k->in_size == before)
            break;
    }
    if (k->in_ended)
        client_drop(k);
}

void client_lose_machine(struct control *c, struct client *k)
{
    static struct answer a;
    const bool ends = c->guest.hold != NULL && c->guest.hold->suspending == SUSPEND_ENDS;

    client_look(c, k);
    if (k->state == CLIENT_WAITING) {
        request_refuse(&a, EXIT_ENVIRONMENT, "its machine is gone");
        leave_with(k, &a);
    }
    if (k->state == CLIENT_STREAMING && k->stream == STREAM_HOLD && !ends)
        client_drop(k);
    k->ticket.hold = NULL;
}
