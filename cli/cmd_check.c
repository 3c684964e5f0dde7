/* SPDX-License-Identifier: MIT */
/* `pvmm check`: the memory contract of a guest that lies in a file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "commands.h"
#include "exitcodes.h"
#include "help.h"
#include "imagefile.h"
#include "jsonput.h"
#include "tone.h"

#define FORMAT 1 /* docs/findings.md */

struct options {
    struct image_options image;
    const char *path;
    bool all, help;
};

/* ---- text */

static const char *answer_word(enum pv_answer answer)
{
    static const char *const words[] = {
        [PV_HOLDS] = "holds", [PV_BROKEN] = "broken", [PV_UNDECIDABLE] = "not decidable"};
    return words[answer];
}

static const char *colour(enum pv_answer answer)
{
    static const char *const codes[] = {
        [PV_HOLDS] = "\033[32m", [PV_BROKEN] = "\033[1;31m", [PV_UNDECIDABLE] = "\033[33m"};
    return codes[answer];
}

static void print_rules(const struct pv_check *c)
{
    const bool tone = tone_wanted(stdout);

    for (unsigned n = 1; n <= PV_RULES; n++) {
        const struct pv_rule *r = &c->rule[n];

        printf("R%-3u %s%-13s%s  ", n, tone ? colour(r->answer) : "", answer_word(r->answer),
               tone ? "\033[0m" : "");
        command_wrap(r->why, 20);
    }
}

static void print_va(const struct pv_finding *f, const struct image *i)
{
    struct pv_symbol s;

    printf("      maps   %016" PRIx64, f->va.a);
    if (i->symbols != NULL && pv_symbol_at(i->symbols, f->va.a, &s))
        printf("  %s+0x%" PRIx64 "%s%s", s.name, s.offset, s.module[0] ? " " : "", s.module);
    printf("\n");
}

static void print_finding(const struct pv_finding *f, const struct image *i)
{
    printf("  - ");
    command_wrap(f->text, 4);
    if (f->at.a != UINT64_MAX)
        printf("      entry  at %" PRIx64 ": %016" PRIx64 "\n", f->at.a, f->entry);
    if (f->has_va)
        print_va(f, i);
    if (f->count > 1)
        printf("      count  %" PRIu64 "\n", f->count);
}

static uint64_t kept_of(const struct pv_check *c, const char *code)
{
    uint64_t n = 0;

    for (size_t k = 0; k < c->kept; k++)
        n += strcmp(c->finding[k].code, code) == 0;
    return n;
}

static void print_code(const struct pv_check *c, const struct pv_code *code, const struct image *i)
{
    const uint64_t kept = kept_of(c, code->code), all = c->of_code[code - pv_codes];
    const bool tone = tone_wanted(stdout);

    if (kept == 0)
        return;
    printf("\n%s%s%s (R%u): %s: %" PRIu64 "\n", tone ? "\033[1m" : "", code->code,
           tone ? "\033[0m" : "", code->rule, code->meaning, all);
    for (size_t k = 0; k < c->kept; k++)
        if (strcmp(c->finding[k].code, code->code) == 0)
            print_finding(&c->finding[k], i);
    if (all > kept)
        printf("  ... and %" PRIu64 " more (--all shows them)\n", all - kept);
}

static void print_text(const struct pv_check *c, const struct image *i)
{
    print_rules(c);
    for (size_t code = 0; code < PV_CODES; code++)
        print_code(c, &pv_codes[code], i);
    printf("\n%" PRIu64 " finding%s; %" PRIu64 " frames, %" PRIu64 " tables, %" PRIu64
           " entries were looked at\n",
           c->findings, c->findings == 1 ? "" : "s", c->frames, c->tables, c->entries);
}

/* ---- JSON */

static struct json_object *json_rule(unsigned n, const struct pv_rule *r)
{
    struct json_object *o = json_object_new_object();

    put_int(o, "rule", n);
    put_text(o, "answer", r->answer == PV_UNDECIDABLE ? "undecidable" : answer_word(r->answer));
    put_text(o, "why", r->why);
    put_int(o, "findings", r->findings);
    return o;
}

static struct json_object *json_finding(const struct pv_finding *f)
{
    struct json_object *o = json_object_new_object();

    put_text(o, "code", f->code);
    put_int(o, "rule", f->rule);
    put_text(o, "text", f->text);
    put_hex_if(o, "mfn", f->frame.n, f->frame.n != NO_MFN.n);
    put_hex_if(o, "pfn", f->pfn.n, f->pfn.n != NO_PFN.n);
    put_hex_if(o, "entry_at", f->at.a, f->at.a != UINT64_MAX);
    put_hex_if(o, "entry", f->entry, f->at.a != UINT64_MAX);
    put_hex_if(o, "va", f->va.a, f->has_va);
    put_int(o, "count", f->count);
    return o;
}

