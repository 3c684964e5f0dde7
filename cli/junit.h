/* SPDX-License-Identifier: MIT */
/*
 * A run's verdict as JUnit's XML, for CI systems: one suite, whose cases are the questions that a
 * run answers. It has a failure if the exit code is the guest's fault (1, 124), an error if it is
 * another one's, and neither if it is 0 (docs/fleet.md).
 */
#ifndef PVMM_CLI_JUNIT_H
#define PVMM_CLI_JUNIT_H

#include <time.h>

#include "kernel.h"
#include "options.h"
#include "outfile.h"
#include "tail.h"
#include "verdict.h"

struct junit {
    struct outfile file;
    char *path;        /* NULL: none is wanted */
    struct tail *tail; /* what the guest prints goes there, too */
    time_t start;
};

/* Before anything else may fail: what was there is gone, so that no old file passes for a new one.
 * `path` is malloc'd, absolute, and taken over. */
int junit_begin(struct junit *j, char *path, struct error *e);
#define JUNIT_NONE ((struct junit){.file = {.fd = -1}})

/* -1: it cannot be written, and nothing is there. */
int junit_finish(struct junit *j, const struct report *r, const struct options *o,
                 const struct kernel *k, struct error *e);

/* Does no harm to what was finished. */
void junit_close(struct junit *j);

#endif
