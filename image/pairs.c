/* SPDX-License-Identifier: MIT */
/* Tables of two numbers, found by the first: pfns can be any 64-bit number, so no array has them.
 */
#include "internal.h"

#include <stdlib.h>

bool pv_pairs_add(struct pv_pairs *p, uint64_t key, uint64_t value)
{
    if (p->n == p->room) {
        size_t room = p->room ? 2 * p->room : 1024;
        struct pv_pair *pair = reallocarray(p->pair, room, sizeof(*pair));
        if (!pair)
            return false;
        p->pair = pair;
        p->room = room;
    }
    p->pair[p->n++] = (struct pv_pair){.key = key, .value = value};
    return true;
}

/* One pass of a sort by digits; true: all have the same digit, and nothing was moved. */
static bool sort_by_digit(const struct pv_pair *from, struct pv_pair *to, size_t n, unsigned shift)
{
    size_t at[257] = {0};
    for (size_t i = 0; i < n; i++)
        at[(from[i].key >> shift & 255) + 1]++;
    if (at[(from[0].key >> shift & 255) + 1] == n)
        return true;
    for (unsigned d = 1; d < 256; d++)
        at[d] += at[d - 1];
    for (size_t i = 0; i < n; i++)
        to[at[from[i].key >> shift & 255]++] = from[i];
    return false;
}

bool pv_pairs_sort(struct pv_pairs *p)
{
    if (p->n < 2)
        return true;
    struct pv_pair *other = reallocarray(NULL, p->n, sizeof(*other));
    if (!other)
        return false;
    for (unsigned shift = 0; shift < 64; shift += 8) {
        if (sort_by_digit(p->pair, other, p->n, shift))
            continue;
        struct pv_pair *sorted = other;
        other = p->pair;
        p->pair = sorted;
        p->room = p->n;
    }
    free(other);
    return true;
}

/* Most tables have a pair for every key from 0 on: then a key is its own index. */
static bool is_at_home(const struct pv_pairs *p, uint64_t key)
{
    return key < p->n && p->pair[key].key == key && (key == 0 || p->pair[key - 1].key < key);
}

const struct pv_pair *pv_pairs_from(const struct pv_pairs *p, uint64_t key)
{
    if (is_at_home(p, key))
        return &p->pair[key];
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->pair[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < p->n ? &p->pair[low] : NULL;
}

const struct pv_pair *pv_pairs_find(const struct pv_pairs *p, uint64_t key)
{
    const struct pv_pair *pair = pv_pairs_from(p, key);
    return pair && pair->key == key ? pair : NULL;
}

void pv_pairs_free(struct pv_pairs *p)
{
    free(p->pair);
    *p = (struct pv_pairs){0};
}
