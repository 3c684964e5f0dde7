/* SPDX-License-Identifier: MIT */
#include "commands.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exitcodes.h"
#include "hold.h"
#include "rounds.h"

int command_help(const char *text)
{
    return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_ENVIRONMENT : EXIT_CLEAN;
}

void command_wrap(const char *text, int indent)
{
    const int width = 100 - indent;

    while ((int)strlen(text) > width) {
        int end = width;

        while (end > 0 && text[end] != ' ')
            end--;
        end = end > 0 ? end : width;
        printf("%.*s\n%*s", end, text, indent, "");
        text += end + (text[end] == ' ');
    }
    printf("%s\n", text);
}

int command_failed(const char *command, const struct error *e)
{
    if (e->code == EXIT_USAGE || e->code == EXIT_NOT_YET)
        fprintf(stderr, "pvmm %s: %s (try \"pvmm %s --help\")\n", command, e->text, command);
    else
        fprintf(stderr, "pvmm %s: %s\n", command, e->text);
    return e->code;
}

int command_bad_option(int opt, char **argv, struct error *e)
{
    if (opt == ':')
        return error_set(e, EXIT_USAGE, "option %s wants a value", argv[optind - 1]);
    if (optopt > 0 && optopt < 256)
        return error_set(e, EXIT_USAGE, "unknown option -%c", optopt);
    return error_set(e, EXIT_USAGE, "option %s is unknown, ambiguous or takes no value",
                     argv[optind - 1]);
}

int command_one_word(int argc, char **argv, const char *what, const char **word, struct error *e)
{
    if (optind == argc)
        return error_set(e, EXIT_USAGE, "%s is wanted", what);
    if (optind + 1 < argc)
        return error_set(e, EXIT_USAGE, "%s is wanted, but \"%s\" follows it", what,
                         argv[optind + 1]);
    *word = argv[optind];
    return 0;
}

int command_name_and_file(int argc, char **argv, const char **name, const char **path,
                          struct error *e)
{
    if (argc - optind < 2)
        return error_set(e, EXIT_USAGE, "a guest's name and a file are wanted");
    if (argc - optind > 2)
        return error_set(e, EXIT_USAGE, "a guest's name and a file are wanted, but \"%s\" follows",
                         argv[optind + 2]);
    *name = argv[optind];
    *path = argv[optind + 1];
    return 0;
}

int command_seconds(const char *text, unsigned *seconds, struct error *e)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);

    if (!isdigit((unsigned char)text[0]) || *end != '\0' || n == 0 || n > HOLD_TIMEOUT_MAX)
        return error_set(e, EXIT_USAGE, "--timeout %s: not a number of seconds from 1 to %u", text,
                         HOLD_TIMEOUT_MAX);
    *seconds = (unsigned)n;
    return 0;
}

static int take_number(const char *option, const char *what, const char *text, unsigned max,
                       unsigned *to, struct error *e)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);

    if (!isdigit((unsigned char)text[0]) || *end != '\0' || n == 0 || n > max)
        return error_set(e, EXIT_USAGE, "--%s %s: not a number of %s from 1 to %u", option, text,
                         what, max);
    *to = (unsigned)n;
    return 0;
}

int command_rounds_option(struct rounds_wish *w, int opt, char **argv, struct error *e)
{
    switch (opt) {
    case OPT_MAX_DOWNTIME:
        return take_number("max-downtime", "milliseconds", optarg, 3600000, &w->stop.downtime, e);
    case OPT_MAX_ROUNDS:
        return take_number("max-rounds", "rounds", optarg, ROUNDS_LIMIT, &w->stop.rounds, e);
    case OPT_TOO_FAST:
        w->gives_up = strcmp(optarg, "give-up") == 0;
        if (w->gives_up || strcmp(optarg, "stop") == 0)
            return 0;
        return error_set(e, EXIT_USAGE, "--too-fast %s: one of stop, give-up is wanted", optarg);
    default:
        return command_bad_option(opt, argv, e);
    }
}

int command_options(int argc, char **argv, const char *letters, const struct option *options,
                    const char *help, take_option_fn *take, void *context)
{
    struct error e;
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        if (opt == 'h')
            return command_help(help);
        if (take(context, opt, argv, &e) != 0)
            return command_failed(argv[0], &e);
    }
    return -1;
}

static int take_none(void *context, int opt, char **argv, struct error *e)
{
    (void)context;
    return command_bad_option(opt, argv, e);
}

int command_no_options(int argc, char **argv, const char *help)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};

    return command_options(argc, argv, ":h", options, help, take_none, NULL);
}

int command_only_name(int argc, char **argv, const char *help, const char **name)
{
    const int code = command_no_options(argc, argv, help);
    struct error e;

    if (code >= 0)
        return code;
    if (command_one_word(argc, argv, "a guest's name", name, &e) != 0)
        return command_failed(argv[0], &e);
    return -1;
}

static void print(const char *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (isprint((unsigned char)data[i]) || data[i] == '\n' || data[i] == '\t')
            putchar(data[i]);
        else if (data[i] != '\r')
            putchar('?');
}

int command_copy(int fd, const char *what, struct error *e)
{
    char data[4096];
    ssize_t n;

    while ((n = read(fd, data, sizeof(data))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, EXIT_ENVIRONMENT, "%s breaks off", what);
        print(data, (size_t)n);
        if (fflush(stdout) != 0)
            return error_errno(e, EXIT_ENVIRONMENT, "cannot write to standard output");
    }
    return 0;
}
