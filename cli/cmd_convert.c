/* SPDX-License-Identifier: MIT */
/* An image as one of another kind, and what that has no room for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "convert.h"
#include "exitcodes.h"
#include "help.h"
#include "imagefile.h"
#include "jsonput.h"
#include "outfile.h"
#include "progress.h"
#include "signals.h"

#define FORMAT    1 /* of --json */
#define LEVEL     3 /* of zstd */
#define LEVEL_MAX 19

struct request {
    struct image_options image;
    struct pv_convert_options how;
    const char *from, *to;
    bool has_target, has_format, help;
    int signals;
};

enum { OPT_TO = 'T', OPT_FORMAT = 'F', OPT_COMPRESS = 'Z' };

static const char *const targets[] = {
    [PV_TO_CORE] = "core", [PV_TO_STREAM] = "stream", [PV_TO_ELF] = "elf"};
#define TARGETS (sizeof(targets) / sizeof(*targets))

/* ---- the command line */

static int parse_target(struct request *r, const char *text, struct error *e)
{
    for (size_t i = 0; i < TARGETS; i++)
        if (strcmp(text, targets[i]) == 0) {
            r->how.to = (enum pv_target)i;
            r->has_target = true;
            return 0;
        }
    return error_set(e, EXIT_USAGE, "--to %s: one of core, stream, elf is wanted", text);
}

static int parse_format(struct request *r, const char *text, struct error *e)
{
    r->has_format = true;
    r->how.of_xl = strcmp(text, "xl") == 0;
    return r->how.of_xl || strcmp(text, "libxc") == 0
               ? 0
               : error_set(e, EXIT_USAGE, "--format %s: one of libxc, xl is wanted", text);
}

static int parse_level(struct request *r, const char *text, struct error *e)
{
    uint64_t n = LEVEL;

    if (text != NULL && (!parse_number(text, &n) || n < 1 || n > LEVEL_MAX))
        return error_set(e, EXIT_USAGE, "--compress=%s: not a level of zstd from 1 to %d", text,
                         LEVEL_MAX);
    r->how.zstd = (int)n;
    return 0;
}

static int take_option(struct request *r, int opt, char **argv, struct error *e)
{
    const int common = image_option(&r->image, opt, e);

    if (common != 0)
        return common < 0 ? -1 : 0;
    switch (opt) {
    case 'h':
        r->help = true;
        return 0;
    case OPT_TO:
        return parse_target(r, optarg, e);
    case OPT_FORMAT:
        return parse_format(r, optarg, e);
    case OPT_COMPRESS:
        return parse_level(r, optarg, e);
    default:
        return command_bad_option(opt, argv, e);
    }
}

/* As the name of what is to be written has it. */
static int guess_target(struct request *r, struct error *e)
{
    static const struct {
        const char *suffix;
        enum pv_target to;
    } known[] = {{".core", PV_TO_CORE}, {".save", PV_TO_STREAM}, {".elf", PV_TO_ELF}};
    const size_t n = strlen(r->to);

    if (r->has_target)
        return 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        const size_t of = strlen(known[i].suffix);

        if (n > of && strcmp(r->to + n - of, known[i].suffix) == 0) {
            r->how.to = known[i].to;
            return 0;
        }
    }
    return error_set(e, EXIT_USAGE,
                     "--to core, stream or elf is wanted: \"%s\" does not end in .core, .save or "
                     ".elf",
                     r->to);
}

static int take_words(int argc, char **argv, struct request *r, struct error *e)
{
    if (argc - optind < 2)
        return error_set(e, EXIT_USAGE, "an image and a file to be written are wanted");
    if (argc - optind > 2)
        return error_set(e, EXIT_USAGE, "an image and a file are wanted, but \"%s\" follows them",
                         argv[optind + 2]);
    r->from = argv[optind];
    r->to = argv[optind + 1];
    if (guess_target(r, e) != 0)
        return -1;
    if (r->how.to != PV_TO_STREAM && (r->how.zstd != 0 || r->has_format))
        return error_set(e, EXIT_USAGE, "--compress and --format are for a stream, not for %s",
                         targets[r->how.to]);
    return 0;
}

