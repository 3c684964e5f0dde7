/* SPDX-License-Identifier: MIT */
/*
 * Lists that a guest keeps in its own memory: an element for each pfn, page after page, and several
 * ways to find the pages. Nothing is kept of a list but where it is; a span is what is found there.
 */
#ifndef PVMM_IMAGE_P2M_LIST_H
#define PVMM_IMAGE_P2M_LIST_H

#include "internal.h"
#include "p2m.h"
#include "startinfo.h"

/* Elements as they are handed on, of either width: a frame and two marks of the kernel's own. */
#define P2M_MISSING  (~0ull)
#define P2M_FOREIGN  (1ull << 63)
#define P2M_IDENTITY (1ull << 62)
#define P2M_MARKS    (P2M_FOREIGN | P2M_IDENTITY)

#define P2M_PAGE_WORDS (PAGE_BYTES / 4) /* at most: those of 32 bits */

enum p2m_shape {
    P2M_VIRTUAL,  /* at an address, one after the other */
    P2M_TREE,     /* two levels of machine frames above the pages */
    P2M_PAGES,    /* pages named one by one */
    P2M_POINTERS, /* two or three levels, of which the upper ones hold addresses */
};

/* A page of which all elements say the same, and a table that maps nothing else: kernels have one
 * stand for all that is missing. */
struct p2m_blank {
    mfn_t page, table; /* NO_MFN: not known */
    enum pv_p2m_state state;
};

struct p2m_list {
    const struct pv_view *v;
    enum p2m_shape shape;
    mfn_t root;      /* where addresses are looked up; of a tree: its top */
    uint64_t va;     /* of the first element; of POINTERS: of the first pointer */
    unsigned levels; /* of POINTERS: 2 or 3 */
    uint64_t missing, mid_missing, identity; /* addresses that stand for nothing; 0: not known */
    const uint64_t *page;                    /* of PAGES: frames, the first has pfn `start` */
    size_t pages;
    uint64_t start;
    bool is_old;         /* of a tree: its frames are of before a suspend, */
    struct pv_pairs now; /* and these are their numbers in the image */
    struct p2m_blank blank[2];
};

/* Neighbouring pfns whose elements lie in one page, or say the same. */
struct p2m_span {
    uint64_t first, last;
    enum pv_p2m_state state; /* FRAME: the elements say; else what they all say */
    mfn_t frame;             /* of FRAME: the page, */
    unsigned offset;         /* and where the element of `first` is in it */
};

void p2m_list_init(struct p2m_list *l, const struct pv_view *v, enum p2m_shape shape);
void p2m_list_free(struct p2m_list *l);

/* The span that has that pfn. */
void p2m_resolve(const struct p2m_list *l, uint64_t at, struct p2m_span *s);
/* Its elements; false: they cannot be read. */
bool p2m_load(const struct p2m_list *l, const struct p2m_span *s, uint64_t word[P2M_PAGE_WORDS]);
/* One element; its state if it is none. */
enum pv_p2m_state p2m_word(const struct p2m_list *l, uint64_t at, uint64_t *word, maddr_t *where);
struct pv_p2m_entry p2m_decode(uint64_t word);
/* A word of the guest's own width, as an element. No guest has frame 0: pages that were never
 * written say that there is none. */
uint64_t p2m_widen(const struct pv_view *v, uint64_t word);

/* What is there below pfn `claimed`. The list itself says how far that is, and can claim anything:
 * it is followed only as far as a guest of that size can have filled it. */
struct p2m_survey {
    uint64_t reach;         /* no frame from there on */
    uint64_t readable;      /* nothing can be read from there on */
    uint64_t end;           /* where it was given up; else `claimed` */
    uint64_t pages;         /* that hold something */
    uint64_t frames, owned; /* of a sample: elements with a frame; that are the image's */
    uint64_t odd;           /* of these: that can be no frame */
    bool endless;
};
void p2m_look_over(struct p2m_list *l, uint64_t claimed, struct p2m_survey *out);

/* What the guest publishes (shared_info.arch), followed to the letter. false: nothing. */
bool p2m_list_published(struct p2m_list *l, const struct pv_view *v, const struct pv_arch_info *a);

#endif
