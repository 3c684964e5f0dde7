/* SPDX-License-Identifier: MIT */
#include "progress.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"

#define SILENCE (SECOND) /* then it is worth saying how far it is */

static bool go_on(void *context, const char *doing, uint64_t done, uint64_t total)
{
    struct progress *p = context;
    struct pollfd news = {.fd = p->signals, .events = POLLIN};

    (void)doing;
    if (p->signals >= 0 && poll(&news, 1, 0) > 0) {
        p->interrupted = true;
        return false;
    }
    if (clock_now() < p->next || !isatty(STDERR_FILENO))
        return true;
    if (total != 0)
        fprintf(stderr, "\rpvmm: %s: %3" PRIu64 "%%", p->what,
                done >= total ? 100 : done * 100 / total);
    else
        fprintf(stderr, "\rpvmm: %s: %" PRIu64, p->what, done);
    fflush(stderr);
    p->said = true;
    p->next = clock_now() + SILENCE / 4;
    return true;
}

struct pv_progress progress_begin(struct progress *p, const char *what, int signals)
{
    *p = (struct progress){.what = what, .signals = signals, .next = clock_now() + SILENCE};
    return (struct pv_progress){go_on, p};
}

void progress_end(struct progress *p)
{
    if (p->said)
        fprintf(stderr, "\r%60s\r", "");
    p->said = false;
}
