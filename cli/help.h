/* SPDX-License-Identifier: MIT */
/* The texts of --help. */
#ifndef PVMM_CLI_HELP_H
#define PVMM_CLI_HELP_H

extern const char help_main[];
extern const char help_run[];
extern const char help_run_more[]; /* goes on where that ends */
extern const char help_restore[];  /* help_restore.c */
extern const char help_replay[];
extern const char help_list[];
extern const char help_console[];
extern const char help_dmesg[];
extern const char help_trace[];
extern const char help_destroy[];
extern const char help_pause[];
extern const char help_unpause[];
extern const char help_shutdown[];
extern const char help_reboot[];
extern const char help_dump[];
extern const char help_walk[];
extern const char help_read[];
extern const char help_find_maps[];
extern const char help_inspect[];
extern const char help_p2m[];
extern const char help_check[];
extern const char help_report[];
extern const char help_diff[];
extern const char help_lint[];
extern const char help_convert[]; /* help_convert.c */
extern const char help_save[];    /* help_migrate.c */
extern const char help_migrate[];
extern const char help_resume[];

/* Of the commands that reach a running guest. */
#define REACHING_CODES                                                                             \
    "Exit codes:\n"                                                                                \
    "    0  done\n"                                                                                \
    "    1  no guest of that name is running\n"                                                    \
    "  128  the environment: the guest's pvmm does not answer or refuses, and the like\n"          \
    "  129  the command line is wrong\n"

#endif
