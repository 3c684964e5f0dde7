/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exitcodes.h"
#include "help.h"
#include "run.h"

/* Descriptors 0-2 must be taken, or a memory file could become the guest's console. */
static void guard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(EXIT_ENVIRONMENT);
}

static int usage(const char *what, const char *text)
{
    fprintf(stderr, "pvmm: %s%s (try \"pvmm --help\")\n", what, text);
    return EXIT_USAGE;
}

static int print(const char *text)
{
    return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? EXIT_ENVIRONMENT : EXIT_CLEAN;
}

static int command_run(int argc, char **argv)
{
    struct options o;
    struct error e;

    if (options_parse(&o, argc, argv, &e) != 0) {
        fprintf(stderr, "pvmm run: %s (try \"pvmm run --help\")\n", e.text);
        return e.code;
    }
    return o.help ? print(help_run) : run(&o);
}

int main(int argc, char **argv)
{
    guard_descriptors();
    if (argc < 2)
        return usage("no command is given", "");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return print(help_main);
    if (strcmp(argv[1], "--version") == 0)
        return print("pvmm " PVMM_VERSION "\n");
    if (strcmp(argv[1], "run") == 0)
        return command_run(argc - 1, argv + 1);
    return usage("unknown command ", argv[1]);
}
