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

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct wanted *w)
{
    static const struct option options[] = {{"follow", no_argument, NULL, 'f'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct error e;
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":fh", options, NULL)) != -1) {
        if (opt == 'h')
            return command_help(help_trace);
        if (opt != 'f' && opt != 'j') {
            command_bad_option(opt, argv, &e);
            return command_failed(argv[0], &e);
        }
        w->follow |= opt == 'f';
        w->json |= opt == 'j';
    }
    if (command_one_word(argc, argv, "a guest's name", &w->name, &e) != 0)
        return command_failed(argv[0], &e);
    return -1;
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
