/* SPDX-License-Identifier: MIT */
/*
 * Page tables of a running guest: looking, mapping, the fixmap, early ioremap.
 *
 * The guest's address space, once pvg_boot() is done:
 *
 *   ffff800000000000  the hypervisor's: m2p, and what it needs (L4 slots 256..271)
 *   ffff888000000000  PVG_DIRECT_BASE: every page of RAM, by pfn (slots 273..400)
 *   ffffc90000000000  PVG_P2M_BASE: the linear p2m (slot 402)
 *   ffffffff80000000  PVG_VIRT_BASE: the kernel's image, and nothing else
 *   ffffffffffe00000  PVG_FIXMAP_BASE: 2 MiB of slots for single pages
 *
 * Tables are read-only wherever they are mapped (R2): the library sees to that for its own.
 */
#ifndef PVGUEST_PAGETABLE_H
#define PVGUEST_PAGETABLE_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

#define PVG_VIRT_BASE   0xffffffff80000000ull
#define PVG_DIRECT_BASE 0xffff888000000000ull
#define PVG_DIRECT_PFNS (1ull << 34) /* 64 TiB */
#define PVG_FIXMAP_BASE 0xffffffffffe00000ull

/* Bits of an entry (AMD64 APM vol. 2, 5.3). */
#define PVG_PTE_PRESENT  0x001ull
#define PVG_PTE_RW       0x002ull
#define PVG_PTE_USER     0x004ull
#define PVG_PTE_PWT      0x008ull
#define PVG_PTE_PCD      0x010ull
#define PVG_PTE_ACCESSED 0x020ull
#define PVG_PTE_DIRTY    0x040ull
#define PVG_PTE_PSE      0x080ull /* of L2 and L3: a large page; Xen may map its p2m list so */
#define PVG_PTE_NX       (1ull << 63)
#define PVG_PTE_FRAME    0x000ffffffffff000ull

#define PVG_PTE_RO_DATA (PVG_PTE_PRESENT | PVG_PTE_ACCESSED | PVG_PTE_DIRTY | PVG_PTE_NX)
#define PVG_PTE_DATA    (PVG_PTE_RO_DATA | PVG_PTE_RW)
#define PVG_PTE_IMAGE   (PVG_PTE_PRESENT | PVG_PTE_RW | PVG_PTE_ACCESSED | PVG_PTE_DIRTY)
#define PVG_PTE_TABLE   (PVG_PTE_IMAGE | PVG_PTE_USER) /* an entry of L2..L4 */

/* The entry that names a frame: `flags` are PVG_PTE_* without PVG_PTE_FRAME. */
static inline uint64_t pvg_pte(pvg_mfn_t mfn, uint64_t flags)
{
    return (mfn.n << PVG_PAGE_SHIFT & PVG_PTE_FRAME) | flags;
}

/* ---- looking */

struct pvg_walk {
    unsigned level; /* the lowest level whose entry was read: 4..1; 0: not even the root could be */
    bool mapped;    /* the last entry read maps a page: of L1, or a large one */
    struct {
        pvg_maddr_t at; /* where the entry lies */
        uint64_t entry;
    } at[5]; /* index: level 1..4 */
};

/* Walks from the root that CR3 names, or from another. Stops at the first entry that is not
 * present, or whose table cannot be read. */
void pvg_walk(struct pvguest *g, uint64_t va, struct pvg_walk *w);
void pvg_walk_from(struct pvguest *g, pvg_mfn_t root, uint64_t va, struct pvg_walk *w);
/* Prints a walk from CR3's root on the console: each level's table, slot, entry, and what the
 * frames are. */
void pvg_walk_print(struct pvguest *g, uint64_t va);

/* The root in use: what CR3 says, never what the library believes. */
pvg_mfn_t pvg_root(struct pvguest *g);

/* Where a page of RAM is in the direct map; NULL: it is not mapped there. */
void *pvg_page(struct pvguest *g, pvg_pfn_t pfn);
/* The page that an address of the image or of the direct map lies in; PVG_NO_PFN: neither. */
pvg_pfn_t pvg_page_of(struct pvguest *g, const void *va);

/* ---- changing: entries of live tables, through the queue (batch.h) */

/* Sets the L1 entry that maps va to `entry` (pvg_pte(), or 0), and forgets the old one (INVLPG).
 * The tables must be there. 0; in lazy mode always; else what the hypervisor said, and nothing
 * changed. */
int pvg_set_va(struct pvguest *g, uint64_t va, uint64_t entry);
/* Sets any entry of any table, by its machine address, a multiple of 8 (else -XEN_EINVAL). The TLB
 * is the caller's concern. Else as pvg_set_va(). */
