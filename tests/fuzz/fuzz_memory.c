/* SPDX-License-Identifier: MIT */
/*
 * A guest's memory, whatever keeps it: page tables, the lists that it publishes, its kernel's
 * names. The input is its pages, one after the other: shared_info, the root of vCPU 0, the rest.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "internal.h"

#define FIRST 16u /* the frame of page 0 */
#define PAGES 64u

static uint64_t memory[PAGES][512];
static uint64_t pages;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t *words(const struct pv_view *v, mfn_t m)
{
    (void)v;
    return m.n >= FIRST && m.n - FIRST < pages ? memory[m.n - FIRST] : NULL;
}

static bool read_page(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    const uint64_t *w = words(v, m);
    if (!w || offset > sizeof(*memory) || n > sizeof(*memory) - offset)
        return false;
    memcpy(to, (const uint8_t *)w + offset, n);
    return true;
}

static bool owned(const struct pv_view *v, mfn_t m)
{
    return words(v, m) && m.n != FIRST;
}

static pfn_t pfn_of(const struct pv_view *v, mfn_t m)
{
    return owned(v, m) ? pfn(m.n - FIRST) : NO_PFN;
}

static mfn_t mfn_of(const struct pv_view *v, pfn_t p)
{
    return p.n < PAGES && owned(v, mfn(p.n + FIRST)) ? mfn(p.n + FIRST) : NO_MFN;
}

static mfn_t next_owned(const struct pv_view *v, mfn_t from)
{
    mfn_t m = mfn(from.n <= FIRST ? FIRST + 1 : from.n);
    return owned(v, m) ? m : NO_MFN;
}

static pfn_t next_pfn(const struct pv_view *v, pfn_t from)
{
    return from.n < PAGES ? pfn_of(v, next_owned(v, mfn(from.n + FIRST))) : NO_PFN;
}

static mfn_t next_pinned_root(const struct pv_view *v, mfn_t from)
{
    return from.n <= FIRST + 1 && owned(v, mfn(FIRST + 1)) ? mfn(FIRST + 1) : NO_MFN;
}

static uint64_t index_of(const struct pv_view *v, mfn_t m)
{
    return owned(v, m) ? m.n - FIRST - 1 : ~0ull;
}

static mfn_t frame_at(const struct pv_view *v, uint64_t index)
{
    return index < PAGES && owned(v, mfn(index + FIRST + 1)) ? mfn(index + FIRST + 1) : NO_MFN;
}

static const struct pv_backend backend = {
    .read = read_page,
    .owned = owned,
    .pfn_of = pfn_of,
    .mfn_of = mfn_of,
    .next_owned = next_owned,
    .next_pfn = next_pfn,
    .next_pinned_root = next_pinned_root,
    .words = words,
    .index_of = index_of,
    .frame_at = frame_at,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > sizeof(memory))
        n = sizeof(memory);
    pages = (n + sizeof(*memory) - 1) / sizeof(*memory);
    if (pages < 2)
        return 0;
    memset(memory, 0, sizeof(memory));
    memcpy(memory, data, n);
    struct pv_view *v = pv_view_new(&backend, "pages", 1);
    if (!v)
        abort();
    v->nr_frames = FIRST + pages;
    v->nr_pages = pages - 1;
    v->end_pfn = pfn(pages);
    v->shared_info = v->domain[0].shared_info = mfn(FIRST);
    v->kernel_root = v->vcpu[0].kernel_root = mfn(FIRST + 1);
    v->vcpu[0].valid = true;
    ask_at_turn(v, n ? data[n - 1] : 0);
    pv_view_free(v);
    return 0;
}
