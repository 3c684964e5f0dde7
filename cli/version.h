/* SPDX-License-Identifier: MIT */
/* What exactly is running here: for reports of bugs. */
#ifndef PVMM_CLI_VERSION_H
#define PVMM_CLI_VERSION_H

/* Two whole lines: this program, and the hypervisor that it boots, each with its build id. The
 * same text at each call. */
const char *version_text(void);

#endif
