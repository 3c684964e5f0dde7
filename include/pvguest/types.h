/* SPDX-License-Identifier: MIT */
/*
 * Numbers that must not be mixed, and ranges of pages.
 *
 * A page is 4096 bytes everywhere. A frame of the machine has an mfn; the guest numbers its own
 * memory by pfn, from 0. A pfn that is passed where an mfn is meant does not compile.
 */
#ifndef PVGUEST_TYPES_H
#define PVGUEST_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ABI that the declarations of <xen/...> are taken from: Xen 4.14 and later. */
#ifndef __XEN_INTERFACE_VERSION__
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#endif
#include <xen/xen.h>
#include <xen/errno.h>

#define PVG_PAGE_SHIFT 12
#define PVG_PAGE_BYTES 4096u

typedef struct {
    uint64_t n;
} pvg_mfn_t; /* machine frame number */

typedef struct {
    uint64_t n;
} pvg_pfn_t; /* pseudo-physical frame number: the guest's own numbering */

typedef struct {
    uint64_t a;
} pvg_maddr_t; /* machine address, in bytes */

#define PVG_NO_MFN ((pvg_mfn_t){~0ull})
#define PVG_NO_PFN ((pvg_pfn_t){~0ull})
#define PVG_NONE   (~0ull) /* "no page" where a plain page number is returned */

static inline pvg_mfn_t pvg_mfn(uint64_t n)
{
    return (pvg_mfn_t){n};
}

static inline pvg_pfn_t pvg_pfn(uint64_t n)
{
    return (pvg_pfn_t){n};
}

/* Pages [from, to), by pfn. from == to: empty. */
struct pvg_range {
    uint64_t from, to;
};

/* The one guest. Its inside is the library's. */
struct pvguest;

#endif
