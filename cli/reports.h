/* SPDX-License-Identifier: MIT */
/*
 * Copies of the hypervisor's reports out of the mailbox. What stands there may be anything: what
 * leaves here has sizes and numbers within their bounds, and texts that can be printed.
 */
#ifndef PVMM_CLI_REPORTS_H
#define PVMM_CLI_REPORTS_H

#include "mailbox.h"

/* How many are complete; 0 before the hello, or if they are of a version that is not known. */
unsigned reports_filed(const struct mailbox *m);

/* A checked copy of one. false: there is none, or it makes no sense. */
bool reports_copy(const struct mailbox *m, unsigned index, struct pvmm_report *r);

/* How often it has been filed by now. */
uint64_t reports_count(const struct mailbox *m, unsigned index);

/* Breaches in all, and those of them that have no report. */
struct reports_sum {
    bool known; /* false: what the mailbox has makes no sense */
    uint64_t broken, not_kept;
};
struct reports_sum reports_sum(const struct mailbox *m);

/* Copies of the other parts; false before the hello, or if the version is not known. */
bool reports_machine(const struct mailbox *m, struct pvmm_machine *machine);
bool reports_recorder(const struct mailbox *m, struct pvmm_recorder *r);

#endif
