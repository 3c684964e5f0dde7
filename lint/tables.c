/* SPDX-License-Identifier: MIT */
/*
 * What can still be seen of an image whose page-aligned sections were merged: page tables have
 * names of a few kinds, and none may be off its page.
 */
#include "aligned.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As Linux, Xen, the BSDs, Mini-OS and libpvguest name them. */
static const char *const table_names[] = {
    "*_pgt",       "*_pgts",       "*_pg_dir",      "*_pg_table",   "*_pg_pmd",
    "*_pg_fixmap", "*_page_table", "*_page_tables", "*_pml4",       "*_pdpt",
    "*_pde",       "*_l[1-4]",     "l[1-4]_*",      "level[1-4]_*", "swapper_*",
};
/* Of these also where the assembler was told no size. */
static const char *const sure_names[] = {"*_pgt", "*_pg_dir", "*_pg_table"};

static bool matches(const char *name, const char *const *list, size_t nr)
{
    char text[NAME_CHARS + 1];

    name_words(name, text);
    for (size_t i = 0; i < nr; i++)
        if (fnmatch(list[i], text, 0) == 0)
            return true;
    return false;
}

/* A pointer to a table, a counter of tables: what is no whole pages long is none. */
static bool is_table(const struct elf_symbol *s)
{
    if (s->type != STT_OBJECT && s->type != STT_NOTYPE)
        return false;
    if (s->size == 0)
        return s->type == STT_NOTYPE &&
               matches(s->name, sure_names, sizeof(sure_names) / sizeof(sure_names[0]));
    return s->size % LINT_PAGE == 0 &&
           matches(s->name, table_names, sizeof(table_names) / sizeof(table_names[0]));
}

static bool is_data(const struct elf_file *f, size_t section)
{
    struct lint_error none;
    GElf_Shdr h;

    return section != SHN_UNDEF && section < f->nr_sections &&
           elf_section(f, section, &h, &none) == 0 && (h.sh_flags & SHF_ALLOC) != 0 &&
           (h.sh_flags & SHF_EXECINSTR) == 0;
}

static int by_address(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

/* Those that are off their pages; `*seen` is how many there are. */
static int find_tables(const struct aligned *a, struct places *p, size_t *seen,
                       struct lint_error *e)
{
    static const struct piece nowhere;

    for (size_t i = 0; i < a->symbols->nr; i++) {
        struct elf_symbol s;

        elf_symbol_get(a->symbols, i, &s);
        if (!is_table(&s) || !is_data(a->file, s.section) ||
            piece_at(a->judged, a->nr_judged, s.value) != a->nr_judged)
            continue;
        ++*seen;
        if (s.value % LINT_PAGE == 0)
            continue;
        struct place place = place_of(&s, &nowhere);
        place.member = a->member;
        if (places_add(p, &place) != 0)
            return lint_fail(e, "no memory for its page tables");
    }
    if (p->nr > 1)
        qsort(p->at, p->nr, sizeof(*p->at), by_address);
    return 0;
}

/* Who may have shifted it: what ends there, and is no whole pages long. */
static void name_culprit(const struct aligned *a, uint64_t at, char *text, size_t chars)
{
    text[0] = '\0';
    for (size_t i = 0; i < a->symbols->nr; i++) {
        char name[NAME_CHARS + 1];
        struct elf_symbol s;

        elf_symbol_get(a->symbols, i, &s);
        if (s.size != 0 && s.size % LINT_PAGE != 0 && s.value + s.size == at && is_thing(&s)) {
            snprintf(text, chars, "; %s, %" PRIu64 " bytes long, ends there",
                     name_words(s.name, name), s.size);
            return;
        }
    }
}

/* Tables that are equally far off: the first of them is told, and how many follow. */
static size_t group_end(const struct places *p, size_t i)
{
    size_t end = i + 1;

    while (end < p->nr && p->at[end].start % LINT_PAGE == p->at[i].start % LINT_PAGE)
        end++;
    return end;
}

static void list_group(const struct places *p, size_t i, size_t end, char *also)
{
    size_t n = 0;

    for (; i < end && n + NAME_CHARS + 4 < LINT_CHARS; i++) {
        char name[NAME_CHARS + 1];

        n += (size_t)snprintf(also + n, LINT_CHARS - n, "%s%s", n > 0 ? ", " : "",
                              name_words(p->at[i].name, name));
    }
    if (i < end)
        snprintf(also + n, LINT_CHARS - n, ", ...");
}

static int add_group(const struct aligned *a, const struct places *p, size_t i, size_t end,
                     struct lint_error *e)
{
    const struct place *first = &p->at[i];
    char name[NAME_CHARS + 1], culprit[LINT_CHARS];
    struct lint_finding *f;

    name_culprit(a, first->start, culprit, sizeof(culprit));
    f = lint_add(a->report, "table-address", LINT_FINDING,
                 "%s, a page table by its name, starts 0x%" PRIx64 " bytes into a page%s",
                 name_words(first->name, name), first->start % LINT_PAGE, culprit);
    if (finding_of(f, a->member, NULL, first->name, e) != 0)
        return -1;
    f->has_address = true;
    f->address = first->start;
    f->has_size = first->sized;
    f->size = first->size;
    f->shifted = (unsigned)(end - i - 1);
    list_group(p, i + 1, end, f->also);
    return 0;
}

#define GROUPS_SHOWN 16 /* all symbols are searched for the culprit of each */

int lint_tables(const struct aligned *a, size_t *seen, struct lint_error *e)
{
    struct places p = {0};
    size_t groups = 0;
    int rc = find_tables(a, &p, seen, e);

    for (size_t i = 0; rc == 0 && i < p.nr && groups < GROUPS_SHOWN; groups++) {
        const size_t end = group_end(&p, i);

        rc = add_group(a, &p, i, end, e);
        i = end;
    }
    places_free(&p);
    return rc;
}
