/* SPDX-License-Identifier: MIT */
/* Signals that ask a command to end: taken in its loop, so that it cleans up. */
#ifndef PVMM_CLI_SIGNALS_H
#define PVMM_CLI_SIGNALS_H

#include "error.h"

/* Blocks SIGINT, SIGTERM and SIGHUP and ignores SIGPIPE; a descriptor (signalfd) to read the three
 * from. -1: *e says why. */
int signals_watch(struct error *e);

/* The exit code of the one that came. */
int signals_code(int signals);

#endif