static int parse(int argc, char **argv, struct request *r, struct error *e)
{
    static const struct option options[] = {IMAGE_LONG_OPTIONS,
                                            {"to", required_argument, NULL, OPT_TO},
                                            {"format", required_argument, NULL, OPT_FORMAT},
                                            {"compress", optional_argument, NULL, OPT_COMPRESS},
                                            {NULL, 0, NULL, 0}};
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (take_option(r, opt, argv, e) != 0)
            return -1;
        if (r->help)
            return 0;
    }
    return take_words(argc, argv, r, e);
}

/* ---- telling */

static void tell_text(FILE *to, const struct request *r, const struct pv_converted *c,
                      uint64_t bytes)
{
    fprintf(to, "%s: %" PRIu64 " pages", r->to, c->pages);
    if (c->tables != 0)
        fprintf(to, ", %" PRIu64 " of them tables", c->tables);
    if (bytes != 0)
        fprintf(to, ", %.1f MiB", (double)bytes / (1 << 20));
    fprintf(to, "%s\n", c->lost.n == 0 ? "; nothing is lost" : "; lost or changed:");
    for (unsigned i = 0; i < c->lost.n; i++)
        fprintf(to, "  - %s\n", c->lost.text[i]);
}

static void tell_json(FILE *to, const struct request *r, const struct pv_view *v,
                      const struct pv_converted *c, uint64_t bytes)
{
    struct json_object *all = json_object_new_object(), *lost = json_object_new_array();

    put_int(all, "format", FORMAT);
    put_text(all, "from", r->from);
    put_text(all, "kind", v->kind);
    put_text(all, "file", r->to);
    put_text(all, "to", targets[r->how.to]);
    put_int(all, "pages", c->pages);
    put_int(all, "tables", c->tables);
    put_int(all, "bytes", bytes);
    for (unsigned i = 0; i < c->lost.n; i++)
        json_object_array_add(lost, json_object_new_string(c->lost.text[i]));
    put(all, "lost", lost);
    fprintf(to, "%s\n",
            json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                    JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(all);
}

/* ---- the command */

/* What is read would be gone. */
static int check_same(const struct request *r, struct error *e)
{
    struct stat from, to;

    if (strcmp(r->from, "-") != 0 && strcmp(r->to, "-") != 0 && stat(r->from, &from) == 0 &&
        stat(r->to, &to) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino)
        return error_set(e, EXIT_USAGE, "%s is the image itself", r->to);
    return 0;
}

static int write_file(struct request *r, const struct image *i, struct outfile *f,
                      struct pv_converted *c, uint64_t *bytes, struct error *e)
{
    struct progress p;
    struct pv_error why;
    int rc;

    r->how.symbols = i->symbols;
    r->how.progress = progress_begin(&p, "convert", r->signals);
    rc = pv_convert(i->view, f->fd, &r->how, c, &why);
    progress_end(&p);
    *bytes = outfile_bytes(f);
    if (p.interrupted)
        return error_set(e, signals_code(r->signals), "interrupted");
    if (rc != 0)
        return error_set(e, EXIT_ENVIRONMENT, "%s: %s", r->to, why.text);
    return outfile_finish(f, e);
}

static int convert_image(struct request *r, const struct image *i, struct error *e)
{
    struct pv_converted c;
    struct outfile f;
    uint64_t bytes;
    FILE *to = strcmp(r->to, "-") == 0 ? stderr : stdout;
    int rc;

    r->signals = signals_watch(e);
    if (r->signals < 0 || outfile_begin(&f, r->to, e) != 0)
        return -1;
    rc = write_file(r, i, &f, &c, &bytes, e);
    outfile_abandon(&f);
    if (rc != 0)
        return -1;
    if (r->image.json)
        tell_json(to, r, i->view, &c, bytes);
    else
        tell_text(to, r, &c, bytes);
    return 0;
}

static int convert(struct request *r, struct error *e)
{
    struct image i;
    int rc;

    if (check_same(r, e) != 0 || image_open(&i, r->from, &r->image, true, e) != 0)
        return -1;
    rc = convert_image(r, &i, e);
    image_close(&i);
    return rc;
}

int command_convert(int argc, char **argv)
{
    struct request r = {.image.domain = -1, .how.of_xl = true};
    struct error e;

    if (parse(argc, argv, &r, &e) != 0)
        return command_failed(argv[0], &e);
    if (r.help)
        return command_help(help_convert);
    return convert(&r, &e) != 0 ? command_failed(argv[0], &e) : EXIT_CLEAN;
}
