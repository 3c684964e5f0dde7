/* SPDX-License-Identifier: MIT */
/* Which frame a pfn has, who says so, and where all of that lies. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "imagefile.h"
#include "jsonput.h"
#include "p2mwords.h"
#include "startinfo.h"
#include "tone.h"

struct wanted {
    struct image_options common;
    const char *file;
    uint64_t first, last;
    bool single, all; /* one number; "all" */
    bool reverse, by_source;
    enum pv_p2m_kind source;
};

struct output {
    const struct wanted *w;
    const struct pv_view *v;
    const struct pv_p2m *p;
    bool color;
    uint64_t found;
};

/* ---- the command line */

static int take_source(struct wanted *w, struct error *e)
{
    w->by_source = true;
    if (p2m_kind_named(optarg, &w->source))
        return 0;
    return error_set(e, EXIT_USAGE,
                     "--source %s: none of container, m2p, linear, mfn_list_list, stream, symbols, "
                     "flat, tables",
                     optarg);
}

static int take_words(int argc, char **argv, struct wanted *w, struct error *e)
{
    if (argc - optind != 2)
        return error_set(e, EXIT_USAGE, "an image and a number, a range or \"all\" are wanted");
    w->file = argv[optind];
    w->all = strcmp(argv[optind + 1], "all") == 0;
    w->single = parse_number(argv[optind + 1], &w->first);
    if (!parse_range(argv[optind + 1], &w->first, &w->last))
        return error_set(e, EXIT_USAGE, "\"%s\" is no number, no range and not \"all\"",
                         argv[optind + 1]);
    return 0;
}

