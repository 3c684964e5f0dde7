/* SPDX-License-Identifier: MIT */
/* A running guest, suspended by its own hand, as a save stream. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "commands.h"
#include "exitcodes.h"
#include "held.h"
#include "help.h"
#include "hold.h"
#include "outfile.h"
#include "progress.h"
#include "rounds.h"
#include "signals.h"
#include "transfer.h"

#define PATIENCE     10u /* seconds for a machine that has much else to do */
#define END_PATIENCE 30u /* for it to be counted up and gone, */
#define END_OF_GIB   10u /* and more of its memory */
#define LEVEL        3   /* of zstd */
#define LEVEL_MAX    19

struct request {
    const char *name, *path;
    bool checkpoint, paused, verbose, live, live_words;
    unsigned timeout;
    struct rounds_wish wish; /* live */
    struct pv_save_options how;
    int signals;
    int64_t begun;
};

enum { OPT_FORMAT = 256, OPT_COMPRESS, OPT_TIMEOUT };

static int parse_format(struct request *r, const char *text, struct error *e)
{
    r->how.of_xl = strcmp(text, "xl") == 0;
    return r->how.of_xl || strcmp(text, "libxc") == 0
               ? 0
               : error_set(e, EXIT_USAGE, "--format %s: one of libxc, xl is wanted", text);
}

static int parse_level(struct request *r, const char *text, struct error *e)
{
    char *end;
    const long n = text != NULL ? strtol(text, &end, 10) : LEVEL;

    if (text != NULL && (*end != '\0' || end == text || n < 1 || n > LEVEL_MAX))
        return error_set(e, EXIT_USAGE, "--compress=%s: not a level of zstd from 1 to %d", text,
                         LEVEL_MAX);
    r->how.zstd = (int)n;
    return 0;
}

