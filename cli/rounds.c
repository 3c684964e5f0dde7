/* SPDX-License-Identifier: MIT */
#include "rounds.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "exitcodes.h"
#include "jsonput.h"
#include "signals.h"

#define PATIENCE   35u          /* seconds for the answer to "round", beyond a supervisor's own */
#define BYTES_MAX  (1u << 27)   /* of a bitmap: 4 TiB of memory */
#define WORTH      1024u        /* pages of a round whose rate is believed */
#define WORTH_TIME 0.02         /* seconds of such a round */
#define LINE_TIME  (SECOND / 4) /* between two words on a terminal */
#define MIB        (double)(1 << 20)

/* --- what is said */

static void wipe(struct rounds *r)
{
    if (r->drawn)
        fprintf(stderr, "\r%78s\r", "");
    r->drawn = false;
}

void rounds_say(const struct rounds *r, const char *what)
{
    if (r->wish->voice == ROUNDS_VERBOSE)
        fprintf(stderr, "pvmm %s: %.2f s: %s\n", r->wish->command, clock_seconds_since(r->begun),
                what);
}

/*
 * Nobody takes anything any more. Time in which nobody looked, because there was nothing to write
 * or this process was stopped, does not count; a guest that stands has a bound of its own.
 */
static bool is_stuck(struct rounds *r)
{
    const uint64_t bytes = r->live != NULL ? pv_live_bytes(r->live) : 0;
    const int64_t now = clock_now();

    if (bytes != r->went)
        r->waited = 0;
    else if (now - r->looked < SECOND)
        r->waited += now - r->looked;
    r->went = bytes;
    r->looked = now;
    return r->wish->patience != 0 && r->stood == 0 && r->waited >= r->wish->patience * SECOND;
}

static bool go_on(void *context, const char *doing, uint64_t done, uint64_t total)
{
    struct rounds *r = context;
    struct pollfd news = {.fd = r->wish->signals, .events = POLLIN};

    (void)doing;
    if (poll(&news, 1, 0) > 0) {
        r->interrupted = true;
        return false;
    }
    if (is_stuck(r)) {
        r->deaf = true;
        return false;
    }
    if (clock_now() < r->next || r->wish->voice == ROUNDS_QUIET || !isatty(STDERR_FILENO))
        return true;
    fprintf(stderr, "\rpvmm %s: round %" PRIu64 ": %3" PRIu64 "%%, %.1f MiB sent", r->wish->command,
            r->number, total == 0 || done >= total ? 100 : done * 100 / total,
            (double)r->sent / MIB);
    fflush(stderr);
    r->drawn = true;
    r->next = clock_now() + LINE_TIME;
    return true;
}

static double megabytes_a_second(const struct rounds *r)
{
    return r->seconds > 0 ? (double)r->last.bytes / MIB / r->seconds : 0;
}

/* Of a round that is over; `written`: pages meanwhile; expected: seconds to stand, < 0: it did. */
static void tell(struct rounds *r, uint64_t written, double expected)
{
    wipe(r);
    if (r->wish->voice == ROUNDS_QUIET)
        return;
    fprintf(stderr, "pvmm %s: round %u: %" PRIu64 " pages, %.1f MiB in %.2f s (%.1f MiB/s)",
            r->wish->command, r->last.round, r->last.pages, (double)r->last.bytes / MIB, r->seconds,
            megabytes_a_second(r));
    if (expected < 0)
        fprintf(stderr, "; it stands\n");
    else
        fprintf(stderr, "; %" PRIu64 " pages written meanwhile, would stand for %.2f s\n", written,
                expected);
}

void rounds_put_seconds(struct json_object *o, const char *key, double seconds)
{
    char digits[32];

    snprintf(digits, sizeof(digits), "%.3f", seconds);
    put(o, key, json_object_new_double_s(seconds, digits));
}

static void list(struct rounds *r, uint64_t written, double expected)
{
    struct json_object *o = json_object_new_object();

    put_int(o, "round", r->last.round);
    put_int(o, "pages", r->last.pages);
    put_int(o, "bytes", r->last.bytes);
    rounds_put_seconds(o, "seconds", r->seconds);
    put_bool(o, "standing", expected < 0);
    if (expected >= 0) {
        put_int(o, "written_meanwhile", written);
        rounds_put_seconds(o, "expected_stop_seconds", expected);
    }
    json_object_array_add(r->list, o);
}

