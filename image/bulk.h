/* SPDX-License-Identifier: MIT */
/* Many frames at once: those that are neighbours in the file are read together. */
#ifndef PVMM_IMAGE_BULK_H
#define PVMM_IMAGE_BULK_H

#include "image.h"

/* Copies whole frames, each to its place in `to`; there[i]: it was in the image. */
void pv_read_frames(const struct pv_view *v, const mfn_t *m, size_t n, void *to, bool *there);

#endif
