/* SPDX-License-Identifier: MIT */
/* An image whose page-aligned sections were merged, by its linker's map. */
#include "map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "aligned.h"

/* ---- is it this image's? */

static int by_start(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;

    return (x->start > y->start) - (x->start < y->start);
}

/* What the image has in memory: its sections, but for those that only threads have. */
static int loaded_of(const struct elf_file *f, struct piece **loaded, size_t *nr,
                     struct lint_error *e)
{
    *nr = 0;
    *loaded = calloc(f->nr_sections + 1, sizeof(**loaded));
    if (*loaded == NULL)
        return lint_fail(e, "no memory for its sections");
    for (size_t i = 1; i < f->nr_sections; i++) {
        GElf_Shdr h;

        if (elf_section(f, i, &h, e) == 0 && (h.sh_flags & SHF_ALLOC) != 0 &&
            (h.sh_flags & SHF_TLS) == 0 && h.sh_size != 0)
            (*loaded)[(*nr)++] = (struct piece){.start = h.sh_addr, .size = h.sh_size};
    }
    qsort(*loaded, *nr, sizeof(**loaded), by_start);
    return 0;
}

static bool is_inside(const struct piece *p, const struct piece *loaded, size_t nr)
{
    const size_t i = piece_at(loaded, nr, p->start);

    return i != nr && p->size <= loaded[i].size - (p->start - loaded[i].start);
}

static int check_pieces(const struct aligned *a, const struct linker_map *m, struct lint_error *e)
{
    char name[NAME_CHARS + 1];
    struct piece *loaded;
    size_t nr;
    int rc = loaded_of(a->file, &loaded, &nr, e);

    for (size_t i = 0; rc == 0 && nr != 0 && i < m->nr_pieces; i++)
        if (!is_inside(&m->piece[i], loaded, nr))
            rc = lint_fail(e,
                           "it is of another image: it has %s at %" PRIx64
                           ", where this one has no section of that size",
                           name_words(m->piece[i].section, name), m->piece[i].start);
    free(loaded);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    const struct map_symbol *x = a, *y = b;
    const int order = strcmp(x->name, y->name);

    return order != 0 ? order : (x->address > y->address) - (x->address < y->address);
}

