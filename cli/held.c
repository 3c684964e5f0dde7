/* SPDX-License-Identifier: MIT */
#include "held.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "progress.h"
#include "pvmachine.h"
#include "signals.h"

static int no_sense(struct error *e)
{
    return error_set(e, EXIT_ENVIRONMENT, "its reply makes no sense");
}

int held_open_standing(const struct held *h, int signals, struct pv_view **out, struct error *e)
{
    struct progress p;
    const struct pv_open_options how = {.domain = -1,
                                        .progress = progress_begin(&p, "memory", signals)};
    struct pv_error why;
    char path[32];
    int rc;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", h->memory);
    rc = pv_open(out, path, &how, &why);
    progress_end(&p);
    if (p.interrupted)
        return error_set(e, signals_code(signals), "interrupted");
    return rc == 0 ? 0 : error_set(e, EXIT_ENVIRONMENT, "its memory: %s", why.text);
}

static int open_running(struct held *h, struct error *e)
{
    struct pv_error why;

    if (pv_memory_open_running(&h->view, h->memory, &why) == 0)
        return 0;
    return error_set(e, EXIT_ENVIRONMENT, "its memory: %s", why.text);
}

static int open_memory(struct held *h, const struct question *q, struct error *e)
{
    return strcmp(q->word, "live") == 0 ? open_running(h, e)
                                        : held_open_standing(h, q->signals, &h->view, e);
}

int held_take(struct held *h, const char *name, const struct question *q, struct error *e)
{
    struct json_object *bytes;
    struct reply reply;

    *h = HELD_NONE;
    h->name = name;
    h->connection = ask_question(name, q, &reply, e);
    if (h->connection < 0)
        return -1;
    h->since = clock_now();
    h->memory = reply.passed;
    if (json_object_object_get_ex(reply.o, "memory", &bytes))
        h->bytes = json_object_get_uint64(bytes);
    json_object_put(reply.o);
    if ((h->memory < 0 ? no_sense(e) : open_memory(h, q, e)) == 0)
        return 0;
    held_let_go(h);
    return error_context(e, "guest \"%s\"", name);
}

int held_check(const struct held *h, struct error *e)
{
    char byte;
    const ssize_t n = recv(h->connection, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) /* it may have answered late */
        return 0;
    return error_set(e, EXIT_ENVIRONMENT, "guest \"%s\": it ended meanwhile, or its pvmm did",
                     h->name);
}

int held_ask(const struct held *h, const struct question *q, struct json_object **reply,
             struct error *e)
{
    return ask_line(h->connection, q, reply, e) == 0 ? 0
                                                     : error_context(e, "guest \"%s\"", h->name);
}

int held_tell(const struct held *h, const char *line, struct error *e)
{
    char text[32];
    const int n = snprintf(text, sizeof(text), "%s\n", line);

    if (send(h->connection, text, (size_t)n, MSG_NOSIGNAL) == n)
        return 0;
    return error_errno(e, EXIT_ENVIRONMENT, "guest \"%s\": its pvmm cannot be told \"%s\"", h->name,
                       line);
}

void held_let_go(struct held *h)
{
    if (h->connection >= 0) {
        close(h->connection);
        h->stood = clock_seconds_since(h->since);
    }
    h->connection = -1;
    pv_close(h->view);
    h->view = NULL;
    if (h->memory >= 0)
        close(h->memory);
    h->memory = -1;
}
