/* SPDX-License-Identifier: MIT */
/* A page that shows what is in an image. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "imagefile.h"
#include "live.h"
#include "outfile.h"
#include "registry.h"
#include "report.h"
#include "timeline.h"

#define SECONDS_MAX 86400u

struct wanted {
    struct image_options image;
    const char *file, *output, *title;
    enum report_detail detail;
    bool no_check;
    const char *live, *listen; /* instead of a file: a guest's name */
    unsigned wait, interval;
};

/* ---- what is shown */

struct shown {
    struct pv_p2m *lists;
    struct pv_check check;
    struct timeline timeline;
    char version[128], made[32];
};

static int take_lists(struct shown *s, const struct image *i, struct error *e)
{
    struct pv_error why;

    if (pv_p2m_open(&s->lists, i->view, i->symbols, &why) == 0)
        return 0;
    return error_set(e, EXIT_ENVIRONMENT, "%s: %s", i->path, why.text);
}

static int take_check(struct shown *s, const struct image *i, struct error *e)
{
    const struct pv_check_options how = {.keep = 256, .progress = image_progress()};
    struct pv_error why;
    const int rc = pv_check(i->view, s->lists, &how, &s->check, &why);

    image_progress_end();
    return rc == 0 ? 0 : error_set(e, image_end_code(), "%s: %s", i->path, why.text);
}

/* Of a machine's memory that is a file, not compressed. */
static void take_timeline(struct shown *s, const struct image *i)
{
    const int fd =
        strcmp(i->path, "-") != 0 ? open(i->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;

    if (fd < 0)
        return;
    timeline_take(&s->timeline, fd, i->view->tsc_khz);
    close(fd);
}

static int write_page(const struct wanted *w, const struct image *i, const struct shown *s,
                      struct outfile *f, struct error *e)
{
    const struct report_options how = {.detail = w->detail, .progress = image_progress()};
    const struct report_subject subject = {.view = i->view,
                                           .lists = s->lists,
                                           .symbols = i->symbols,
                                           .check = w->no_check ? NULL : &s->check,
                                           .timeline =
                                               s->timeline.is.act != NULL ? &s->timeline.is : NULL,
                                           .file = w->title != NULL ? w->title : w->file,
                                           .version = s->version,
                                           .made = s->made};
    struct pv_error why;
    const int rc = report_page(&subject, f->fd, &how, &why);

    image_progress_end();
    return rc == 0 ? 0 : error_set(e, image_write_code(), "%s: %s", i->path, why.text);
}

static int show(const struct wanted *w, const struct image *i, struct outfile *f, struct error *e)
{
    static struct shown s;
    int rc;

    s = (struct shown){0};
    live_version(s.version, sizeof(s.version));
    live_time(s.made, sizeof(s.made));
    take_timeline(&s, i);
    rc = take_lists(&s, i, e);
    if (rc == 0 && !w->no_check)
        rc = take_check(&s, i, e);
    if (rc == 0)
        rc = write_page(w, i, &s, f, e);
    timeline_drop(&s.timeline);
    pv_check_free(&s.check);
    pv_p2m_close(s.lists);
    return rc;
}

/* ---- the command */

static int report_file(const struct wanted *w, struct error *e)
{
    struct outfile f = OUTFILE_NONE;
    struct image i;
    int rc;

    if (outfile_begin(&f, w->output, e) != 0)
        return -1;
    rc = image_open(&i, w->file, &w->image, true, e);
    if (rc == 0) {
        rc = show(w, &i, &f, e);
        image_close(&i);
    }
    if (rc == 0)
        rc = outfile_finish(&f, e);
    outfile_abandon(&f);
    return rc;
}

static int parse_detail(const char *text, enum report_detail *d, struct error *e)
{
    static const char *const names[] = {
        [REPORT_AUTO] = "auto", [REPORT_ALL] = "all", [REPORT_TABLES] = "tables"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i], text) == 0) {
            *d = (enum report_detail)i;
            return 0;
        }
    return error_set(e, EXIT_USAGE, "--detail %s: auto, all or tables", text);
}

