/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "help.h"
#include "run.h"

int command_run(int argc, char **argv)
{
    struct options o;
    struct error e;

    if (options_parse(&o, argc, argv, &e) != 0)
        return command_failed(argv[0], &e);
    return o.help ? command_help(help_run) : run(&o);
}
