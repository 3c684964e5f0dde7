/* SPDX-License-Identifier: MIT */
/* A running guest's memory as a file, in the format of "xl dump-core". */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "corefile.h"
#include "exitcodes.h"
#include "held.h"
#include "help.h"
#include "outfile.h"
#include "signals.h"

#define PATIENCE 10 /* seconds for a machine that has much else to do */

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, const char **name, const char **path)
{
    const int code = command_no_options(argc, argv, help_dump);
    struct error e;

    if (code >= 0)
        return code;
    if (command_name_and_file(argc, argv, name, path, &e) != 0)
        return command_failed(argv[0], &e);
    return -1;
}

static void tell(const struct held *h, const char *path, uint64_t pages, uint64_t bytes)
{
    fprintf(strcmp(path, "-") == 0 ? stderr : stdout,
            "%s: %" PRIu64 " pages, %.1f MiB; the guest stood still for %.2f s\n", path, pages,
            (double)bytes / (1 << 20), h->stood);
}

static int dump(const char *name, struct outfile *f, int signals, struct error *e)
{
    const struct question q = {.word = "hold", .patience = PATIENCE, .signals = signals};
    uint64_t pages, bytes;
    struct held h;
    int rc;

    if (held_take(&h, name, &q, e) != 0)
        return -1;
    pages = h.view->nr_pages;
    rc = corefile_fill(h.view, f, "dump", signals, &bytes, e);
    if (rc == 0)
        rc = held_check(&h, e);
    held_let_go(&h);
    if (rc == 0)
        rc = outfile_finish(f, e);
    if (rc == 0)
        tell(&h, f->path, pages, bytes);
    return rc;
}

int command_dump(int argc, char **argv)
{
    const char *name, *path;
    struct outfile f;
    struct error e;
    int rc = parse(argc, argv, &name, &path), signals;

    if (rc >= 0)
        return rc;
    signals = signals_watch(&e);
    if (signals < 0 || guest_name_check(name, &e) != 0 || outfile_begin(&f, path, &e) != 0)
        return command_failed(argv[0], &e);
    rc = dump(name, &f, signals, &e);
    outfile_abandon(&f);
    return rc == 0 ? EXIT_CLEAN : command_failed(argv[0], &e);
}
