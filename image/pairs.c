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

static int compare(const void *left, const void *right)
{
    const struct pv_pair *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->value < b->value ? -1 : a->value > b->value;
}

void pv_pairs_sort(struct pv_pairs *p)
{
    if (p->n)
        qsort(p->pair, p->n, sizeof(*p->pair), compare);
}

const struct pv_pair *pv_pairs_from(const struct pv_pairs *p, uint64_t key)
{
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
