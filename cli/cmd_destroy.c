/* SPDX-License-Identifier: MIT */
/* End a guest at once, and wait until it is gone. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask.h"
#include "clock.h"
#include "commands.h"
#include "exitcodes.h"
#include "help.h"

#define PATIENCE (15 * SECOND) /* for a machine to be killed, and for others to hear of it */

/* The supervisor hangs up when the machine is gone and the name is free. */
static int await_end(int fd, const char *name, struct error *e)
{
    const int64_t deadline = clock_now() + PATIENCE;
    char byte;
    ssize_t n;

    for (;;) {
        const int64_t left = deadline - clock_now();
        struct pollfd p = {.fd = fd, .events = POLLIN};

        if (left <= 0 || poll(&p, 1, (int)(left / 1000000) + 1) == 0)
            return error_set(e, EXIT_ENVIRONMENT, "guest \"%s\" is not gone after %d seconds", name,
                             (int)(PATIENCE / SECOND));
        n = recv(fd, &byte, 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return 0;
    }
}

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
    rc = await_end(fd, name, &e);
    close(fd);
    return rc == 0 ? EXIT_CLEAN : command_failed(argv[0], &e);
}