/* The first that is not before the key. */
static struct map_symbol *lower(struct linker_map *m, const struct map_symbol *key)
{
    size_t low = 0, high = m->nr_symbols;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (by_name(&m->symbol[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return &m->symbol[low];
}

static bool same_name(const struct linker_map *m, const struct map_symbol *s, const char *name)
{
    return s < m->symbol + m->nr_symbols && strcmp(s->name, name) == 0;
}

static void mark_symbol(struct linker_map *m, const struct elf_symbol *s)
{
    struct map_symbol key = {.name = (char *)(uintptr_t)s->name};
    struct map_symbol *first = lower(m, &key), *exact;

    if (!same_name(m, first, s->name))
        return;
    key.address = s->value;
    exact = lower(m, &key);
    if (same_name(m, exact, s->name) && exact->address == s->value)
        first->here = true;
    else
        first->elsewhere = true;
}

static int check_symbols(const struct aligned *a, struct linker_map *m, struct lint_error *e)
{
    char name[NAME_CHARS + 1];

    if (m->nr_symbols == 0)
        return 0;
    qsort(m->symbol, m->nr_symbols, sizeof(*m->symbol), by_name);
    for (size_t i = 0; i < a->symbols->nr; i++) {
        struct elf_symbol s;

        elf_symbol_get(a->symbols, i, &s);
        if (is_thing(&s) && s.section != SHN_UNDEF)
            mark_symbol(m, &s);
    }
    for (size_t i = 0; i < m->nr_symbols; i++)
        if (m->symbol[i].elsewhere && !m->symbol[i].here)
            return lint_fail(
                e, "it is of another image: it has %s at %" PRIx64 ", and this one elsewhere",
                name_words(m->symbol[i].name, name), m->symbol[i].address);
    return 0;
}

/* ---- places of all pieces */

/* Pieces in the order of their addresses, and the symbols of each. */
struct layout {
    struct piece *piece;
    struct places *of;
    size_t nr;
};

/* Where the section is still there by name, it was judged by that. */
static int take_pieces(const struct aligned *a, const struct linker_map *m, struct layout *l,
                       struct lint_error *e)
{
    l->piece = calloc(m->nr_pieces + 1, sizeof(*l->piece));
    l->of = calloc(m->nr_pieces + 1, sizeof(*l->of));
    if (l->piece == NULL || l->of == NULL)
        return lint_fail(e, "no memory for its sections");
    for (size_t i = 0; i < m->nr_pieces; i++)
        if (piece_at(a->judged, a->nr_judged, m->piece[i].start) == a->nr_judged)
            l->piece[l->nr++] = m->piece[i];
    if (l->nr > 1)
        qsort(l->piece, l->nr, sizeof(*l->piece), by_start);
    return 0;
}

static int take_symbol(struct layout *l, const struct elf_symbol *s, struct lint_error *e)
{
    const size_t i = piece_at(l->piece, l->nr, s->value);

    if (i == l->nr)
        return 0;
    const struct place place = place_of(s, &l->piece[i]);
    return places_add(&l->of[i], &place) == 0 ? 0 : lint_fail(e, "no memory for its symbols");
}

static int take_symbols(const struct aligned *a, const struct linker_map *m, struct layout *l,
                        struct lint_error *e)
{
    for (size_t i = 0; i < a->symbols->nr; i++) {
        struct elf_symbol s;

        elf_symbol_get(a->symbols, i, &s);
        if (is_thing(&s) && s.section != SHN_UNDEF && take_symbol(l, &s, e) != 0)
            return -1;
    }
    for (size_t i = 0; i < m->nr_symbols; i++) {
        const struct elf_symbol s = {.value = m->symbol[i].address, .name = m->symbol[i].name};

        if (take_symbol(l, &s, e) != 0)
            return -1;
    }
    return 0;
}

/* ---- judgement */

static int append(struct places *to, const struct places *from, struct lint_error *e)
{
    for (size_t i = 0; i < from->nr; i++)
        if (places_add(to, &from->at[i]) != 0)
            return lint_fail(e, "no memory for its symbols");
    return 0;
}

static void count(const struct aligned *a, const struct places *p)
{
    a->report->sections++;
    for (size_t i = 0; i < p->nr; i++)
        a->report->symbols += p->at[i].name != NULL;
}

/* Pieces with no more than padding between them shift each other. */
static int judge_run(const struct aligned *a, struct layout *l, size_t *i, struct lint_error *e)
{
    struct places run = {0};
    uint64_t end = l->piece[*i].start;
    int rc = 0;

    for (; rc == 0 && *i < l->nr; ++*i) {
        struct piece *p = &l->piece[*i];

        if (p->start < end || p->start - end >= LINT_PAGE)
            break;
        rc = places_settle(&l->of[*i], 0, p, e);
        if (rc == 0 && l->of[*i].nr != 0) {
            count(a, &l->of[*i]);
            rc = append(&run, &l->of[*i], e);
        }
        end = p->start + p->size;
    }
    if (rc == 0)
        rc = places_judge(&run, true, a->report, e);
    places_free(&run);
    return rc;
}

static int judge(const struct aligned *a, const struct linker_map *m, struct layout *l,
                 struct lint_error *e)
{
    if (take_pieces(a, m, l, e) != 0 || take_symbols(a, m, l, e) != 0)
        return -1;
    for (size_t i = 0; i < l->nr;)
        if (judge_run(a, l, &i, e) != 0)
            return -1;
    return 0;
}

/* What was judged is not looked at again by name. */
static int mark_judged(struct aligned *a, const struct layout *l, struct lint_error *e)
{
    struct piece *more = reallocarray(a->judged, a->nr_judged + l->nr + 1, sizeof(*more));

    if (more == NULL)
        return lint_fail(e, "no memory for its sections");
    a->judged = more;
    for (size_t i = 0; i < l->nr; i++)
        more[a->nr_judged++] = (struct piece){.start = l->piece[i].start, .size = l->piece[i].size};
    qsort(more, a->nr_judged, sizeof(*more), by_start);
    return 0;
}

static void layout_free(struct layout *l)
{
    for (size_t i = 0; l->of != NULL && i < l->nr; i++)
        places_free(&l->of[i]);
    free(l->of);
    free(l->piece);
}

int lint_mapped(struct aligned *a, struct lint_error *e)
{
    struct layout l = {0};
    struct linker_map m;
    int rc;

    if (map_read(a->options, &m, e) != 0)
        return lint_context(e, "the map");
    if (check_pieces(a, &m, e) != 0 || check_symbols(a, &m, e) != 0)
        rc = lint_context(e, "the map");
    else
        rc = judge(a, &m, &l, e) != 0 ? -1 : mark_judged(a, &l, e);
    layout_free(&l);
    map_free(&m);
    return rc;
}
