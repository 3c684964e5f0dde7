/* SPDX-License-Identifier: MIT */
/* The way of a virtual address through a guest's page tables, with what each step rests on. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "jsonput.h"
#include "lookup.h"
#include "pte.h"

struct wanted {
    struct lookup_options o;
    const char *file;
    struct place place;
};

static int take_words(int argc, char **argv, struct wanted *w, struct error *e)
{
    const char *word;

    if (optind == argc)
        return error_set(e, EXIT_USAGE, "an image is wanted, and an address or a symbol");
    w->file = argv[optind++];
    if (command_one_word(argc, argv, "an address or a symbol", &word, e) != 0)
        return -1;
    if (place_parse(&w->place, word, e) != 0)
        return -1;
    if (w->place.kind != PLACE_VA)
        return error_set(e, EXIT_USAGE, "%s: a frame has no way; walk wants a virtual address",
                         word);
    return lookup_options_check(&w->o, e);
}

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct wanted *w)
{
    static const struct option options[] = {LOOKUP_LONG_OPTIONS, {NULL, 0, NULL, 0}};
    struct error e;
    int rc = lookup_parse(&w->o, argc, argv, options, help_walk);

    if (rc >= 0)
        return rc;
    return take_words(argc, argv, w, &e) == 0 ? -1 : command_failed(argv[0], &e);
}

/* ---- as text */

static void say_place(const struct pv_view *v, mfn_t m, unsigned offset)
{
    struct pv_place at;

    if (pv_place_of(v, m, &at))
        printf("file offset 0x%" PRIx64 " (%s)", at.offset + offset, at.record);
    else
        printf("not in the image");
}

static void say_type(const struct pv_view *v, mfn_t m, unsigned level)
{
    struct pv_told told;

    if (v->backend->told != NULL && v->backend->told(v, m, &told)) {
        if (told.level != 0)
            printf(", L%u%s by the image", told.level, told.pinned ? " pinned" : "");
        else
            printf(", no table by the image");
    } else if (level != 0)
        printf(", L%u by its use", level);
}

static bool is_last(const struct pv_walk *w, unsigned level)
{
    return w->present && level == w->level;
}

static void say_level(const struct pv_view *v, const struct pv_walk *w, unsigned level)
{
    char text[128];
    const mfn_t table = maddr_frame(w->at[level]), to = pte_frame(w->entry[level]);
    const unsigned offset = w->at[level].a & (PAGE_BYTES - 1);

    printf("  L%u slot %3u at %" PRIx64 ": ", level, offset / 8, w->at[level].a);
    if (level == w->level && w->absent) {
        printf("not in the image\n");
        return;
    }
    printf("%016" PRIx64 "  %s\n", w->entry[level],
           flag_words(level, w->entry[level], text, sizeof(text)));
    printf("      ");
    say_place(v, table, offset);
    if (pte_present(w->entry[level])) {
        printf("\n      %s %s", is_last(w, level) ? "maps" : "names",
               frame_words(v, to, text, sizeof(text)));
        say_type(v, to, is_last(w, level) ? 0 : level - 1);
    }
    printf("\n");
}

static void say_walk(const struct image *i, const struct root *r, gva_t va, const struct pv_walk *w)
{
    char text[256];

    printf("%016" PRIx64, va.a);
    if (symbol_words(i, va.a, text, sizeof(text))[0] != '\0')
        printf(" (%s)", text);
    printf(" from %s", frame_words(i->view, r->frame, text, sizeof(text)));
    printf(", root of %s\n", r->of);
    for (unsigned level = w->top; w->level != 0 && level >= w->level; level--)
        say_level(i->view, w, level);
    if (!w->present) {
        printf("not mapped: %s\n", walk_why(i->view, w, text, sizeof(text)));
        return;
    }
    printf("%s address %" PRIx64 ": ", i->view->portable ? "pseudo-physical" : "machine", w->to.a);
    printf("%s, ", frame_words(i->view, maddr_frame(w->to), text, sizeof(text)));
    say_place(i->view, maddr_frame(w->to), w->to.a & (PAGE_BYTES - 1));
    printf("\n");
}

