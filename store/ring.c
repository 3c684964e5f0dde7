/* SPDX-License-Identifier: MIT */
/* The guest's ring: requests put together from the bytes that arrive, replies and events queued. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define HEADER sizeof(struct xsd_sockmsg)

static void drop_output(struct store *s)
{
    while (s->out != NULL) {
        struct message *m = s->out;

        s->out = m->next;
        free(m);
    }
    s->out_end = &s->out;
    s->out_bytes = 0;
    s->replies = 0;
}

/* As xenstored does with such a guest: it is left alone, and what it had asked for is forgotten. */
void ring_break(struct store *s, const char *why)
{
    if (s->error == NULL)
        s->error = why;
    watches_drop(s, false);
    transactions_drop(s);
    drop_output(s);
}

static struct message *message_new(const struct xsd_sockmsg *header)
{
    struct message *m = malloc(sizeof(*m) + HEADER + header->len);

    if (m == NULL)
        return NULL;
    *m = (struct message){.size = HEADER + header->len};
    memcpy(m->data, header, HEADER);
    return m;
}

static void queue(struct store *s, struct message *m)
{
    *s->out_end = m;
    s->out_end = &m->next;
    s->out_bytes += m->size;
    s->replies += !m->event;
}

int ring_reply(struct store *s, uint32_t type, const void *data, size_t size)
{
    const struct xsd_sockmsg header = {type, s->in.header.req_id, s->in.header.tx_id,
                                       (uint32_t)size};
    struct message *m;

    if (size > XENSTORE_PAYLOAD_MAX)
        return E2BIG;
    m = message_new(&header);
    if (m == NULL)
        return ENOMEM;
    if (size > 0)
        memcpy(m->data + HEADER, data, size);
    queue(s, m);
    return 0;
}

/* An event that says the same as one that waits already says nothing new. */
static bool is_queued(const struct store *s, const struct message *m)
{
    for (const struct message *q = s->out; q != NULL; q = q->next)
        if (q->event && q->at == 0 && q->size == m->size && memcmp(q->data, m->data, m->size) == 0)
            return true;
    return false;
}

void ring_event(struct store *s, const char *path, const char *token)
{
    const size_t path_size = strlen(path) + 1, size = path_size + strlen(token) + 1;
    const struct xsd_sockmsg header = {XS_WATCH_EVENT, 0, 0, (uint32_t)size};
    struct message *m;

    if (size > XENSTORE_PAYLOAD_MAX || s->out_bytes + HEADER + size > STORE_OUTPUT)
        return;
    m = message_new(&header);
    if (m == NULL) { /* not ring_break(): whoever fires goes through the watches */
        s->error = "out of memory";
        return;
    }
    memcpy(m->data + HEADER, path, path_size);
    memcpy(m->data + HEADER + path_size, token, size - path_size);
    m->event = true;
    if (path[0] != '@' && is_queued(s, m))
        free(m);
    else
        queue(s, m);
}

size_t store_output(const struct store *s, const void **data)
{
    if (s->out == NULL)
        return 0;
    *data = s->out->data + s->out->at;
    return s->out->size - s->out->at;
}

void store_output_taken(struct store *s, size_t size)
{
    while (size > 0 && s->out != NULL) {
        struct message *m = s->out;
        const size_t n = size < m->size - m->at ? size : m->size - m->at;

        m->at += n;
        size -= n;
        if (m->at < m->size)
            return;
        s->out = m->next;
        if (s->out == NULL)
            s->out_end = &s->out;
        s->out_bytes -= m->size;
        s->replies -= !m->event;
        free(m);
    }
}

/* How much of the message is still to come: of the header first, as it says what follows. */
static size_t missing(const struct store *s)
{
    return HEADER + (s->in.used < HEADER ? 0 : s->in.header.len) - s->in.used;
}

static void take(struct store *s, const char *data, size_t size)
{
    char *to = s->in.used < HEADER ? (char *)&s->in.header + s->in.used
                                   : s->in.payload + (s->in.used - HEADER);

    memcpy(to, data, size);
    s->in.used += size;
    if (s->in.used == HEADER && s->in.header.len > XENSTORE_PAYLOAD_MAX)
        ring_break(s, "a request of more than 4096 bytes: the guest breaks the protocol");
    else if (s->in.used >= HEADER && missing(s) == 0) {
        request_serve(s);
        s->in.used = 0;
    }
}

size_t store_feed(struct store *s, const void *data, size_t size)
{
    size_t used = 0;

    while (used < size && s->error == NULL && s->replies < STORE_REPLIES) {
        const size_t wanted = missing(s), n = wanted < size - used ? wanted : size - used;

        take(s, (const char *)data + used, n);
        used += n;
    }
    return used;
}

const char *store_error(const struct store *s)
{
    return s->error;
}
