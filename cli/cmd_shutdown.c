/* SPDX-License-Identifier: MIT */
/* Ask a guest to power off or reboot itself, by its store. */
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "hold.h"

struct request {
    const char *name, *how;
    const char *help;
    bool wait;
    unsigned timeout;
};

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct request *r)
{
    static const struct option options[] = {{"reboot", no_argument, NULL, 'r'},
                                            {"wait", no_argument, NULL, 'w'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct error e;
    int opt, rc = 0;

    optind = 1;
    opterr = 0;
    while (rc == 0 && (opt = getopt_long(argc, argv, ":wh", options, NULL)) != -1) {
        if (opt == 'h')
            return command_help(r->help);
        if (opt == 'r')
            r->how = "reboot";
        else if (opt == 'w')
            r->wait = true;
        else if (opt == 't')
            rc = command_seconds(optarg, &r->timeout, &e);
        else
            rc = command_bad_option(opt, argv, &e);
    }
    if (rc == 0)
        rc = command_one_word(argc, argv, "a guest's name", &r->name, &e);
    return rc == 0 ? -1 : command_failed(argv[0], &e);
}

static int ask_for(int argc, char **argv, struct request *r)
{
    struct error e;
    int rc = parse(argc, argv, r), fd;

    if (rc >= 0)
        return rc;
    fd = ask_question(r->name,
                      &(struct question){.word = "shutdown",
                                         .how = r->how,
                                         .follow = r->wait,
                                         .timeout = r->timeout,
                                         .signals = -1},
                      NULL, &e);
    if (fd < 0)
        return command_failed(argv[0], &e);
    rc = r->wait ? ask_await_end(fd, r->name, 0, &e) : 0;
    close(fd);
    return rc == 0 ? EXIT_CLEAN : command_failed(argv[0], &e);
}

int command_shutdown(int argc, char **argv)
{
    struct request r = {.how = "poweroff", .help = help_shutdown, .timeout = HOLD_TIMEOUT};

    return ask_for(argc, argv, &r);
}

int command_reboot(int argc, char **argv)
{
    struct request r = {.how = "reboot", .help = help_reboot, .timeout = HOLD_TIMEOUT};

    return ask_for(argc, argv, &r);
}
