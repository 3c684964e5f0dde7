/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "run.h"

/* In two parts: C compilers need not take longer strings. */
static int show_help(void)
{
    const int code = command_help(help_run);

    return code != EXIT_CLEAN ? code : command_help(help_run_more);
}

int command_run(int argc, char **argv)
{
    struct options o;
    struct error e;

    if (options_parse(&o, argc, argv, &e) != 0)
        return command_failed(argv[0], &e);
    return o.help ? show_help() : run(&o);
}

int command_restore(int argc, char **argv)
{
    struct options o;
    struct error e;

    if (options_parse(&o, argc, argv, &e) != 0)
        return command_failed(argv[0], &e);
    return o.help ? command_help(help_restore) : run(&o);
}
