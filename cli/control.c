/* SPDX-License-Identifier: MIT */
#include "control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "registry.h"

#define STREAMS_MAX   (CONTROL_CLIENTS - 8) /* so that there is always room for a `destroy` */
#define REQUEST_TIME  (5 * SECOND)          /* for a request to come, and for its reply to go */
#define GOODBYE_TIME  (SECOND)              /* for the clients to take the rest at the end */
#define CONSOLE_BYTES (64u * 1024u)         /* what a slow console may lag behind */
#define SCROLLBACK    (16u * 1024u)         /* what a new console is shown first */

enum client_state { CLIENT_FREE, CLIENT_ASKING, CLIENT_STREAMING, CLIENT_LEAVING };

struct client {
    enum client_state state;
    int fd;
    int64_t deadline;       /* when not streaming */
    char in[REQUEST_CHARS]; /* the request; of a console then, what the guest has not taken yet */
    size_t in_size;
    bool in_ended;
    bool hung_up; /* takes nothing more; what it typed before is still to be passed on */
    char out[REPLY_CHARS];
    size_t out_at, out_size;
    enum stream stream;
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

static void drop(struct client *k)
{
    close(k->fd);
    k->state = CLIENT_FREE;
    k->fd = -1;
}

/* Whoever types a line and leaves at once has typed that line. */
static void hang_up(struct client *k)
{
    if (k->state != CLIENT_STREAMING || k->stream != STREAM_CONSOLE) {
        drop(k);
        return;
    }
    k->hung_up = true;
    k->out_size = 0;
}

/* --- what goes out --- */

static struct ring ring_of(const struct control *c, const struct client *k)
{
    if (k->stream == STREAM_CONSOLE)
        return (struct ring){c->output, CONSOLE_BYTES, c->written};
    if (k->stream == STREAM_LOG && c->guest.mailbox != NULL)
        return mailbox_log(c->guest.mailbox);
    return (struct ring){NULL, 0, 0};
}

/* How much of a trace there is by now. */
static uint64_t trace_written(const struct control *c)
{
    return c->guest.mailbox != NULL ? explainer_written(c->guest.explainer, c->guest.mailbox) : 0;
}

static bool stream_has_news(const struct control *c, const struct client *k)
{
    const struct ring r = ring_of(c, k);

    if (k->at >= k->stop)
        return false;
    return k->stream == STREAM_TRACE ? k->at < trace_written(c)
                                     : r.data != NULL && k->at < r.written;
}

static bool has_news(const struct control *c, const struct client *k)
{
    if (k->hung_up)
        return false;
    return k->out_size > 0 || (k->state == CLIENT_STREAMING && stream_has_news(c, k));
}

/* What was overtaken before it could be told is owned up to, as a line of its own. */
static void own_up(struct client *k)
{
    if (k->lost == 0)
        return;
    k->out_size += (size_t)snprintf(
        k->out + k->out_size, sizeof(k->out) - k->out_size,
        k->json ? "{\"lost\":%" PRIu64 "}\n" : "... %" PRIu64 " records lost\n", k->lost);
    k->lost = 0;
}

static void refill_trace(const struct control *c, struct client *k)
{
    const struct explainer *x = c->guest.explainer;
    const uint64_t written = trace_written(c), oldest = explainer_oldest(x);
    const uint64_t end = k->stop < written ? k->stop : written;
    char line[RECORD_CHARS];
    size_t n;

    k->out_at = k->out_size = 0;
    if (k->at < oldest) {
        k->lost += oldest - k->at;
        k->at = oldest;
    }
    while (k->at < end && k->out_size + 2 * sizeof(line) < sizeof(k->out)) {
        n = explainer_record(x, k->at++, k->json, line, sizeof(line));
        if (n == 0) {
            k->lost++;
            continue;
        }
        own_up(k);
        memcpy(k->out + k->out_size, line, n);
        k->out_size += n;
    }
}

/* Fill the empty out buffer from the stream, with the gap in front if there is one. */
static void refill(const struct control *c, struct client *k)
{
    const struct ring r = ring_of(c, k);
    char piece[CONSOLE_CHUNK];
    uint64_t room = sizeof(piece);
    size_t n, note = 0;

    if (k->stop - k->at < room)
        room = k->stop - k->at;
    n = ring_read(&r, &k->at, &k->lost, piece, (size_t)room);
    if (k->lost > 0)
        note = (size_t)snprintf(k->out, sizeof(k->out),
                                "\r\n[pvmm: %" PRIu64 " bytes lost: read too slowly]\r\n", k->lost);
    k->lost = 0;
    memcpy(k->out + note, piece, n);
    k->out_at = 0;
    k->out_size = note + n;
}

/* Send what the socket takes. False: the client is gone. */
static bool send_out(struct client *k)
{
    const ssize_t n = send(k->fd, k->out + k->out_at, k->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    k->out_at += (size_t)n;
    k->out_size -= (size_t)n;
    return true;
}

static void pump(const struct control *c, struct client *k)
{
    while (has_news(c, k)) {
        if (k->out_size == 0)
            (k->stream == STREAM_TRACE ? refill_trace : refill)(c, k);
        if (!send_out(k)) {
            hang_up(k);
            return;
        }
        if (k->out_size > 0)
            return;
    }
    if (k->state == CLIENT_LEAVING || (k->state == CLIENT_STREAMING && k->at >= k->stop))
        drop(k); /* all is out */
}

/* --- what comes in --- */

static unsigned streams(const struct control *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        n += c->clients[i].state == CLIENT_STREAMING && c->clients[i].stream != STREAM_END;
    return n;
}

static void start_stream(const struct control *c, struct client *k, const struct answer *a)
{
    struct ring r;

    k->state = CLIENT_STREAMING;
    k->stream = a->stream;
    k->at = 0;
    k->stop = UINT64_MAX;
    r = ring_of(c, k);
    if (k->stream == STREAM_CONSOLE && r.written > SCROLLBACK)
        k->at = r.written - SCROLLBACK;
    if (k->stream == STREAM_LOG && r.written > r.size)
        k->at = r.written - r.size; /* what is gone by now was not lost by this client */
    if (k->stream == STREAM_LOG && !a->follow)
        k->stop = r.written;
    if (k->stream == STREAM_TRACE) {
        k->json = a->json;
        if (!a->follow)
            k->stop = trace_written(c);
        k->at = explainer_oldest(c->guest.explainer);
    }
}

static void reply(struct control *c, struct client *k, struct answer *a)
{
    if ((a->stream == STREAM_CONSOLE || a->stream == STREAM_LOG || a->stream == STREAM_TRACE) &&
        streams(c) >= STREAMS_MAX)
        request_refuse(a, EXIT_ENVIRONMENT, "too many consoles and logs are being watched already");
    memcpy(k->out, a->text, a->size);
    k->out_at = 0;
    k->out_size = a->size;
    if (a->stream == STREAM_NONE)
        k->state = CLIENT_LEAVING;
    else
        start_stream(c, k, a);
}

/* A whole line has come, or no line will. What follows the line is the console's. */
static void take_request(struct control *c, struct client *k)
{
    static struct answer a; /* large */
    const char *end = memchr(k->in, '\n', k->in_size);
    size_t used;

    if (end == NULL && k->in_size < sizeof(k->in) && !k->in_ended)
        return;
    if (end == NULL) {
        if (k->in_size == 0) { /* it only wanted to know whether we live */
            drop(k);
            return;
        }
        request_refuse(&a, EXIT_ENVIRONMENT,
                       k->in_ended ? "the request has no end" : "the request is too long");
        k->in_size = 0;
    } else {
        used = (size_t)(end - k->in) + 1;
        request_answer(&c->guest, k->in, used - 1, &a);
        k->in_size -= used;
        memmove(k->in, k->in + used, k->in_size);
    }
    reply(c, k, &a);
}

static void pass_input(const struct control *c, struct client *k)
{
    size_t n;

    if (k->state != CLIENT_STREAMING || k->stream != STREAM_CONSOLE || c->guest.console == NULL)
        return;
    n = console_put_input(c->guest.console, k->in, k->in_size);
    k->in_size -= n;
    memmove(k->in, k->in + n, k->in_size);
}

static bool wants_input(const struct client *k)
{
    if (k->in_ended || k->in_size == sizeof(k->in))
        return false;
    return k->state == CLIENT_ASKING ||
           (k->state == CLIENT_STREAMING && k->stream == STREAM_CONSOLE);
}

/* True: bytes came, and there may be more. */
static bool receive(struct control *c, struct client *k)
{
    ssize_t n;

    if (k->in_ended || k->in_size == sizeof(k->in))
        return false;
    n = recv(k->fd, k->in + k->in_size, sizeof(k->in) - k->in_size, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR) && !k->hung_up)
        return false;
    if (n < 0 && !k->hung_up) {
        hang_up(k);
        return false;
    }
    k->in_ended = n <= 0;
    k->in_size += n > 0 ? (size_t)n : 0;
    if (k->state == CLIENT_ASKING)
        take_request(c, k);
    if (k->state == CLIENT_STREAMING)
        pass_input(c, k);
    return n > 0;
}

/* As much as there is room for; what is left waits for the guest to read. */
static void take_last_input(struct control *c, struct client *k)
{
    do
        pass_input(c, k);
    while (receive(c, k));
    if (k->in_ended && k->in_size == 0)
        drop(k);
}

/* --- clients come and go --- */

static bool may_ask(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

static struct client *free_client(struct control *c)
{
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->clients[i].state == CLIENT_FREE)
            return &c->clients[i];
    return NULL;
}

/* With no slot free, whoever knocks waits in the backlog. */
static void welcome(struct control *c)
{
    struct client *k = free_client(c);
    const int fd = accept4(c->claim.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    if (k == NULL || !may_ask(fd)) {
        close(fd);
        return;
    }
    *k = (struct client){.state = CLIENT_ASKING, .fd = fd, .deadline = clock_now() + REQUEST_TIME};
}

struct control *control_open(const struct supervised *g, struct error *e)
{
    struct control *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        error_set(e, EXIT_ENVIRONMENT, "out of memory");
        return NULL;
    }
    c->guest = *g;
    if (registry_claim(&c->claim, g->name, e) == 0)
        return c;
    free(c);
    return NULL;
}

/* Let the clients have what is still there for them, but not for ever. */
static void settle(struct control *c)
{
    const int64_t deadline = clock_now() + GOODBYE_TIME;
    struct pollfd p[CONTROL_CLIENTS];
    int64_t left;

    for (;;) {
        nfds_t n = 0;

        for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
            struct client *k = &c->clients[i];

            if (k->state != CLIENT_FREE)
                pump(c, k);
            if (k->state != CLIENT_FREE && has_news(c, k))
                p[n++] = (struct pollfd){.fd = k->fd, .events = POLLOUT};
        }
        left = deadline - clock_now();
        if (n == 0 || left <= 0)
            return;
        if (poll(p, n, (int)(left / 1000000) + 1) < 0 && errno != EINTR)
            return;
    }
}

