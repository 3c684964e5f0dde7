/* SPDX-License-Identifier: MIT */
/* What a supervisor sends to its clients: replies, and streams out of rings. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

struct ring client_ring(const struct control *c, const struct client *k)
{
    if (k->stream == STREAM_CONSOLE)
        return (struct ring){c->output, CONSOLE_BYTES, c->written};
    if (k->stream == STREAM_LOG && c->guest.mailbox != NULL)
        return mailbox_log(c->guest.mailbox);
    return (struct ring){NULL, 0, 0};
}

/* How much of a trace there is by now. */
uint64_t client_trace_written(const struct control *c)
{
    return c->guest.mailbox != NULL ? explainer_written(c->guest.explainer, c->guest.mailbox) : 0;
}

static bool stream_has_news(const struct control *c, const struct client *k)
{
    const struct ring r = client_ring(c, k);

    if (k->at >= k->stop)
        return false;
    return k->stream == STREAM_TRACE ? k->at < client_trace_written(c)
                                     : r.data != NULL && k->at < r.written;
}

bool client_has_news(const struct control *c, const struct client *k)
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
    const uint64_t written = client_trace_written(c), oldest = explainer_oldest(x);
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
    const struct ring r = client_ring(c, k);
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

/* A descriptor goes with the first of the bytes that it is sent with. */
static ssize_t send_passing(struct client *k)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec data = {k->out + k->out_at, k->out_size};
    const struct msghdr m = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t n;

    memcpy(CMSG_DATA(&control.header), &k->pass, sizeof(int));
    n = sendmsg(k->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
        close(k->pass);
        k->pass = -1;
    }
    return n;
}

/* Send what the socket takes. False: the client is gone. */
static bool send_out(struct client *k)
{
    const ssize_t n =
        k->pass >= 0 ? send_passing(k)
                     : send(k->fd, k->out + k->out_at, k->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    k->out_at += (size_t)n;
    k->out_size -= (size_t)n;
    return true;
}

void client_pump(const struct control *c, struct client *k)
{
    while (client_has_news(c, k)) {
        if (k->out_size == 0)
            (k->stream == STREAM_TRACE ? refill_trace : refill)(c, k);
        if (!send_out(k)) {
            client_hang_up(k);
            return;
        }
        if (k->out_size > 0)
            return;
    }
    if (k->state == CLIENT_LEAVING || (k->state == CLIENT_STREAMING && k->at >= k->stop))
        client_drop(k); /* all is out */
}

void client_say(struct client *k, const struct answer *a)
{
    memcpy(k->out, a->text, a->size);
    k->out_at = 0;
    k->out_size = a->size;
}
