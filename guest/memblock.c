/* SPDX-License-Identifier: MIT */
/* Sorted lists of ranges of pages, and the two that say what memory there is and what is in use. */
#include "internal.h"

/* ---- one list */

unsigned pvg_regions_search(const struct pvg_regions *r, uint64_t page)
{
    unsigned low = 0, high = r->count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (r->at[middle].to > page)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* How many ranges begin below `page`. */
static unsigned begun_below(const struct pvg_regions *r, uint64_t page)
{
    unsigned i = page ? pvg_regions_search(r, page - 1) : 0;
    return i + (i < r->count && r->at[i].from < page);
}

/* Puts `pieces` of `piece` where the ranges [first, last) are. */
static int replace(struct pvg_regions *r, unsigned first, unsigned last,
                   const struct pvg_range *piece, unsigned pieces)
{
    unsigned kept = r->count - (last - first);
    if (kept + pieces > PVG_REGIONS_MAX)
        return -XEN_ENOSPC;
    memmove(&r->at[first + pieces], &r->at[last], (r->count - last) * sizeof(r->at[0]));
    for (unsigned i = 0; i < pieces; i++)
        r->at[first + i] = piece[i];
    r->count = kept + pieces;
    return 0;
}

int pvg_regions_add(struct pvg_regions *r, uint64_t from, uint64_t to)
{
    if (from >= to)
        return from == to ? 0 : -XEN_EINVAL;
    /* neighbours are swallowed, too: a range that ends at `from`, one that begins at `to` */
    unsigned first = from ? pvg_regions_search(r, from - 1) : 0;
    unsigned last = to == ~0ull ? r->count : begun_below(r, to + 1);
    struct pvg_range all = {from, to};
    if (first < last && r->at[first].from < from)
        all.from = r->at[first].from;
    if (first < last && r->at[last - 1].to > to)
        all.to = r->at[last - 1].to;
    return replace(r, first, last, &all, 1);
}

int pvg_regions_remove(struct pvg_regions *r, uint64_t from, uint64_t to)
{
    if (from >= to)
        return from == to ? 0 : -XEN_EINVAL;
    unsigned first = pvg_regions_search(r, from), last = begun_below(r, to);
    if (first >= last)
        return 0;
    struct pvg_range piece[2];
    unsigned pieces = 0;
    if (r->at[first].from < from)
        piece[pieces++] = (struct pvg_range){r->at[first].from, from};
    if (r->at[last - 1].to > to)
        piece[pieces++] = (struct pvg_range){to, r->at[last - 1].to};
    return replace(r, first, last, piece, pieces);
}

bool pvg_regions_holds(const struct pvg_regions *r, uint64_t page)
{
    unsigned i = pvg_regions_search(r, page);
    return i < r->count && r->at[i].from <= page;
}

uint64_t pvg_regions_pages(const struct pvg_regions *r)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < r->count; i++)
        pages += r->at[i].to - r->at[i].from;
    return pages;
}

/* ---- two lists */

static bool countable(uint64_t from, uint64_t pages)
{
    return pages > 0 && from + pages > from;
}

int pvg_memblock_add(struct pvg_memblock *m, uint64_t from, uint64_t pages)
{
    return countable(from, pages) ? pvg_regions_add(&m->memory, from, from + pages) : -XEN_EINVAL;
}

int pvg_memblock_remove(struct pvg_memblock *m, uint64_t from, uint64_t pages)
{
    return countable(from, pages) ? pvg_regions_remove(&m->memory, from, from + pages)
                                  : -XEN_EINVAL;
}

int pvg_memblock_reserve(struct pvg_memblock *m, uint64_t from, uint64_t pages)
{
    return countable(from, pages) ? pvg_regions_add(&m->reserved, from, from + pages) : -XEN_EINVAL;
}

int pvg_memblock_free(struct pvg_memblock *m, uint64_t from, uint64_t pages)
{
    return countable(from, pages) ? pvg_regions_remove(&m->reserved, from, from + pages)
                                  : -XEN_EINVAL;
}

/* The lowest run of memory that is not reserved, from page `from` on. */
static bool free_above(const struct pvg_memblock *m, uint64_t from, struct pvg_range *run)
{
    const struct pvg_regions *memory = &m->memory, *reserved = &m->reserved;
    for (;;) {
        unsigned i = pvg_regions_search(memory, from);
        if (i == memory->count)
            return false;
        *run = memory->at[i];
        if (run->from < from)
            run->from = from;
        unsigned j = pvg_regions_search(reserved, run->from);
        if (j == reserved->count)
            return true;
        if (reserved->at[j].from > run->from) {
            if (reserved->at[j].from < run->to)
                run->to = reserved->at[j].from;
            return true;
        }
        from = reserved->at[j].to;
    }
}

/* The highest such run, of pages below `to`. */
static bool free_below(const struct pvg_memblock *m, uint64_t to, struct pvg_range *run)
{
    const struct pvg_regions *memory = &m->memory, *reserved = &m->reserved;
    for (;;) {
        unsigned i = begun_below(memory, to);
        if (i == 0)
            return false;
        *run = memory->at[i - 1];
        if (run->to > to)
            run->to = to;
        unsigned j = begun_below(reserved, run->to);
        if (j == 0)
            return true;
        if (reserved->at[j - 1].to < run->to) {
            if (reserved->at[j - 1].to > run->from)
                run->from = reserved->at[j - 1].to;
            return true;
        }
        to = reserved->at[j - 1].from;
    }
}

static uint64_t find_lowest(const struct pvg_memblock *m, uint64_t pages, uint64_t align,
                            struct pvg_range within)
{
    struct pvg_range run;
    for (uint64_t from = within.from; free_above(m, from, &run); from = run.to) {
        uint64_t first = (run.from + align - 1) & ~(align - 1);
        uint64_t to = run.to < within.to ? run.to : within.to;
        if (run.from >= within.to)
            break;
        /* first < run.from: the rounding went past the end */
        if (first >= run.from && first < to && to - first >= pages)
            return first;
    }
    return PVG_NONE;
}

static uint64_t find_highest(const struct pvg_memblock *m, uint64_t pages, uint64_t align,
                             struct pvg_range within)
{
    struct pvg_range run;
    for (uint64_t to = within.to; free_below(m, to, &run); to = run.from) {
        uint64_t from = run.from > within.from ? run.from : within.from;
        if (run.to <= within.from)
            break;
        if (run.to - from < pages)
            continue;
        uint64_t first = (run.to - pages) & ~(align - 1);
        if (first >= from)
            return first;
    }
    return PVG_NONE;
}

uint64_t pvg_memblock_find(const struct pvg_memblock *m, uint64_t pages, uint64_t align,
                           struct pvg_range within, enum pvg_direction direction)
{
    if (align == 0)
        align = 1;
    if (pages == 0 || (align & (align - 1)) || within.from >= within.to)
        return PVG_NONE;
    return direction == PVG_TOP_DOWN ? find_highest(m, pages, align, within)
                                     : find_lowest(m, pages, align, within);
}

uint64_t pvg_memblock_free_pages(const struct pvg_memblock *m)
{
    struct pvg_range run;
    uint64_t pages = 0;
    for (uint64_t from = 0; free_above(m, from, &run); from = run.to)
        pages += run.to - run.from;
    return pages;
}
