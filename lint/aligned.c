/* SPDX-License-Identifier: MIT */
/* Is all that is in page-aligned sections page-aligned, in address and size? */
#include "aligned.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const known[] = {".bss..page_aligned", ".data..page_aligned",
                                    ".bss.page_aligned", ".data.page_aligned"};
#define NR_KNOWN (sizeof(known) / sizeof(known[0]))

static bool is_of(const char *section, const char *name)
{
    const size_t n = strlen(name);

    return n > 0 && strncmp(section, name, n) == 0 && (section[n] == '\0' || section[n] == '.');
}

bool is_page_aligned(const char *section, const struct lint_options *o)
{
    for (size_t i = 0; i < NR_KNOWN; i++)
        if (is_of(section, known[i]))
            return true;
    for (size_t i = 0; i < o->nr_sections; i++)
        if (is_of(section, o->sections[i]))
            return true;
    return false;
}

bool is_thing(const struct elf_symbol *s)
{
    if (s->name[0] == '\0')
        return false;
    if (s->type == STT_NOTYPE)
        return s->size != 0 || (s->name[0] != '$' && strncmp(s->name, ".L", 2) != 0);
    return s->type == STT_OBJECT || s->type == STT_FUNC || s->type == STT_COMMON;
}

struct place place_of(const struct elf_symbol *s, const struct piece *p)
{
    return (struct place){.start = s->value,
                          .size = s->size,
                          .name = s->name,
                          .section = p->section,
                          .member = p->member,
                          .sized = s->size != 0,
                          .global = s->binding != STB_LOCAL};
}

