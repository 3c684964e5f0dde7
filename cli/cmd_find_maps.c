/* SPDX-License-Identifier: MIT */
/* Which virtual addresses map a frame. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "jsonput.h"
#include "lookup.h"

struct wanted {
    struct lookup_options o;
    const char *file;
    struct place place;
};

struct finding {
    const struct image *image;
    bool json;
    uint64_t found;
};

static int take_words(int argc, char **argv, struct wanted *w, struct error *e)
{
    const char *word;

    if (optind == argc)
        return error_set(e, EXIT_USAGE, "an image is wanted, and pfn:N or mfn:N");
    w->file = argv[optind++];
    if (command_one_word(argc, argv, "pfn:N or mfn:N", &word, e) != 0 ||
        place_parse(&w->place, word, e) != 0)
        return -1;
    if (w->place.kind == PLACE_VA || w->place.plus != 0)
        return error_set(e, EXIT_USAGE, "%s: not a frame: pfn:N or mfn:N", word);
    return 0;
}

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct wanted *w)
{
    static const struct option options[] = {
        IMAGE_LONG_OPTIONS, LOOKUP_ROOT_OPTION, {NULL, 0, NULL, 0}};
    struct error e;
    int rc = lookup_parse(&w->o, argc, argv, options, help_find_maps);

    if (rc >= 0)
        return rc;
    return take_words(argc, argv, w, &e) == 0 ? -1 : command_failed(argv[0], &e);
}

/* ---- what was found */

static void say_mapping(const struct finding *f, const struct pv_mapping *m)
{
    char flags[64], symbol[224];

    printf("%-10" PRIx64 " %016" PRIx64 "  L%u  %-12" PRIx64 " %016" PRIx64 "  %c%c%c  %-20s %s\n",
           m->root.n, m->va.a, m->level, m->at.a, m->entry, m->writable ? 'w' : '-',
           m->executable ? 'x' : '-', m->user ? 'u' : '-',
           flag_words(m->level, m->entry, flags, sizeof(flags)),
           symbol_words(f->image, m->va.a, symbol, sizeof(symbol)));
}

static struct json_object *mapping_json(const struct finding *f, const struct pv_mapping *m)
{
    struct json_object *o = json_object_new_object();

    put_hex(o, "root", m->root.n);
    put_hex(o, "va", m->va.a);
    json_object_object_add(o, "level", json_object_new_int((int)m->level));
    put_hex(o, "at", m->at.a);
    put_hex(o, "entry", m->entry);
    put_flags(o, "flags", m->level, m->entry);
    json_object_object_add(o, "writable", json_object_new_boolean(m->writable));
    json_object_object_add(o, "user", json_object_new_boolean(m->user));
    json_object_object_add(o, "executable", json_object_new_boolean(m->executable));
    put_symbol(o, "symbol", f->image, m->va.a);
    return o;
}

static bool tell(void *context, const struct pv_mapping *m)
{
    struct finding *f = context;

    if (f->json)
        json_item(mapping_json(f, m), f->found == 0);
    else
        say_mapping(f, m);
    f->found++;
    return !ferror(stdout);
}

static void begin(const struct finding *f, mfn_t frame, const mfn_t *roots, size_t n)
{
    char text[96];

    if (!f->json) {
        printf("%s, in %zu root%s\n", frame_words(f->image->view, frame, text, sizeof(text)), n,
               n == 1 ? "" : "s");
        printf("%-10s %-16s  lvl %-12s %-16s  all  %-20s %s\n", "root", "address", "entry at",
               "entry", "flags", "near");
        return;
    }
    struct json_object *o = json_object_new_object(), *list = json_object_new_array();
    struct json_object *what = json_object_new_object();
    put_frame(what, f->image, frame, 0);
    json_object_object_add(o, "format", json_object_new_int(1));
    json_object_object_add(o, "frame", what);
    for (size_t i = 0; i < n; i++) {
        const struct root root = {.frame = roots[i]};
        json_object_array_add(list, root_json(f->image, &root));
    }
    json_object_object_add(o, "roots", list);
    json_list_begin(o, "mappings");
}

static void end(const struct finding *f)
{
    struct json_object *o;

    if (!f->json) {
        if (f->found == 0)
            printf("nothing maps it\n");
        return;
    }
    o = json_object_new_object();
    json_object_object_add(o, "found", json_object_new_uint64(f->found));
    json_list_end(o);
}

static int find(struct finding *f, mfn_t frame, const mfn_t *roots, size_t n, struct error *e)
{
    struct pv_error why;

    if (n == 0)
        return error_set(e, EXIT_FINDINGS, "the image tells no root; name one by --root");
    begin(f, frame, roots, n);
    if (pv_find_maps(f->image->view, roots, n, frame, tell, f, &why) != 0)
        return error_set(e, EXIT_ENVIRONMENT, "%s", why.text);
    end(f);
    return output_code(f->found > 0 ? EXIT_CLEAN : EXIT_FINDINGS, e);
}

static int find_maps(struct wanted *w, const struct image *i, struct error *e)
{
    struct finding f = {.image = i, .json = w->o.image.json};
    struct pv_error why;
    struct root root;
    mfn_t frame, *roots;
    size_t n;

    if (place_find(&w->place, i, e) != 0 || place_frame(&w->place, i, &frame, e) != 0)
        return -1;
    if (w->o.root != NULL)
        return root_choose(&root, &w->o, i, e) == 0 ? find(&f, frame, &root.frame, 1, e) : -1;
    if (pv_roots(i->view, &roots, &n, &why) != 0)
        return error_set(e, EXIT_ENVIRONMENT, "%s", why.text);
    int rc = find(&f, frame, roots, n, e);
    free(roots);
    return rc;
}

int command_find_maps(int argc, char **argv)
{
    struct wanted w = {.o.image.domain = -1};
    struct image i;
    struct error e;
    int rc = parse(argc, argv, &w);

    if (rc >= 0)
        return rc;
    if (image_open(&i, w.file, &w.o.image, true, &e) != 0)
        return command_failed(argv[0], &e);
    rc = find_maps(&w, &i, &e);
    image_close(&i);
    return rc >= 0 ? rc : command_failed(argv[0], &e);
}
