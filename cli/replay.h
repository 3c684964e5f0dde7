/* SPDX-License-Identifier: MIT */
/* `pvmm replay DIR`: a recording from start to end, and whether it went as it did. */
#ifndef PVMM_CLI_REPLAY_H
#define PVMM_CLI_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "options.h"

struct replay_options {
    const char *dir;
    const char *json; /* NULL: none */
    const char *log;  /* NULL: none */
    const char *qemu;
    char *symbols[SYMBOL_FILES]; /* none: those of the recording */
    unsigned nr_symbols;
    bool symbols_anyway; /* also those of another kernel */
    double timeout;      /* seconds; 0: none */
    bool any_qemu, verbose;
};

/* Plays, prints and compares. Returns the exit code. */
int replay(const struct replay_options *o);

#endif
