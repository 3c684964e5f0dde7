/* SPDX-License-Identifier: MIT */
#include "signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <unistd.h>

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

int signals_code(int signals)
{
    struct signalfd_siginfo info;

    if (read(signals, &info, sizeof(info)) != sizeof(info))
        return EXIT_TERMINATED;
    return info.ssi_signo == SIGINT ? EXIT_INTERRUPTED : EXIT_TERMINATED;
}
