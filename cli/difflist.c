/* SPDX-License-Identifier: MIT */
/* What differs between two images, as text and as JSON (docs/diff.md). */
#include "difflist.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "jsonput.h"
#include "lookup.h"
#include "pte.h"
#include "tone.h"

#define FORMAT      1 /* docs/diff.md */
#define WORDS       512u
#define SHOWN_BYTES 16u

bool diff_is_different(const struct pv_diff_summary *s)
{
    return s->same != s->pages;
}

void diff_note(struct diff_list *l, const char *fmt, ...)
{
    va_list args;

    if (l->notes == DIFF_NOTES)
        return;
    va_start(args, fmt);
    vsnprintf(l->note[l->notes++], sizeof(l->note[0]), fmt, args);
    va_end(args);
}

/* ---- one page's contents */

struct contents {
    uint64_t words[2][WORDS];
    bool there[2];
    unsigned first, bytes; /* that differ */
};

static bool read_contents(const struct diff_list *l, const struct pv_diff_range *r,
                          struct contents *c)
{
    const uint8_t *a = (const uint8_t *)c->words[0], *b = (const uint8_t *)c->words[1];

    if (!(r->kinds & 1u << PV_DIFF_CONTENTS))
        return false;
    c->bytes = 0;
    for (unsigned i = 0; i < 2; i++)
        c->there[i] = pv_diff_words(l->image[i].view, r->first, r->as[i], c->words[i]);
    if (!c->there[0] || !c->there[1])
        return false;
    for (unsigned i = PAGE_BYTES; i-- > 0;)
        if (a[i] != b[i]) {
            c->first = i;
            c->bytes++;
        }
    return c->bytes != 0;
}

static bool is_table(const struct pv_diff_range *r)
{
    return r->as[0] != 0 || r->as[1] != 0;
}

static void print_bytes(const struct contents *c)
{
    const unsigned end =
        c->first + SHOWN_BYTES < PAGE_BYTES ? c->first + SHOWN_BYTES : (unsigned)PAGE_BYTES;

    printf("    %u bytes differ, the first at +0x%03x\n", c->bytes, c->first);
    for (unsigned side = 0; side < 2; side++) {
        const uint8_t *byte = (const uint8_t *)c->words[side];

        printf("      %c ", "AB"[side]);
        for (unsigned i = c->first; i < end; i++)
            printf(" %02x", byte[i]);
        printf("\n");
    }
}

static void print_entry(const struct pv_diff_range *r, const struct contents *c, unsigned slot)
{
    char flags[64];

    printf("    entry %3u\n", slot);
    for (unsigned side = 0; side < 2; side++) {
        const uint64_t entry = c->words[side][slot];

        printf("      %c  %016" PRIx64, "AB"[side], entry);
        if (pte_present(entry))
            printf("  pfn %-8" PRIx64 " %s", pte_frame(entry).n,
                   flag_words(r->as[side], entry, flags, sizeof(flags)));
        printf("\n");
    }
}

static void print_contents(const struct diff_list *l, const struct pv_diff_range *r)
{
    struct contents c;

    if ((!l->o->bytes && !l->o->entries) || !read_contents(l, r, &c))
        return;
    if (!l->o->entries || !is_table(r)) {
        if (l->o->bytes)
            print_bytes(&c);
        return;
    }
    for (unsigned slot = 0; slot < WORDS; slot++)
        if (c.words[0][slot] != c.words[1][slot])
            print_entry(r, &c, slot);
}

/* ---- text */

static const char *type_words(const struct pv_diff_page *p, char *text, size_t size)
{
    if (p->level == 0)
        snprintf(text, size, "page");
    else
        snprintf(text, size, "L%u%s", p->level, p->pinned ? " pinned" : "");
    return text;
}

static const char *kind_words(unsigned kinds, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    for (unsigned k = 0; k < PV_DIFF_KINDS && n < size; k++)
        if (kinds & 1u << k)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n == 0 ? "" : ",",
                                  pv_diff_name((enum pv_diff_kind)k));
    return text;
}

/* The symbol, by the names of either image: kernels without names in memory are not rare. */
static const char *name_words(const struct diff_list *l, uint64_t va, char *text, size_t size)
{
    if (symbol_words(&l->image[0], va, text, size)[0] == '\0')
        symbol_words(&l->image[1], va, text, size);
    return text;
}

