/* SPDX-License-Identifier: MIT */
/*
 * Which pages there are, and which of them are in use: two sorted lists of disjoint ranges.
 *
 * Knows nothing of Xen, allocates nothing, and can be used by itself. Every function that fails
 * leaves the lists as they were.
 */
#ifndef PVGUEST_MEMBLOCK_H
#define PVGUEST_MEMBLOCK_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

#define PVG_REGIONS_MAX 1280u /* of each list: an e820 of 1024 entries, and reservations */

struct pvg_regions {
    unsigned count;
    struct pvg_range at[PVG_REGIONS_MAX]; /* sorted, disjoint, not adjacent, none empty */
};

struct pvg_memblock {
    struct pvg_regions memory;   /* RAM that is there */
    struct pvg_regions reserved; /* in use; may name pages that are no memory */
};

enum pvg_direction { PVG_TOP_DOWN, PVG_BOTTOM_UP };

/*
 * All of them: 0; -XEN_EINVAL when `pages` is 0 or the range wraps; -XEN_ENOSPC when a list is full.
 * Adding what is there already, or removing what is not, is no error.
 */
int pvg_memblock_add(struct pvg_memblock *m, uint64_t from, uint64_t pages);
int pvg_memblock_remove(struct pvg_memblock *m, uint64_t from, uint64_t pages);
int pvg_memblock_reserve(struct pvg_memblock *m, uint64_t from, uint64_t pages);
int pvg_memblock_free(struct pvg_memblock *m, uint64_t from, uint64_t pages); /* un-reserve */

/*
 * The first page of `pages` contiguous ones that are memory, not reserved, and inside `within`;
 * its number is a multiple of `align` (a power of two, in pages; 0 counts as 1). PVG_NONE: there is
 * none. Top-down takes the highest such place, bottom-up the lowest. Reserves nothing.
 */
uint64_t pvg_memblock_find(const struct pvg_memblock *m, uint64_t pages, uint64_t align,
                           struct pvg_range within, enum pvg_direction direction);

/* Memory that is not reserved, in pages. */
uint64_t pvg_memblock_free_pages(const struct pvg_memblock *m);

/* ---- lists of ranges, for whoever keeps one of his own: [from, to), where an empty one changes
 * nothing; -XEN_EINVAL when `to` is below `from` */

int pvg_regions_add(struct pvg_regions *r, uint64_t from, uint64_t to);
int pvg_regions_remove(struct pvg_regions *r, uint64_t from, uint64_t to);
bool pvg_regions_holds(const struct pvg_regions *r, uint64_t page);
/* The index of the first range that ends above `page`; r->count: none does. */
unsigned pvg_regions_search(const struct pvg_regions *r, uint64_t page);
uint64_t pvg_regions_pages(const struct pvg_regions *r);

#pragma GCC visibility pop

#endif
