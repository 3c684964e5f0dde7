/* SPDX-License-Identifier: MIT */
/* Where a new guest's pages lie (guest_layout.h has the picture; <xen/xen.h>, "Start-of-day"). */
#include "guest_layout.h"

#include <xen/xen.h>

#define SLACK_PAGES  128u /* 512 KiB behind everything, at least */
#define REGION_ALIGN (4ull << 20)
#define PAGE_SHIFT   12u
#define LOW_HALF_END 0x0000800000000000ull
#define MOST_PAGES   (1ull << 40) /* a page table's entry names no more; nothing below overflows */

static uint64_t pages_of(uint64_t bytes)
{
    return bytes / GUEST_PAGE_BYTES + (bytes % GUEST_PAGE_BYTES != 0);
}

/* Takes `count` pages at the cursor. */
static struct guest_pages take(uint64_t *cursor, uint64_t count)
{
    struct guest_pages p = {*cursor, count};
    *cursor += count;
    return p;
}

static unsigned level_shift(unsigned level)
{
    return PAGE_SHIFT + 9 * level; /* of what one table of that level covers */
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
        end = base + (pages + tables + SLACK_PAGES + 1) * GUEST_PAGE_BYTES;
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

static bool check_half(const struct guest_layout *l, struct builder_error *e)
{
    if (l->region_end <= l->virt_base ||
        (l->virt_base < HYPERVISOR_VIRT_END && l->region_end > LOW_HALF_END))
        return BUILDER_FAIL(e, BUILDER_VIRT_BASE,
                            "the kernel's initial mapping 0x%lx-0x%lx leaves its half of the "
                            "address space",
                            {l->virt_base, l->region_end});
    return true;
}

static uint64_t image_pages(const struct guest_image *g)
{
    return pages_of(g->end - g->virt_base);
}

static bool check_size(const struct guest_layout *l, uint64_t needed, const struct guest_image *g,
                       uint64_t module_pages, struct builder_error *e)
{
    if (needed > l->total)
        return BUILDER_FAIL(e, BUILDER_MEMORY,
                            "the guest's memory is too small: %lu KiB given, its start needs %lu "
                            "KiB (the image ends at %lu KiB, the ramdisk has %lu KiB)",
                            {l->total * 4, needed * 4, image_pages(g) * 4, module_pages * 4});
    return true;
}

static bool check_total(uint64_t total, struct builder_error *e)
{
    if (total > MOST_PAGES)
        return BUILDER_FAIL(e, BUILDER_MEMORY,
                            "the guest's memory is too large: 0x%lx pages, where page tables can "
                            "name 0x%lx",
                            {total, MOST_PAGES});
    return true;
}

static void take_tables(struct guest_layout *l, uint64_t *cursor, const uint64_t count[5])
{
    l->tables.first = *cursor;
    for (unsigned level = 4; level > 0; level--)
        l->level[level] = take(cursor, count[level]);
    l->tables.count = *cursor - l->tables.first;
}

static bool check_p2m(const struct guest_layout *l, uint64_t va, uint64_t bytes,
                      struct builder_error *e)
{
    uint64_t last = va + bytes - 1;
    if (last < va || (va < HYPERVISOR_VIRT_END && last >= LOW_HALF_END))
        return BUILDER_FAIL(e, BUILDER_INIT_P2M,
                            "the kernel's INIT_P2M 0x%lx leaves no room for a list of 0x%lx bytes "
                            "in its half of the address space",
                            {va, bytes});
    if (va < l->region_end && last >= l->virt_base)
        return BUILDER_FAIL(e, BUILDER_INIT_P2M,
                            "the kernel's INIT_P2M 0x%lx lies in its initial mapping 0x%lx-0x%lx",
                            {va, l->virt_base, l->region_end});
    return true;
}

/* The P2M at its own address: its list, then the tables that the region does not have already. */
static void take_p2m(struct guest_layout *l, uint64_t *cursor, uint64_t va, uint64_t list_pages)
{
    uint64_t last = va + list_pages * GUEST_PAGE_BYTES - 1;
    l->p2m_va = va;
    l->p2m = take(cursor, list_pages);
    l->p2m_tables.first = *cursor;
    for (unsigned level = 3; level > 0; level--)
        l->p2m_level[level] =
            take(cursor, tables_for(va, last, level) -
                             tables_shared(l->virt_base, l->region_end - 1, va, last, level));
    l->p2m_tables.count = *cursor - l->p2m_tables.first;
}

/* What lies before the tables; all of it is mapped. */
static uint64_t take_front(struct guest_layout *l, const struct guest_image *g,
                           uint64_t module_pages, uint64_t list_pages)
{
    uint64_t cursor = image_pages(g);
    if (!g->unmapped_module)
        l->module = take(&cursor, module_pages);
    if (!g->has_init_p2m) {
        l->p2m_va = guest_layout_va(l, cursor);
        l->p2m = take(&cursor, list_pages);
    }
    l->start_info = take(&cursor, 1).first;
    l->xenstore = take(&cursor, 1).first;
    l->console = take(&cursor, 1).first;
    return cursor;
}

bool guest_layout_make(struct guest_layout *l, const struct guest_image *g, uint64_t total,
                       uint64_t module_bytes, struct builder_error *error)
{
    uint64_t count[5], cursor, region_pages;
    uint64_t module_pages = pages_of(module_bytes);
    uint64_t list_pages = pages_of(total * sizeof(uint64_t));
    *l = (struct guest_layout){.total = total, .virt_base = g->virt_base};
    if (!check_total(total, error))
        return false;
    cursor = take_front(l, g, module_pages, list_pages);
    /* before a region is computed that nothing can fill */
    if (!check_size(l, cursor, g, module_pages, error))
        return false;
    l->region_end = region_end(g->virt_base, cursor, count);
    if (!check_half(l, error))
        return false;
    take_tables(l, &cursor, count);
    l->stack = take(&cursor, 1).first;
    if (!check_size(l, cursor + SLACK_PAGES, g, module_pages, error))
        return false;
    cursor = region_pages = (l->region_end - l->virt_base) / GUEST_PAGE_BYTES;
    l->mapped = cursor < total ? cursor : total;
    if (g->unmapped_module)
        l->module = take(&cursor, module_pages);
    if (g->has_init_p2m && !check_p2m(l, g->init_p2m, list_pages * GUEST_PAGE_BYTES, error))
        return false;
    if (g->has_init_p2m)
        take_p2m(l, &cursor, g->init_p2m, list_pages);
    return cursor == region_pages || check_size(l, cursor, g, module_pages, error);
}
