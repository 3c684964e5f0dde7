/* SPDX-License-Identifier: MIT */
/* Where a new guest's pages lie (builder.h has the picture; <xen/xen.h>, "Start-of-day"). */
#include "builder.h"

#define SLACK_PAGES      128u /* 512 KiB behind everything, at least */
#define REGION_ALIGN     (4ull << 20)
#define ENTRIES_PER_PAGE 512u

static uint64_t pages_of(uint64_t bytes)
{
    return bytes / PAGE_BYTES + (bytes % PAGE_BYTES != 0);
}

/* Takes `count` pages at the cursor. */
static struct pages take(uint64_t *cursor, uint64_t count)
{
    struct pages p = {*cursor, count};
    *cursor += count;
    return p;
}

static unsigned level_shift(unsigned level)
{
    return PAGE_SHIFT_4K + 9 * level; /* of what one table of that level covers */
}

/* Tables of `level` that map [from, last]. */
static uint64_t tables_for(uint64_t from, uint64_t last, unsigned level)
{
    return level == 4 ? 1 : (last >> level_shift(level)) - (from >> level_shift(level)) + 1;
}

/* Those of them that [a, a_last] and [b, b_last] have in common. */
static uint64_t tables_shared(uint64_t a, uint64_t a_last, uint64_t b, uint64_t b_last,
                              unsigned level)
{
    /* By table number: ranges that do not meet may still share one. */
    unsigned shift = level_shift(level);
    uint64_t from = (a > b ? a : b) >> shift;
    uint64_t last = (a_last < b_last ? a_last : b_last) >> shift;
    return from <= last ? last - from + 1 : 0;
}

/* The end of a region of `pages` pages that must hold its own tables, and its tables. 0: it would
 * go beyond the last address. */
static uint64_t region_end(uint64_t base, uint64_t pages, uint64_t count[5])
{
    uint64_t tables = 0, end, seen;
    do {
        seen = tables;
        end = base + (pages + tables + SLACK_PAGES + 1) * PAGE_BYTES;
        end = (end + REGION_ALIGN - 1) & ~(REGION_ALIGN - 1);
        if (end <= base)
            return 0;
        tables = 0;
        for (unsigned level = 4; level > 0; level--) {
            count[level] = tables_for(base, end - 1, level);
            tables += count[level];
        }
    } while (tables != seen);
    return end;
}

static void check_half(const struct layout *l)
{
    if (l->region_end <= l->virt_base ||
        (l->virt_base < HV_SLOTS_END && l->region_end > 0x0000800000000000ull))
        BAD_GUEST("the kernel's initial mapping 0x%lx-0x%lx leaves its half of the address space",
                  l->virt_base, l->region_end);
}

static void check_size(const struct layout *l, uint64_t needed)
{
    if (needed > l->total)
        BAD_GUEST("the guest's memory is too small: %lu KiB given, its start needs %lu KiB",
                  l->total * 4, needed * 4);
}

static void take_tables(struct layout *l, uint64_t *cursor, const uint64_t count[5])
{
    l->tables.first = *cursor;
    for (unsigned level = 4; level > 0; level--)
        l->level[level] = take(cursor, count[level]);
    l->tables.count = *cursor - l->tables.first;
}

/* The P2M at its own address: its list, then the tables that the region does not have already. */
static void take_p2m(struct layout *l, uint64_t *cursor, uint64_t va, uint64_t list_pages)
{
    uint64_t last = va + list_pages * PAGE_BYTES - 1;
    if (last < va || (va < HV_SLOTS_END && last >= 0x0000800000000000ull))
        BAD_GUEST("the kernel's INIT_P2M 0x%lx leaves no room for a list of 0x%lx bytes", va,
                  list_pages * PAGE_BYTES);
    if (va < l->region_end && last >= l->virt_base)
        BAD_GUEST("the kernel's INIT_P2M 0x%lx lies in its initial mapping 0x%lx-0x%lx", va,
                  l->virt_base, l->region_end);
    l->p2m_va = va;
    l->p2m = take(cursor, list_pages);
    l->p2m_tables.first = *cursor;
    for (unsigned level = 3; level > 0; level--)
        l->p2m_level[level] =
            take(cursor, tables_for(va, last, level) -
                             tables_shared(l->virt_base, l->region_end - 1, va, last, level));
    l->p2m_tables.count = *cursor - l->p2m_tables.first;
}

void layout_make(struct layout *l, const struct guest_image *g, uint64_t total,
                 uint64_t module_bytes)
{
    uint64_t count[5], cursor = pages_of(g->end - g->virt_base);
    uint64_t module_pages = pages_of(module_bytes);
    uint64_t list_pages = pages_of(total * sizeof(uint64_t));
    *l = (struct layout){.total = total, .virt_base = g->virt_base};
    if (!g->unmapped_module)
        l->module = take(&cursor, module_pages);
    if (!g->has_init_p2m) {
        l->p2m_va = layout_va(l, cursor);
        l->p2m = take(&cursor, list_pages);
    }
    l->start_info = take(&cursor, 1).first;
    l->xenstore = take(&cursor, 1).first;
    l->console = take(&cursor, 1).first;
    check_size(l, cursor); /* before a region is computed that nothing can fill */
    l->region_end = region_end(g->virt_base, cursor, count);
    check_half(l);
    take_tables(l, &cursor, count);
    l->stack = take(&cursor, 1).first;
    check_size(l, cursor + SLACK_PAGES);
    cursor = (l->region_end - l->virt_base) / PAGE_BYTES;
    l->mapped = cursor < total ? cursor : total;
    if (g->unmapped_module)
        l->module = take(&cursor, module_pages);
    if (g->has_init_p2m)
        take_p2m(l, &cursor, g->init_p2m, list_pages);
    if (cursor > (l->region_end - l->virt_base) / PAGE_BYTES)
        check_size(l, cursor);
}
