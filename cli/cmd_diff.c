/* SPDX-License-Identifier: MIT */
/* `pvmm diff`: two images of one guest, and at which pages they differ. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "difflist.h"
#include "exitcodes.h"
#include "help.h"
#include "imagefile.h"

#define RANGES_SHOWN 40

enum { OPTION_BYTES = 330, OPTION_ENTRIES };

/* ---- the command line */

static int parse_option(struct diff_options *o, int opt, char **argv, struct error *e)
{
    const int common = image_option(&o->image, opt, e);

    if (common != 0)
        return common < 0 ? -1 : 0;
    switch (opt) {
    case 'h':
        o->help = true;
        return 0;
    case 'a':
        o->shown = UINT64_MAX;
        return 0;
    case 'n':
        if (!parse_number(optarg, &o->shown))
            return error_set(e, EXIT_USAGE, "-n %s: not a number", optarg);
        return 0;
    case OPTION_BYTES:
        o->bytes = true;
        return 0;
    case OPTION_ENTRIES:
        o->entries = true;
        return 0;
    }
    return command_bad_option(opt, argv, e);
}

static int take_paths(int argc, char **argv, struct diff_options *o, struct error *e)
{
    if (argc - optind < 2)
        return error_set(e, EXIT_USAGE, "two images are wanted");
    if (argc - optind > 2)
        return error_set(e, EXIT_USAGE, "two images are wanted, but \"%s\" follows them",
                         argv[optind + 2]);
    o->path[0] = argv[optind];
    o->path[1] = argv[optind + 1];
    if (strcmp(o->path[0], "-") == 0 && strcmp(o->path[1], "-") == 0)
        return error_set(e, EXIT_USAGE, "only one of the two can be standard input");
    return 0;
}

static int parse(int argc, char **argv, struct diff_options *o, struct error *e)
{
    static const struct option options[] = {IMAGE_LONG_OPTIONS,
                                            {"all", no_argument, NULL, 'a'},
                                            {"number", required_argument, NULL, 'n'},
                                            {"bytes", no_argument, NULL, OPTION_BYTES},
                                            {"entries", no_argument, NULL, OPTION_ENTRIES},
                                            {NULL, 0, NULL, 0}};
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":ahn:", options, NULL)) != -1)
        if (parse_option(o, opt, argv, e) != 0)
            return -1;
    return o->help ? 0 : take_paths(argc, argv, o, e);
}

/* ---- comparing */

static bool keep_range(void *context, const struct pv_diff_range *r)
{
    struct diff_list *l = context;

    if (l->n == l->o->shown)
        return true;
    if (l->n == l->room) {
        const size_t room = l->room != 0 ? 2 * l->room : 64;
        struct diff_entry *entry = reallocarray(l->entry, room, sizeof(*entry));

        if (entry == NULL) {
            l->no_memory = true;
            return false;
        }
        l->entry = entry;
        l->room = room;
    }
    l->entry[l->n++] = (struct diff_entry){.range = *r, .seen = {.root = NO_MFN}};
    return true;
}

static int compare(struct diff_list *l, struct error *e)
{
    const struct pv_diff_options how = {.apart = l->o->bytes || l->o->entries,
                                        .progress = image_progress()};
    struct pv_error why;
    const int rc = pv_diff(l->image[0].view, l->image[1].view, &how, keep_range, l, &l->sum, &why);

    image_progress_end();
    if (rc != 0)
        return error_set(e, image_end_code(), "%s and %s: %s", l->o->path[0], l->o->path[1],
                         why.text);
    return l->no_memory ? error_set(e, EXIT_ENVIRONMENT, "out of memory") : 0;
}

/* ---- what differs has places and names: looked for when there is what to name */

static unsigned side_of(const struct pv_diff_range *r)
{
    return mfn_eq(r->page[0].mfn, NO_MFN);
}

static int compare_frames(const void *a, const void *b)
{
    const struct pv_seen *x = a, *y = b;

    return x->frame.n < y->frame.n ? -1 : x->frame.n > y->frame.n;
}

