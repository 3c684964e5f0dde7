/* SPDX-License-Identifier: MIT */
/* Places and roots, as they are named on a command line, found in an image. */
#include "lookup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "exitcodes.h"
#include "jsonput.h"
#include "pte.h"

/* ---- options */

int lookup_option(struct lookup_options *o, int opt, struct error *e)
{
    switch (opt) {
    case LOOKUP_OPTION_VCPU:
        if (!parse_number(optarg, &o->vcpu))
            return error_set(e, EXIT_USAGE, "--vcpu %s: not a number", optarg);
        o->has_vcpu = true;
        return 1;
    case LOOKUP_OPTION_ROOT:
        o->root = optarg;
        return 1;
    case LOOKUP_OPTION_USER:
        o->user = true;
        return 1;
    }
    return image_option(&o->image, opt, e);
}

int lookup_parse(struct lookup_options *o, int argc, char **argv, const struct option *options,
                 const char *help)
{
    struct error e;
    int opt;

    optind = 1;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (opt == 'h')
            return command_help(help);
        int taken = lookup_option(o, opt, &e);
        if (taken == 0)
            command_bad_option(opt, argv, &e);
        if (taken != 1)
            return command_failed(argv[0], &e);
    }
    return -1;
}

int lookup_options_check(const struct lookup_options *o, struct error *e)
{
    if (o->root != NULL && (o->has_vcpu || o->user))
        return error_set(e, EXIT_USAGE, "--root and %s exclude each other",
                         o->user ? "--user" : "--vcpu");
    return 0;
}

/* ---- places */

/* Takes "+N" off the end of the text; true also if there is none. */
static bool take_plus(char *text, uint64_t *plus)
{
    char *sign = strrchr(text, '+');

    *plus = 0;
    if (sign == NULL)
        return true;
    *sign = '\0';
    return parse_number(sign + 1, plus);
}

/* Sixteen digits without 0x in front: an address, as Linux and Xen print it. */
static bool bare_address(const char *text, uint64_t *n)
{
    char *end;

    if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16)
        return false;
    *n = strtoull(text, &end, 16);
    return *end == '\0';
}

static bool parse_text(struct place *p, const char *text)
{
    const bool is_pfn = strncmp(text, "pfn:", 4) == 0;

    if (is_pfn || strncmp(text, "mfn:", 4) == 0) {
        p->kind = is_pfn ? PLACE_PFN : PLACE_MFN;
        return parse_number(text + 4, &p->n);
    }
    if (bare_address(text, &p->n) || parse_number(text, &p->n))
        return true;
    p->named = (text[0] < '0' || text[0] > '9') && text[0] != '\0' && text[0] != '-';
    return p->named;
}

int place_parse(struct place *p, const char *text, struct error *e)
{
    *p = (struct place){.kind = PLACE_VA};
    if (strlen(text) >= sizeof(p->name))
        return error_set(e, EXIT_USAGE, "%.40s...: too long for a place", text);
    snprintf(p->name, sizeof(p->name), "%s", text);
    if (!take_plus(p->name, &p->plus) || !parse_text(p, p->name))
        return error_set(e, EXIT_USAGE, "%s: neither an address, nor a symbol, nor pfn:N or mfn:N",
                         text);
    return 0;
}

static int find_symbol(struct place *p, const struct image *i, struct error *e)
{
    if (pv_symbol_find(i->symbols, p->name, &p->n))
        return 0;
    if (i->no_symbols[0] != '\0')
        return error_set(e, EXIT_FINDINGS,
                         "%s: no symbols are known (%s); name a vmlinux or System.map by --symbols",
                         p->name, i->no_symbols);
    return error_set(e, EXIT_FINDINGS, "no symbol %s", p->name);
}

int place_find(struct place *p, const struct image *i, struct error *e)
{
    if (p->named && find_symbol(p, i, e) != 0)
        return -1;
    if (p->kind != PLACE_VA) {
        p->n += p->plus / PAGE_BYTES;
        p->plus %= PAGE_BYTES;
        return 0;
    }
    if (p->n + p->plus < p->n)
        return error_set(e, EXIT_USAGE, "%" PRIx64 "+%" PRIx64 ": beyond the last address", p->n,
                         p->plus);
    p->n += p->plus;
    p->plus = 0;
    return 0;
}

int place_frame(const struct place *p, const struct image *i, mfn_t *m, struct error *e)
{
    const struct pv_view *v = i->view;

    if (p->kind == PLACE_MFN && v->portable)
        return error_set(e, EXIT_FINDINGS,
                         "mfn:%" PRIx64 ": a %s knows no machine frames; name the frame by pfn:N",
                         p->n, v->kind);
    *m = p->kind == PLACE_MFN ? mfn(p->n) : v->backend->mfn_of(v, pfn(p->n));
    if (mfn_eq(*m, NO_MFN))
        return error_set(e, EXIT_FINDINGS, "pfn %" PRIx64 " has no frame (%s)", p->n,
                         pfn_source(v));
    return 0;
}

