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

/* ---- frames whose pfn has more than 32 bits, or that have none, stand behind all others, in the
 * order of what `m2p` says */

static uint64_t near(const struct pv_frames *f)
{
    uint64_t i = pv_frames_pfn_from(f, pfn(PV_NAMELESS));
    return i == NO_PFN.n ? f->n : i;
}

static int compare_far(const void *a, const void *b, void *context)
{
    const struct pv_m2p *m2p = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint64_t p = m2p->pfn_of(m2p->context, mfn(x)).n, q = m2p->pfn_of(m2p->context, mfn(y)).n;
    return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

static void sort_far(struct pv_frames *f, const struct pv_m2p *m2p)
{
    uint64_t first = near(f);
    if (first < f->n)
        qsort_r(f->mfn + first, f->n - first, sizeof(*f->mfn), compare_far, (void *)m2p);
}

/* The pfn at that place of the index. */
static pfn_t named_at(const struct pv_frames *f, const struct pv_m2p *m2p, uint64_t i)
{
    return f->pfn[i] < PV_NAMELESS ? pfn(f->pfn[i]) : m2p->pfn_of(m2p->context, mfn(f->mfn[i]));
}

static uint64_t place_from(const struct pv_frames *f, const struct pv_m2p *m2p, pfn_t p)
{
    if (p.n < PV_NAMELESS) {
        uint64_t i = pv_frames_pfn_from(f, p);
        return i == NO_PFN.n ? f->n : i;
    }
    uint64_t low = near(f), high = f->n;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (named_at(f, m2p, middle).n < p.n)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool pv_gather_into(struct pv_gather *g, struct pv_frames *f, const struct pv_m2p *m2p)
{
    bool ok = true;
    if (g->n)
        qsort(g->key, g->n, sizeof(*g->key), compare);
    for (size_t i = 0; ok && i < g->n; i++)
        ok = pv_frames_add(f, pfn(g->key[i] >> 32), mfn((uint32_t)g->key[i]));
    pv_gather_free(g);
    if (ok)
        sort_far(f, m2p);
    return ok && pv_frames_sort(f);
}

void pv_gather_free(struct pv_gather *g)
{
    free(g->key);
    *g = (struct pv_gather){0};
}

/* ---- asking */

pfn_t pv_frames_next_pfn(const struct pv_frames *f, const struct pv_m2p *m2p, pfn_t from)
{
    uint64_t i = place_from(f, m2p, from);
    return i < f->n ? named_at(f, m2p, i) : NO_PFN;
}

mfn_t pv_frames_mfn_of(const struct pv_frames *f, const struct pv_m2p *m2p, pfn_t p)
{
    uint64_t i = p.n != NO_PFN.n ? place_from(f, m2p, p) : f->n;
    return i < f->n && named_at(f, m2p, i).n == p.n ? mfn(f->mfn[i]) : NO_MFN;
}

pfn_t pv_frames_end_pfn(const struct pv_frames *f, const struct pv_m2p *m2p)
{
    uint64_t i = place_from(f, m2p, NO_PFN);
    return pfn(i ? named_at(f, m2p, i - 1).n + 1 : 0);
}
