/* SPDX-License-Identifier: MIT */
/* What the files of a Xen machine's view share. */
#ifndef PVMM_IMAGE_XENMACHINE_H
#define PVMM_IMAGE_XENMACHINE_H

#include "physical.h"

/* Frame numbers, as many as there turn out to be. */
struct xen_list {
    uint32_t *n;
    size_t count, room;
};
bool xen_list_add(struct xen_list *l, uint64_t n); /* false: out of memory */

/* ---- xenscan.c: what gives itself away by its form */

struct xen_scan {
    struct xen_list l4;         /* tables whose slot 258 maps themselves, as Xen has it */
    struct xen_list start_info; /* pages that begin with its magic */
    char version[96];           /* of Xen; "": not seen */
    uint64_t frames;            /* looked at */
};
/* Splits the memory at the PCI hole where the tables tell of one. */
int xen_scan(struct xen_scan *s, struct pv_physical *p, const struct pv_progress *progress,
             struct pv_error *e);
void xen_scan_free(struct xen_scan *s);

/* ---- xentable.c: arrays of Xen's own, that lie at a virtual address */

struct xen_table {
    unsigned element; /* bytes; pages hold a whole number of them */
    uint64_t n;
    uint32_t *page; /* the frame of each page; XEN_NO_PAGE: not mapped */
};
#define XEN_NO_PAGE (~0u)
/* As seen from that root. */
int xen_table_find(struct xen_table *t, const struct pv_view *v, mfn_t root, gva_t va,
                   unsigned element, uint64_t n, struct pv_error *e);
/* Copies element i, and as many as follow it in its page up to `many`: how many they were. */
unsigned xen_table_read(const struct xen_table *t, const struct pv_view *v, uint64_t i, void *to,
                        unsigned many);
void xen_table_free(struct xen_table *t);

/* An element of Xen's frame table (struct page_info, the same from Xen 4.2 to 4.17 as far as is
 * read here). */
struct xen_frame {
    uint64_t list, count_info, type_info;
    uint32_t owner; /* the frame of its struct domain; of a free frame anything */
    uint32_t stamp;
};

/* ---- the machine */

struct xen_domain {
    mfn_t start_info, shared_info;
    bool initial; /* dom0 */
    uint64_t nr_pages, root_va, flat_va;
    uint64_t max_pfn; /* as published */
    mfn_t tree;       /* top of the tree; NO_MFN: none */
    mfn_t linear;     /* the root through which the list is seen; NO_MFN: none */
    gva_t linear_va;
    mfn_t builder_root; /* NO_MFN: gone */
    uint32_t owner;     /* as the frame table has it; 0: the frame table tells nothing of it */
    int id;
};

#define XEN_DOMAINS 1024u

struct xen_machine {
    struct pv_physical *physical;
    struct pv_view *view; /* of this machine; complete once it is open */
    const struct pv_open_options *options;
    struct xen_scan scan;
    struct xen_table m2p, frames;
    unsigned type_shift; /* of type_info */
    struct xen_domain *domain;
    unsigned nr_domains, chosen;
    uint64_t *mine; /* a bit for each frame: the chosen domain's */
    struct pv_frames index;
};

pfn_t xen_m2p(const struct xen_machine *x, mfn_t m);
struct pv_m2p xen_m2p_of(const struct xen_machine *x);
/* What the frame table has; false: nothing. */
bool xen_frame_of(const struct xen_machine *x, mfn_t m, struct xen_frame *out);
unsigned xen_type(const struct xen_machine *x, const struct xen_frame *f); /* 1..4: a table */
bool xen_is_table(const struct xen_machine *x, const struct xen_frame *f);
bool xen_is_pinned(const struct xen_frame *f);
bool xen_is_heap(const struct xen_frame *f); /* Xen's own, perhaps lent */
bool xen_is_allocated(const struct xen_frame *f);

/* ---- xendomains.c */
/* Finds the domains, and m2p on the way. */
int xen_find_domains(struct xen_machine *x, struct pv_error *e);
/* What the domain's own lists have at a pfn; NO_MFN: no frame. */
mfn_t xen_listed(const struct xen_machine *x, const struct xen_domain *d, pfn_t p);

/* ---- xenframes.c */
/* Finds the frames of the chosen domain. */
int xen_find_frames(struct xen_machine *x, struct pv_error *e);

static inline bool xen_bit(const uint64_t *bits, uint64_t n)
{
    return bits[n / 64] >> n % 64 & 1;
}

static inline void xen_set_bit(uint64_t *bits, uint64_t n)
{
    bits[n / 64] |= 1ull << n % 64;
}

#endif
