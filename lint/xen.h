/* SPDX-License-Identifier: MIT */
/* Xen 4.17's two domain builders: Xen's own for dom0, the toolstack's for a domU. */
#ifndef PVMM_LINT_XEN_H
#define PVMM_LINT_XEN_H

#include "xen_image.h"

#define XEN_PAGE 4096u
/* What Xen keeps for itself in every address space, page-table slots 256-271, and the hole of
 * addresses before it that no processor knows. */
#define XEN_HOLE_START UINT64_C(0x0000800000000000)
#define XEN_START      UINT64_C(0xffff800000000000)
#define XEN_END        UINT64_C(0xffff880000000000)

struct xen_domain {
    uint64_t pages; /* its memory */
    uint64_t initrd_pages;
};

static inline uint64_t xen_pages_of(uint64_t bytes)
{
    return bytes / XEN_PAGE + (bytes % XEN_PAGE != 0);
}

/* Are all of [first, last] addresses that a guest may use? */
static inline bool xen_guest_range(uint64_t first, uint64_t last)
{
    return first <= last && (last < XEN_HOLE_START || first >= XEN_END);
}

/* 0: built and started; -1 and *why otherwise. */
int xen_dom0(const struct xen_image *x, const struct xen_domain *d, struct xen_refusal *why);
int xen_domu(const struct xen_image *x, const struct xen_domain *d, struct xen_refusal *why);

/* Are there neither Xen's notes nor a section __xen_guest? If that can be told. */
bool xen_finds_nothing(const struct lint_input *elf);

/* xen.c: the question LINT_BOOT_XEN. */
int lint_boot_xen(const struct lint_input *elf, const struct lint_options *o, struct lint_report *r,
                  struct lint_error *e);

#endif