static int find_places(struct diff_list *l, unsigned side, struct error *e)
{
    struct pv_seen *seen = calloc(l->n + 1, sizeof(*seen));
    struct pv_error why;
    size_t n = 0;

    if (seen == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    for (size_t i = 0; i < l->n; i++)
        if (side_of(&l->entry[i].range) == side)
            seen[n++] = (struct pv_seen){.frame = l->entry[i].range.page[side].mfn};
    if (n != 0 && pv_where_seen(l->image[side].view, seen, n, &why) != 0) {
        free(seen);
        return error_set(e, EXIT_ENVIRONMENT, "%s: %s", l->o->path[side], why.text);
    }
    for (size_t i = 0; i < l->n; i++) {
        const struct pv_seen key = {.frame = l->entry[i].range.page[side].mfn};

        if (side_of(&l->entry[i].range) == side)
            l->entry[i].seen =
                *(struct pv_seen *)bsearch(&key, seen, n, sizeof(*seen), compare_frames);
    }
    free(seen);
    return 0;
}

static int find_names(struct diff_list *l, struct error *e)
{
    for (unsigned side = 0; side < 2; side++)
        if (find_places(l, side, e) != 0 ||
            image_take_symbols(&l->image[side], &l->o->image, e) != 0)
            return -1;
    return 0;
}

/* Of one guest, and one kernel? What differs for that is better known. */
static void compare_guests(struct diff_list *l)
{
    const struct pv_view *a = l->image[0].view, *b = l->image[1].view;
    struct pv_build_id id[2];
    char text[2][PV_BUILD_ID_CHARS];
    struct pv_error why;

    if (a->width != b->width)
        diff_note(l, "A is of a %u-bit guest, B of a %u-bit one", a->width * 8, b->width * 8);
    if (a->domain[a->chosen].uuid[0] != '\0' && b->domain[b->chosen].uuid[0] != '\0' &&
        strcmp(a->domain[a->chosen].uuid, b->domain[b->chosen].uuid) != 0)
        diff_note(l, "other guests: A has the UUID %s, B has %s", a->domain[a->chosen].uuid,
                  b->domain[b->chosen].uuid);
    if (!diff_is_different(&l->sum) || a->width != b->width ||
        pv_build_id_guest(&id[0], a, a->kernel_root, 0, &why) != 0 ||
        pv_build_id_guest(&id[1], b, b->kernel_root, 0, &why) != 0 || id[0].bytes == 0 ||
        id[1].bytes == 0 || pv_build_id_same(&id[0], &id[1]))
        return;
    diff_note(l, "other kernels: A has the build id %s, B has %s",
              pv_build_id_text(&id[0], text[0]), pv_build_id_text(&id[1], text[1]));
}

static void note_what_is_not_compared(struct diff_list *l)
{
    static const char side[] = "AB";

    for (unsigned i = 0; i < 2; i++)
        if (!l->sum.types[i])
            diff_note(l, "which pages of %c are tables is not known: %s", side[i],
                      l->image[i].view->width != 8 ? "it is of a 32-bit guest"
                                                   : "this kind of image does not tell");
    if (!l->sum.p2m)
        diff_note(l, "mfns are not compared: %s",
                  !l->image[0].view->portable  ? "B has none"
                  : l->image[1].view->portable ? "neither image has any"
                                               : "A has none");
    if (!l->sum.pins)
        diff_note(l, "pins are not compared: %s not tell them",
                  l->sum.types[0] && l->image[0].view->backend->told != NULL ? "B does"
                  : l->image[1].view->backend->told != NULL                  ? "A does"
                                                                             : "the images do");
}

/* ---- the command */

static int show(struct diff_list *l, struct error *e)
{
    compare_guests(l);
    note_what_is_not_compared(l);
    if (l->n != 0 && find_names(l, e) != 0)
        return -1;
    if (l->o->image.json)
        diff_print_json(l);
    else
        diff_print_text(l);
    return fflush(stdout) != 0 ? error_errno(e, EXIT_ENVIRONMENT, "cannot write to standard output")
                               : 0;
}

static int diff_images(struct diff_list *l, int *code, struct error *e)
{
    if (compare(l, e) != 0)
        return -1;
    *code = diff_is_different(&l->sum) ? EXIT_DIFFERENT : EXIT_CLEAN;
    return show(l, e);
}

static int diff_files(const struct diff_options *o, int *code, struct error *e)
{
    struct diff_list l = {.o = o};
    int rc = image_open(&l.image[0], o->path[0], &o->image, false, e);

    if (rc != 0)
        return rc;
    rc = image_open(&l.image[1], o->path[1], &o->image, false, e);
    if (rc == 0) {
        rc = diff_images(&l, code, e);
        image_close(&l.image[1]);
    }
    image_close(&l.image[0]);
    free(l.entry);
    return rc;
}

int command_diff(int argc, char **argv)
{
    struct diff_options o = {.image.domain = -1, .shown = RANGES_SHOWN};
    struct error e;
    int code = EXIT_CLEAN;

    if (parse(argc, argv, &o, &e) != 0)
        return command_failed(argv[0], &e);
    if (o.help)
        return command_help(help_diff);
    return diff_files(&o, &code, &e) != 0 ? command_failed(argv[0], &e) : code;
}
