/* SPDX-License-Identifier: MIT */
/*
 * The guest's tables: every frame that the roots lead to, each looked at as what it is used as
 * first, from the top down. Loops end with the levels; nothing of an image makes more work than its
 * tables have entries.
 */
#include "gather.h"

#include <stdlib.h>
#include <string.h>

#include "pte.h"

/* The hypervisor's slots of a root. */
#define RESERVED_FIRST 256u
#define RESERVED_LAST  271u
#define LEVELS         4u

/* Tables that were found and not looked at yet, by level. */
struct found {
    uint32_t *cell;
    size_t n, room;
};

unsigned table_read(const struct gathered *g, uint32_t cell, struct table_words *w)
{
    const unsigned level = g->level[cell];
    const unsigned slots = g->v->width == 4 && level == 3 ? 4 : SLOTS;
    if (!g->v->backend->read(g->v, mfn(g->mfn[cell]), 0, w->word, slots * 8))
        return 0;
    if (level == LEVELS)
        memset(&w->word[RESERVED_FIRST], 0, (RESERVED_LAST + 1 - RESERVED_FIRST) * 8);
    for (unsigned i = 0; i < slots; i++)
        if (!pte_present(w->word[i]))
            w->word[i] = 0;
    return slots;
}

/* ---- finding them */

static int push(struct gathered *g, struct found *f, uint32_t cell, unsigned level)
{
    if (f->n == f->room) {
        const size_t room = f->room ? 2 * f->room : 1024;
        uint32_t *grown = reallocarray(f->cell, room, sizeof(*grown));
        if (!grown)
            return pv_no_memory(g->e);
        f->cell = grown;
        f->room = room;
    }
    f->cell[f->n++] = cell;
    g->level[cell] = (uint8_t)level;
    return 0;
}

static int use_as(struct gathered *g, struct found *found, mfn_t m, unsigned level)
{
    const uint32_t cell = cell_owned(g, m);
    if (cell == NO_CELL)
        return cell_of(g, m) == NO_CELL ? cells_note_extra(g, m) : 0;
    return g->level[cell] ? 0 : push(g, &found[level], cell, level);
}

static int look_into(struct gathered *g, struct found *found, uint32_t cell, unsigned level)
{
    struct table_words w;
    const unsigned slots = table_read(g, cell, &w);
    for (unsigned i = 0; i < slots; i++) {
        if (!w.word[i])
            continue;
        const mfn_t m = pte_frame(w.word[i]);
        *(level == 1 ? &g->l1_entries : &g->upper_entries) += 1;
        if (!pv_is_leaf(level, w.word[i])) {
            if (use_as(g, found, m, level - 1))
                return -1;
        } else if (cell_of(g, m) == NO_CELL && cells_note_extra(g, m)) {
            return -1;
        }
    }
    return 0;
}

/* What the image says is pinned holds its tables, whether anything leads there or not. */
static int take_pinned(struct gathered *g, struct found *found)
{
    const struct pv_view *v = g->v;
    struct pv_told told;
    for (uint32_t i = 0; v->backend->told && i < g->cells; i++)
        if (v->backend->told(v, mfn(g->mfn[i]), &told) && told.pinned && told.level >= 1 &&
            told.level <= pv_top_level(v) && !g->level[i] &&
            push(g, &found[told.level], i, told.level))
            return -1;
    return 0;
}

static int discover(struct gathered *g, struct found *found)
{
    uint64_t done = 0;
    for (size_t i = 0; i < g->roots; i++)
        if (use_as(g, found, g->root[i], pv_top_level(g->v)))
            return -1;
    if (take_pinned(g, found))
        return -1;
    for (unsigned level = pv_top_level(g->v); level >= 1; level--)
        for (size_t i = 0; i < found[level].n; i++) {
            if (look_into(g, found, found[level].cell[i], level))
                return -1;
            if (++done % 1024 == 0 && pv_tell(&g->o->progress, "tables", done, 0, g->e))
                return -1;
        }
    return 0;
}

static int list_tables(struct gathered *g)
{
    for (uint32_t i = 0; i < g->cells; i++)
        g->tables += g->level[i] != 0;
    g->table = calloc(g->tables + 1ull, sizeof(*g->table));
    if (!g->table)
        return pv_no_memory(g->e);
    for (uint32_t i = 0, n = 0; i < g->cells; i++)
        if (g->level[i])
            g->table[n++] = i;
    return 0;
}

int tables_discover(struct gathered *g)
{
    struct found found[LEVELS + 1] = {0};
    int rc = discover(g, found);
    for (unsigned level = 0; level <= LEVELS; level++)
        free(found[level].cell);
    if (rc == 0 && !mfn_eq(g->v->shared_info, NO_MFN) && cell_of(g, g->v->shared_info) == NO_CELL)
        rc = cells_note_extra(g, g->v->shared_info);
    return rc || cells_merge_extras(g) ? -1 : list_tables(g);
}

uint32_t table_index(const struct gathered *g, uint32_t cell)
{
    uint32_t low = 0, high = g->tables;
    if (cell == NO_CELL || !g->level[cell])
        return NO_CELL;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (g->table[middle] < cell)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- their entries */

static unsigned entry_flags(unsigned level, uint64_t e)
{
    return (e & PTE_RW ? 1u : 0) | (e & PTE_USER ? 2u : 0) | (e & PTE_ACCESSED ? 4u : 0) |
           (e & PTE_DIRTY ? 8u : 0) | (level > 1 && pv_is_leaf(level, e) ? 16u : 0) |
           (level == 1 && (e & PTE_GLOBAL) ? 32u : 0) | (e & PTE_NX ? 64u : 0);
}

static void count(uint16_t *n)
{
    *n = (uint16_t)(*n < MANY ? *n + 1 : *n);
}

static void take_entry(struct gathered *g, unsigned level, unsigned slot, uint64_t e)
{
    const uint32_t to = cell_of(g, pte_frame(e));
    if (to != NO_CELL) {
        count(&g->uses[to]);
        if (pv_is_leaf(level, e) && (e & PTE_RW))
            count(&g->writable[to]);
    }
    if (level == 1 && !g->with_l1)
        return;
    column_add(&g->column[COLUMN_SLOT], slot);
    column_add(&g->column[COLUMN_TARGET], to);
    column_add(&g->column[COLUMN_ENTRY], entry_flags(level, e));
}

int tables_columns(struct gathered *g)
{
    struct table_words w;
    for (uint32_t t = 0; t < g->tables; t++) {
        const uint32_t cell = g->table[t];
        column_add(&g->column[COLUMN_TABLE], cell);
        column_add(&g->column[COLUMN_FIRST], (uint32_t)g->column[COLUMN_SLOT].count);
        const unsigned slots = table_read(g, cell, &w);
        for (unsigned i = 0; i < slots; i++)
            if (w.word[i])
                take_entry(g, g->level[cell], i, w.word[i]);
        if (t % 1024 == 0 && pv_tell(&g->o->progress, "entries", t, g->tables, g->e))
            return -1;
    }
    column_add(&g->column[COLUMN_FIRST], (uint32_t)g->column[COLUMN_SLOT].count);
    return 0;
}
