/* SPDX-License-Identifier: MIT */
/* The frames of an image, found by pfn and by mfn. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define NOTHING   (~0ull)
#define PER_HINT  2u /* frames, on average, between two hints */
#define ROOM_ONCE 1024u

/* Arrays of their own, so that growing one moves pages instead of holding old and new at once. */
static bool grow(struct pv_frames *f)
{
    size_t room = f->room ? 2 * f->room : ROOM_ONCE;
    uint32_t *pfns = reallocarray(f->pfn, room, sizeof(*pfns));
    if (pfns)
        f->pfn = pfns;
    uint32_t *mfns = pfns ? reallocarray(f->mfn, room, sizeof(*mfns)) : NULL;
    if (!mfns)
        return false;
    f->mfn = mfns;
    f->room = room;
    return true;
}

bool pv_frames_add(struct pv_frames *f, pfn_t p, mfn_t m)
{
    if (f->n == f->room && !grow(f))
        return false;
    f->pfn[f->n] = (uint32_t)p.n;
    f->mfn[f->n++] = (uint32_t)m.n;
    return true;
}

/* ---- the order of pfns and of mfns */

#define DIGIT  11u
#define DIGITS (1u << DIGIT)

/* One pass of a sort by digits, of indices by the keys that they stand for. */
static void sort_by_digit(const uint32_t *key, size_t n, const uint32_t *from, uint32_t *to,
                          unsigned shift)
{
    size_t at[DIGITS + 1] = {0};
    for (size_t i = 0; i < n; i++)
        at[(key[i] >> shift & (DIGITS - 1)) + 1]++;
    for (unsigned d = 1; d < DIGITS; d++)
        at[d] += at[d - 1];
    for (size_t i = 0; i < n; i++)
        to[at[key[from[i]] >> shift & (DIGITS - 1)]++] = from[i];
}

static uint32_t largest(const uint32_t *key, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = key[i] > most ? key[i] : most;
    return most;
}

/* The indices 0..n - 1 in the order of their keys; malloc'd. NULL: out of memory. */
static uint32_t *sorted_indices(const uint32_t *key, size_t n)
{
    uint32_t *a = reallocarray(NULL, n, sizeof(*a)), *b = reallocarray(NULL, n, sizeof(*b));
    if (!a || !b) {
        free(a);
        free(b);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        a[i] = (uint32_t)i;
    const uint32_t most = largest(key, n);
    for (unsigned shift = 0; shift < 32 && most >> shift; shift += DIGIT) {
        sort_by_digit(key, n, a, b, shift);
        uint32_t *sorted = b;
        b = a;
        a = sorted;
    }
    free(b);
    return a;
}

static bool permute(uint32_t **what, const uint32_t *from, size_t n)
{
    uint32_t *to = reallocarray(NULL, n, sizeof(*to));
    if (!to)
        return false;
    for (size_t i = 0; i < n; i++)
        to[i] = (*what)[from[i]];
    free(*what);
    *what = to;
    return true;
}

bool pv_frames_order(struct pv_frames *f, uint32_t **from)
{
    *from = sorted_indices(f->pfn, f->n);
    f->room = f->n;
    return *from && permute(&f->pfn, *from, f->n) && permute(&f->mfn, *from, f->n);
}

static uint32_t mfn_at(const struct pv_frames *f, size_t place)
{
    return f->mfn[f->by_mfn[place]];
}

static bool make_hints(struct pv_frames *f)
{
    uint64_t range = (uint64_t)mfn_at(f, f->n - 1) + 1;
    while ((range >> f->shift) > f->n / PER_HINT + 1)
        f->shift++;
    size_t hints = (size_t)(range >> f->shift) + 2;
    f->hint = reallocarray(NULL, hints, sizeof(*f->hint));
    if (!f->hint)
        return false;
    memset(f->hint, 0, hints * sizeof(*f->hint));
    for (size_t i = 0; i < f->n; i++)
        f->hint[(f->mfn[i] >> f->shift) + 1]++;
    for (size_t h = 1; h < hints; h++)
        f->hint[h] += f->hint[h - 1];
    return true;
}

/* Arrays grow by doubling: what is left over is given back. */
static bool trim(struct pv_frames *f)
{
    uint32_t *pfns = reallocarray(f->pfn, f->n, sizeof(*pfns));
    uint32_t *mfns = reallocarray(f->mfn, f->n, sizeof(*mfns));
    f->pfn = pfns ? pfns : f->pfn;
    f->mfn = mfns ? mfns : f->mfn;
    f->room = f->n;
    return pfns && mfns;
}

bool pv_frames_sort(struct pv_frames *f)
{
    if (f->n == 0)
        return true;
    f->by_mfn = trim(f) ? sorted_indices(f->mfn, f->n) : NULL;
    return f->by_mfn && make_hints(f);
}

/* ---- finding */

/* The first place in the order of mfns with that one or more. */
static size_t place_from(const struct pv_frames *f, uint64_t m)
{
    if (f->n == 0 || m > mfn_at(f, f->n - 1))
        return f->n;
    size_t low = f->hint[m >> f->shift], high = f->hint[(m >> f->shift) + 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mfn_at(f, middle) < m)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint64_t pv_frames_mfn(const struct pv_frames *f, mfn_t m)
{
    size_t place = place_from(f, m.n);
    return place < f->n && mfn_at(f, place) == m.n ? f->by_mfn[place] : NOTHING;
}

static bool is_below_end(const struct pv_frames *f, mfn_t m)
{
    return f->n && m.n <= mfn_at(f, f->n - 1);
}

void pv_frames_mfn_each(const struct pv_frames *f, const mfn_t *m, size_t n, uint64_t *index)
{
    for (size_t i = 0; i < n; i++)
        if (is_below_end(f, m[i]))
            __builtin_prefetch(&f->hint[m[i].n >> f->shift]);
    for (size_t i = 0; i < n; i++)
        if (is_below_end(f, m[i]))
            __builtin_prefetch(&f->by_mfn[f->hint[m[i].n >> f->shift]]);
    for (size_t i = 0; i < n; i++)
        if (is_below_end(f, m[i]) && f->hint[m[i].n >> f->shift] < f->n)
            __builtin_prefetch(&f->mfn[f->by_mfn[f->hint[m[i].n >> f->shift]]]);
    for (size_t i = 0; i < n; i++)
        index[i] = pv_frames_mfn(f, m[i]);
}

mfn_t pv_frames_next_mfn(const struct pv_frames *f, mfn_t from)
{
    size_t place = place_from(f, from.n);
    return place < f->n ? mfn(mfn_at(f, place)) : NO_MFN;
}

/* Most guests have a frame at every pfn from 0 on: then a pfn is its own index. */
static bool is_at_home(const struct pv_frames *f, uint64_t p)
{
    return p < f->n && f->pfn[p] == p && (p == 0 || f->pfn[p - 1] < p);
}

uint64_t pv_frames_pfn_from(const struct pv_frames *f, pfn_t p)
{
    if (is_at_home(f, p.n))
        return p.n;
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (f->pfn[middle] < p.n)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->n ? low : NOTHING;
}

uint64_t pv_frames_pfn(const struct pv_frames *f, pfn_t p)
{
    uint64_t i = pv_frames_pfn_from(f, p);
    return i != NOTHING && f->pfn[i] == p.n ? i : NOTHING;
}

void pv_frames_free(struct pv_frames *f)
{
    free(f->pfn);
    free(f->mfn);
    free(f->by_mfn);
    free(f->hint);
    *f = (struct pv_frames){0};
}
