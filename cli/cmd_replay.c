/* SPDX-License-Identifier: MIT */
/* A recorded run, once more. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "imagefile.h"
#include "replay.h"
#include "seek.h"
#include "stand.h"

enum long_option {
    OPT_JSON = 256,
    OPT_LOG,
    OPT_SYMBOLS,
    OPT_SYMBOLS_ANYWAY,
    OPT_TIMEOUT,
    OPT_QEMU,
    OPT_ANY_QEMU,
    OPT_UNTIL,
    OPT_WHO_STORED,
    OPT_GDB
};

/* The whole run, or moments of it. */
struct wanted {
    struct replay_options whole;
    struct seek_question moment;
};

static int parse_timeout(struct replay_options *o, const char *text, struct error *e)
{
    char *end;

    o->timeout = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(o->timeout) || o->timeout <= 0 || o->timeout > 1e8)
        return error_set(e, EXIT_USAGE, "--timeout %s: not a number of seconds", text);
    return 0;
}

static int parse_json(struct replay_options *o, const char *text, struct error *e)
{
    o->json = text;
    if (strcmp(text, "-") == 0)
        return error_set(e, EXIT_USAGE,
                         "--json -: standard output is the guest's console; name a file");
    return 0;
}

static int parse_symbols(struct replay_options *o, char *file, struct error *e)
{
    if (o->nr_symbols == SYMBOL_FILES)
        return error_set(e, EXIT_USAGE, "--symbols: more than %d files", SYMBOL_FILES);
    o->symbols[o->nr_symbols++] = file;
    return 0;
}

static int parse_gdb(struct seek_question *q, const char *text, struct error *e)
{
    uint64_t port = STAND_PORT;

    if (text != NULL && (!parse_number(text, &port) || port < 1 || port > 65535))
        return error_set(e, EXIT_USAGE, "--gdb=%s: a TCP port is wanted, 1 to 65535", text);
    q->gdb_port = (unsigned)port;
    return 0;
}

static int take_option(void *context, int opt, char **argv, struct error *e)
{
    struct wanted *w = context;
    struct replay_options *o = &w->whole;

    switch (opt) {
    case OPT_UNTIL:
        w->moment.until = optarg;
        return 0;
    case OPT_WHO_STORED:
        w->moment.who_stored = optarg;
        return 0;
    case OPT_GDB:
        return parse_gdb(&w->moment, optarg, e);
    case OPT_JSON:
        return parse_json(o, optarg, e);
    case OPT_LOG:
        o->log = optarg;
        return 0;
    case OPT_SYMBOLS:
        return parse_symbols(o, optarg, e);
    case OPT_SYMBOLS_ANYWAY:
        o->symbols_anyway = true;
        return 0;
    case OPT_TIMEOUT:
        return parse_timeout(o, optarg, e);
    case OPT_QEMU:
        o->qemu = optarg;
        return 0;
    case OPT_ANY_QEMU:
        o->any_qemu = true;
        return 0;
    case 'v':
        o->verbose = true;
        return 0;
    default:
        return command_bad_option(opt, argv, e);
    }
}

/* What fits a moment, and what the whole run. */
static int check(const struct wanted *w, struct error *e)
{
    const bool moment = w->moment.until != NULL || w->moment.who_stored != NULL;

    if (w->moment.gdb_port != 0 && !moment)
        return error_set(e, EXIT_USAGE, "--gdb: where to stand is said by --until or --who-stored");
    if (moment && w->whole.log != NULL)
        return error_set(e, EXIT_USAGE,
                         "--log: of a whole replay only, without --until and "
                         "--who-stored");
    return 0;
}

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct wanted *w)
{
    static const struct option options[] = {
        {"json", required_argument, NULL, OPT_JSON},
        {"log", required_argument, NULL, OPT_LOG},
        {"symbols", required_argument, NULL, OPT_SYMBOLS},
        {"symbols-anyway", no_argument, NULL, OPT_SYMBOLS_ANYWAY},
        {"timeout", required_argument, NULL, OPT_TIMEOUT},
        {"qemu", required_argument, NULL, OPT_QEMU},
        {"any-qemu", no_argument, NULL, OPT_ANY_QEMU},
        {"until", required_argument, NULL, OPT_UNTIL},
        {"who-stored", required_argument, NULL, OPT_WHO_STORED},
        {"gdb", optional_argument, NULL, OPT_GDB},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    const int code = command_options(argc, argv, ":vh", options, help_replay, take_option, w);
    struct error e;

    if (code >= 0)
        return code;
    if (command_one_word(argc, argv, "the folder of a recording", &w->whole.dir, &e) != 0 ||
        check(w, &e) != 0)
        return command_failed(argv[0], &e);
    return -1;
}

static int seek_in(const struct wanted *w, const char *command)
{
    const struct replay_options *o = &w->whole;
    struct seek_question q = w->moment;
    struct recording r;
    struct error e;
    int code;

    if (recording_open(o->dir, &r, &e) != 0)
        return command_failed(command, &e);
    q.recording = &r;
    q.json = o->json;
    q.qemu = o->qemu;
    q.any_qemu = o->any_qemu;
    q.timeout = o->timeout;
    q.symbols = o->symbols;
    q.nr_symbols = o->nr_symbols;
    q.symbols_anyway = o->symbols_anyway;
    code = seek(&q, &e);
    recording_close(&r);
    return code >= 0 ? code : command_failed(command, &e);
}

int command_replay(int argc, char **argv)
{
    const char *qemu = getenv("PVMM_QEMU");
    struct wanted w = {.whole.qemu = qemu != NULL && qemu[0] != '\0' ? qemu : "qemu-system-x86_64"};
    const int rc = parse(argc, argv, &w);

    if (rc >= 0)
        return rc;
    return w.moment.until != NULL || w.moment.who_stored != NULL ? seek_in(&w, argv[0])
                                                                 : replay(&w.whole);
}
