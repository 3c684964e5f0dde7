/* SPDX-License-Identifier: MIT */
#include "flat.h"

#include <string.h>

static struct flat *flat_of(const struct pv_view *v)
{
    return v->image;
}

static bool flat_owned(const struct pv_view *v, mfn_t m)
{
    (void)v;
    return m.n < FLAT_FRAMES;
}

static bool flat_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    flat_of(v)->reads++;
    if (!flat_owned(v, m))
        return false;
    memcpy(to, (uint8_t *)flat_of(v)->frame[m.n] + offset, n);
    return true;
}

static uint64_t *flat_words(const struct pv_view *v, mfn_t m)
{
    return flat_owned(v, m) ? flat_of(v)->frame[m.n] : NULL;
}

/* The odd ones from 5 on. */
static mfn_t flat_next_pinned_root(const struct pv_view *v, mfn_t from)
{
    uint64_t n = from.n < 5 ? 5 : from.n | 1;
    return flat_owned(v, mfn(n)) && n < 12 ? mfn(n) : NO_MFN;
}

static uint64_t flat_index_of(const struct pv_view *v, mfn_t m)
{
    return flat_owned(v, m) ? m.n : ~0ull;
}

static const struct pv_backend by_words = {
    .read = flat_read,
    .owned = flat_owned,
    .words = flat_words,
    .next_pinned_root = flat_next_pinned_root,
};

static const struct pv_backend by_reads = {
    .read = flat_read,
    .owned = flat_owned,
    .next_pinned_root = flat_next_pinned_root,
    .index_of = flat_index_of,
};

void flat_init(struct flat *f, bool words, unsigned width)
{
    *f = (struct flat){.view = {.backend = words ? &by_words : &by_reads,
                                .width = width,
                                .nr_frames = FLAT_FRAMES,
                                .nr_pages = FLAT_FRAMES,
                                .kernel_root = NO_MFN}};
    f->view.image = f;
}
