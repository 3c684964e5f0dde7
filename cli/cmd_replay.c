/* SPDX-License-Identifier: MIT */
/* A recorded run, once more. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "replay.h"

enum long_option { OPT_JSON = 256, OPT_LOG, OPT_SYMBOLS, OPT_TIMEOUT, OPT_QEMU, OPT_ANY_QEMU };

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

static int parse_one(struct replay_options *o, int opt, char **argv, struct error *e)
{
    switch (opt) {
    case OPT_JSON:
        return parse_json(o, optarg, e);
    case OPT_LOG:
        o->log = optarg;
        return 0;
    case OPT_SYMBOLS:
        return parse_symbols(o, optarg, e);
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

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct replay_options *o)
{
    static const struct option options[] = {{"json", required_argument, NULL, OPT_JSON},
                                            {"log", required_argument, NULL, OPT_LOG},
                                            {"symbols", required_argument, NULL, OPT_SYMBOLS},
                                            {"timeout", required_argument, NULL, OPT_TIMEOUT},
                                            {"qemu", required_argument, NULL, OPT_QEMU},
                                            {"any-qemu", no_argument, NULL, OPT_ANY_QEMU},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct error e;
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":vh", options, NULL)) != -1) {
        if (opt == 'h')
            return command_help(help_replay);
        if (parse_one(o, opt, argv, &e) != 0)
            return command_failed(argv[0], &e);
    }
    if (command_one_word(argc, argv, "the folder of a recording", &o->dir, &e) != 0)
        return command_failed(argv[0], &e);
    return -1;
}

int command_replay(int argc, char **argv)
{
    const char *qemu = getenv("PVMM_QEMU");
    struct replay_options o = {.qemu =
                                   qemu != NULL && qemu[0] != '\0' ? qemu : "qemu-system-x86_64"};
    const int rc = parse(argc, argv, &o);

    return rc >= 0 ? rc : replay(&o);
}
