/* SPDX-License-Identifier: MIT */
/*
 * A run's verdict as JUnit has test results, for engines that run many: one suite, with a case for
 * each thing that can go wrong by itself.
 *
 *   machine   there was one; errors are the environment's (exit codes 128 up), not the kernel's
 *   guest     it ended as it should (`pvmm run`'s exit code); 125 is a skip, as for git bisect
 *   expect    --expect was seen; where it was given
 *   contract  the memory contract was kept; where that is known
 *   audit     the hypervisor's recount found nothing; where it was taken
 */
#ifndef PVMM_CLI_JUNIT_H
#define PVMM_CLI_JUNIT_H

#include <stdio.h>

#include "verdict.h"

/* -1: it cannot be written. */
int report_junit(const struct report *r, FILE *out);

#endif
