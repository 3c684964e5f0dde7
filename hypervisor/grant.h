/* SPDX-License-Identifier: MIT */
/*
 * A domain's grant table (<xen/grant_table.h>, version 1): entries that the guest writes, and what
 * the hypervisor keeps beside them so as not to trust them twice.
 *
 * One domain exists, so that a grant is of use only to who gives it: it may copy and map its own.
 * Such a mapping is an ordinary L1 entry (R3): it holds what any entry on that frame holds. A pin
 * therefore holds nothing, it only says that the entry is in use and what frame it stood for.
 */
#ifndef PVMM_HV_GRANT_H
#define PVMM_HV_GRANT_H

#include "types.h"

#define GRANT_FRAMES_MAX 64u   /* Xen's own default */
#define GRANT_PER_FRAME  512u  /* entries of 8 bytes */
#define GRANT_HANDLES    4096u /* mappings at a time */
#define GRANT_PINS_MAX   128u  /* of one entry and kind */

/* An entry in use: the frame it names may change meanwhile, this one does not. */
struct grant_pin {
    uint64_t frame : 48;
    uint64_t readers : 8;
    uint64_t writers : 8;
};

/* A mapping that the guest has a handle of. */
struct grant_map {
    uint32_t ref;
    uint32_t flags; /* GNTMAP_*; 0: the handle is free */
};

struct grant_table {
    unsigned frames; /* lent to the guest, never taken back */
    mfn_t frame[GRANT_FRAMES_MAX];
    struct grant_pin pin[GRANT_FRAMES_MAX * GRANT_PER_FRAME];
    struct grant_map map[GRANT_HANDLES];
    uint16_t free[GRANT_HANDLES]; /* handles, the one longest free first */
    unsigned free_from, free_to;  /* ever taken from it, ever put */
};

#endif
