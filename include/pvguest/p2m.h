/* SPDX-License-Identifier: MIT */
/*
 * The p2m: which machine frame each of the guest's pages is (<xen/arch-x86/xen.h>,
 * arch_shared_info).
 *
 * Two layouts behind one interface:
 *
 *   linear   an array at PVG_P2M_BASE, one word a page. What is not populated is mapped too, to two
 *            shared leaf pages (missing, identity) that hang from shared tables, so that an array
 *            over 2^36 pages costs what is populated. A look-up is one load and one test.
 *   tree     four levels of pages of 512 words, for guests short of address space.
 *
 * Until pvg_boot() has built its own, the list that the domain builder left is looked at.
 */
#ifndef PVGUEST_P2M_H
#define PVGUEST_P2M_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

#define PVG_P2M_BASE      0xffffc90000000000ull /* one L4 slot: 2^36 words */
#define PVG_P2M_PFNS      (1ull << 36)          /* pages that a p2m can speak of */
#define PVG_MFN_LIST_PFNS (1ull << 27)          /* pages that mfn_list_list can speak of */

/* An entry: an mfn with marks, or PVG_P2M_MISSING. Readers mask the marks. */
#define PVG_P2M_MISSING  (~0ull)
#define PVG_P2M_FOREIGN  (1ull << 63) /* another domain's frame, by grant */
#define PVG_P2M_IDENTITY (1ull << 62) /* the page is the machine's frame of the same number */
#define PVG_P2M_MARKS    (PVG_P2M_FOREIGN | PVG_P2M_IDENTITY)

enum pvg_p2m_layout { PVG_P2M_INITIAL, PVG_P2M_LINEAR, PVG_P2M_TREE };

/* The entry of `pfn`. Beyond PVG_P2M_PFNS everything is missing. */
uint64_t pvg_p2m_entry(struct pvguest *g, pvg_pfn_t pfn);

/* The frame without marks; PVG_NO_MFN: there is none. */
static inline pvg_mfn_t pvg_p2m_mfn(struct pvguest *g, pvg_pfn_t pfn)
{
    uint64_t e = pvg_p2m_entry(g, pfn);
    return e == PVG_P2M_MISSING ? PVG_NO_MFN : pvg_mfn(e & ~PVG_P2M_MARKS);
}

/* The other way: the page that the frame is, by the hypervisor's m2p and checked against the p2m, as
 * m2p alone proves nothing (R7). PVG_NO_PFN: no frame of our own, or no frame at all. */
pvg_pfn_t pvg_m2p(struct pvguest *g, pvg_mfn_t mfn);

/* What the linear look-up falls back to when a word says "missing". */
uint64_t pvg_p2m_entry_slow(struct pvguest *g, pvg_pfn_t pfn);

/* The linear layout's look-up, in a running guest: pfn < PVG_P2M_PFNS. */
static inline uint64_t pvg_p2m_linear(struct pvguest *g, pvg_pfn_t pfn)
{
    uint64_t e = ((const volatile uint64_t *)PVG_P2M_BASE)[pfn.n];
    return e != PVG_P2M_MISSING ? e : pvg_p2m_entry_slow(g, pfn);
}

/*
 * Sets one entry: an mfn, PVG_P2M_MISSING, PVG_P2M_IDENTITY | pfn, or an mfn with PVG_P2M_FOREIGN.
 * The p2m grows as needed. 0; -XEN_ENOMEM: a leaf or a table could not be had; -XEN_EINVAL: pfn
 * beyond PVG_P2M_PFNS, a mark that does not fit; -XEN_EROFS: the builder's list is still in use;
 * or what the hypervisor said. On failure nothing changed.
 */
int pvg_p2m_set(struct pvguest *g, pvg_pfn_t pfn, uint64_t entry);

/* Marks every page of the range identity: whole leaves take no memory. As pvg_p2m_set(). */
int pvg_p2m_set_identity(struct pvguest *g, struct pvg_range range);

/* What it costs, and what it spans: numbers of pages. */
struct pvg_p2m_info {
    enum pvg_p2m_layout layout;
    uint64_t max_pfn;   /* highest populated page and one: what shared_info's max_pfn says */
    uint64_t populated; /* entries that name a frame of the guest's own */
    uint64_t leaves;    /* leaf pages of their own */
    uint64_t tables;    /* page tables or inner nodes, shared leaves, MFN tree */
};
void pvg_p2m_info(struct pvguest *g, struct pvg_p2m_info *info); /* figures from pvg_boot() on */

#pragma GCC visibility pop

#endif
