/* SPDX-License-Identifier: MIT */
/* How far a long piece of work is, on a terminal, after a second; and signals that end it. */
#ifndef PVMM_CLI_PROGRESS_H
#define PVMM_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "image.h"

struct progress {
    const char *what; /* is being done */
    int signals;      /* a signalfd; -1: none */
    int64_t next;     /* when to say something */
    bool said, interrupted;
};

struct pv_progress progress_begin(struct progress *p, const char *what, int signals);

/* Wipes away what was said, before anything else is. */
void progress_end(struct progress *p);

#endif