/* -1: go on; otherwise the exit code. */
static int parse(int argc, char **argv, struct wanted *w)
{
    static const struct option options[] = {IMAGE_LONG_OPTIONS,
                                            {"reverse", no_argument, NULL, 'r'},
                                            {"source", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    struct error e;
    int opt, rc = 0;

    optind = 1;
    opterr = 0;
    while (rc == 0 && (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        const int common = opt == 'h' ? 0 : image_option(&w->common, opt, &e);

        if (opt == 'h')
            return command_help(help_p2m);
        if (common != 0)
            rc = common < 0 ? -1 : 0;
        else if (opt == 'r')
            w->reverse = true;
        else if (opt == 's')
            rc = take_source(w, &e);
        else
            rc = command_bad_option(opt, argv, &e);
    }
    if (rc == 0)
        rc = take_words(argc, argv, w, &e);
    return rc == 0 ? -1 : command_failed(argv[0], &e);
}

/* ---- what is known of a frame */

static void told_words(const struct pv_view *v, mfn_t m, char *text, size_t size)
{
    struct pv_told t;

    snprintf(text, size, "-");
    if (v->backend->told == NULL || !v->backend->told(v, m, &t))
        return;
    if (t.level != 0)
        snprintf(text, size, "L%u%s", t.level, t.pinned ? " pinned" : "");
    else
        snprintf(text, size, "page");
}

/* The frame by which the image knows what an entry names: NO_MFN, if that is none of its. */
static mfn_t frame_in(const struct output *o, enum pv_p2m_kind k, const struct pv_p2m_entry *e)
{
    return e->state == PV_P2M_FRAME && !pv_p2m_source(o->p, k)->stale ? e->mfn : NO_MFN;
}

/* In an image whose tables hold pfns, the frame that it was in the machine, as the guest's lists
 * have it; NO_MFN: not known. */
static mfn_t was(const struct output *o, const struct pv_p2m_range *r)
{
    for (enum pv_p2m_kind k = PV_P2M_LINEAR; k < PV_P2M_KINDS; k++)
        if (pv_p2m_source(o->p, k)->there && pv_p2m_source(o->p, k)->stale &&
            r->entry[k].state == PV_P2M_FRAME)
            return r->entry[k].mfn;
    return NO_MFN;
}

static const char *tone(const struct output *o, const char *code)
{
    return o->color ? code : "";
}

/* ---- one line for a pfn, or for neighbours without frames */

static enum pv_p2m_kind asked(const struct output *o, const struct pv_p2m_range *r)
{
    return o->w->by_source ? o->w->source : r->from;
}

static void print_where(const struct output *o, mfn_t m)
{
    struct pv_place at;

    if (mfn_eq(m, NO_MFN))
        return;
    if (pv_place_of(o->v, m, &at))
        printf("  %s, at 0x%" PRIx64, at.record, at.offset);
    else if (!o->v->backend->owned(o->v, m))
        printf("  not in the image");
}

static void print_frame(const struct output *o, const struct pv_p2m_range *r)
{
    const enum pv_p2m_kind k = asked(o, r);
    const mfn_t m = frame_in(o, k, &r->entry[k]), old = was(o, r);
    char says[64], told[32];

    p2m_entry_words(pv_p2m_source(o->p, k), &r->entry[k], says, sizeof(says));
    told_words(o->v, m, told, sizeof(told));
    printf("pfn 0x%-8" PRIx64 "  %s %-10s  %-9s %-13s", r->first.n,
           o->v->portable && !mfn_eq(m, NO_MFN) ? "pfn" : "mfn", says, told, pv_p2m_name(k));
    print_where(o, m);
    if (r->entry[k].at.a != ~0ull)
        printf("  element at 0x%" PRIx64, r->entry[k].at.a);
    if (o->v->portable && !o->w->by_source && !mfn_eq(old, NO_MFN))
        printf("  was mfn 0x%" PRIx64, old.n);
}

static void print_nothing(const struct output *o, const struct pv_p2m_range *r)
{
    const enum pv_p2m_kind k = asked(o, r);
    char says[64], range[40];

    p2m_entry_words(pv_p2m_source(o->p, k), &r->entry[k], says, sizeof(says));
    if (r->first.n == r->last.n)
        snprintf(range, sizeof(range), "pfn 0x%-8" PRIx64, r->first.n);
    else
        snprintf(range, sizeof(range), "pfn 0x%" PRIx64 "-0x%" PRIx64, r->first.n, r->last.n);
    printf("%s  %-24s %s", range, says, pv_p2m_name(k));
}

static bool print_line(void *context, const struct pv_p2m_range *r)
{
    struct output *o = context;
    const enum pv_p2m_kind k = asked(o, r);
    char others[256];

    o->found += r->entry[k].state == PV_P2M_FRAME;
    if (o->w->all && (o->w->by_source ? r->entry[k].state != PV_P2M_FRAME : r->has == 0))
        return true;
    if (r->entry[k].state == PV_P2M_FRAME)
        print_frame(o, r);
    else
        print_nothing(o, r);
    p2m_differ_words(o->p, r, others, sizeof(others));
    if (others[0] != '\0')
        printf("  %s! %s%s%s", tone(o, "\033[1;31m"), others, r->recovered ? ": recovered" : "",
               tone(o, "\033[0m"));
    putchar('\n');
    return ferror(stdout) == 0;
}

/* Under the line of a single pfn: what each source says, and where. */
static bool print_sources(void *context, const struct pv_p2m_range *r)
{
    const struct output *o = context;

    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        char says[64];

        if (!pv_p2m_source(o->p, k)->there)
            continue;
        p2m_entry_words(pv_p2m_source(o->p, k), &r->entry[k], says, sizeof(says));
        printf("  %-13s  %s%s", pv_p2m_name(k), says, r->differs & 1u << k ? " !" : "");
        if (r->entry[k].at.a != ~0ull) {
            printf("  element at 0x%" PRIx64, r->entry[k].at.a);
            print_where(o, maddr_frame(r->entry[k].at));
        }
        putchar('\n');
    }
    return false;
}

static void put_frame(const struct output *o, struct json_object *line, mfn_t m)
{
    struct pv_place at;
    char told[32];

    told_words(o->v, m, told, sizeof(told));
    if (told[0] != '-')
        put(line, "type", json_object_new_string(told));
    put_bool(line, "in_image", o->v->backend->owned(o->v, m));
    if (pv_place_of(o->v, m, &at)) {
        put(line, "offset", json_hex(at.offset));
        put(line, "record", json_object_new_string(at.record));
    }
}

static bool print_json(void *context, const struct pv_p2m_range *r)
{
    struct output *o = context;
    const enum pv_p2m_kind k = asked(o, r);
    const mfn_t m = frame_in(o, k, &r->entry[k]);
    struct json_object *line, *sources;

    o->found += r->entry[k].state == PV_P2M_FRAME;
    if (o->w->all && (o->w->by_source ? r->entry[k].state != PV_P2M_FRAME : r->has == 0))
        return true;
    line = p2m_entry_json(pv_p2m_source(o->p, k), &r->entry[k]);
    sources = json_object_new_object();
    put(line, "pfn", json_hex(r->first.n));
    if (r->last.n != r->first.n)
        put(line, "last", json_hex(r->last.n));
    put(line, "from", json_object_new_string(pv_p2m_name(k)));
    put_bool(line, "recovered", r->recovered);
    put_bool(line, "agreed", r->differs == 0);
    if (!mfn_eq(m, NO_MFN))
        put_frame(o, line, m);
    for (enum pv_p2m_kind i = 0; i < PV_P2M_KINDS; i++)
        if (pv_p2m_source(o->p, i)->there)
            put(sources, pv_p2m_name(i), p2m_entry_json(pv_p2m_source(o->p, i), &r->entry[i]));
    put(line, "sources", sources);
    printf("%s\n", json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(line);
    return ferror(stdout) == 0;
}

static int print_range(struct output *o, struct error *e)
{
    const struct pv_progress progress = image_progress();
    struct pv_error why;
    const pfn_t first = {o->w->first}, last = {o->w->last};
    int rc = pv_p2m_each(o->p, first, last, o->w->common.json ? print_json : print_line, o,
                         &progress, &why);

    if (rc == 0 && o->w->single && !o->w->common.json && !o->w->by_source)
        rc = pv_p2m_each(o->p, first, last, print_sources, o, NULL, &why);
    image_progress_end();
    if (rc == 0 && o->w->single && first.n >= pv_p2m_end(o->p).n)
        printf(o->w->common.json ? "{\"state\":\"beyond\",\"pfn\":\"0x%" PRIx64 "\"}\n"
                                 : "pfn 0x%" PRIx64 "  beyond all that is known\n",
               first.n);
    return rc == 0 ? 0 : error_set(e, image_end_code(), "%s", why.text);
}

/* ---- the other way */

static void print_back(struct output *o, uint64_t m, pfn_t at, enum pv_p2m_kind k)
{
    const bool old = pv_p2m_source(o->p, k)->stale;

    if (at.n == NO_PFN.n && !o->w->single)
        return;
    o->found += at.n != NO_PFN.n;
    if (o->w->common.json && at.n != NO_PFN.n)
        printf("{\"mfn\":\"0x%" PRIx64 "\",\"pfn\":\"0x%" PRIx64
               "\",\"from\":\"%s\",\"stale\":%s}\n",
               m, at.n, pv_p2m_name(k), old ? "true" : "false");
    else if (o->w->common.json)
        printf("{\"mfn\":\"0x%" PRIx64 "\",\"pfn\":null}\n", m);
    else if (at.n != NO_PFN.n)
        printf("mfn 0x%-8" PRIx64 "  pfn 0x%-8" PRIx64 "  %s%s\n", m, at.n, pv_p2m_name(k),
               old ? ", of before the suspend" : "");
    else
        printf("mfn 0x%-8" PRIx64 "  no pfn\n", m);
}

/* In an image whose tables hold pfns, machine frames are those of the guest's own lists. */
static pfn_t find_pfn(const struct output *o, mfn_t m, enum pv_p2m_kind *from)
{
    if (o->w->by_source) {
        *from = o->w->source;
        return pv_p2m_reverse_in(o->p, *from, m);
    }
    if (!o->v->portable)
        return pv_p2m_reverse(o->p, m, from);
    for (*from = PV_P2M_LINEAR; *from < PV_P2M_TABLES; (*from)++) {
        const pfn_t at = pv_p2m_reverse_in(o->p, *from, m);

        if (at.n != NO_PFN.n)
            return at;
    }
    *from = PV_P2M_CONTAINER;
    return NO_PFN;
}

struct back {
    struct output *o;
    struct back_pair {
        uint64_t mfn, pfn;
        enum pv_p2m_kind from;
    } * pair;
    size_t n, room;
    bool no_memory;
};

static bool gather(void *context, const struct pv_p2m_range *r)
{
    struct back *b = context;
    const struct wanted *w = b->o->w;

    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        const bool old = pv_p2m_source(b->o->p, k)->stale;
        const uint64_t m = r->entry[k].mfn.n;

        if ((r->has & 1u << k) == 0 || (w->by_source ? k != w->source : b->o->v->portable != old))
            continue;
        if (m < w->first || m > w->last)
            return true;
        if (b->n == b->room) {
            const size_t room = b->room * 2 + 1024;
            void *more = realloc(b->pair, room * sizeof(*b->pair));

            b->no_memory = more == NULL;
            if (b->no_memory)
                return false;
            b->pair = more;
            b->room = room;
        }
        b->pair[b->n++] = (struct back_pair){m, r->first.n, k};
        return true;
    }
    return true;
}

static int by_mfn(const void *a, const void *b)
{
    const struct back_pair *x = a, *y = b;

    if (x->mfn != y->mfn)
        return x->mfn < y->mfn ? -1 : 1;
    return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

static int print_back_range(struct output *o, struct error *e)
{
    struct back b = {.o = o};
    struct pv_error why;
    int rc = pv_p2m_each(o->p, (pfn_t){0}, NO_PFN, gather, &b, NULL, &why);

    if (rc == 0 && b.no_memory)
        rc = error_set(e, EXIT_ENVIRONMENT, "out of memory");
    else if (rc != 0)
        error_set(e, EXIT_UNREADABLE, "%s", why.text);
    if (rc == 0 && b.n > 0)
        qsort(b.pair, b.n, sizeof(*b.pair), by_mfn);
    for (size_t i = 0; rc == 0 && i < b.n; i++)
        print_back(o, b.pair[i].mfn, (pfn_t){b.pair[i].pfn}, b.pair[i].from);
    free(b.pair);
    return rc;
}

static int print_reverse(struct output *o, struct error *e)
{
    enum pv_p2m_kind from;

    if (!o->w->single)
        return print_back_range(o, e);
    const pfn_t at = find_pfn(o, (mfn_t){o->w->first}, &from);

    print_back(o, o->w->first, at, from);
    return 0;
}

/* ---- all of it */

static int check_source(const struct output *o, struct error *e)
{
    const struct pv_p2m_source *s = pv_p2m_source(o->p, o->w->source);

    if (!o->w->by_source || s->there)
        return 0;
    return error_set(e, EXIT_FINDINGS, "%s is not there: %s", pv_p2m_name(o->w->source), s->how);
}

static int work(struct output *o, struct error *e)
{
    static char buffer[1 << 16];

    if (check_source(o, e) != 0)
        return -1;
    setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
    if ((o->w->reverse ? print_reverse(o, e) : print_range(o, e)) != 0)
        return -1;
    if (fflush(stdout) != 0 || ferror(stdout))
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write");
    return 0;
}

int command_p2m(int argc, char **argv)
{
    struct wanted w = {.common = {.domain = -1}};
    struct pv_p2m *p = NULL;
    struct image i;
    struct pv_error why;
    struct error e;
    int rc = parse(argc, argv, &w);

    if (rc >= 0)
        return rc;
    if (image_open(&i, w.file, &w.common, true, &e) != 0)
        return command_failed(argv[0], &e);
    struct output o = {.w = &w, .v = i.view, .color = tone_wanted(stdout)};

    rc = pv_p2m_open(&p, i.view, i.symbols, &why);
    if (rc != 0)
        error_set(&e, EXIT_ENVIRONMENT, "%s", why.text);
    o.p = p;
    if (rc == 0)
        rc = work(&o, &e);
    pv_p2m_close(p);
    image_close(&i);
    if (rc != 0)
        return command_failed(argv[0], &e);
    return w.single && o.found == 0 ? EXIT_FINDINGS : EXIT_CLEAN;
}