static void print_types(const struct pv_diff_range *r)
{
    char a[24], b[24];

    type_words(&r->page[0], a, sizeof(a));
    type_words(&r->page[1], b, sizeof(b));
    if (r->kinds & 1u << PV_DIFF_TYPE)
        printf("  %s -> %s", a, b);
    else if (r->page[0].level != 0 || r->page[1].level != 0)
        printf("  %s", r->page[0].level != 0 ? a : b);
}

static void print_range(const struct diff_list *l, const struct diff_entry *entry)
{
    const struct pv_diff_range *r = &entry->range;
    char pfns[40], kinds[64], name[240];

    if (r->first.n == r->last.n)
        snprintf(pfns, sizeof(pfns), "%" PRIx64, r->first.n);
    else
        snprintf(pfns, sizeof(pfns), "%" PRIx64 "-%" PRIx64, r->first.n, r->last.n);
    printf("%-17s %8" PRIu64 "  %-13s", pfns, r->last.n - r->first.n + 1,
           kind_words(r->kinds, kinds, sizeof(kinds)));
    if (!mfn_eq(entry->seen.root, NO_MFN))
        printf("  %016" PRIx64, entry->seen.va.a);
    print_types(r);
    if (r->kinds & 1u << PV_DIFF_P2M)
        printf("  mfn %" PRIx64 " -> %" PRIx64, r->page[0].mfn.n, r->page[1].mfn.n);
    if (!mfn_eq(entry->seen.root, NO_MFN) &&
        name_words(l, entry->seen.va.a, name, sizeof(name))[0] != '\0')
        printf("  %s", name);
    printf("\n");
    print_contents(l, r);
}

static void print_image(const struct diff_list *l, unsigned side)
{
    const struct pv_view *v = l->image[side].view;

    printf("%c  %s: %s, %" PRIu64 " pages\n", "AB"[side], l -> o -> path[side], v -> kind,
           v -> nr_pages);
}

static void print_count(const char *what, uint64_t n, const char *of, uint64_t more)
{
    printf("%-12s %10" PRIu64, what, n);
    if (more != 0)
        printf("  %s: %" PRIu64, of, more);
    printf("\n");
}

static void print_summary(const struct diff_list *l)
{
    const struct pv_diff_summary *s = &l->sum;

    print_count("the same", s->same, "of these tables, equal once entries name pfns",
                s->translated);
    print_count("contents", s->of[PV_DIFF_CONTENTS], "of these tables", s->tables);
    print_count("type", s->of[PV_DIFF_TYPE], "", 0);
    print_count("p2m", s->of[PV_DIFF_P2M], "", 0);
    print_count("only in A", s->of[PV_DIFF_ONLY_A], "", 0);
    print_count("only in B", s->of[PV_DIFF_ONLY_B], "", 0);
}

void diff_print_text(const struct diff_list *l)
{
    const bool tone = tone_wanted(stdout);

    print_image(l, 0);
    print_image(l, 1);
    for (unsigned i = 0; i < l->notes; i++)
        printf("   %s\n", l->note[i]);
    printf("\n");
    print_summary(l);
    if (l->n != 0)
        printf("\n%spfns                 pages  what           seen at%s\n", tone ? "\033[1m" : "",
               tone ? "\033[0m" : "");
    for (size_t i = 0; i < l->n; i++)
        print_range(l, &l->entry[i]);
    if (l->sum.ranges > l->n)
        printf("... and %" PRIu64 " more (-n N or --all shows them)\n", l->sum.ranges - l->n);
}

/* ---- JSON */

static struct json_object *json_image(const struct diff_list *l, unsigned side)
{
    const struct pv_view *v = l->image[side].view;
    struct json_object *o = json_object_new_object();

    put_text(o, "file", l->o->path[side]);
    put_text(o, "kind", v->kind);
    put_int(o, "pages", v->nr_pages);
    put_text_or_null(o, "lost", v->lost);
    return o;
}

static struct json_object *json_page(const struct pv_view *v, const struct pv_diff_page *p)
{
    struct json_object *o = json_object_new_object();
    char level[8] = "page";

