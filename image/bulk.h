/* SPDX-License-Identifier: MIT */
/* Many frames at once: those that are neighbours in the file are read together. */
#ifndef PVMM_IMAGE_BULK_H
#define PVMM_IMAGE_BULK_H

#include "image.h"

/* Copies whole frames, each to its place in `to`; there[i]: it was in the image. */
void pv_read_frames(const struct pv_view *v, const mfn_t *m, size_t n, void *to, bool *there);

/* The first bytes of each, one behind the other; zeroes: it is not there. */
void pv_read_beginnings(const struct pv_view *v, const mfn_t *m, size_t n, void *to,
                        unsigned bytes);

/* The frames of n neighbouring pages, from that address on, as seen from `root`, and of n
 * neighbouring pfns; NO_MFN: none. */
void pv_frames_of_va(const struct pv_view *v, mfn_t root, gva_t va, size_t n, mfn_t *m);
void pv_frames_of_pfn(const struct pv_view *v, pfn_t at, size_t n, mfn_t *m);

#endif