void control_close(struct control *c)
{
    if (c == NULL)
        return;
    registry_release(&c->claim);
    settle(c);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->clients[i].state != CLIENT_FREE)
            drop(&c->clients[i]);
    free(c);
}

/* --- for the session --- */

static void console_output(void *ctx, const char *data, size_t size)
{
    struct control *c = ctx;

    for (size_t i = 0; i < size; i++)
        c->output[c->written++ % CONSOLE_BYTES] = data[i];
}

void control_attach(struct control *c, const struct mailbox *mailbox, struct console *console,
                    pid_t qemu)
{
    if (c == NULL)
        return;
    c->guest.mailbox = mailbox;
    c->guest.console = console;
    c->guest.qemu = qemu;
    console->tap = console_output;
    console->tap_ctx = c;
}

void control_detach(struct control *c)
{
    if (c == NULL)
        return;
    settle(c);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->clients[i].state == CLIENT_STREAMING && c->clients[i].stream == STREAM_LOG)
            c->clients[i].at = 0; /* another try has another log */
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->clients[i].state == CLIENT_STREAMING && c->clients[i].stream == STREAM_TRACE)
            c->clients[i].at = 0; /* and another recorder */
    c->guest.console->tap = NULL;
    c->guest.mailbox = NULL;
    c->guest.console = NULL;
}

