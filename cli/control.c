/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"

#define STREAMS_MAX  (CONTROL_CLIENTS - 8) /* so that there is always room for a `destroy` */
#define GOODBYE_TIME (SECOND)              /* for the clients to take the rest at the end */
#define SCROLLBACK   (16u * 1024u)         /* what a new console is shown first */

void client_drop(struct client *k)
{
    hold_leave(&k->ticket);
    if (k->pass >= 0)
        close(k->pass);
    close(k->fd);
    k->state = CLIENT_FREE;
    k->fd = -1;
}

/* Whoever types a line and leaves at once has typed that line. */
void client_hang_up(struct client *k)
{
    if (k->state != CLIENT_STREAMING || k->stream != STREAM_CONSOLE) {
        client_drop(k);
        return;
    }
    k->hung_up = true;
    k->out_size = 0;
}

/* --- what comes in --- */

static unsigned streams(const struct control *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        n += c->clients[i].state == CLIENT_WAITING ||
             (c->clients[i].state == CLIENT_STREAMING && c->clients[i].stream != STREAM_END);
    return n;
}

static void start_stream(const struct control *c, struct client *k, const struct answer *a)
{
    struct ring r;

    k->state = CLIENT_STREAMING;
    k->stream = a->stream;
    k->at = 0;
    k->stop = UINT64_MAX;
    r = client_ring(c, k);
    if (k->stream == STREAM_CONSOLE && r.written > SCROLLBACK)
        k->at = r.written - SCROLLBACK;
    if (k->stream == STREAM_LOG && r.written > r.size)
        k->at = r.written - r.size; /* what is gone by now was not lost by this client */
    if (k->stream == STREAM_LOG && !a->follow)
        k->stop = r.written;
    if (k->stream == STREAM_TRACE) {
        k->json = a->json;
        if (!a->follow)
            k->stop = client_trace_written(c);
        k->at = explainer_oldest(c->guest.explainer);
    }
}

static void reply(struct control *c, struct client *k, struct answer *a)
{
    const bool stays = a->stream == STREAM_CONSOLE || a->stream == STREAM_LOG ||
                       a->stream == STREAM_TRACE || a->stream == STREAM_HOLD ||
                       a->ticket.hold != NULL;

    if (stays && streams(c) >= STREAMS_MAX) {
        hold_leave(&a->ticket);
        request_refuse(a, EXIT_ENVIRONMENT, "too many consoles and logs are being watched already");
    }
    if (a->ticket.hold != NULL) {
        client_wait(k, a);
        return;
    }
    if (a->stream == STREAM_HOLD && a->memory && !client_pass_memory(c, k))
        request_refuse(a, EXIT_ENVIRONMENT, "its memory cannot be opened once more");
    client_say(k, a);
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
            client_drop(k);
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
    return k->state == CLIENT_ASKING || k->state == CLIENT_WAITING ||
           (k->state == CLIENT_STREAMING &&
            (k->stream == STREAM_CONSOLE || k->stream == STREAM_HOLD));
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
        client_hang_up(k);
        return false;
    }
    k->in_ended = n <= 0;
    k->in_size += n > 0 ? (size_t)n : 0;
    if (k->state == CLIENT_ASKING)
        take_request(c, k);
    if (k->state == CLIENT_STREAMING)
        pass_input(c, k);
    client_lines(k);
    return n > 0;
}

/* As much as there is room for; what is left waits for the guest to read. */
static void take_last_input(struct control *c, struct client *k)
{
    do
        pass_input(c, k);
    while (receive(c, k));
    if (k->in_ended && k->in_size == 0)
        client_drop(k);
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
    *k = (struct client){
        .state = CLIENT_ASKING, .fd = fd, .pass = -1, .deadline = clock_now() + REQUEST_TIME};
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
                client_pump(c, k);
            if (k->state != CLIENT_FREE && client_has_news(c, k))
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
            client_drop(&c->clients[i]);
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
                    struct hold *hold, pid_t qemu)
{
    if (c == NULL)
        return;
    c->guest.mailbox = mailbox;
    c->guest.console = console;
    c->guest.hold = c->guest.real_xen ? NULL : hold;
    c->guest.qemu = qemu;
    console->tap = console_output;
    console->tap_ctx = c;
}

void control_detach(struct control *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        client_lose_machine(c, &c->clients[i]);
    settle(c);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->clients[i].state == CLIENT_STREAMING && c->clients[i].stream == STREAM_LOG)
            c->clients[i].at = 0; /* another try has another log */
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->clients[i].state == CLIENT_STREAMING && c->clients[i].stream == STREAM_TRACE)
            c->clients[i].at = 0; /* and another recorder */
    c->guest.console->tap = NULL;
    c->guest.mailbox = NULL;
    c->guest.hold = NULL;
    c->guest.console = NULL;
}

static struct pollfd client_poll(const struct control *c, const struct client *k)
{
    const bool in = wants_input(k), out = client_has_news(c, k);

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
        client_hang_up(k);
    if (k->state == CLIENT_STREAMING)
        pass_input(c, k);
    if (k->state != CLIENT_FREE)
        client_pump(c, k);
    if (k->state != CLIENT_FREE && k->hung_up)
        take_last_input(c, k);
    if ((k->state == CLIENT_ASKING || k->state == CLIENT_LEAVING) && clock_now() >= k->deadline)
        client_drop(k);
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

void control_answer(struct control *c)
{
    for (unsigned i = 0; c != NULL && i < CONTROL_CLIENTS; i++)
        client_look(c, &c->clients[i]);
}