/* ---- roots */

static int root_by_name(struct root *r, const char *text, const struct image *i, struct error *e)
{
    struct place p = {.kind = PLACE_MFN};
    struct error ignored;

    if (!parse_number(text, &p.n) &&
        (place_parse(&p, text, &ignored) != 0 || p.kind == PLACE_VA || p.plus != 0))
        return error_set(e, EXIT_USAGE, "--root %s: not a frame: N, mfn:N or pfn:N", text);
    if (p.kind == PLACE_MFN && i->view->portable)
        p.kind = PLACE_PFN; /* the number that its entries would have */
    snprintf(r->of, sizeof(r->of), "--root");
    if (place_frame(&p, i, &r->frame, e) != 0)
        return error_context(e, "--root %s", text);
    return 0;
}

static int root_of_vcpu(struct root *r, const struct lookup_options *o, const struct pv_view *v,
                        struct error *e)
{
    if (o->vcpu >= v->nr_vcpus)
        return error_set(e, o->has_vcpu ? EXIT_USAGE : EXIT_FINDINGS,
                         "vCPU %" PRIu64 ": the image has %u; a root can be named by --root",
                         o->vcpu, v->nr_vcpus);
    const struct pv_vcpu *vcpu = &v->vcpu[o->vcpu];
    r->frame = o->user ? vcpu->user_root : vcpu->kernel_root;
    snprintf(r->of, sizeof(r->of), "vCPU %" PRIu64 ", %s", o->vcpu, o->user ? "user" : "kernel");
    if (!vcpu->valid || mfn_eq(r->frame, NO_MFN))
        return error_set(e, EXIT_FINDINGS,
                         "vCPU %" PRIu64
                         " has no %s root in this image; one can be named by --root",
                         o->vcpu, o->user ? "user" : "kernel");
    return 0;
}

int root_choose(struct root *r, const struct lookup_options *o, const struct image *i,
                struct error *e)
{
    const struct pv_view *v = i->view;

    if (o->root != NULL)
        return root_by_name(r, o->root, i, e);
    const bool any = !o->has_vcpu && !o->user;
    if (any && (v->nr_vcpus == 0 || !v->vcpu[0].valid) && !mfn_eq(v->kernel_root, NO_MFN)) {
        *r = (struct root){.frame = v->kernel_root, .of = "kernel"};
        return 0;
    }
    return root_of_vcpu(r, o, v, e);
}

/* ---- what is known */

const char *pfn_source(const struct pv_view *v)
{
    if (v->portable)
        return "entry";
    return v->has_m2p ? "m2p" : "container";
}

const char *frame_words(const struct pv_view *v, mfn_t m, char *text, size_t size)
{
    const pfn_t p = v->backend->pfn_of(v, m);

    if (v->portable)
        snprintf(text, size, "pfn %" PRIx64, m.n);
    else if (p.n == NO_PFN.n)
        snprintf(text, size, "mfn %" PRIx64 " (no pfn by %s)", m.n, pfn_source(v));
    else
        snprintf(text, size, "mfn %" PRIx64 " (pfn %" PRIx64 " by %s)", m.n, p.n, pfn_source(v));
    return text;
}

/* An entry's flags in the order of its bits; `at_top` of upper levels, `at_1` of L1. */
static const struct flag {
    uint64_t bit;
    const char *at_top, *at_1;
} flags[] = {
    {PTE_PRESENT, "P", "P"},  {PTE_RW, "RW", "RW"},    {PTE_USER, "US", "US"},
    {PTE_PWT, "PWT", "PWT"},  {PTE_PCD, "PCD", "PCD"}, {PTE_ACCESSED, "A", "A"},
    {PTE_DIRTY, "D", "D"},    {PTE_PSE, "PSE", "PAT"}, {PTE_GLOBAL, "G", "G"},
    {PTE_KERNEL, "GK", "GK"}, {PTE_NX, "NX", "NX"},
};
#define FLAGS (sizeof(flags) / sizeof(flags[0]))

const char *flag_words(unsigned level, uint64_t entry, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < FLAGS && n < size; i++)
        if (entry & flags[i].bit)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n == 0 ? "" : " ",
                                  level == 1 ? flags[i].at_1 : flags[i].at_top);
    return text;
}

#define NEAR_ENOUGH (64u << 10) /* where a symbol's size is not known */

bool near_symbol(const struct image *i, uint64_t va, struct pv_symbol *s)
{
    const bool kernel = i->view->width == 4 ? va >= 0xc0000000 : va >> 63;

    return kernel && i->symbols != NULL && pv_symbol_at(i->symbols, va, s) &&
           (s->size != 0 || s->offset < NEAR_ENOUGH);
}

