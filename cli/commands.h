/* SPDX-License-Identifier: MIT */
/* The commands of `pvmm`, each in a file cmd_*.c, and what they share (commands.c). */
#ifndef PVMM_CLI_COMMANDS_H
#define PVMM_CLI_COMMANDS_H

#include <getopt.h>

#include "error.h"

/* argv[0] is the command's name. Returns the exit code. */
typedef int command_fn(int argc, char **argv);

struct command {
    const char *name;
    command_fn *run;
};

command_fn command_run, command_list, command_console, command_dmesg, command_trace,
    command_destroy, command_inspect, command_check, command_p2m, command_walk, command_read,
    command_find_maps, command_replay, command_lint, command_restore, command_pause,
    command_unpause, command_shutdown, command_reboot, command_dump, command_save, command_diff,
    command_report, command_convert, command_migrate, command_resume;

/* Print a help text, or an error behind the command's name. Return the exit code. */
int command_help(const char *text);
int command_failed(const char *command, const struct error *e);

/* Text wrapped at 100 columns, from column `indent` on, where the first line is already. */
void command_wrap(const char *text, int indent);

/*
 * The options of a command, in their order: -h is its help, and `take` gets every other, with
 * `context`; it may say command_bad_option(). -1: go on, with the words that are left; otherwise
 * the exit code.
 */
typedef int take_option_fn(void *context, int opt, char **argv, struct error *e);
int command_options(int argc, char **argv, const char *letters, const struct option *options,
                    const char *help, take_option_fn *take, void *context);

/* What getopt_long() did not like, as a chain. */
int command_bad_option(int opt, char **argv, struct error *e);

/* The one word that is left when the options are taken; "a guest's name", say, if it is not there.
 */
int command_one_word(int argc, char **argv, const char *what, const char **word, struct error *e);

/* The two that are left. */
int command_name_and_file(int argc, char **argv, const char **name, const char **path,
                          struct error *e);

/* The value of --timeout, for a guest to answer. */
int command_seconds(const char *text, unsigned *seconds, struct error *e);

/* What the commands that copy a guest while it runs have in common. */
enum { OPT_MAX_DOWNTIME = 512, OPT_MAX_ROUNDS, OPT_TOO_FAST };
#define ROUNDS_OPTIONS                                                                             \
    {"max-downtime", required_argument, NULL, OPT_MAX_DOWNTIME},                                   \
        {"max-rounds", required_argument, NULL, OPT_MAX_ROUNDS},                                   \
    {                                                                                              \
        "too-fast", required_argument, NULL, OPT_TOO_FAST                                          \
    }
struct rounds_wish;
int command_rounds_option(struct rounds_wish *w, int opt, char **argv, struct error *e);

/* Copies what a guest's pvmm sends to stdout, to the end. The guest can put bytes into it, and the
 * reader may be a terminal: what cannot be printed is shown as '?'. `what` is for the error. */
int command_copy(int fd, const char *what, struct error *e);

/* The options of a command that has none but --help. Returns -1 to go on, or the exit code. */
int command_no_options(int argc, char **argv, const char *help);

/*
 * A command line of nothing but --help and one guest's name. Returns -1 to go on with *name, or the
 * exit code.
 */
int command_only_name(int argc, char **argv, const char *help, const char **name);

#endif
