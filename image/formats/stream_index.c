/* SPDX-License-Identifier: MIT */
/*
 * Where each pfn's page lies. Savers send pfns in ascending order, again what a live guest changed
 * meanwhile, and only few out of order: those wait in a list that is merged when it grows.
 */
#include "stream_parts.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_ONCE 1024u
#define LATE_MOST (64u << 10) /* or an eighth of what is there */

static bool reserve(struct stream_index *x, size_t n)
{
    size_t room = x->room ? x->room : ROOM_ONCE;
    while (room < n)
        room *= 2;
    if (room == x->room)
        return true;
    uint32_t *pfns = reallocarray(x->pfn, room, sizeof(*pfns));
    if (pfns)
        x->pfn = pfns;
    uint64_t *places = pfns ? reallocarray(x->place, room, sizeof(*places)) : NULL;
    if (!places)
        return false;
    x->place = places;
    x->room = room;
    return true;
}

size_t stream_index_from(const struct stream_index *x, uint64_t pfn)
{
    if (pfn < x->n && x->pfn[pfn] == pfn) /* most guests have a page at every pfn from 0 on */
        return pfn;
    size_t low = 0, high = x->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (x->pfn[middle] < pfn)
            low = middle + 1;
        else
            high = middle;
    }
    return low < x->n ? low : NOWHERE;
}

size_t stream_index_find(const struct stream_index *x, uint64_t pfn)
{
    size_t i = stream_index_from(x, pfn);
    return i != NOWHERE && x->pfn[i] == pfn ? i : NOWHERE;
}

static void set(struct stream_index *x, size_t i, uint64_t pfn, uint64_t place)
{
    x->pfn[i] = (uint32_t)pfn;
    x->place[i] = place;
}

/* ---- what came late: none of it is in the index yet */

/* Of equal pfns, which stand in the order in which they came, the last; those without a page go. */
static void drop_older(struct pv_pairs *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n; i++) {
        bool older = i + 1 < p->n && p->pair[i + 1].key == p->pair[i].key;
        if (!older && place_type(p->pair[i].value) != PAGE_NONE)
            p->pair[kept++] = p->pair[i];
    }
    p->n = kept;
}

/* From the end on, so that nothing is overwritten that still has to move. */
static bool merge_late(struct stream_index *x)
{
    struct pv_pairs *late = &x->late;
    if (late->n == 0)
        return true;
    if (!pv_pairs_sort(late))
        return false;
    drop_older(late);
    if (!reserve(x, x->n + late->n))
        return false;
    size_t from = x->n, to = x->n + late->n;
    for (size_t left = late->n; left > 0;) {
        bool moves = from > 0 && x->pfn[from - 1] > late->pair[left - 1].key;
        if (moves) {
            from--;
            set(x, --to, x->pfn[from], x->place[from]);
        } else {
            left--;
            set(x, --to, late->pair[left].key, late->pair[left].value);
        }
    }
    x->n += late->n;
    late->n = 0;
    return true;
}

static bool put_late(struct stream_index *x, uint64_t pfn, uint64_t place)
{
    size_t most = x->n / 8 > LATE_MOST ? x->n / 8 : LATE_MOST;
    return pv_pairs_add(&x->late, pfn, place) && (x->late.n < most || merge_late(x));
}

/* ---- */

bool stream_index_put(struct stream_index *x, uint64_t pfn, uint64_t place)
{
    if (x->n == 0 || pfn > x->pfn[x->n - 1]) {
        if (place_type(place) == PAGE_NONE)
            return true;
        if (!reserve(x, x->n + 1))
            return false;
        set(x, x->n++, pfn, place);
        return true;
    }
    size_t known = stream_index_find(x, pfn);
    if (known == NOWHERE)
        return put_late(x, pfn, place);
    x->place[known] = place;
    return true;
}

/* Arrays grow by doubling: what is left over is given back. */
static void trim(struct stream_index *x)
{
    size_t room = x->n ? x->n : 1;
    uint32_t *pfns = reallocarray(x->pfn, room, sizeof(*pfns));
    uint64_t *places = reallocarray(x->place, room, sizeof(*places));
    x->pfn = pfns ? pfns : x->pfn;
    x->place = places ? places : x->place;
    x->room = room;
}

bool stream_index_settle(struct stream_index *x, uint64_t *broken)
{
    *broken = 0;
    if (!merge_late(x))
        return false;
    pv_pairs_free(&x->late);
    size_t kept = 0;
    for (size_t i = 0; i < x->n; i++) {
        unsigned type = place_type(x->place[i]);
        *broken += type == PAGE_BROKEN;
        if (type != PAGE_BROKEN && type != PAGE_NONE)
            set(x, kept++, x->pfn[i], x->place[i]);
    }
    x->n = kept;
    if (x->room)
        trim(x);
    return true;
}

void stream_index_free(struct stream_index *x)
{
    pv_pairs_free(&x->late);
    free(x->pfn);
    free(x->place);
    *x = (struct stream_index){0};
}
