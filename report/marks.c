/* SPDX-License-Identifier: MIT */
/*
 * How each frame is mapped: for the user, as the kernel's code, in its map of all memory or
 * elsewhere. What a table is worth depends on the way to it (where it maps, and what the entries
 * above allow), and not on which way that was: so each is gone through once for every such worth,
 * of which there are twelve. Only tables on the edge of a range are gone through for each root.
 */
#include "gather.h"

#include <stdlib.h>

#include "pte.h"

#define HALF (1ull << 47)

enum range { RANGE_USER, RANGE_ALL, RANGE_ELSE, RANGE_SEVERAL };

/* The way to a table. */
struct way {
    unsigned level; /* of the table */
    uint64_t va;    /* of its first slot */
    enum range range;
    bool executable, user;
};

struct marks {
    struct gathered *g;
    uint16_t *memo; /* by table: of what worth it was gone through */
    bool no_user;   /* the kernel runs in the lower half itself */
    uint64_t all_from, all_to, text_from, text_to;
};

static enum range range_at(const struct marks *k, uint64_t va)
{
    if (va - k->all_from < k->all_to - k->all_from)
        return RANGE_ALL;
    return k->g->v->width == 8 && va < HALF && !k->no_user ? RANGE_USER : RANGE_ELSE;
}

/* Of 2^bits bytes. */
static enum range range_of(const struct marks *k, uint64_t va, unsigned bits)
{
    const uint64_t last = va | ((1ull << bits) - 1);
    const enum range r = range_at(k, va);
    const bool has_edge =
        (k->all_from > va && k->all_from <= last) || (k->all_to > va && k->all_to <= last);
    return has_edge || range_at(k, last) != r ? RANGE_SEVERAL : r;
}

static bool is_text(const struct marks *k, uint64_t va, uint64_t entry)
{
    return !(entry & PTE_RW) || va - k->text_from < k->text_to - k->text_from;
}

static void mark(struct marks *k, const struct way *w, uint64_t entry)
{
    struct gathered *g = k->g;
    const uint32_t cell = cell_of(g, pte_frame(entry));
    const bool writable = entry & PTE_RW;
    const bool user = w->user && (g->v->width == 4 || w->range == RANGE_USER);
    if (cell == NO_CELL)
        return;
    uint8_t *seen = &g->seen[cell], *flags = &g->flags[cell];
    *flags |= w->executable ? FLAG_EXECUTABLE : 0;
    if (user) {
        *flags |= FLAG_USER;
        *seen |= writable ? SEEN_USER_RW : SEEN_USER_RO;
        *seen |= w->executable ? SEEN_USER_TEXT : 0;
        return;
    }
    if (w->range == RANGE_ALL)
        *seen |= SEEN_ALL | (writable ? SEEN_ALL_RW : 0);
    else
        *seen |= SEEN_ELSE | (writable ? SEEN_ELSE_RW : 0);
    if (w->executable && w->range != RANGE_USER && is_text(k, w->va, entry))
        *seen |= SEEN_TEXT;
}

/* Entries of a 32-bit guest's L3 have no flags: they allow everything. */
static struct way below(const struct marks *k, const struct way *w, unsigned slot, uint64_t entry)
{
    const unsigned shift = PAGE_SHIFT_4K + 9 * (w->level - 1);
    const bool has_flags = !(k->g->v->width == 4 && w->level == 3);
    struct way to = *w;
    to.va += (uint64_t)slot << shift;
    if (w->level == 4 && slot >= SLOTS / 2)
        to.va |= 0xffffull << 48;
    if (w->range == RANGE_SEVERAL)
        to.range = range_of(k, to.va, shift);
    to.executable &= !has_flags || !(entry & PTE_NX);
    to.user &= !has_flags || (entry & PTE_USER);
    to.level--;
    return to;
}

/* Was it gone through for this before? */
static bool is_known(struct marks *k, uint32_t table, const struct way *w)
{
    const uint16_t worth = (uint16_t)(1u << (w->range * 4 + w->executable * 2u + w->user));
    if (w->range == RANGE_SEVERAL)
        return false;
    const bool known = k->memo[table] & worth;
    k->memo[table] |= worth;
    return known;
}

static void go_through(struct marks *k, uint32_t cell, const struct way *w)
{
    const uint32_t table = table_index(k->g, cell);
    struct table_words words;
    if (table == NO_CELL || k->g->level[cell] != w->level || is_known(k, table, w))
        return;
    const unsigned slots = table_read(k->g, cell, &words);
    for (unsigned i = 0; i < slots; i++) {
        const uint64_t entry = words.word[i];
        if (!entry)
            continue;
        struct way to = below(k, w, i, entry);
        if (!pv_is_leaf(w->level, entry)) {
            go_through(k, cell_of(k->g, pte_frame(entry)), &to);
            continue;
        }
        if (to.range == RANGE_SEVERAL)
            to.range = range_at(k, to.va);
        mark(k, &to, entry);
    }
}

/* Boot loaders and microkernels do. */
static bool is_below(const struct pv_view *v)
{
    for (unsigned i = 0; i < v->nr_vcpus; i++)
        if (v->vcpu[i].valid && v->vcpu[i].in_kernel && v->vcpu[i].rip < HALF)
            return true;
    return false;
}

static void find_ranges(struct marks *k)
{
    const struct report_subject *s = k->g->s;
    gva_t base;
    k->no_user = is_below(k->g->v);
    if (s->lists && pv_p2m_map_of_all(s->lists, &base)) {
        k->all_from = base.a;
        k->all_to = base.a + (k->g->v->end_pfn.n << PAGE_SHIFT_4K);
        if (k->all_to < base.a || k->g->v->end_pfn.n > 1ull << 34)
            k->all_to = base.a | (HALF - 1);
    }
    if (s->symbols && pv_symbol_find(s->symbols, "_text", &k->text_from) &&
        !pv_symbol_find(s->symbols, "_etext", &k->text_to))
        k->text_to = k->text_from;
}

int marks_set(struct gathered *g)
{
    struct marks k = {.g = g};
    k.memo = calloc(g->tables + 1ull, sizeof(*k.memo));
    if (!k.memo)
        return pv_no_memory(g->e);
    find_ranges(&k);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < g->roots; i++) {
        const struct way w = {
            .level = pv_top_level(g->v), .range = RANGE_SEVERAL, .executable = true, .user = true};
        go_through(&k, cell_of(g, g->root[i]), &w);
        rc = pv_tell(&g->o->progress, "mappings", i, g->roots, g->e);
    }
    free(k.memo);
    return rc;
}
