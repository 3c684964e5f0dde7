/* SPDX-License-Identifier: MIT */
/* Where a new guest's pages lie, and what the builder adds to its kernel and its ramdisk. */
#ifndef PVMM_BUILDER_GUEST_LAYOUT_H
#define PVMM_BUILDER_GUEST_LAYOUT_H

#include "guest_image.h"

/* A run of pages in the guest's own numbering. */
struct guest_pages {
    uint64_t first, count;
};

/*
 * Where everything lies. The linear region maps pfn i at virt_base + i * 4096:
 *
 *   kernel | ramdisk if mapped | P2M if in the region | start_info | xenstore | console |
 *   page tables L4 L3s L2s L1s | boot stack | slack up to a multiple of 4 MiB
 *
 * Behind it, unmapped: ramdisk if passed by pfn, then the P2M if it has an address of its own,
 * with its page tables in the same order.
 */
struct guest_layout {
    uint64_t total; /* pages of the guest */
    uint64_t virt_base, region_end;
    uint64_t mapped; /* pages of the region that exist */
    struct guest_pages module, p2m, tables, p2m_tables;
    uint64_t start_info, xenstore, console, stack;
    uint64_t p2m_va;
    struct guest_pages level[5];     /* tables of the region, by level */
    struct guest_pages p2m_level[5]; /* those that the P2M needs besides */
};

/* Lays out a guest of `total` pages with a ramdisk of `module_bytes` (0: none). false: it does not
 * fit, and *error says why. */
bool guest_layout_make(struct guest_layout *l, const struct guest_image *g, uint64_t total,
                       uint64_t module_bytes, struct builder_error *error);

static inline uint64_t guest_layout_va(const struct guest_layout *l, uint64_t page)
{
    return l->virt_base + page * GUEST_PAGE_BYTES;
}

#endif
