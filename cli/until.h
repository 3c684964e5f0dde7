/* SPDX-License-Identifier: MIT */
/* `pvmm replay --until FINDING`: the guest stands before the instruction at which it arose. */
#ifndef PVMM_CLI_UNTIL_H
#define PVMM_CLI_UNTIL_H

#include "seek.h"

/* Returns the exit code, or -1 with *e. */
int until_seek(struct seeking *s, struct error *e);

#endif
