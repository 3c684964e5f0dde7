/* SPDX-License-Identifier: MIT */
/* The terminal and a running guest's console, until the key that leaves, or the guest's end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "commands.h"
#include "console.h"
#include "exitcodes.h"
#include "help.h"
#include "signals.h"

enum source { SIGNALS, GUEST, STDIN, STDOUT, SOURCES };

struct request {
    const char *name;
    char quit_key;
};

static struct pollfd interest(int fd, bool in, bool out)
{
    const short events = (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));

    return (struct pollfd){.fd = events != 0 ? fd : -1, .events = events};
}

/* To the end of either side. Returns the exit code. */
static int exchange(struct console *c, int guest, int signals)
{
    while (!c->quit && !c->broken && !c->hung_up) {
        struct pollfd p[SOURCES] = {
            [SIGNALS] = interest(signals, true, false),
            [GUEST] = interest(guest, console_wants_output(c), console_has_input(c)),
            [STDIN] = interest(STDIN_FILENO, console_wants_input(c), false),
            [STDOUT] = interest(STDOUT_FILENO, false, console_has_output(c)),
        };

        if (poll(p, SOURCES, -1) < 0)
            continue; /* EINTR: the process was stopped and goes on */
        if (p[SIGNALS].revents)
            return signals_code(signals);
        if (p[GUEST].revents & (POLLIN | POLLHUP | POLLERR) && console_wants_output(c))
            console_read_guest(c, guest);
        if (p[GUEST].revents & POLLOUT)
            console_write_guest(c, guest);
        if (p[STDIN].revents)
            console_read_stdin(c);
        if (p[STDOUT].revents)
            console_write_stdout(c);
    }
    if (c->quit && console_has_input(c)) /* what was typed before the key */
        console_write_guest(c, guest);
    if (!c->broken)
        return EXIT_CLEAN;
    fprintf(stderr, "pvmm console: cannot write to standard output\n");
    return EXIT_ENVIRONMENT;
}

static int attach(const struct request *r, int guest, struct error *e)
{
    static struct console console;
    const bool terminal = isatty(STDIN_FILENO);
    const int signals = signals_watch(e);
    int rc;

    if (signals < 0)
        return command_failed("console", e);
    console.all_keys = true;
    console.quit_key = r->quit_key;
    fcntl(guest, F_SETFL, fcntl(guest, F_GETFL) | O_NONBLOCK);
    terminal_raw();
    rc = exchange(&console, guest, signals);
    terminal_restore();
    if (terminal && console.quit)
        fputc('\n', stderr);
    if (terminal && console.hung_up)
        fprintf(stderr, "\npvmm console: guest \"%s\" is gone\n", r->name);
    return rc;
}

/* "^]" and the like. */
static int parse_key(const char *text, char *key, struct error *e)
{
    if (text[0] != '^' || text[1] < '@' || text[1] > '_' || text[2] != '\0' || text[1] == '@')
        return error_set(e, EXIT_USAGE,
                         "--escape %s: ^ and a capital letter or one of [ \\ ] ^ _ are wanted",
                         text);
    *key = (char)(text[1] - '@');
    return 0;
}

static int parse(int argc, char **argv, struct request *r, bool *help, struct error *e)
{
    static const struct option options[] = {{"escape", required_argument, NULL, 'e'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":e:h", options, NULL)) != -1) {
        if (opt == 'h') {
            *help = true;
            return 0;
        }
        if (opt != 'e')
            return command_bad_option(opt, argv, e);
        if (parse_key(optarg, &r->quit_key, e) != 0)
            return -1;
    }
    return command_one_word(argc, argv, "a guest's name", &r->name, e);
}

int command_console(int argc, char **argv)
{
    struct request r = {0};
    bool help = false;
    struct error e;
    int fd, rc;

    if (parse(argc, argv, &r, &help, &e) != 0)
        return command_failed(argv[0], &e);
    if (help)
        return command_help(help_console);
    fd = ask_guest(r.name, "console", false, &e);
    if (fd < 0)
        return command_failed(argv[0], &e);
    rc = attach(&r, fd, &e);
    close(fd);
    return rc;
}
