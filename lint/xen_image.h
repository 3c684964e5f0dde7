/* SPDX-License-Identifier: MIT */
/*
 * What Xen 4.17 makes of a kernel's file (facts: xen/common/libelf, of which the toolstack has a
 * copy): its own reading of notes and segments, more lenient here and stricter there than pvmm's.
 */
#ifndef PVMM_LINT_XEN_IMAGE_H
#define PVMM_LINT_XEN_IMAGE_H

#include "elfview.h"
#include "internal.h"

#define XEN_UNSET     (~UINT64_C(0))
#define XEN_NOTES_MAX 65536u /* it reads no more */

/* A refusal, before it is a finding. */
struct xen_refusal {
    const char *code;
    char text[LINT_CHARS]; /* a clause: what, where, why */
    char said[128];        /* what Xen prints, "": nothing */
};

/* A number that nobody gave is XEN_UNSET, once checked what Xen puts in its place. */
struct xen_image {
    struct elfview elf;
    uint64_t pstart, pend;       /* of what is to be loaded, by physical address */
    uint64_t kernel, kernel_end; /* the same, virtual */
    uint64_t loaded;             /* bytes of all its segments together */
    uint64_t virt_base, paddr_offset, entry, hypercall_page, init_p2m;
    uint32_t supported, required; /* features, a bit for each XENFEAT_ */
    bool states_features;         /* SUPPORTED_FEATURES is there */
    bool unmapped_initrd;
    bool looked_at_notes; /* there was a place to look, whoever's notes are in it */
    bool legacy;          /* a section __xen_guest */
    unsigned notes;       /* Xen's */
    char loader[16], guest_os[16], xen_version[16];
};

/* Segments that Xen loads: PT_LOAD, with any right at all. */
bool xen_loads(const struct elfview_segment *s);

/* All that Xen checks before it asks whether the kernel is to be dom0 or a domU. Always -1. */
__attribute__((format(printf, 3, 4))) int xen_refuse(struct xen_refusal *why, const char *code,
                                                     const char *format, ...);
/* 0, or -1 and *why. */
int xen_image_read(struct xen_image *x, const uint8_t *data, uint64_t size,
                   struct xen_refusal *why);

#endif
