/* SPDX-License-Identifier: MIT */
/*
 * The page-table entry: its bits, and which of them a guest may set at which level.
 *
 * Sources: AMD64 APM vol. 2, 5.3-5.4 for the hardware's bits; <xen/arch-x86/xen.h> and real Xen's
 * replies for what a paravirtual guest may use (the masks below reproduce those replies).
 */
#ifndef PVMM_CORE_PTE_H
#define PVMM_CORE_PTE_H

#include "types.h"

#define PTE_PRESENT  (1ull << 0)
#define PTE_RW       (1ull << 1)
#define PTE_USER     (1ull << 2)
#define PTE_PWT      (1ull << 3)
#define PTE_PCD      (1ull << 4)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY    (1ull << 6)
#define PTE_PAT      (1ull << 7) /* in an L1 entry */
#define PTE_PSE      (1ull << 7) /* in an L2 or L3 entry: superpage */
#define PTE_GLOBAL   (1ull << 8)
#define PTE_AVAIL    (7ull << 9)
#define PTE_KERNEL   (1ull << 52) /* marks a guest-kernel mapping once USER is forced on (R3) */
#define PTE_AVAIL_HIGH (0x7ffull << 52)
#define PTE_NX       (1ull << 63)

#define PTE_FRAME_MASK 0x000ffffffffff000ull

#define PTE_CACHE_ATTRIBUTES (PTE_PWT | PTE_PCD | PTE_PAT)

/* What an entry may carry: everything else in a present entry is refused with -EINVAL. A domain
 * with devices may also set the cache attributes of its L1 entries. */
#define PTE_ALLOWED_UPPER                                                                          \
    (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY | PTE_AVAIL | PTE_AVAIL_HIGH |     \
     PTE_NX | PTE_FRAME_MASK)
#define PTE_ALLOWED_L1 (PTE_ALLOWED_UPPER | PTE_GLOBAL)

/* Bits that may change without the entry's references being taken anew: none of them alters which
 * frame is reached or whether it may be written. */
#define PTE_LIGHT_UPPER                                                                            \
    (PTE_NX | PTE_AVAIL | PTE_AVAIL_HIGH | PTE_ACCESSED | PTE_DIRTY | PTE_USER)
#define PTE_LIGHT_L1 (PTE_LIGHT_UPPER | PTE_GLOBAL)

static inline mfn_t pte_frame(uint64_t e)
{
    return (mfn_t){(e & PTE_FRAME_MASK) >> PAGE_SHIFT_4K};
}

static inline bool pte_present(uint64_t e)
{
    return e & PTE_PRESENT;
}

static inline uint64_t pte_make(mfn_t m, uint64_t flags)
{
    return ((m.n << PAGE_SHIFT_4K) & PTE_FRAME_MASK) | flags;
}

#endif
