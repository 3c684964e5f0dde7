/* SPDX-License-Identifier: MIT */
/* The flight recorder of a machine's memory file, as a report shows it. */
#ifndef PVMM_CLI_TIMELINE_H
#define PVMM_CLI_TIMELINE_H

#include "image.h"
#include "report.h"

struct timeline {
    struct report_timeline is; /* its acts are this one's */
    mfn_t kernel_root;         /* that was loaded last; NO_MFN: no record of that */
};

/* false: the file has no recorder, or none that makes sense; *t is then empty. The machine may run.
 */
bool timeline_take(struct timeline *t, int ram_fd, uint64_t tsc_khz);
void timeline_drop(struct timeline *t);

#endif
