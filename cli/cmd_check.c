/* SPDX-License-Identifier: MIT */
#include "commands.h"
#include "exitcodes.h"

int command_check(int argc, char **argv)
{
    struct error e;

    (void)argc;
    error_set(&e, EXIT_NOT_YET, "not there yet");
    return command_failed(argv[0], &e);
}
