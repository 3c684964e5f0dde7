/* SPDX-License-Identifier: MIT */
/* The hypervisor's log. */
#include <unistd.h>

#include "ask.h"
#include "commands.h"
#include "exitcodes.h"
#include "help.h"

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, const char **name, bool *follow)
{
    static const struct option options[] = {
        {"follow", no_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    struct error e;
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":fh", options, NULL)) != -1) {
        if (opt == 'h')
            return command_help(help_dmesg);
        if (opt != 'f') {
            command_bad_option(opt, argv, &e);
            return command_failed(argv[0], &e);
        }
        *follow = true;
    }
    if (command_one_word(argc, argv, "a guest's name", name, &e) != 0)
        return command_failed(argv[0], &e);
    return -1;
}

int command_dmesg(int argc, char **argv)
{
    bool follow = false;
    const char *name;
    struct error e;
    int rc = parse(argc, argv, &name, &follow);
    int fd;

    if (rc >= 0)
        return rc;
    fd = ask_guest(name, "dmesg", follow, &e);
    if (fd < 0)
        return command_failed(argv[0], &e);
    rc = command_copy(fd, "the log", &e);
    close(fd);
    return rc == 0 ? EXIT_CLEAN : command_failed(argv[0], &e);
}
