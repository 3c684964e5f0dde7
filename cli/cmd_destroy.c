/* SPDX-License-Identifier: MIT */
/* End a guest at once, and wait until it is gone. */
#include <unistd.h>

#include "ask.h"
#include "commands.h"
#include "exitcodes.h"
#include "help.h"

#define PATIENCE 15 /* seconds for a machine to be killed, and for others to hear of it */

int command_destroy(int argc, char **argv)
{
    struct error e;
    const char *name;
    int rc = command_only_name(argc, argv, help_destroy, &name);
    int fd;

    if (rc >= 0)
        return rc;
    fd = ask_guest(name, "destroy", false, &e);
    if (fd < 0)
        return command_failed(argv[0], &e);
    rc = ask_await_end(fd, name, PATIENCE, &e);
    close(fd);
    return rc == 0 ? EXIT_CLEAN : command_failed(argv[0], &e);
}
