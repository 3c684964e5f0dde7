/* SPDX-License-Identifier: MIT */
/*
 * Save streams: a stream of libxc's, bare or within `xl save`'s file. The layout of both is in
 * Xen's docs/specs/libxc-migration-stream and libxl-migration-stream.
 */
#ifndef PVMM_IMAGE_FORMATS_STREAM_H
#define PVMM_IMAGE_FORMATS_STREAM_H

#include "image.h"

/* The record X86_PV_P2M_FRAMES: the pfns of the pages of the guest's own p2m list, and the range
 * start..end, both included, of the pfns that these pages list. Belongs to the view. false: another
 * kind of view (what was made of a stream may have it, too), or a stream without the record. */
bool pv_stream_p2m_frames(const struct pv_view *v, uint64_t *start, uint64_t *end,
                          const uint64_t **pfn, size_t *n);

#endif
