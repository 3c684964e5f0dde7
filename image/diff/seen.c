/* SPDX-License-Identifier: MIT */
/*
 * Where frames are seen: one walk through all roots for as many frames as are asked for. A table
 * that several entries name is gone through once for each level: one place of each frame is enough.
 */
#include "run.h"

#include <stdlib.h>

#include "glue.h"
#include "pte.h"

#define KERNEL_IMAGE 0xffffffff80000000ull /* of Linux: text, data and modules */

struct search {
    const struct pv_view *v;
    struct pv_seen *seen; /* by frame */
    size_t n;
    uint8_t *gone; /* by the view's frame: bit 1 << level */
    uint64_t frames;
    mfn_t root;
};

static int by_frame(const void *a, const void *b)
{
    const struct pv_seen *x = a, *y = b;
    return x->frame.n < y->frame.n ? -1 : x->frame.n > y->frame.n;
}

static size_t first_from(const struct search *s, uint64_t m)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->seen[middle].frame.n < m)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static unsigned worth(const struct pv_view *v, uint64_t va)
{
    if (v->width == 4)
        return 1;
    return va >= KERNEL_IMAGE ? 3 : va >> 63 ? 1 : 2;
}

/* All that were asked for in what an entry maps. */
static void note(struct search *s, uint64_t first, uint64_t pages, uint64_t va)
{
    for (size_t i = first_from(s, first); i < s->n && s->seen[i].frame.n < first + pages; i++) {
        struct pv_seen *to = &s->seen[i];
        uint64_t here = va + ((to->frame.n - first) << PAGE_SHIFT_4K);
        if (!mfn_eq(to->root, NO_MFN) && worth(s->v, to->va.a) >= worth(s->v, here))
            continue;
        to->root = s->root;
        to->va = gva(here);
    }
}

static const uint64_t *words_of(const struct pv_view *v, mfn_t table, uint64_t *buffer)
{
    const uint64_t *words = v->backend->words ? v->backend->words(v, table) : NULL;
    if (words)
        return words;
    return v->backend->read(v, table, 0, buffer, PAGE_BYTES) ? buffer : NULL;
}

static bool is_new(struct search *s, mfn_t table, unsigned level)
{
    const struct pv_backend *b = s->v->backend;
    if (!b->owned(s->v, table))
        return false;
    uint64_t i = b->index_of ? b->index_of(s->v, table) : table.n;
    bool is = i < s->frames && !(s->gone[i] & 1u << level);
    if (is)
        s->gone[i] |= (uint8_t)(1u << level);
    return is;
}

static void go_through(struct search *s, mfn_t table, unsigned level, uint64_t va)
{
    uint64_t buffer[GLUE_TABLE_ENTRIES];
    const uint64_t *words = is_new(s, table, level) ? words_of(s->v, table, buffer) : NULL;
    const unsigned entries = s->v->width == 4 && level == 3 ? 4 : GLUE_TABLE_ENTRIES;
    const unsigned shift = 9 * (level - 1);
    for (unsigned i = 0; words && i < entries; i++) {
        const uint64_t entry = words[i];
        uint64_t at = va | (uint64_t)i << (PAGE_SHIFT_4K + shift);
        if (!pte_present(entry) ||
            (level == 4 && i >= GLUE_L4_RESERVED_FIRST && i <= GLUE_L4_RESERVED_LAST))
            continue;
        if (level == 4 && i >= GLUE_L4_RESERVED_FIRST)
            at |= 0xffffull << 48;
        if (pv_is_leaf(level, entry))
            note(s, pte_frame(entry).n >> shift << shift, 1ull << shift, at);
        else
            go_through(s, pte_frame(entry), level - 1, at);
    }
}

/* The kernel's root first: what it maps is the kernel's wherever else it is mapped. */
static int go_through_all(struct search *s, struct pv_error *e)
{
    mfn_t *root;
    size_t roots;
    if (pv_roots(s->v, &root, &roots, e))
        return -1;
    s->root = s->v->kernel_root;
    if (!mfn_eq(s->root, NO_MFN))
        go_through(s, s->root, pv_top_level(s->v), 0);
    for (size_t i = 0; i < roots; i++) {
        s->root = root[i];
        go_through(s, s->root, pv_top_level(s->v), 0);
    }
    free(root);
    return 0;
}

int pv_where_seen(const struct pv_view *v, struct pv_seen *seen, size_t n, struct pv_error *e)
{
    struct search s = {.v = v, .seen = seen, .n = n};
    s.frames = v->backend->index_of ? v->nr_pages : v->nr_frames;
    s.gone = calloc(s.frames ? s.frames : 1, sizeof(*s.gone));
    if (!s.gone)
        return pv_no_memory(e);
    qsort(seen, n, sizeof(*seen), by_frame);
    for (size_t i = 0; i < n; i++)
        seen[i].root = NO_MFN;
    int rc = go_through_all(&s, e);
    free(s.gone);
    return rc;
}
