/* SPDX-License-Identifier: MIT */
/*
 * More memory and less while the guest runs, and frames that are contiguous in the machine
 * (<xen/memory.h>, XENMEM_*).
 *
 * p2m, m2p, direct map, memblock, the MFN tree and shared_info agree after each call; in between,
 * for tools that read from outside, a page is either there or missing, never half.
 */
#ifndef PVGUEST_BALLOON_H
#define PVGUEST_BALLOON_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

/* ---- reservations: numbers of pages, as the hypervisor counts them */

/* What the domain has now, and what it may have at most. 0; or what the hypervisor said. */
int pvg_reservation(struct pvguest *g, uint64_t *now, uint64_t *most);

/* ---- the balloon */

/* So many free pages stay: going up takes some, for leaves and tables. */
#define PVG_BALLOON_KEPT 16u

/*
 * Gives `pages` free pages back: out of the direct map, the p2m and memblock, the highest first.
 * *done (NULL: not wanted) is how many went, which is all of them where 0 is returned. -XEN_EINVAL:
 * before pvg_boot(); -XEN_ENOMEM: there are no more free ones but PVG_BALLOON_KEPT; -XEN_ENOSPC: a
 * list of memblock's is full; or what the hypervisor said. Pages that did not go are as they were.
 */
int pvg_balloon_down(struct pvguest *g, uint64_t pages, uint64_t *done);
/*
 * Asks for `pages` more, at pages of RAM of the map that have no frame, lowest first; where these
 * are used up, at pages above all that there is (the p2m and the MFN tree grow). They are in the
 * direct map, and free, then. *done as above. -XEN_ENOMEM: the hypervisor gives no more, or there
 * is no page for tables or leaves; -XEN_ENOSPC: a list of memblock's is full, or pages are beyond
 * the memory limit or what the direct map reaches; else as above.
 *
 * The map of a domain that a toolstack made reaches up to the maximum that it had then; who has
 * none, or one of what it was built with, may be allowed more all the same, and it is the
 * hypervisor that knows: above the map's last entry there is nothing else. The map of the initial
 * domain is the machine's, and above it may be devices: it has -XEN_ENOMEM when its RAM is used up.
 */
int pvg_balloon_up(struct pvguest *g, uint64_t pages, uint64_t *done);
/* Either, until the domain has `pages` pages by the hypervisor's count, which is what a toolstack
 * writes (in KiB) to memory/target. *now (NULL: not wanted) is what it has then, also where it is
 * not all that was asked for. */
int pvg_balloon_to(struct pvguest *g, uint64_t pages, uint64_t *now);

/* ---- contiguous frames */

#define PVG_CONTIGUOUS_ORDER_MAX 9u

/*
 * Exchanges the frames of the 2^order pages from `first` on, which are the caller's (taken, and
 * mapped in the direct map alone), for as many that are contiguous in the machine, their first
 * number a multiple of 2^order, with addresses of at most `address_bits` bits (0: any). What was in
 * the pages is lost. *frame: the first. 0; -XEN_EINVAL: an order above PVG_CONTIGUOUS_ORDER_MAX,
 * `first` not a multiple of 2^order, pages that are free or not in the direct map; -XEN_ENOMEM: the
 * hypervisor has none such; or what it said. On failure the pages have the frames they had, with
 * what was in them.
 */
int pvg_make_contiguous(struct pvguest *g, pvg_pfn_t first, unsigned order, unsigned address_bits,
                        pvg_mfn_t *frame);
/* The same pages, whose frames are contiguous, with any frames again, so that contiguous ones are
 * there for others. What was in them is lost. -XEN_EINVAL: also when they are not; else as above.
 */
int pvg_make_scattered(struct pvguest *g, pvg_pfn_t first, unsigned order);

#pragma GCC visibility pop

#endif
