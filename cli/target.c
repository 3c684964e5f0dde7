/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"

#define GO_PATIENCE (120 * SECOND) /* the source asks its own supervisor first, and no more */

/* ---- words */

/* Whoever does not listen any more finds out otherwise. */
static int say(const struct target *t, const struct handover_line *l, struct error *e)
{
    char text[HANDOVER_CHARS];
    const size_t n = handover_format(text, sizeof(text), l);

    if (write(t->out, text, n) == (ssize_t)n)
        return 0;
    return error_errno(e, EXIT_ENVIRONMENT, "the source of the migration cannot be told anything");
}

static int say_word(const struct target *t, enum handover_word w, struct error *e)
{
    return say(t, &(struct handover_line){.word = w}, e);
}

/* ---- the offer */

/* 1: a byte; 0: none, and none will come, or a signal did. */
static int next_byte(char *c, int signals, int64_t deadline)
{
    struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    ssize_t n;

    for (;;) {
        const int64_t left = deadline - clock_now();

        if (left <= 0)
            return 0;
        if (poll(p, 2, left > SECOND ? 1000 : (int)(left / 1000000) + 1) <= 0)
            continue;
        if (p[1].revents)
            return 0;
        n = read(STDIN_FILENO, c, 1);
        if (n >= 0 || (errno != EINTR && errno != EAGAIN))
            return n == 1;
    }
}

static int read_offer(struct target *t, char first, int signals, int64_t deadline, struct error *e)
{
    size_t n = 0;

    for (char c = first; c != '\n' && n < sizeof(t->heard) - 1;) {
        t->heard[n++] = c;
        if (!next_byte(&c, signals, deadline))
            break;
    }
    handover_parse(&t->offer, t->heard, n);
    if (t->offer.word == HANDOVER_OFFER)
        return 0;
    return error_set(e, EXIT_UNREADABLE,
                     "-: neither a stream nor a migration of version %d: it begins with \"%s\"",
                     HANDOVER_VERSION, t->offer.text);
}

/* The guest's console does not go where the protocol does. */
static int take_stdout(struct target *t, struct error *e)
{
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    t->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (t->out < 0 || null < 0 || dup2(null, STDOUT_FILENO) < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot take standard output for the migration");
    close(null);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

int target_open(struct target *t, int signals, int64_t deadline, uint8_t *begun, size_t *n,
                struct error *e)
{
    char first;

    *t = TARGET_NO_MIGRATION;
    *n = 0;
    if (!next_byte(&first, signals, deadline))
        return 0;
    if (first != HANDOVER_MAGIC[0]) { /* no stream begins like this */
        *begun = (uint8_t)first;
        *n = 1;
        return 0;
    }
    if (take_stdout(t, e) != 0)
        return -1;
    t->stage = TARGET_OFFERED;
    return read_offer(t, first, signals, deadline, e);
}

int target_ready(struct target *t, struct error *e)
{
    if (say_word(t, HANDOVER_READY, e) != 0)
        return -1;
    t->stage = TARGET_COMES;
    return 0;
}

/* ---- the source's word */

int target_news(const struct target *t)
{
    return t->stage == TARGET_STANDS ? t->in : -1;
}

static int gave_up(struct error *e)
{
    return error_set(e, EXIT_ENVIRONMENT,
                     "the guest does not run here: its source gave up before it said \"go\"");
}

/* 1: a whole line; 0: not yet. */
static int hear(struct target *t, struct error *e)
{
    char c;

    if (clock_now() >= t->patience)
        return gave_up(e);
    while (poll(&(struct pollfd){.fd = t->in, .events = POLLIN}, 1, 0) > 0) {
        if (read(t->in, &c, 1) != 1)
            return gave_up(e);
        if (c == '\n' ||
            t->n == sizeof(t->heard)) /* which is longer than any word: judged as it is */
            return 1;
        t->heard[t->n++] = c;
    }
    return 0;
}

static int await_go(struct target *t, struct hold *h, struct error *e)
{
    struct handover_line l;
    const int rc = hear(t, e);

    if (rc <= 0)
        return rc;
    handover_parse(&l, t->heard, t->n);
    if (l.word != HANDOVER_GO)
        return error_set(
            e, EXIT_ENVIRONMENT,
            "the guest does not run here: its source said \"%.60s\" where \"go\" is due", l.text);
    t->stage = TARGET_GOES;
    h->arrives = false;
    h->paused = t->stays;
    return 0;
}

/* ---- */

static int arrived(struct target *t, struct error *e)
{
    if (say_word(t, HANDOVER_ARRIVED, e) != 0)
        return -1;
    t->stage = TARGET_STANDS;
    t->patience = clock_now() + GO_PATIENCE;
    t->n = 0;
    return 0;
}

static void close_pipes(struct target *t)
{
    if (t->out >= 0)
        close(t->out);
    t->out = t->in = -1; /* `in` is the stream's, and closed with it */
}

/* That the source does not hear it changes nothing: its guest stands until somebody has looked. */
static void runs(struct target *t)
{
    struct error ignored;

    say_word(t, HANDOVER_RUNNING, &ignored);
    close_pipes(t);
    t->stage = TARGET_RUNS;
}

/* It runs, or stands as it is to stay; one that ended before that is nothing to end the source for.
 */
static bool is_as_wanted(const struct target *t, const struct mailbox *m)
{
    const unsigned state = mailbox_state(m);

    if (t->stays)
        return state <= PVMM_STATE_RUNNING && hold_state(m) == PVMM_HOLD_PAUSED;
    return state == PVMM_STATE_RUNNING && hold_state(m) == PVMM_HOLD_NONE;
}

int target_serve(struct target *t, const struct mailbox *m, struct hold *h, struct error *e)
{
    const enum pvmm_hold state = hold_state(m);

    switch (t->stage) {
    case TARGET_COMES:
        return state == PVMM_HOLD_PAUSED ? arrived(t, e) : 0;
    case TARGET_STANDS:
        return await_go(t, h, e);
    case TARGET_GOES:
        if (is_as_wanted(t, m))
            runs(t);
        return 0;
    default:
        return 0;
    }
}

void target_close(struct target *t, const char *why)
{
    struct handover_line l = {.word = HANDOVER_FAILED};
    struct error ignored;

    if (target_holds_back(t)) {
        strncat(l.text, why, sizeof(l.text) - 1);
        say(t, &l, &ignored);
    }
    close_pipes(t);
    t->stage = TARGET_NONE;
}