    if (mfn_eq(p->mfn, NO_MFN)) {
        json_object_put(o);
        return NULL;
    }
    if (p->level != 0)
        snprintf(level, sizeof(level), "L%u", p->level);
    put_hex_if(o, "mfn", p->mfn.n, !v->portable);
    put_text(o, "type", level);
    put_text(o, "type_from", p->told ? "image" : p->level != 0 ? "use" : NULL);
    put(o, "pinned", p->told ? json_object_new_boolean(p->pinned) : NULL);
    return o;
}

static struct json_object *json_kinds(unsigned kinds)
{
    struct json_object *list = json_object_new_array();

    for (unsigned k = 0; k < PV_DIFF_KINDS; k++)
        if (kinds & 1u << k)
            json_object_array_add(list, json_object_new_string(pv_diff_name((enum pv_diff_kind)k)));
    return list;
}

static struct json_object *json_entries(const struct contents *c)
{
    struct json_object *list = json_object_new_array();

    for (unsigned slot = 0; slot < WORDS; slot++) {
        if (c->words[0][slot] == c->words[1][slot])
            continue;
        struct json_object *o = json_object_new_object();

        put_int(o, "slot", slot);
        put_hex(o, "a", c->words[0][slot]);
        put_hex(o, "b", c->words[1][slot]);
        json_object_array_add(list, o);
    }
    return list;
}

static void put_contents(struct json_object *o, const struct diff_list *l,
                         const struct pv_diff_range *r)
{
    struct contents c;

    if ((!l->o->bytes && !l->o->entries) || !read_contents(l, r, &c))
        return;
    if (l->o->bytes) {
        put_int(o, "first_byte", c.first);
        put_int(o, "bytes", c.bytes);
    }
    if (l->o->entries && is_table(r))
        put(o, "entries", json_entries(&c));
}

static struct json_object *json_range(const struct diff_list *l, const struct diff_entry *entry)
{
    const struct pv_diff_range *r = &entry->range;
    const bool seen = !mfn_eq(entry->seen.root, NO_MFN);
    struct json_object *o = json_object_new_object();
    char name[240] = "";

    put_hex(o, "first", r->first.n);
    put_hex(o, "last", r->last.n);
    put_int(o, "pages", r->last.n - r->first.n + 1);
    put(o, "what", json_kinds(r->kinds));
    put(o, "a", json_page(l->image[0].view, &r->page[0]));
    put(o, "b", json_page(l->image[1].view, &r->page[1]));
    put_hex_if(o, "va", entry->seen.va.a, seen);
    put_text_or_null(o, "symbol",
                     seen ? name_words(l, entry->seen.va.a, name, sizeof(name)) : NULL);
    put_contents(o, l, r);
    return o;
}

static struct json_object *json_summary(const struct pv_diff_summary *s)
{
    struct json_object *o = json_object_new_object();

    put_int(o, "pages", s->pages);
    put_int(o, "same", s->same);
    put_int(o, "same_translated", s->translated);
    put_int(o, "contents", s->of[PV_DIFF_CONTENTS]);
    put_int(o, "contents_of_tables", s->tables);
    put_int(o, "type", s->of[PV_DIFF_TYPE]);
    put(o, "p2m", s->p2m ? json_object_new_uint64(s->of[PV_DIFF_P2M]) : NULL);
    put_int(o, "only_a", s->of[PV_DIFF_ONLY_A]);
    put_int(o, "only_b", s->of[PV_DIFF_ONLY_B]);
    put_int(o, "ranges", s->ranges);
    put_bool(o, "pins_compared", s->pins);
    return o;
}

void diff_print_json(const struct diff_list *l)
{
    struct json_object *all = json_object_new_object(), *notes = json_object_new_array();

    put_int(all, "format", FORMAT);
    put_bool(all, "different", diff_is_different(&l->sum));
    put(all, "a", json_image(l, 0));
    put(all, "b", json_image(l, 1));
    for (unsigned i = 0; i < l->notes; i++)
        json_object_array_add(notes, json_object_new_string(l->note[i]));
    put(all, "notes", notes);
    put(all, "summary", json_summary(&l->sum));
    json_list_begin(all, "ranges");
    for (size_t i = 0; i < l->n; i++)
        json_item(json_range(l, &l->entry[i]), i == 0);
    struct json_object *end = json_object_new_object();
    put_int(end, "ranges_left_out", l->sum.ranges - l->n);
    json_list_end(end);
}