static int parse_seconds(const char *option, const char *text, unsigned *seconds, struct error *e)
{
    uint64_t n;

    if (!parse_number(text, &n) || n > SECONDS_MAX)
        return error_set(e, EXIT_USAGE, "--%s %s: no number of seconds up to %u", option, text,
                         SECONDS_MAX);
    *seconds = (unsigned)n;
    return 0;
}

static int take_option(struct wanted *w, int opt, char **argv, struct error *e)
{
    switch (opt) {
    case 'o':
        w->output = optarg;
        return 0;
    case 't':
        w->title = optarg;
        return 0;
    case 'n':
        w->no_check = true;
        return 0;
    case 'l':
        w->live = optarg;
        return 0;
    case 'a':
        w->listen = optarg;
        return 0;
    case 'w':
        return parse_seconds("wait", optarg, &w->wait, e);
    case 'i':
        return parse_seconds("interval", optarg, &w->interval, e);
    case 'd':
        return parse_detail(optarg, &w->detail, e);
    }
    return command_bad_option(opt, argv, e);
}

static int check_live(int argc, const struct wanted *w, struct error *e)
{
    if (optind != argc || w->output != NULL)
        return error_set(e, EXIT_USAGE,
                         "--live takes a guest's name, no file, and serves its page");
    if (w->no_check || w->image.domain >= 0)
        return error_set(e, EXIT_USAGE, "%s: not of a guest that runs",
                         w->no_check ? "--no-check" : "--domain");
    return guest_name_check(w->live, e);
}

static int check_file(int argc, char **argv, struct wanted *w, struct error *e)
{
    if (w->listen != NULL || w->wait != 0 || w->interval != 1)
        return error_set(e, EXIT_USAGE, "%s: only with --live",
                         w->listen != NULL ? "--listen"
                         : w->wait != 0    ? "--wait"
                                           : "--interval");
    if (command_one_word(argc, argv, "an image", &w->file, e) != 0)
        return -1;
    return w->output != NULL ? 0 : error_set(e, EXIT_USAGE, "where to is not given (-o FILE)");
}

/* -1: an error; 0: go on; 1: help is wanted. */
static int parse(int argc, char **argv, struct wanted *w, struct error *e)
{
    static const struct option options[] = {IMAGE_LONG_OPTIONS,
                                            {"output", required_argument, NULL, 'o'},
                                            {"detail", required_argument, NULL, 'd'},
                                            {"no-check", no_argument, NULL, 'n'},
                                            {"title", required_argument, NULL, 't'},
                                            {"live", required_argument, NULL, 'l'},
                                            {"listen", required_argument, NULL, 'a'},
                                            {"wait", required_argument, NULL, 'w'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {NULL, 0, NULL, 0}};
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":ho:", options, NULL)) != -1) {
        const int common = opt == IMAGE_OPTION_JSON ? 0 : image_option(&w->image, opt, e);

        if (common < 0)
            return -1;
        if (common > 0)
            continue;
        if (opt == 'h')
            return 1;
        if (take_option(w, opt, argv, e) != 0)
            return -1;
    }
    return w->live != NULL ? check_live(argc, w, e) : check_file(argc, argv, w, e);
}

static int follow(const struct wanted *w, struct error *e)
{
    const struct live_options o = {.image = &w->image,
                                   .name = w->live,
                                   .title = w->title,
                                   .listen = w->listen,
                                   .wait = w->wait,
                                   .interval = w->interval,
                                   .detail = w->detail};

    return live_serve(&o, e);
}

int command_report(int argc, char **argv)
{
    struct wanted w = {.image.domain = -1, .interval = 1};
    struct error e;
    int rc = parse(argc, argv, &w, &e);

    if (rc > 0)
        return command_help(help_report);
    if (rc == 0)
        rc = w.live != NULL ? follow(&w, &e) : report_file(&w, &e);
    return rc != 0 ? command_failed(argv[0], &e) : EXIT_CLEAN;
}
