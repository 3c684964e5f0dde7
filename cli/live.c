/* SPDX-License-Identifier: MIT */
#include "live.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "clock.h"
#include "exitcodes.h"
#include "http.h"
#include "signals.h"
#include "snapshot.h"
#include "version.h"

#define LOOK_AGAIN (SECOND / 5) /* for a guest that is not there yet */
#define FAREWELL   (5 * SECOND) /* for the pages to learn that the guest is gone */
#define LAST_WORDS (SECOND / 4) /* for the one that just did */

void live_version(char *to, size_t size)
{
    const char *text = version_text() + strlen("pvmm ");

    snprintf(to, size, "%.*s", (int)strcspn(text, "\n"), text);
}

void live_time(char *to, size_t size)
{
    const time_t now = time(NULL);
    struct tm tm;

    strftime(to, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
}

/* The server's thread asks for data; this one looks after signals and the guest. */
struct live {
    const struct live_options *options;
    int signals, connection; /* to the guest's supervisor; it ends with the machine */
    pthread_mutex_t lock;    /* of what follows */
    struct snapshots snapshots;
    bool gone, told; /* and a page knows */
    char *last;      /* answer, which is good until */
    size_t last_size;
    int64_t until;
};

/* ---- the server's side */

static void answer_text(struct http_answer *a, unsigned status, const char *text)
{
    a->status = status;
    a->text = NULL;
    const int n = asprintf(&a->text, "%s\n", text);

    a->size = n > 0 ? (size_t)n : 0;
    if (n < 0)
        a->text = NULL;
}

static int take_last(struct live *l, struct error *e)
{
    if (l->last != NULL && clock_now() < l->until)
        return 0;
    free(l->last);
    l->last = NULL;
    if (snapshot_take(&l->snapshots, &l->last, &l->last_size, e) != 0)
        return -1;
    l->until = clock_now() + l->options->interval * SECOND;
    return 0;
}

static void answer_last(struct live *l, struct http_answer *a)
{
    a->text = malloc(l->last_size);
    if (a->text == NULL)
        return;
    memcpy(a->text, l->last, l->last_size);
    a->size = l->last_size;
    a->status = 200;
}

static void tell_data(void *context, struct http_answer *a)
{
    struct live *l = context;
    struct error e;

    pthread_mutex_lock(&l->lock);
    if (l->gone) {
        answer_text(a, 410, "the guest is gone");
        l->told = true;
    } else if (take_last(l, &e) != 0) {
        answer_text(a, 503, e.text);
    } else {
        answer_last(l, a);
    }
    pthread_mutex_unlock(&l->lock);
}

/* ---- the guest */

/* 0: it is there, 1: it is not, -1: *e. */
static int ask_for_memory(struct live *l, struct error *e)
{
    const struct question q = {.word = "memory", .signals = l->signals};
    struct reply r;

    l->connection = ask_question(l->options->name, &q, &r, e);
    if (l->connection < 0)
        return e->code == EXIT_NO_GUEST || e->code == EXIT_ENVIRONMENT ? 1 : -1;
    json_object_put(r.o);
    if (r.passed < 0) {
        close(l->connection);
        l->connection = -1;
        return error_set(e, EXIT_ENVIRONMENT, "its reply makes no sense");
    }
    pthread_mutex_lock(&l->lock);
    if (l->snapshots.memory >= 0)
        close(l->snapshots.memory);
    l->snapshots.memory = r.passed;
    pthread_mutex_unlock(&l->lock);
    return 0;
}

static bool has_signal(const struct live *l, int64_t within)
{
    struct pollfd p = {.fd = l->signals, .events = POLLIN};

    return poll(&p, 1, (int)(within / (SECOND / 1000))) > 0;
}

static int interrupted(const struct live *l, struct error *e)
{
    return error_set(e, signals_code(l->signals), "interrupted");
}

/* For a guest that is there, or comes within that time. */
static int await_guest(struct live *l, unsigned seconds, struct error *e)
{
    const int64_t deadline = clock_now() + seconds * SECOND;
    int rc;

    while ((rc = ask_for_memory(l, e)) > 0) {
        if (clock_now() >= deadline)
            return -1;
        if (has_signal(l, LOOK_AGAIN))
            return interrupted(l, e);
    }
    return rc;
}

/* 1: it is gone; -1: a signal came. The machine can end before the guest does: when KVM turns out
 * not to work, another one is started. */
static int watch(struct live *l, struct error *e)
{
    for (;;) {
        struct pollfd p[] = {{.fd = l->signals, .events = POLLIN},
                             {.fd = l->connection, .events = POLLIN}};
        char byte;
        ssize_t n;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return error_errno(e, EXIT_ENVIRONMENT, "poll");
        if (p[0].revents & POLLIN)
            return interrupted(l, e);
        n = recv(l->connection, &byte, 1, MSG_DONTWAIT);
        if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
            continue;
        close(l->connection);
        l->connection = -1;
        if (await_guest(l, 1, e) != 0)
            return e->code == EXIT_INTERRUPTED || e->code == EXIT_TERMINATED ? -1 : 1;
    }
}

static bool was_told(struct live *l)
{
    pthread_mutex_lock(&l->lock);
    l->gone = true;
    const bool told = l->told;

    pthread_mutex_unlock(&l->lock);
    return told;
}

/* Pages that are open ask once more, and keep what they have. */
static void say_farewell(struct live *l)
{
    const int64_t deadline = clock_now() + FAREWELL;

    fprintf(stderr, "pvmm: guest \"%s\" is gone\n", l->options->name);
    while (!was_told(l) && clock_now() < deadline && !has_signal(l, SECOND / 20))
        ;
    has_signal(l, LAST_WORDS);
}

/* ---- all of it */

static struct http *open_server(struct live *l, struct error *e)
{
    const struct live_options *o = l->options;
    char version[128];
    const struct report_subject subject = {.file = o->title != NULL ? o->title : o->name,
                                           .version = version};
    struct pv_error why;
    char *page;
    size_t size;

    live_version(version, sizeof(version));
    if (report_live_page(&subject, &page, &size, &why) != 0) {
        error_set(e, EXIT_ENVIRONMENT, "%s", why.text);
        return NULL;
    }
    return http_open(o->listen, page, size, tell_data, l, e);
}

static int serve(struct live *l, struct error *e)
{
    struct http *h;
    int rc = await_guest(l, l->options->wait, e);

    if (rc != 0)
        return -1;
    h = open_server(l, e);
    if (h == NULL)
        return -1;
    printf("%s\n", http_url(h));
    rc = fflush(stdout) != 0 ? error_errno(e, EXIT_ENVIRONMENT, "cannot write to standard output")
                             : watch(l, e);
    if (rc > 0)
        say_farewell(l);
    http_close(h);
    return rc > 0 ? 0 : rc;
}

int live_serve(const struct live_options *o, struct error *e)
{
    struct live l = {.options = o,
                     .connection = -1,
                     .lock = PTHREAD_MUTEX_INITIALIZER,
                     .snapshots = {.options = o, .memory = -1}};
    int rc;

    l.signals = signals_watch(e);
    if (l.signals < 0)
        return -1;
    rc = serve(&l, e);
    if (l.connection >= 0)
        close(l.connection);
    if (l.snapshots.memory >= 0)
        close(l.snapshots.memory);
    snapshots_drop(&l.snapshots);
    free(l.last);
    close(l.signals);
    return rc;
}
