/* SPDX-License-Identifier: MIT */
/*
 * The memory of a machine with Xen, for tests: dom0, whose published tree ends early; domain 7,
 * which published a tree and a linear list; and domain 8, which has not begun yet, with the
 * builder's flat list alone. Their frames are scattered.
 */
#ifndef PVMM_TESTS_IMAGE_MADE_XEN_H
#define PVMM_TESTS_IMAGE_MADE_XEN_H

#include "made.h"

#define XEN_PAGES     600 /* of the largest */
#define XEN_LISTED    512 /* of dom0's, in its tree */
#define XEN_FRAMES    4096
#define XEN_LOW       2048 /* frames below the hole, if there is one */
#define XEN_VERSION   "4.99.1"
#define XEN_DIRECT_VA 0xffff888000000000ull
#define XEN_ROOT_PFN  10
#define XEN_START_PFN 5

struct made_xen_domain {
    int id;
    unsigned pages;
    uint64_t mfn[XEN_PAGES];
    uint64_t shared, owner;
    unsigned next; /* pfn that is given out next */
};

struct made_xen {
    int fd;
    uint8_t *map;
    bool split, table;
    uint64_t next, given; /* frames of Xen's own, of domains */
    uint64_t m2p_l3, frames_l3;
    struct made_xen_domain domain[3];
};

/* split: a half of the memory lies from 4 GiB on. table: Xen's frame table is of a known form. */
struct made_xen *made_xen_new(bool split, bool table);
void made_xen_free(struct made_xen *x);
uint64_t *made_xen_words(struct made_xen *x, uint64_t m);
uint64_t made_xen_mfn(const struct made_xen *x, uint64_t place);
/* Maps it at XEN_DIRECT_VA + (pfn << 12). */
void made_xen_map(struct made_xen *x, struct made_xen_domain *d, uint64_t va, uint64_t m);
/* Frames of which something hangs: what a mutation should hit. */
uint64_t made_xen_vital(const struct made_xen *x, uint64_t chance);

#endif