static int take_option(void *context, int opt, char **argv, struct error *e)
{
    struct request *r = context;

    switch (opt) {
    case 'c':
        r->checkpoint = true;
        return 0;
    case 'p':
        r->paused = true;
        return 0;
    case 'l':
        r->live = true;
        return 0;
    case 'v':
        r->verbose = true;
        return 0;
    case OPT_FORMAT:
        return parse_format(r, optarg, e);
    case OPT_COMPRESS:
        return parse_level(r, optarg, e);
    case OPT_TIMEOUT:
        return command_seconds(optarg, &r->timeout, e);
    default:
        r->live_words |= opt >= OPT_MAX_DOWNTIME;
        return command_rounds_option(&r->wish, opt, argv, e);
    }
}

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct request *r)
{
    static const struct option options[] = {{"checkpoint", no_argument, NULL, 'c'},
                                            {"live", no_argument, NULL, 'l'},
                                            ROUNDS_OPTIONS,
                                            {"paused", no_argument, NULL, 'p'},
                                            {"format", required_argument, NULL, OPT_FORMAT},
                                            {"compress", optional_argument, NULL, OPT_COMPRESS},
                                            {"timeout", required_argument, NULL, OPT_TIMEOUT},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const int code = command_options(argc, argv, ":clpvh", options, help_save, take_option, r);
    struct error e;

    if (code >= 0)
        return code;
    if (command_name_and_file(argc, argv, &r->name, &r->path, &e) != 0 ||
        guest_name_check(r->name, &e) != 0)
        return command_failed(argv[0], &e);
    if (r->live_words && !r->live) {
        error_set(&e, EXIT_USAGE, "--max-downtime, --max-rounds and --too-fast are for --live");
        return command_failed(argv[0], &e);
    }
    return -1;
}

static void say(const struct request *r, const char *what)
{
    if (r->verbose)
        fprintf(stderr, "pvmm save: %.2f s: %s\n", clock_seconds_since(r->begun), what);
}

static int write_stream(struct request *r, const struct held *h, int fd, struct pv_saved *saved,
                        struct error *e)
{
    struct progress p;
    struct pv_error why;
    int rc;

    r->how.progress = progress_begin(&p, "save", r->signals);
    rc = pv_stream_write(h->view, fd, &r->how, saved, &why);
    progress_end(&p);
    if (p.interrupted)
        return error_set(e, signals_code(r->signals), "interrupted");
    return rc == 0 ? 0 : error_set(e, EXIT_ENVIRONMENT, "%s: %s", r->path, why.text);
}

/* The file is there, and the guest to go, now and for good. */
static int end_guest(struct held *h, struct error *e)
{
    const unsigned gibs = (unsigned)(h->bytes >> 30) + 1;

    if (held_tell(h, "end", e) != 0)
        return -1;
    return ask_await_end(h->connection, h->name, END_PATIENCE + gibs * END_OF_GIB, e);
}

static int tell_to_pause(const struct request *r, const struct held *h, struct error *e)
{
    const struct question q = {.word = "pause", .patience = PATIENCE, .signals = r->signals};

    return r->live ? held_ask(h, &q, NULL, e) : held_tell(h, "pause", e);
}

/* Its memory is not needed any more. */
static int release(const struct request *r, struct held *h, struct error *e)
{
    if (r->paused && tell_to_pause(r, h, e) != 0)
        return -1;
    held_let_go(h);
    say(r, r->paused ? "the guest is paused" : "the guest goes on");
    return 0;
}

static void tell(const struct request *r, const struct held *h, const struct pv_saved *saved)
{
    fprintf(strcmp(r->path, "-") == 0 ? stderr : stdout,
            "%s: %" PRIu64 " pages, %.1f MiB, %.2f s (the guest stood still for %.2f s)\n", r->path,
            saved->pages, (double)saved->bytes / (1 << 20), clock_seconds_since(r->begun),
            h->stood);
}

/* A disk takes its time, and whoever gave up meanwhile wants his guest back. */
static int sync_unless_interrupted(const struct request *r, const struct outfile *f,
                                   struct error *e)
{
    struct pollfd news = {.fd = r->signals, .events = POLLIN};

    if (outfile_sync(f, e) != 0)
        return -1;
    if (poll(&news, 1, 0) > 0)
        return error_set(e, signals_code(r->signals), "interrupted");
    return 0;
}

static int put_away(const struct request *r, struct held *h, struct outfile *f, struct error *e)
{
    const bool goes_on = r->checkpoint || r->paused;

    if (goes_on && release(r, h, e) != 0)
        return -1;
    if (sync_unless_interrupted(r, f, e) != 0 || outfile_finish(f, e) != 0)
        return -1;
    say(r, "the file is in its place");
    return goes_on ? 0 : end_guest(h, e);
}

static int take_still(struct request *r, struct held *h, int fd, struct pv_saved *saved,
                      struct error *e)
{
    const struct question q = {
        .word = "suspend", .timeout = r->timeout, .patience = PATIENCE, .signals = r->signals};

    say(r, "the guest is asked to suspend itself");
    if (held_take(h, r->name, &q, e) != 0)
        return -1;
    say(r, "it has, and stands still");
    return write_stream(r, h, fd, saved, e);
}

static int copy_live(struct request *r, struct held *h, int fd, struct pv_saved *saved,
                     struct error *e)
{
    struct rounds rounds = {.begun = r->begun};
    int rc = rounds_begin(&rounds, &r->wish, h, fd, &r->how, e);

    if (rc == 0)
        rc = rounds_copy(&rounds, e);
    if (rc == 0)
        rc = rounds_finish(&rounds, saved, e);
    rounds_end(&rounds);
    return rc;
}

static int take_live(struct request *r, struct held *h, int fd, struct pv_saved *saved,
                     struct error *e)
{
    const struct question q = {
        .word = "live", .timeout = r->timeout, .patience = PATIENCE, .signals = r->signals};

    r->wish.timeout = r->timeout;
    r->wish.signals = r->signals;
    r->wish.voice = r->verbose ? ROUNDS_VERBOSE : ROUNDS_TELL;
    if (held_take(h, r->name, &q, e) != 0)
        return -1;
    return copy_live(r, h, fd, saved, e);
}

/* Whatever fails before the guest is told to end, it goes on. */
static int save(struct request *r, struct outfile *f, struct error *e)
{
    struct held h = HELD_NONE;
    struct pv_saved saved;
    int rc;

    r->how.name = r->name;
    rc = (r->live ? take_live : take_still)(r, &h, f->fd, &saved, e);
    if (h.connection >= 0)
        say(r, rc == 0 ? "all is written" : "it could not be written: the guest goes on");
    if (rc == 0)
        rc = held_check(&h, e);
    if (rc == 0)
        rc = put_away(r, &h, f, e);
    held_let_go(&h);
    if (rc == 0)
        tell(r, &h, &saved);
    return rc;
}

int command_save(int argc, char **argv)
{
    struct request r = {
        .how.of_xl = true,
        .timeout = HOLD_TIMEOUT,
        .wish = {.command = "save", .stop = {ROUNDS_DOWNTIME, ROUNDS_MAX}},
        .begun = clock_now()};
    struct outfile f;
    struct error e;
    int rc = parse(argc, argv, &r);

    if (rc >= 0)
        return rc;
    r.signals = signals_watch(&e);
    if (r.signals < 0 || outfile_begin(&f, r.path, &e) != 0)
        return command_failed(argv[0], &e);
    rc = save(&r, &f, &e);
    outfile_abandon(&f);
    return rc == 0 ? EXIT_CLEAN : command_failed(argv[0], &e);
}