const char *symbol_words(const struct image *i, uint64_t va, char *text, size_t size)
{
    struct pv_symbol s;

    text[0] = '\0';
    if (!near_symbol(i, va, &s))
        return text;
    const char *module = s.module[0] != '\0' ? s.module : NULL;
    if (s.offset == 0)
        snprintf(text, size, "%s%s%s", s.name, module ? " of " : "", module ? module : "");
    else
        snprintf(text, size, "%s+0x%" PRIx64 "%s%s", s.name, s.offset, module ? " of " : "",
                 module ? module : "");
    return text;
}

const char *walk_why(const struct pv_view *v, const struct pv_walk *w, char *text, size_t size)
{
    char frame[96];

    if (w->level == 0)
        snprintf(text, size, "not an address: %s", v->width == 4 ? "above 4 GiB" : "not canonical");
    else if (w->absent)
        snprintf(text, size, "the L%u table, %s, is not in the image", w->level,
                 frame_words(v, maddr_frame(w->at[w->level]), frame, sizeof(frame)));
    else
        snprintf(text, size, "the L%u entry at %" PRIx64 ", %016" PRIx64 ", is not present",
                 w->level, w->at[w->level].a, w->entry[w->level]);
    return text;
}

const char *walk_why_code(const struct pv_walk *w)
{
    if (w->present)
        return NULL;
    if (w->level == 0)
        return "not-canonical";
    return w->absent ? "table-missing" : "not-present";
}

/* ---- JSON */

void put_symbol(struct json_object *o, const char *key, const struct image *i, uint64_t va)
{
    struct json_object *symbol = NULL;
    struct pv_symbol s;

    if (near_symbol(i, va, &s)) {
        symbol = json_object_new_object();
        put_text_or_null(symbol, "name", s.name);
        put_hex(symbol, "offset", s.offset);
        put_text_or_null(symbol, "module", s.module);
    }
    json_object_object_add(o, key, symbol);
}

void put_flags(struct json_object *o, const char *key, unsigned level, uint64_t entry)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < FLAGS; i++)
        if (entry & flags[i].bit)
            json_object_array_add(
                list, json_object_new_string(level == 1 ? flags[i].at_1 : flags[i].at_top));
    json_object_object_add(o, key, list);
}

static void put_type(struct json_object *o, const struct pv_view *v, mfn_t m, unsigned level)
{
    struct pv_told told = {.level = level};
    const bool by_image = v->backend->told != NULL && v->backend->told(v, m, &told);
    char type[8] = "page";

    if (told.level != 0)
        snprintf(type, sizeof(type), "L%u", told.level);
    put_text_or_null(o, "type", by_image || level != 0 ? type : NULL);
    put_text_or_null(o, "type_from", by_image ? "image" : level != 0 ? "level" : NULL);
    json_object_object_add(o, "pinned", by_image ? json_object_new_boolean(told.pinned) : NULL);
}

void put_frame(struct json_object *o, const struct image *i, mfn_t m, unsigned level)
{
    const struct pv_view *v = i->view;
    const pfn_t p = v->portable ? pfn(m.n) : v->backend->pfn_of(v, m);
    struct pv_place at;
    const bool there = pv_place_of(v, m, &at);

    json_object_object_add(o, "mfn", v->portable ? NULL : json_hex(m.n));
    json_object_object_add(o, "pfn", p.n == NO_PFN.n ? NULL : json_hex(p.n));
    put_text_or_null(o, "pfn_from", p.n == NO_PFN.n ? NULL : pfn_source(v));
    put_type(o, v, m, level);
    json_object_object_add(o, "file_offset", there ? json_object_new_uint64(at.offset) : NULL);
    put_text_or_null(o, "record", there ? at.record : NULL);
}

struct json_object *root_json(const struct image *i, const struct root *r)
{
    struct json_object *o = json_object_new_object();

    put_text_or_null(o, "of", r->of);
    put_frame(o, i, r->frame, i->view->width == 4 ? 3 : 4);
    return o;
}

#define JSON_LINE (JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

void json_print(struct json_object *o)
{
    printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_LINE));
    json_object_put(o);
}

/* Objects are put together from their members' text: "{ a, b }" without the braces. */
static void print_members(struct json_object *o)
{
    const char *text = json_object_to_json_string_ext(o, JSON_LINE);

    printf("%.*s", (int)strlen(text) - 2, text + 1);
    json_object_put(o);
}

void json_list_begin(struct json_object *o, const char *key)
{
    printf("{");
    print_members(o);
    printf(", \"%s\": [", key);
}

void json_item(struct json_object *o, bool first)
{
    printf("%s\n%s", first ? "" : ",", json_object_to_json_string_ext(o, JSON_LINE));
    json_object_put(o);
}

void json_list_end(struct json_object *o)
{
    printf("\n],");
    print_members(o);
    printf("}\n");
}

int output_code(int code, struct error *e)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    error_errno(e, EXIT_ENVIRONMENT, "cannot write to standard output");
    return -1;
}