static struct pollfd client_poll(const struct control *c, const struct client *k)
{
    const bool in = wants_input(k), out = has_news(c, k);

    if (k->state == CLIENT_FREE || k->hung_up) /* poll() would report the end for ever */
        return (struct pollfd){.fd = -1};
    return (struct pollfd){.fd = k->fd, .events = (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0))};
}

unsigned control_fill(const struct control *c, struct pollfd *p)
{
    bool room = false;

    if (c == NULL)
        return 0;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        p[1 + i] = client_poll(c, &c->clients[i]);
        room |= c->clients[i].state == CLIENT_FREE;
    }
    p[0] = (struct pollfd){.fd = room ? c->claim.listener : -1, .events = POLLIN};
    return CONTROL_POLLS;
}

static void serve(struct control *c, struct client *k, short events)
{
    if (events & POLLIN)
        receive(c, k);
    else if (events & (POLLHUP | POLLERR | POLLNVAL))
        hang_up(k);
    if (k->state == CLIENT_STREAMING)
        pass_input(c, k);
    if (k->state != CLIENT_FREE)
        pump(c, k);
    if (k->state != CLIENT_FREE && k->hung_up)
        take_last_input(c, k);
    if ((k->state == CLIENT_ASKING || k->state == CLIENT_LEAVING) && clock_now() >= k->deadline)
        drop(k);
}

void control_handle(struct control *c, const struct pollfd *p)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->clients[i].state != CLIENT_FREE)
            serve(c, &c->clients[i], p[1 + i].revents);
    if (p[0].revents & POLLIN)
        welcome(c);
}

bool control_destroyed(const struct control *c)
{
    return c != NULL && c->guest.destroy;
}