size_t piece_at(const struct piece *p, size_t nr, uint64_t address)
{
    size_t low = 0, high = nr; /* the first that begins behind the address */

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (p[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && address - p[low - 1].start < p[low - 1].size ? low - 1 : nr;
}

/* ---- sections that are there by name */

/* A page-aligned section of the file, and its symbols. */
struct section {
    struct piece piece;
    uint64_t align;
    struct places places;
};

struct sections {
    struct section *list;
    size_t nr;
    size_t *of; /* for each section of the file: its index here, plus 1 */
};

static void sections_free(struct sections *s)
{
    for (size_t i = 0; i < s->nr; i++)
        places_free(&s->list[i].places);
    free(s->list);
    free(s->of);
}

static int sections_add(const struct aligned *a, size_t number, const GElf_Shdr *h,
                        struct sections *s, struct lint_error *e)
{
    const bool image = elf_is_image(a->file);
    const uint64_t start = image ? h->sh_addr : 0;
    struct section *more;

    if (h->sh_size > UINT64_MAX - start)
        return lint_fail(e, "damaged: section %zu has %" PRIu64 " bytes from %" PRIx64 " on",
                         number, (uint64_t)h->sh_size, start);
    more = reallocarray(s->list, s->nr + 1, sizeof(*more));
    if (more == NULL)
        return lint_fail(e, "no memory for its sections");
    s->list = more;
    more[s->nr++] = (struct section){
        .piece = {elf_section_name(a->file, h), a->member, start, h->sh_size},
        .align = h->sh_addralign,
    };
    s->of[number] = s->nr;
    return 0;
}

static int find_sections(const struct aligned *a, struct sections *s, struct lint_error *e)
{
    const size_t nr = a->file->nr_sections;

    s->of = calloc(nr + 1, sizeof(*s->of));
    if (s->of == NULL)
        return lint_fail(e, "no memory for its sections");
    for (size_t i = 1; i < nr; i++) {
        GElf_Shdr h;

        if (elf_section(a->file, i, &h, e) != 0)
            return -1;
        if (h.sh_size != 0 && is_page_aligned(elf_section_name(a->file, &h), a->options) &&
            sections_add(a, i, &h, s, e) != 0)
            return -1;
    }
    return 0;
}

static int take_symbols(const struct aligned *a, struct sections *s, struct lint_error *e)
{
    for (size_t i = 0; i < a->symbols->nr; i++) {
        struct elf_symbol symbol;

        elf_symbol_get(a->symbols, i, &symbol);
        if (symbol.section >= a->file->nr_sections || s->of[symbol.section] == 0 ||
            !is_thing(&symbol))
            continue;
        struct section *in = &s->list[s->of[symbol.section] - 1];
        if (symbol.value < in->piece.start || symbol.value - in->piece.start >= in->piece.size)
            continue; /* an end's mark */
        const struct place place = place_of(&symbol, &in->piece);
        if (places_add(&in->places, &place) != 0)
            return lint_fail(e, "no memory for its symbols");
    }
    return 0;
}

static size_t named(const struct places *p)
{
    size_t n = 0;

    for (size_t i = 0; i < p->nr; i++)
        n += p->at[i].name != NULL;
    return n;
}

/* An object's sections are put where their alignment allows: offsets alone promise nothing. */
static int judge_alignment(const struct aligned *a, const struct section *s, struct lint_error *e)
{
    char name[NAME_CHARS + 1];
    struct lint_finding *f;

    if (elf_is_image(a->file) || (s->align != 0 && s->align % LINT_PAGE == 0))
        return 0;
    f = lint_add(a->report, "section-alignment", LINT_FINDING,
                 "%s is aligned to %" PRIu64 ": a linker may put it anywhere in a page",
                 name_words(s->piece.section, name), s->align == 0 ? 1 : s->align);
    if (finding_of(f, a->member, s->piece.section, NULL, e) != 0)
        return -1;
    f->has_size = true;
    f->size = s->piece.size;
    return 0;
}

static int judge_section(const struct aligned *a, struct section *s, struct lint_error *e)
{
    if (places_settle(&s->places, 0, &s->piece, e) != 0)
        return -1;
    if (s->places.nr == 0)
        return 0; /* not what its name says */
    a->report->sections++;
    a->report->symbols += named(&s->places);
    return places_judge(&s->places, elf_is_image(a->file), a->report, e) != 0
               ? -1
               : judge_alignment(a, s, e);
}

static int by_start(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

static int judge_sections(struct aligned *a, struct sections *s, struct lint_error *e)
{
    if (find_sections(a, s, e) != 0 || take_symbols(a, s, e) != 0)
        return -1;
    a->judged = calloc(s->nr + 1, sizeof(*a->judged));
    if (a->judged == NULL)
        return lint_fail(e, "no memory for its sections");
    for (size_t i = 0; i < s->nr; i++) {
        a->judged[a->nr_judged++] = s->list[i].piece;
        if (judge_section(a, &s->list[i], e) != 0)
            return -1;
    }
    qsort(a->judged, a->nr_judged, sizeof(*a->judged), by_start);
    return 0;
}

/* ---- what no section tells */

static int add_open(const struct aligned *a, const char *code, const char *text,
                    struct lint_error *e)
{
    return finding_of(lint_add(a->report, code, LINT_OPEN, "%s", text), a->member, NULL, NULL, e);
}

static int judge_merged(const struct aligned *a, size_t tables, struct lint_error *e)
{
    char text[LINT_CHARS], seen[96] = "";

    if (a->nr_judged != 0)
        return 0;
    if (a->file->nr_sections == 0)
        return add_open(a, "no-sections", "it has no section headers", e);
    if (tables != 0)
        snprintf(seen, sizeof(seen), "; %zu page table%s, as names tell, %s looked at", tables,
                 tables == 1 ? "" : "s", tables == 1 ? "was" : "were");
    snprintf(text, sizeof(text),
             "it has no such section: if its objects had any, the linker merged them into others, "
             "and only its map tells (--map)%s",
             seen);
    return add_open(a, "sections-merged", text, e);
}

static int judge_image(struct aligned *a, struct lint_error *e)
{
    size_t tables = 0;

    if (a->options->map != NULL && lint_mapped(a, e) != 0)
        return -1;
    if (lint_tables(a, &tables, e) != 0)
        return -1;
    return a->options->map == NULL ? judge_merged(a, tables, e) : 0;
}

/* gcc -flto leaves the compiling to the linker. */
static int judge_object(const struct aligned *a, struct lint_error *e)
{
    for (size_t i = 0; i < a->symbols->nr; i++) {
        struct elf_symbol s;

        elf_symbol_get(a->symbols, i, &s);
        if (strcmp(s.name, "__gnu_lto_slim") == 0)
            return add_open(a, "intermediate-code",
                            "it is a compiler's intermediate code (LTO): the linker makes the "
                            "sections",
                            e);
    }
    return 0;
}

int lint_aligned(const struct lint_input *elf, const char *member, const struct lint_options *o,
                 struct lint_report *r, struct lint_error *e)
{
    struct elf_symbols symbols;
    struct elf_file file;
    struct aligned a = {&file, &symbols, o, member, r, NULL, 0};
    struct sections sections = {0};
    int rc;

    if (elf_file_open(elf, &file, e) != 0)
        return -1;
    if (o->map != NULL && !elf_is_image(&file))
        rc = lint_fail(e, "a map is of a linked image, and this is an object: it needs none");
    else
        rc = elf_symbols_open(&file, &symbols, e);
    if (rc == 0)
        rc = judge_sections(&a, &sections, e);
    if (rc == 0)
        rc = elf_is_image(&file) ? judge_image(&a, e) : judge_object(&a, e);
    free(a.judged);
    sections_free(&sections);
    elf_file_close(&file);
    return rc;
}
