/* SPDX-License-Identifier: MIT */
/* Looking at the guest from outside of the library: by frame, as a tool or the hypervisor does. */
#ifndef KERNEL_LOOK_H
#define KERNEL_LOOK_H

#include "tap.h"

#define WORDS 512u /* of a page */

/* A word that may not be mapped. */
uint64_t peek(struct pvguest *g, uint64_t va, uint64_t otherwise);
bool can_read(struct pvguest *g, uint64_t va);

/* What the hypervisor's table says. The first for frames of the guest's own alone. */
uint64_t m2p_own(pvg_mfn_t mfn);
/* The page that a frame is, by m2p and p2m; PVG_NO_PFN: none of ours. */
pvg_pfn_t page_of_frame(struct pvguest *g, pvg_mfn_t mfn);
/* A frame of the guest's own, by m2p and the direct map; NULL: it is none. */
volatile uint64_t *frame_words(struct pvguest *g, pvg_mfn_t mfn);
static inline pvg_mfn_t frame_of(uint64_t entry)
{
    return pvg_mfn((entry & PVG_PTE_FRAME) >> PVG_PAGE_SHIFT);
}

/* One that names a frame of the guest's own. */
static inline bool is_populated(uint64_t p2m_entry)
{
    return p2m_entry != PVG_P2M_MISSING && !(p2m_entry & PVG_P2M_MARKS);
}
/* The first that is missing at or above `from`, in steps of some pages. */
pvg_pfn_t missing_page(struct pvguest *g, uint64_t from);
bool is_free(struct pvguest *g, uint64_t pfn);

/* Pages of a range: every `step`th, and the last one. */
static inline uint64_t next_sample(uint64_t page, struct pvg_range r, uint64_t step)
{
    if (page + 1 >= r.to || r.to - page > step)
        return page + step;
    return r.to - 1;
}
#define for_samples(page, range, step)                                                             \
    for (uint64_t page = (range).from; page < (range).to; page = next_sample(page, range, step))
/* A step for about `most` pages out of so many. */
static inline uint64_t step_for(uint64_t pages, uint64_t most)
{
    return pages / most | 1;
}

/* Memory that is not reserved. */
const struct pvg_regions *free_regions(struct pvguest *g);
/* Of the memory map. */
const struct pvg_regions *ram_of_map(struct pvguest *g);

/* The p2m as a tool finds it, by machine frames alone, is the guest's own, and all of it. */
void check_published(struct tap *t);
/* A number of XENMEM_* about this domain. */
int64_t reservation(struct pvguest *g, unsigned command);
/* Pages that the p2m says are populated, and those of them that the MFN list has so (mfnlist.c). */
void count_listed(struct pvguest *g, uint64_t *covered, uint64_t *populated);
/* An entry of a page table without what hypervisors add. */
static inline uint64_t plain(uint64_t entry)
{
    return entry & (PVG_PTE_FRAME | PVG_PTE_PRESENT | PVG_PTE_RW);
}

#endif
