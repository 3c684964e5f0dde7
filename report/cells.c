/* SPDX-License-Identifier: MIT */
/* The frames that are shown, in the order of their numbers. */
#include "gather.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_ONCE 65536u
#define PER_HINT  2u /* cells, on average, between two hints */

void leave_out(struct gathered *g, const char *fmt, ...)
{
    size_t used = strlen(g->left_out);
    va_list args;
    if (used && used + 2 < sizeof(g->left_out))
        used += (size_t)snprintf(g->left_out + used, sizeof(g->left_out) - used, "; ");
    va_start(args, fmt);
    if (used < sizeof(g->left_out))
        vsnprintf(g->left_out + used, sizeof(g->left_out) - used, fmt, args);
    va_end(args);
}

/* ---- looking one up */

static int make_hints(struct gathered *g)
{
    const uint64_t end = g->cells ? g->mfn[g->cells - 1] + 1ull : 1;
    g->shift = 0;
    while (end >> g->shift > g->cells / PER_HINT + 1)
        g->shift++;
    const size_t hints = (size_t)(end >> g->shift) + 2;
    free(g->hint);
    g->hint = calloc(hints, sizeof(*g->hint));
    if (!g->hint)
        return pv_no_memory(g->e);
    for (size_t h = 0, i = 0; h < hints; h++) {
        while (i < g->cells && g->mfn[i] >> g->shift < h)
            i++;
        g->hint[h] = (uint32_t)i;
    }
    return 0;
}

uint32_t cell_of(const struct gathered *g, mfn_t m)
{
    if (g->cells == 0 || m.n > g->mfn[g->cells - 1])
        return NO_CELL;
    uint32_t low = g->hint[m.n >> g->shift], high = g->hint[(m.n >> g->shift) + 1];
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (g->mfn[middle] < m.n)
            low = middle + 1;
        else
            high = middle;
    }
    return low < g->cells && g->mfn[low] == m.n ? low : NO_CELL;
}

uint32_t cell_owned(const struct gathered *g, mfn_t m)
{
    const uint32_t cell = cell_of(g, m);
    return cell != NO_CELL && g->v->backend->owned(g->v, m) ? cell : NO_CELL;
}

/* ---- the guest's own */

static bool add(struct gathered *g, size_t *room, mfn_t m)
{
    if (g->cells == *room) {
        *room = *room ? *room + *room / 2 : ROOM_ONCE;
        uint32_t *grown = reallocarray(g->mfn, *room, sizeof(*grown));
        if (!grown)
            return false;
        g->mfn = grown;
    }
    g->mfn[g->cells++] = (uint32_t)m.n;
    return true;
}

int cells_own(struct gathered *g)
{
    const struct pv_backend *b = g->v->backend;
    size_t room = g->v->nr_pages < 1u << 20 ? (size_t)g->v->nr_pages : 0;
    uint64_t left = 0;
    g->mfn = room ? calloc(room, sizeof(*g->mfn)) : NULL;
    if (!g->mfn)
        room = 0;
    for (mfn_t m = b->next_owned(g->v, mfn(0)); !mfn_eq(m, NO_MFN);
         m = b->next_owned(g->v, mfn(m.n + 1))) {
        if (m.n >= CELL_MAX || g->cells >= CELL_MAX) {
            left++;
            break;
        }
        if (!add(g, &room, m))
            return pv_no_memory(g->e);
        if (g->cells % 65536 == 0 &&
            pv_tell(&g->o->progress, "frames", g->cells, g->v->nr_pages, g->e))
            return -1;
    }
    if (left)
        leave_out(g, "frames from %x on", CELL_MAX);
    g->level = calloc(g->cells + 1ull, sizeof(*g->level));
    return g->level ? make_hints(g) : pv_no_memory(g->e);
}

/* ---- others */

static int compare(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void sort_extras(struct gathered *g)
{
    uint32_t n = 0;
    if (g->extras)
        qsort(g->extra, g->extras, sizeof(*g->extra), compare);
    for (uint32_t i = 0; i < g->extras; i++)
        if (n == 0 || g->extra[n - 1] != g->extra[i])
            g->extra[n++] = g->extra[i];
    g->extras = n;
}

int cells_note_extra(struct gathered *g, mfn_t m)
{
    uint8_t byte;
    if (m.n >= CELL_MAX || m.n >= g->v->nr_frames || g->extras_full ||
        !g->v->backend->read(g->v, m, 0, &byte, 1))
        return 0;
    if (!g->extra)
        g->extra = calloc(MAX_EXTRA, sizeof(*g->extra));
    if (!g->extra)
        return pv_no_memory(g->e);
    if (g->extras == MAX_EXTRA)
        sort_extras(g);
    g->extras_full = g->extras > MAX_EXTRA - MAX_EXTRA / 8;
    if (!g->extras_full)
        g->extra[g->extras++] = (uint32_t)m.n;
    else
        leave_out(g, "some of the frames that are not the guest's");
    return 0;
}

int cells_merge_extras(struct gathered *g)
{
    sort_extras(g);
    if (g->extras == 0)
        return 0;
    const size_t n = (size_t)g->cells + g->extras;
    uint32_t *mfns = n < CELL_MAX ? reallocarray(g->mfn, n, sizeof(*mfns)) : NULL;
    uint8_t *levels = mfns ? realloc(g->level, n + 1) : NULL;
    if (mfns)
        g->mfn = mfns;
    if (levels)
        g->level = levels;
    if (!mfns || !levels)
        return pv_no_memory(g->e);
    for (size_t to = n, own = g->cells, more = g->extras; more > 0;) {
        const bool is_own = own > 0 && mfns[own - 1] > g->extra[more - 1];
        --to;
        mfns[to] = is_own ? mfns[own - 1] : g->extra[more - 1];
        levels[to] = is_own ? levels[own - 1] : 0;
        own -= is_own;
        more -= !is_own;
    }
    g->cells = (uint32_t)n;
    return make_hints(g);
}
