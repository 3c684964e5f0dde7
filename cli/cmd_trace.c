/* SPDX-License-Identifier: MIT */
/* The flight recorder. */
#include <unistd.h>

#include "ask.h"
#include "commands.h"
#include "exitcodes.h"
#include "help.h"

struct wanted {
    const char *name;
    bool follow, json;
};

static int take_option(void *context, int opt, char **argv, struct error *e)
{
    struct wanted *w = context;

    w->follow |= opt == 'f';
    w->json |= opt == 'j';
    return opt == 'f' || opt == 'j' ? 0 : command_bad_option(opt, argv, e);
}

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct wanted *w)
{
    static const struct option options[] = {{"follow", no_argument, NULL, 'f'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const int code = command_options(argc, argv, ":fh", options, help_trace, take_option, w);
    struct error e;

    if (code < 0 && command_one_word(argc, argv, "a guest's name", &w->name, &e) != 0)
        return command_failed(argv[0], &e);
    return code;
}

int command_trace(int argc, char **argv)
{
    struct wanted w = {0};
    struct error e;
    int rc = parse(argc, argv, &w);
    int fd;

    if (rc >= 0)
        return rc;
    fd = ask_guest(w.name, w.json ? "trace-json" : "trace", w.follow, &e);
    if (fd < 0)
        return command_failed(argv[0], &e);
    rc = command_copy(fd, "the trace", &e);
    close(fd);
    return rc == 0 ? EXIT_CLEAN : command_failed(argv[0], &e);
}
