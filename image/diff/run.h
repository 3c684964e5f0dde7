/* SPDX-License-Identifier: MIT */
/* What the files of the comparison share. */
#ifndef PVMM_IMAGE_DIFF_RUN_H
#define PVMM_IMAGE_DIFF_RUN_H

#include "diff.h"
#include "internal.h"

/* One of the two. */
struct diff_side {
    const struct pv_view *v;
    bool tells;      /* the image has types */
    uint8_t *levels; /* by the view's frame: found in use; NULL: not looked for */
};

/* ---- types.c */
/* What the image does not tell is found from the roots on, as pv_check() does. */
int diff_side_open(struct diff_side *s, const struct pv_view *v, const struct pv_progress *progress,
                   struct pv_error *e);
void diff_side_close(struct diff_side *s);
struct pv_diff_page diff_page(const struct diff_side *s, mfn_t m);
bool diff_types_differ(const struct pv_diff_page *a, const struct pv_diff_page *b);
/* As what the contents of the two are to be taken. */
void diff_take_as(const struct pv_diff_page page[2], unsigned as[2]);

/* ---- pages.c */
/* Makes a table's present entries name pfns, and takes away what is the hypervisor's. */
void diff_normalise(const struct pv_view *v, unsigned as, uint64_t words[512]);

#endif
