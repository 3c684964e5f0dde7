/* SPDX-License-Identifier: MIT */
/*
 * A view with machine frames as one whose tables and registers name frames by pfn, as those of a
 * save stream do: whatever kind of image it is, and whether the guest stood still in order or not.
 * What names no page of the guest reads as 0, and is remembered.
 */
#ifndef PVMM_IMAGE_PORTABLE_H
#define PVMM_IMAGE_PORTABLE_H

#include "convert.h"
#include "internal.h"

/* A word of the guest's memory that another stands for: key is pfn << 9 | slot. */
#define WORD_KEY(pfn, slot) ((uint64_t)(pfn) << 9 | (slot))

struct portable_told {
    bool inferred;    /* types are those of use: the image tells none */
    uint64_t tables;  /* with entries to be changed */
    uint64_t xens;    /* of the hypervisor's own slots, that are 0 now */
    uint64_t foreign; /* that name no page of the guest */
    uint64_t superpages;
    uint64_t beyond;    /* of these, that are not in `words` */
    uint64_t nameless;  /* frames of the guest at no pfn */
    bool suspended;     /* the guest suspended itself: rdx of vCPU 0 names start_info */
    uint64_t registers; /* frames in the vCPUs' states that are none of the guest's */
    char no_list[200];  /* why its p2m list's pages are not known; "": they are */
};

/* `from` stays the caller's, and open as long as *out. Of a view that is portable, or numbers no
 * frames (index_of): an error. */
int pv_portable_open(struct pv_view **out, const struct pv_view *from, const struct pv_symbols *s,
                     bool to_write, const struct pv_progress *progress, struct pv_error *e);
const struct portable_told *pv_portable_told(const struct pv_view *v);
/* What words were where now there is 0, or shared_info's stand-in; ascending. */
const struct pv_pairs *pv_portable_words(const struct pv_view *v);
/* The view beneath, with its machine frames. NULL: `v` is no view of this kind. */
const struct pv_view *pv_portable_from(const struct pv_view *v);

/* ---- tables.c: which pages are tables in use. level[index_of()]: 0, or 1..4. */
bool pv_is_xens_slot(unsigned level, unsigned slot);
int pv_tables_infer(const struct pv_view *v, uint8_t *level, const struct pv_progress *progress,
                    struct pv_error *e);
/* A frame's place in such an array; ~0: none. */
uint64_t pv_tables_index(const struct pv_view *v, mfn_t m);

#endif