static void print_json(const struct pv_check *c, const struct options *o, const struct pv_view *v)
{
    struct json_object *all = json_object_new_object(), *rules = json_object_new_array(),
                       *findings = json_object_new_array();

    put_int(all, "format", FORMAT);
    put_text(all, "file", o->path);
    put_text(all, "kind", v->kind);
    put(all, "lost", v->lost[0] ? json_object_new_string(v->lost) : NULL);
    for (unsigned n = 1; n <= PV_RULES; n++)
        json_object_array_add(rules, json_rule(n, &c->rule[n]));
    put(all, "rules", rules);
    put_int(all, "frames", c->frames);
    put_int(all, "tables", c->tables);
    put_int(all, "entries", c->entries);
    put_int(all, "missing", c->missing);
    put_int(all, "findings_in_all", c->findings);
    for (size_t i = 0; i < c->kept; i++)
        json_object_array_add(findings, json_finding(&c->finding[i]));
    put(all, "findings", findings);
    printf("%s\n",
           json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                   JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(all);
}

/* ---- the command */

static int check(const struct image *i, const struct options *o, struct pv_check *c,
                 struct error *e)
{
    const struct pv_check_options how = {.keep = o->all ? SIZE_MAX : 0,
                                         .progress = image_progress()};
    struct pv_error why;
    struct pv_p2m *lists;
    int rc = pv_p2m_open(&lists, i->view, i->symbols, &why);

    if (rc == 0) {
        rc = pv_check(i->view, lists, &how, c, &why);
        pv_p2m_close(lists);
    }
    image_progress_end();
    return rc != 0 ? error_set(e, image_end_code(), "%s: %s", o->path, why.text) : 0;
}

/* A kernel's own names take a while to be found: they are looked for when there is what to name. */
static int report(const struct pv_check *c, struct image *i, const struct options *o,
                  struct error *e)
{
    if (o->image.json) {
        print_json(c, o, i->view);
    } else {
        if (c->findings != 0 && i->symbols == NULL && image_take_symbols(i, &o->image, e) != 0)
            return -1;
        print_text(c, i);
    }
    return fflush(stdout) != 0 ? error_errno(e, EXIT_ENVIRONMENT, "cannot write to standard output")
                               : 0;
}

/* Of what lies in a file no rule can be answered: that is not a clean guest. */
static bool is_decided(const struct pv_check *c)
{
    for (unsigned n = 1; n <= PV_RULES; n++)
        if (c->rule[n].answer != PV_UNDECIDABLE)
            return true;
    return false;
}

static int undecided(const struct pv_view *v, const struct options *o, struct error *e)
{
    return error_set(e, EXIT_UNREADABLE, "%s: no rule can be decided of what is there%s%s", o->path,
                     v->lost[0] ? ": " : "", v->lost);
}

/* *code becomes the exit code, if that is not an error's. */
static int check_image(struct image *i, const struct options *o, int *code, struct error *e)
{
    struct pv_check c;
    int rc;

    if (check(i, o, &c, e) != 0)
        return -1;
    *code = c.findings != 0 ? EXIT_FINDINGS : EXIT_CLEAN;
    rc = report(&c, i, o, e);
    if (rc == 0 && !is_decided(&c))
        rc = undecided(i->view, o, e);
    pv_check_free(&c);
    return rc;
}

static int check_file(const struct options *o, int *code, struct error *e)
{
    struct image i;
    int rc;

    if (image_open(&i, o->path, &o->image, o->image.nr_symbols != 0, e) != 0)
        return -1;
    rc = check_image(&i, o, code, e);
    image_close(&i);
    return rc;
}

static int parse(int argc, char **argv, struct options *o, struct error *e)
{
    static const struct option options[] = {
        IMAGE_LONG_OPTIONS, {"all", no_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        const int common = image_option(&o->image, opt, e);

        if (common < 0)
            return -1;
        if (common > 0)
            continue;
        if (opt == 'h') {
            o->help = true;
            return 0;
        }
        if (opt != 'a')
            return command_bad_option(opt, argv, e);
        o->all = true;
    }
    return command_one_word(argc, argv, "an image", &o->path, e);
}

int command_check(int argc, char **argv)
{
    struct options o = {.image.domain = -1};
    struct error e;
    int code = EXIT_CLEAN;

    if (parse(argc, argv, &o, &e) != 0)
        return command_failed(argv[0], &e);
    if (o.help)
        return command_help(help_check);
    return check_file(&o, &code, &e) != 0 ? command_failed(argv[0], &e) : code;
}
