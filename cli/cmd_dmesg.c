/* SPDX-License-Identifier: MIT */
/* The hypervisor's log. */
#include <unistd.h>

#include "ask.h"
#include "commands.h"
#include "exitcodes.h"
#include "help.h"

static int take_option(void *context, int opt, char **argv, struct error *e)
{
    bool *follow = context;

    *follow |= opt == 'f';
    return opt == 'f' ? 0 : command_bad_option(opt, argv, e);
}

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, const char **name, bool *follow)
{
    static const struct option options[] = {
        {"follow", no_argument, NULL, 'f'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    const int code = command_options(argc, argv, ":fh", options, help_dmesg, take_option, follow);
    struct error e;

    if (code < 0 && command_one_word(argc, argv, "a guest's name", name, &e) != 0)
        return command_failed(argv[0], &e);
    return code;
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
