/* SPDX-License-Identifier: MIT */
/* `pvmm run`: from options to a verdict. */
#ifndef PVMM_CLI_RUN_H
#define PVMM_CLI_RUN_H

#include "options.h"

/* Returns the exit code. Everything there is to say has been said. */
int run(const struct options *o);

#endif
