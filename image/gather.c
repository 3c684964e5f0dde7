/* SPDX-License-Identifier: MIT */
/* Frames as they are found, in the order of mfns, become an index in the order of pfns. */
#include "internal.h"

#include <stdlib.h>

#define ROOM_ONCE 1024u

bool pv_gather_add(struct pv_gather *g, pfn_t p, mfn_t m)
{
    if (g->n == g->room) {
        size_t room = g->room ? 2 * g->room : ROOM_ONCE;
        uint64_t *grown = reallocarray(g->key, room, sizeof(*grown));
        if (!grown)
            return false;
        g->key = grown;
        g->room = room;
    }
    uint64_t named = p.n < PV_NAMELESS ? p.n : PV_NAMELESS;
    g->key[g->n++] = named << 32 | (uint32_t)m.n;
    return true;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool pv_gather_into(struct pv_gather *g, struct pv_frames *f)
{
    bool ok = true;
    if (g->n)
        qsort(g->key, g->n, sizeof(*g->key), compare);
    for (size_t i = 0; ok && i < g->n; i++)
        ok = pv_frames_add(f, pfn(g->key[i] >> 32), mfn((uint32_t)g->key[i]));
    pv_gather_free(g);
    return ok && pv_frames_sort(f);
}

void pv_gather_free(struct pv_gather *g)
{
    free(g->key);
    *g = (struct pv_gather){0};
}

/* ---- asking an index that has nameless frames */

static size_t named(const struct pv_frames *f)
{
    size_t n = f->n;
    if (n && f->pfn[n - 1] == PV_NAMELESS)
        n = (size_t)pv_frames_pfn_from(f, pfn(PV_NAMELESS));
    return n;
}

pfn_t pv_frames_end_pfn(const struct pv_frames *f)
{
    size_t n = named(f);
    return pfn(n ? f->pfn[n - 1] + 1ull : 0);
}

mfn_t pv_frames_mfn_of(const struct pv_frames *f, pfn_t p)
{
    uint64_t i = p.n < PV_NAMELESS ? pv_frames_pfn(f, p) : NO_PFN.n;
    return i != NO_PFN.n ? mfn(f->mfn[i]) : NO_MFN;
}

pfn_t pv_frames_next_pfn(const struct pv_frames *f, pfn_t from)
{
    uint64_t i = from.n < PV_NAMELESS ? pv_frames_pfn_from(f, from) : NO_PFN.n;
    return i != NO_PFN.n && f->pfn[i] != PV_NAMELESS ? pfn(f->pfn[i]) : NO_PFN;
}