/* --- what was written */

static uint64_t number_in(struct json_object *o, const char *key)
{
    struct json_object *v;

    return json_object_object_get_ex(o, key, &v) ? json_object_get_uint64(v) : 0;
}

static int no_sense(struct error *e, const char *what)
{
    return error_set(e, EXIT_ENVIRONMENT, "what its pvmm tells of a round makes no sense: %s",
                     what);
}

static int read_bitmap(const struct rounds *r, uint64_t at, uint64_t *to, struct error *e)
{
    size_t done = 0;

    while (done < r->bytes) {
        const ssize_t n =
            pread(r->guest->memory, (char *)to + done, r->bytes - done, (off_t)(at + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, EXIT_ENVIRONMENT, "what it wrote to cannot be read");
        if (n == 0)
            return no_sense(e, "the bitmap is not in its memory");
        done += (size_t)n;
    }
    return 0;
}

static int make_room(struct rounds *r, struct json_object *o, struct error *e)
{
    const uint64_t bytes = number_in(o, "bytes");

    r->frames = number_in(o, "frames");
    if (bytes == 0 || bytes % 8 != 0 || bytes > BYTES_MAX || r->frames > bytes * 8)
        return no_sense(e, "its size");
    r->bytes = (size_t)bytes;
    r->words = calloc(1, r->bytes);
    return r->words != NULL ? 0 : error_set(e, EXIT_ENVIRONMENT, "out of memory");
}

/* Frames there are not are in none. */
static void count(struct rounds *r)
{
    const size_t n = r->bytes / sizeof(*r->words);

    r->told = 0;
    for (size_t i = 0; i < n; i++) {
        if (i >= r->frames / 64)
            r->words[i] &= i > r->frames / 64 ? 0 : (UINT64_C(1) << r->frames % 64) - 1;
        r->told += (uint64_t)__builtin_popcountll(r->words[i]);
    }
}

static int add_bitmap(struct rounds *r, uint64_t at, struct error *e)
{
    uint64_t *more = malloc(r->bytes);
    int rc;

    if (more == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    rc = read_bitmap(r, at, more, e);
    for (size_t i = 0; rc == 0 && i < r->bytes / sizeof(*more); i++)
        r->words[i] |= more[i];
    free(more);
    if (rc == 0)
        count(r);
    return rc;
}

static int take_answer(struct rounds *r, struct json_object *o, struct error *e)
{
    if (number_in(o, "round") != r->number + 1)
        return no_sense(e, "its number");
    r->number++;
    if (r->words == NULL)
        return make_room(r, o, e);
    if (number_in(o, "bytes") != r->bytes || number_in(o, "frames") != r->frames)
        return no_sense(e, "its size has changed");
    return add_bitmap(r, number_in(o, "at"), e);
}

/* A new round begins; what was written in the one before is added to what is to go. */
static int next_round(struct rounds *r, struct error *e)
{
    const struct question q = {.word = "round", .patience = PATIENCE, .signals = r->wish->signals};
    struct json_object *o;
    int rc;

    if (held_ask(r->guest, &q, &o, e) != 0)
        return -1;
    rc = take_answer(r, o, e);
    json_object_put(o);
    return rc == 0 ? 0 : error_context(e, "guest \"%s\"", r->guest->name);
}

/* --- rounds */

static int failed(struct rounds *r, const struct pv_error *why, struct error *e)
{
    wipe(r);
    if (r->interrupted)
        return error_set(e, signals_code(r->wish->signals), "interrupted");
    if (r->deaf)
        return error_set(e, EXIT_ENVIRONMENT, "the other end has taken nothing for %u s",
                         r->wish->patience);
    return error_set(e, EXIT_ENVIRONMENT, "guest \"%s\": %s", r->guest->name, why->text);
}

/* What went, and how fast. */
static void measure(struct rounds *r, int64_t begun)
{
    r->seconds = clock_seconds_since(begun);
    r->sent_pages += r->last.pages;
    r->sent += r->last.bytes;
    if (r->seconds > 0 && ((r->last.pages >= WORTH && r->seconds >= WORTH_TIME) || r->rate == 0))
        r->rate = (double)r->last.pages / r->seconds;
}

static int send_round(struct rounds *r, bool all, struct error *e)
{
    const struct pv_frame_set set = {r->words, r->frames};
    const int64_t begun = clock_now();
    struct pv_error why;

    r->waited = 0;
    if (pv_live_round(r->live, all ? NULL : &set, &r->last, &why) != 0)
        return failed(r, &why, e);
    measure(r, begun);
    memset(r->words, 0, r->bytes);
    return 0;
}

/* What is to be done where the rule says that it cannot be kept. */
static int too_fast(struct rounds *r, enum stop why, struct error *e)
{
    static const char *const text[] = {
        [STOP_TOO_FAST] = "it writes too fast: as many pages are written as go meanwhile",
        [STOP_ROUNDS] = "it writes too fast: as many rounds as may be were not enough",
        [STOP_BOUND_SHORT] =
            "--max-downtime is too short: it would stand for longer even if it wrote nothing",
    };

    r->too_fast = true;
    if (r->wish->gives_up)
        return error_set(e, EXIT_TOO_FAST, "guest \"%s\": %s; it goes on running", r->guest->name,
                         text[why]);
    if (r->wish->voice != ROUNDS_QUIET)
        fprintf(stderr, "pvmm %s: %s; it is stopped all the same\n", r->wish->command, text[why]);
    return 0;
}

int rounds_begin(struct rounds *r, const struct rounds_wish *w, struct held *guest, int fd,
                 const struct pv_save_options *how, struct error *e)
{
    struct pv_save_options o = *how;
    struct pv_error why;

    *r = (struct rounds){.wish = w,
                         .guest = guest,
                         .begun = r->begun,
                         .next = clock_now() + SECOND,
                         .list = json_object_new_array()};
    o.progress = (struct pv_progress){go_on, r};
    return pv_live_begin(&r->live, guest->view, fd, &o, &why) == 0 ? 0 : failed(r, &why, e);
}

int rounds_copy(struct rounds *r, struct error *e)
{
    unsigned stuck = 0;
    bool all = true;
    enum stop stop;

    if (next_round(r, e) != 0)
        return -1;
    do {
        if (send_round(r, all, e) != 0 || next_round(r, e) != 0)
            return -1;
        const struct round_facts f = {.round = r->last.round,
                                      .sent = r->last.pages,
                                      .written = r->told,
                                      .left = r->last.left,
                                      .rate = r->rate};

        tell(r, r->told, stop_expected(&f));
        list(r, r->told, stop_expected(&f));
        stop = stop_rule(&f, &r->wish->stop, &stuck);
        all = false;
    } while (stop == STOP_NOT_YET);
    return stop == STOP_NOW ? 0 : too_fast(r, stop, e);
}

static int send_rest(struct rounds *r, struct pv_saved *saved, struct error *e)
{
    const struct pv_frame_set set = {r->words, r->frames};
    const int64_t begun = clock_now();
    struct pv_view *standing;
    struct pv_error why;
    int rc;

    if (held_open_standing(r->guest, r->wish->signals, &standing, e) != 0)
        return -1;
    rounds_say(r, "its memory is open as it stands");
    rc = pv_live_finish(r->live, standing, &set, &r->last, saved, &why);
    if (rc == 0)
        measure(r, begun);
    else
        failed(r, &why, e);
    pv_close(standing);
    return rc;
}

int rounds_finish(struct rounds *r, struct pv_saved *saved, struct error *e)
{
    const struct question q = {.word = "suspend",
                               .timeout = r->wish->timeout,
                               .patience = PATIENCE,
                               .signals = r->wish->signals};

    rounds_say(r, "the guest is asked to suspend itself");
    if (held_ask(r->guest, &q, NULL, e) != 0)
        return -1;
    r->stood = r->guest->since = clock_now();
    rounds_say(r, "it has, and stands still");
    if (next_round(r, e) != 0 || send_rest(r, saved, e) != 0)
        return -1;
    tell(r, 0, -1);
    list(r, 0, -1);
    return 0;
}

void rounds_close(struct rounds *r)
{
    wipe(r);
    if (r->live != NULL)
        pv_live_free(r->live);
    r->live = NULL;
}

void rounds_end(struct rounds *r)
{
    rounds_close(r);
    free(r->words);
    json_object_put(r->list);
    r->words = NULL;
    r->list = NULL;
}
