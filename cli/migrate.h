/* SPDX-License-Identifier: MIT */
/* A running guest moved to the other end of a command: the source's side of docs/migration.md. */
#ifndef PVMM_CLI_MIGRATE_H
#define PVMM_CLI_MIGRATE_H

#include "error.h"
#include "rounds.h"

#define MIGRATE_PATIENCE 60u /* seconds for which the other end need take nothing */

struct migrate_options {
    const char *name, *command;
    const char *json; /* a file for the result; NULL: none */
    struct rounds_wish wish;
};

/* Returns 0 when it runs there. EXIT_UNRESOLVED: it may; in every other case it goes on here. */
int migrate(const struct migrate_options *o, struct error *e);

#endif
