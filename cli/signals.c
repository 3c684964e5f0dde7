/* SPDX-License-Identifier: MIT */
#include "signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

#include "exitcodes.h"

int signals_watch(struct error *e)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a core beyond `ulimit -f` is an error like a full disk */
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd >= 0 ? fd : error_errno(e, EXIT_ENVIRONMENT, "cannot watch for signals");
}
