/* SPDX-License-Identifier: MIT */
/*
 * `pvmm run --detach`: the run goes on in a process of its own, and the command ends when the guest
 * has started. Until then the two are one to the user: messages, exit code, Ctrl-C.
 */
#ifndef PVMM_CLI_DETACH_H
#define PVMM_CLI_DETACH_H

#include <stdbool.h>

#include "error.h"

struct detach {
    int report; /* to the command that waits; -1: nobody does */
};

#define DETACH_NONE ((struct detach){-1})

/* Returns in the background process only; the command itself waits in here, and exits. Standard
 * output is let go, and standard input unless something is still to be read from it. */
int detach_fork(struct detach *d, bool keep_stdin, struct error *e);

/* The command's death is not to be this process's any more. */
void detach_alone(const struct detach *d);

/* The guest has started: let the command end, and let go of its terminal. May be called again. */
void detach_started(struct detach *d);

void detach_close(struct detach *d);

#endif