int pvg_set_entry(struct pvguest *g, pvg_maddr_t at, uint64_t entry);
/*
 * The direct map's view of a page, and the image's if it is there, at once: read-only before it
 * becomes a table, writable after. 0; -XEN_EINVAL: not in the direct map; -XEN_EBUSY: writable, but
 * it is still a table. On failure nothing changed.
 */
int pvg_page_read_only(struct pvguest *g, pvg_pfn_t pfn);
int pvg_page_writable(struct pvguest *g, pvg_pfn_t pfn);

/*
 * Maps `count` pages of RAM, the first of them `first`, at [va, +count pages): in the kernel half
 * of all roots, or in the lower half of the space that is loaded (space.h); missing tables are made
 * out of free pages. `flags`: PVG_PTE_* without a frame, PVG_PTE_PRESENT is added. 0; -XEN_EINVAL:
 * va is no page, or the range is empty, not canonical or the hypervisor's, a page is not populated,
 * flags name a frame, or pvg_boot() has not been done; -XEN_EEXIST: something is mapped there;
 * -XEN_ENOMEM: no pages for tables; or what the hypervisor said. All or nothing.
 */
int pvg_map(struct pvguest *g, uint64_t va, pvg_pfn_t first, uint64_t count, uint64_t flags);
/* Clears the L1 entries of `count` pages from va on, mapped or not, at once; tables stay. 0;
 * -XEN_EINVAL: as with pvg_map(), or an L1 table is missing, and nothing changed; or what the
 * hypervisor said to an update that was queued before, and nothing changed; or to one of these: the
 * others are cleared. */
int pvg_unmap(struct pvguest *g, uint64_t va, uint64_t count);

/* ---- pages of RAM, once the direct map is there */

/* Takes `count` contiguous pages, the highest there are; the number of the first is a multiple of
 * `align` (a power of two, in pages; 0 counts as 1). Their content is undefined, the direct map has
 * them writable. 0; -XEN_EINVAL: no pages, or no such alignment; -XEN_ENOMEM: none; -XEN_ENOSPC:
 * the list of reservations is full. */
int pvg_pages_take(struct pvguest *g, uint64_t count, uint64_t align, pvg_pfn_t *first);
/* Gives pages back, all or a part of what was taken. They must be writable, and mapped nowhere but
 * in the direct map. 0; -XEN_EINVAL: not all of them are in use, or the kernel's image or a table
 * of the library's is among them; -XEN_ENOSPC: the list is full. */
int pvg_pages_give(struct pvguest *g, pvg_pfn_t first, uint64_t count);
uint64_t pvg_pages_free(struct pvguest *g); /* how many are left */

/*
 * Maps RAM into the direct map. The page tables are taken from the top of the range itself:
 *
 *     range.from ...... | pgt_buf_start ...... pgt_buf_end ...... pgt_buf_top |
 *        data, RW       | tables in use, RO   | estimated, unused |
 *
 * All of [start, top) is mapped read-only, as any of it may become a table; what was not needed is
 * writable again, and free, on return. All or nothing. `range` is of pfns; those of it that are no
 * RAM (pvg_memblock_of()), or mapped already, are left out. 0; -XEN_EINVAL: an empty range, one
 * beyond PVG_DIRECT_PFNS, or too early; -XEN_ENOMEM: no room for the tables; -XEN_ENOSPC: too many
 * separate regions; or what the hypervisor said.
 */
int pvg_direct_map(struct pvguest *g, struct pvg_range range);

/* ---- fixmap and early ioremap: before and after the switch to the guest's own root */

#define PVG_IOREMAP_PAGES_MAX 64u /* of one mapping */

/*
 * Maps machine memory [address, +bytes), which need not be the guest's RAM, read-only and
 * no-execute with `flags` added (PVG_PTE_RW, PWT, PCD). Returns where `address` itself is. NULL:
 * refused, see pvg_reason(): before pvg_boot(), a range beyond machine addresses or over more than
 * PVG_IOREMAP_PAGES_MAX pages, flags that name a frame, four mappings already, or the hypervisor (a
 * domain without devices may map its own frames only). All or nothing.
 */
void *pvg_early_ioremap(struct pvguest *g, pvg_maddr_t address, uint64_t bytes, uint64_t flags);
/* Clears it. 0; -XEN_EINVAL: not in a page that pvg_early_ioremap() returned; or what the
 * hypervisor said, and it stays. */
int pvg_early_iounmap(struct pvguest *g, void *va);

#pragma GCC visibility pop

#endif
