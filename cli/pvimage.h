/* SPDX-License-Identifier: MIT */
/*
 * Is this ELF file a 64-bit PV kernel that can be loaded? Pure functions on a byte buffer: nothing
 * in the buffer is trusted, nothing outside it is read.
 */
#ifndef PVMM_CLI_PVIMAGE_H
#define PVMM_CLI_PVIMAGE_H

#include <stdbool.h>

#include "memfd.h"

/* What the hypervisor keeps for itself in every address space: page table slots 256-271. */
#define HV_VIRT_START 0xffff800000000000ull
#define HV_VIRT_LAST  0xffff87ffffffffffull

struct pv_image {
    uint64_t entry;
    uint64_t virt_base;
    uint64_t paddr_offset;
    uint64_t init_p2m; /* with has_init_p2m */
    bool has_init_p2m;
    bool mod_start_pfn;               /* the initrd need not be mapped */
    uint64_t first_paddr, last_paddr; /* of what is loaded, both inclusive, as offset from pfn 0 */
    char guest_os[32];
};

/* Parse and check. Violations are EXIT_UNTESTABLE with what, where and why in one line. */
int pv_image_check(struct view elf, struct pv_image *img, struct error *e);

/* Do the image, the initrd and what a domain builder adds fit `memory` bytes? */
int pv_image_fits(const struct pv_image *img, uint64_t memory, uint64_t initrd, struct error *e);

#endif
