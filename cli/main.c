/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "version.h"

/* Descriptors 0-2 must be taken, or a memory file could become the guest's console. */
static void guard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(EXIT_ENVIRONMENT);
}

/* Who begins it may have told the system to wait for its children itself, and that is inherited. */
static void guard_children(void)
{
    signal(SIGCHLD, SIG_DFL);
}

static int usage(const char *what, const char *text)
{
    fprintf(stderr, "pvmm: %s%s (try \"pvmm --help\")\n", what, text);
    return EXIT_USAGE;
}

/* What completes a command line reads this. */
static int list_commands(const struct command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf("%s\n", commands[i].name);
    return fflush(stdout) != 0 ? EXIT_ENVIRONMENT : EXIT_CLEAN;
}

int main(int argc, char **argv)
{
    static const struct command commands[] = {
        {"run", command_run},         {"list", command_list},
        {"console", command_console}, {"dmesg", command_dmesg},
        {"trace", command_trace},     {"destroy", command_destroy},
        {"inspect", command_inspect}, {"check", command_check},
        {"p2m", command_p2m},         {"walk", command_walk},
        {"read", command_read},       {"find-maps", command_find_maps},
        {"replay", command_replay},   {"lint", command_lint},
        {"restore", command_restore}, {"pause", command_pause},
        {"unpause", command_unpause}, {"shutdown", command_shutdown},
        {"reboot", command_reboot},   {"dump", command_dump},
        {"save", command_save},       {"diff", command_diff},
        {"report", command_report},   {"convert", command_convert},
        {"migrate", command_migrate}, {"resume", command_resume},
    };
    const size_t count = sizeof(commands) / sizeof(commands[0]);

    guard_descriptors();
    guard_children();
    if (argc < 2)
        return usage("no command is given", "");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return command_help(help_main);
    if (strcmp(argv[1], "--version") == 0)
        return command_help(version_text());
    if (strcmp(argv[1], "--commands") == 0)
        return list_commands(commands, count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return usage("unknown command ", argv[1]);
}