/* ---- as JSON */

static void put_offset(struct json_object *o, const struct pv_view *v, maddr_t at)
{
    struct pv_place place;

    if (!pv_place_of(v, maddr_frame(at), &place)) {
        put_text_or_null(o, "file_offset", NULL);
        put_text_or_null(o, "record", NULL);
        return;
    }
    json_object_object_add(o, "file_offset",
                           json_object_new_uint64(place.offset + (at.a & (PAGE_BYTES - 1))));
    put_text_or_null(o, "record", place.record);
}

static struct json_object *level_json(const struct image *i, const struct pv_walk *w,
                                      unsigned level)
{
    struct json_object *o = json_object_new_object(), *names = NULL;
    const bool there = !(level == w->level && w->absent);
    const uint64_t entry = w->entry[level];

    json_object_object_add(o, "level", json_object_new_int((int)level));
    json_object_object_add(o, "slot", json_object_new_int((int)(w->at[level].a / 8 & 511)));
    put_hex(o, "at", w->at[level].a);
    put_offset(o, i->view, w->at[level]);
    if (there)
        put_hex(o, "entry", entry);
    else
        put_text_or_null(o, "entry", NULL);
    put_flags(o, "flags", level, there ? entry : 0);
    if (there && pte_present(entry)) {
        names = json_object_new_object();
        put_frame(names, i, pte_frame(entry), is_last(w, level) ? 0 : level - 1);
    }
    json_object_object_add(o, "names", names);
    return o;
}

static struct json_object *target_json(const struct image *i, const struct pv_walk *w)
{
    struct json_object *o = json_object_new_object();

    put_hex(o, "address", w->to.a);
    json_object_object_add(o, "offset", json_object_new_int((int)(w->to.a & (PAGE_BYTES - 1))));
    put_frame(o, i, maddr_frame(w->to), 0);
    put_offset(o, i->view, w->to);
    return o;
}

static void walk_json(const struct image *i, const struct root *r, gva_t va,
                      const struct pv_walk *w)
{
    struct json_object *o = json_object_new_object(), *levels = json_object_new_array();
    char text[256];

    json_object_object_add(o, "format", json_object_new_int(1));
    put_hex(o, "va", va.a);
    put_symbol(o, "symbol", i, va.a);
    json_object_object_add(o, "root", root_json(i, r));
    for (unsigned level = w->top; w->level != 0 && level >= w->level; level--)
        json_object_array_add(levels, level_json(i, w, level));
    json_object_object_add(o, "levels", levels);
    json_object_object_add(o, "mapped", json_object_new_boolean(w->present));
    put_text_or_null(o, "why", walk_why_code(w));
    put_text_or_null(o, "why_text", w->present ? NULL : walk_why(i->view, w, text, sizeof(text)));
    json_object_object_add(o, "to", w->present ? target_json(i, w) : NULL);
    json_print(o);
}

static int walk(struct wanted *wanted, const struct image *i, struct error *e)
{
    struct root root;
    struct pv_walk w;

    if (root_choose(&root, &wanted->o, i, e) != 0 || place_find(&wanted->place, i, e) != 0)
        return -1;
    const gva_t va = gva(wanted->place.n);
    pv_walk(i->view, root.frame, va, &w);
    if (wanted->o.image.json)
        walk_json(i, &root, va, &w);
    else
        say_walk(i, &root, va, &w);
    return output_code(w.present ? EXIT_CLEAN : EXIT_FINDINGS, e);
}

int command_walk(int argc, char **argv)
{
    struct wanted w = {.o.image.domain = -1};
    struct image i;
    struct error e;
    int rc = parse(argc, argv, &w);

    if (rc >= 0)
        return rc;
    if (image_open(&i, w.file, &w.o.image, true, &e) != 0)
        return command_failed(argv[0], &e);
    rc = walk(&w, &i, &e);
    image_close(&i);
    return rc >= 0 ? rc : command_failed(argv[0], &e);
}
