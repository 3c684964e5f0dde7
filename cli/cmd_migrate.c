/* SPDX-License-Identifier: MIT */
/* Move a running guest to the other end of a command. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "hold.h"
#include "migrate.h"
#include "signals.h"

enum { OPT_TO = 256, OPT_JSON, OPT_TIMEOUT };

static int take_option(void *context, int opt, char **argv, struct error *e)
{
    struct migrate_options *o = context;

    switch (opt) {
    case OPT_TO:
        o->command = optarg;
        return 0;
    case OPT_JSON:
        o->json = optarg;
        return 0;
    case OPT_TIMEOUT:
        return command_seconds(optarg, &o->wish.timeout, e);
    case 'q':
        o->wish.voice = ROUNDS_QUIET;
        return 0;
    case 'v':
        o->wish.voice = ROUNDS_VERBOSE;
        return 0;
    default:
        return command_rounds_option(&o->wish, opt, argv, e);
    }
}

static int take_name(int argc, char **argv, struct migrate_options *o, struct error *e)
{
    if (command_one_word(argc, argv, "a guest's name", &o->name, e) != 0 ||
        guest_name_check(o->name, e) != 0)
        return -1;
    if (o->command == NULL || o->command[0] == '\0')
        return error_set(e, EXIT_USAGE,
                         "--to COMMAND is wanted, which leads to \"pvmm restore -\"");
    return 0;
}

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct migrate_options *o)
{
    static const struct option options[] = {{"to", required_argument, NULL, OPT_TO},
                                            {"json", required_argument, NULL, OPT_JSON},
                                            {"timeout", required_argument, NULL, OPT_TIMEOUT},
                                            ROUNDS_OPTIONS,
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const int code = command_options(argc, argv, ":qvh", options, help_migrate, take_option, o);
    struct error e;

    return code < 0 && take_name(argc, argv, o, &e) != 0 ? command_failed(argv[0], &e) : code;
}

int command_migrate(int argc, char **argv)
{
    struct migrate_options o = {.wish = {.command = "migrate",
                                         .stop = {ROUNDS_DOWNTIME, ROUNDS_MAX},
                                         .timeout = HOLD_TIMEOUT,
                                         .patience = MIGRATE_PATIENCE,
                                         .voice = ROUNDS_TELL}};
    struct error e;
    int rc = parse(argc, argv, &o);

    if (rc >= 0)
        return rc;
    o.wish.signals = signals_watch(&e);
    if (o.wish.signals < 0 || migrate(&o, &e) != 0)
        return command_failed(argv[0], &e);
    return EXIT_CLEAN;
}
