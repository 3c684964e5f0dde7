/* SPDX-License-Identifier: MIT */
/* Let a guest stand still, and let it go on; also one that was handed over. */
#include <unistd.h>

#include "ask.h"
#include "commands.h"
#include "exitcodes.h"
#include "help.h"

#define PATIENCE 10 /* seconds for a machine that has much else to do */

static int say(int argc, char **argv, const char *help)
{
    struct error e;
    const char *name;
    const int rc = command_only_name(argc, argv, help, &name);
    int fd;

    if (rc >= 0)
        return rc;
    fd = ask_question(
        name, &(struct question){.word = argv[0], .patience = PATIENCE, .signals = -1}, NULL, &e);
    if (fd < 0)
        return command_failed(argv[0], &e);
    close(fd);
    return EXIT_CLEAN;
}

int command_pause(int argc, char **argv)
{
    return say(argc, argv, help_pause);
}

int command_unpause(int argc, char **argv)
{
    return say(argc, argv, help_unpause);
}

int command_resume(int argc, char **argv)
{
    return say(argc, argv, help_resume);
}
