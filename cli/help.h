/* SPDX-License-Identifier: MIT */
/* The texts of --help. */
#ifndef PVMM_CLI_HELP_H
#define PVMM_CLI_HELP_H

extern const char help_main[];
extern const char help_run[];

#endif
