/* SPDX-License-Identifier: MIT */
/*
 * The program headers: first the kernel's map of all memory, every page at its place there (also
 * one that is not mapped now: debuggers look for physical memory in these), then whatever else the
 * kernel's root maps, runs merged.
 */
#include "elfcore.h"

#include <stdlib.h>

#include "glue.h"
#include "p2m.h"
#include "pte.h"
#include "sources.h"

#define ENTRIES     GLUE_TABLE_ENTRIES
#define UPPER_FIRST (GLUE_L4_RESERVED_LAST + 1)
#define LOWER_END   GLUE_L4_RESERVED_FIRST
#define UPPER_HALF  (1ull << 63)

/* ---- adding */

static int add(struct elfcore_loads *l, uint64_t va, uint64_t frame, uint64_t index,
               struct pv_error *e)
{
    struct elfcore_load *last = l->n ? &l->load[l->n - 1] : NULL;
    if (last && last->va + last->pages * PAGE_BYTES == va && last->frame + last->pages == frame &&
        last->index + last->pages == index) {
        last->pages++;
        return 0;
    }
    if (l->n == ELFCORE_LOADS) {
        l->left_out++;
        return 0;
    }
    if (l->n == l->room) {
        const size_t room = l->room ? 2 * l->room : 256;
        void *grown = reallocarray(l->load, room, sizeof(*l->load));
        if (!grown)
            return pv_no_memory(e);
        l->load = grown;
        l->room = room;
    }
    l->load[l->n++] = (struct elfcore_load){va, frame, index, 1};
    return 0;
}

/* shared_info lies behind all pages. ~0: no such page. */
static uint64_t index_of(const struct elfcore_loads *l, uint64_t frame)
{
    uint64_t low = 0, high = l->nr_pages;
    if (frame == l->v->shared_info.n)
        return l->nr_pages;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (l->pfn[middle] < frame)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->nr_pages && l->pfn[low] == frame ? low : ~0ull;
}

static int add_direct(struct elfcore_loads *l, struct pv_error *e)
{
    for (uint64_t i = 0; i < l->nr_pages; i++)
        if (add(l, l->base + ((uint64_t)l->pfn[i] << PAGE_SHIFT_4K), l->pfn[i], i, e))
            return -1;
    return l->left_out
               ? pv_fail(e, "its memory is in more than %u pieces: ELF has no room for that",
                         ELFCORE_LOADS)
               : 0;
}

/* ---- the kernel's root */

static bool is_direct(const struct elfcore_loads *l, uint64_t va)
{
    return va - l->base < l->v->end_pfn.n << PAGE_SHIFT_4K;
}

static uint64_t canonical(uint64_t va)
{
    return va >> 47 & 1 ? va | 0xffffull << 48 : va;
}

/* Tables that several entries lead to are gone down from once: kernels have one table stand for all
 * that is missing of a list, in the next million of addresses; and in an image made to hurt tables
 * lead to each other. */
static bool is_new(struct elfcore_loads *l, mfn_t table, unsigned level)
{
    const uint64_t index = index_of(l, table.n);
    if (index >= l->nr_pages)
        return false;
    const bool seen = l->seen[index] & 1u << level;
    l->seen[index] |= (uint8_t)(1u << level);
    l->repeated += seen;
    return !seen;
}

static int go_down(struct elfcore_loads *l, mfn_t table, unsigned level, unsigned first,
                   unsigned end, uint64_t at, struct pv_error *e);

static int take_entry(struct elfcore_loads *l, unsigned level, uint64_t entry, uint64_t va,
                      struct pv_error *e)
{
    const uint64_t frame = pte_frame(entry).n;
    const uint64_t last = va + (1ull << (PAGE_SHIFT_4K + 9 * (level - 1))) - 1;
    if (l->has_base && is_direct(l, va) && is_direct(l, last))
        return 0;
    if (level == 1) {
        const uint64_t index = index_of(l, frame);
        return index == ~0ull ? 0 : add(l, va, frame, index, e);
    }
    if (pv_is_leaf(level, entry) || !is_new(l, mfn(frame), level - 1))
        return 0;
    return go_down(l, mfn(frame), level - 1, 0, ENTRIES, va, e);
}

static int go_down(struct elfcore_loads *l, mfn_t table, unsigned level, unsigned first,
                   unsigned end, uint64_t at, struct pv_error *e)
{
    uint64_t entry[ENTRIES];
    if (!l->v->backend->read(l->v, table, 0, entry, sizeof(entry)))
        return 0;
    for (unsigned slot = first; slot < end; slot++) {
        const uint64_t va = at | (uint64_t)slot << (PAGE_SHIFT_4K + 9 * (level - 1));
        if (pte_present(entry[slot]) && take_entry(l, level, entry[slot], canonical(va), e))
            return -1;
    }
    return 0;
}

/* The kernel's code first: of what does not fit, other things are missed less. */
static int add_mapped(struct elfcore_loads *l, struct pv_error *e)
{
    const mfn_t root = l->v->kernel_root;
    const size_t before = l->n;
    if (mfn_eq(root, NO_MFN))
        return 0;
    if (go_down(l, root, 4, ENTRIES - 1, ENTRIES, 0, e) ||
        go_down(l, root, 4, UPPER_FIRST, ENTRIES - 1, 0, e))
        return -1;
    const bool low = l->n == before && (!l->has_base || !(l->base & UPPER_HALF));
    return low ? go_down(l, root, 4, 0, LOWER_END, 0, e) : 0;
}

/* ---- the whole */

static int find_base(struct elfcore_loads *l, const struct pv_symbols *s, struct pv_error *e)
{
    struct pv_p2m *p;
    if (pv_p2m_open(&p, l->v, s, e))
        return -1;
    l->has_base = pv_p2m_source(p, PV_P2M_TABLES)->there;
    l->base = l->has_base ? p->map.base : 0;
    pv_p2m_close(p);
    return 0;
}

int elfcore_loads_find(struct elfcore_loads *l, const struct pv_symbols *s, struct pv_error *e)
{
    l->seen = calloc(l->nr_pages ? l->nr_pages : 1, 1);
    if (!l->seen)
        return pv_no_memory(e);
    return find_base(l, s, e) || add_direct(l, e) || add_mapped(l, e) ? -1 : 0;
}

void elfcore_loads_free(struct elfcore_loads *l)
{
    free(l->seen);
    l->seen = NULL;
    free(l->load);
    l->load = NULL;
}
