/* SPDX-License-Identifier: MIT */
/* A page that shows what is in an image. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "imagefile.h"
#include "outfile.h"
#include "report.h"
#include "version.h"

struct wanted {
    struct image_options image;
    const char *file, *output, *title;
    enum report_detail detail;
    bool no_check;
};

/* ---- what is shown */

struct shown {
    struct pv_p2m *lists;
    struct pv_check check;
    char version[128], made[32];
};

/* "0.1.0 (build id ...)": of the first line, without the name. */
static void take_version(char *to, size_t size)
{
    const char *text = version_text() + strlen("pvmm ");

    snprintf(to, size, "%.*s", (int)strcspn(text, "\n"), text);
}

static void take_time(char *to, size_t size)
{
    const time_t now = time(NULL);
    struct tm tm;

    strftime(to, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
}

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

static int write_page(const struct wanted *w, const struct image *i, const struct shown *s,
                      struct outfile *f, struct error *e)
{
    const struct report_options how = {.detail = w->detail, .progress = image_progress()};
    const struct report_subject subject = {.view = i->view,
                                           .lists = s->lists,
                                           .symbols = i->symbols,
                                           .check = w->no_check ? NULL : &s->check,
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
    take_version(s.version, sizeof(s.version));
    take_time(s.made, sizeof(s.made));
    rc = take_lists(&s, i, e);
    if (rc == 0 && !w->no_check)
        rc = take_check(&s, i, e);
    if (rc == 0)
        rc = write_page(w, i, &s, f, e);
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

/* -1: an error; 0: go on; 1: help is wanted. */
static int parse(int argc, char **argv, struct wanted *w, struct error *e)
{
    static const struct option options[] = {IMAGE_LONG_OPTIONS,
                                            {"output", required_argument, NULL, 'o'},
                                            {"detail", required_argument, NULL, 'd'},
                                            {"no-check", no_argument, NULL, 'n'},
                                            {"title", required_argument, NULL, 't'},
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
        if (opt == 'o')
            w->output = optarg;
        else if (opt == 't')
            w->title = optarg;
        else if (opt == 'n')
            w->no_check = true;
        else if (opt != 'd')
            return command_bad_option(opt, argv, e);
        else if (parse_detail(optarg, &w->detail, e) != 0)
            return -1;
    }
    if (command_one_word(argc, argv, "an image", &w->file, e) != 0)
        return -1;
    return w->output != NULL ? 0 : error_set(e, EXIT_USAGE, "where to is not given (-o FILE)");
}

int command_report(int argc, char **argv)
{
    struct wanted w = {.image.domain = -1};
    struct error e;
    const int rc = parse(argc, argv, &w, &e);

    if (rc > 0)
        return command_help(help_report);
    return rc < 0 || report_file(&w, &e) != 0 ? command_failed(argv[0], &e) : EXIT_CLEAN;
}
