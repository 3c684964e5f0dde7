/* SPDX-License-Identifier: MIT */
/* A guest kernel's ELF file and its Xen notes, read from a byte buffer that nobody vouches for. */
#ifndef PVMM_BUILDER_GUEST_IMAGE_H
#define PVMM_BUILDER_GUEST_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <xen/elfnote.h>

#include "builder_error.h"

#define GUEST_PAGE_BYTES   4096u
#define GUEST_SEGMENTS_MAX 16

/* A loadable segment at its place in the guest's linear region. */
struct guest_segment {
    unsigned index;      /* of its program header */
    uint64_t offset;     /* in the file */
    uint64_t file_bytes; /* the rest up to `bytes` is zero */
    uint64_t bytes;
    uint64_t va;
};

/* What a domain builder needs to know (sources: the ELF-64 object format; <xen/elfnote.h>), and
 * what others like to. A number that nobody gave is 0, as under Xen. */
struct guest_image {
    struct guest_segment segment[GUEST_SEGMENTS_MAX];
    unsigned segments;
    uint64_t start, end; /* virtual range of the segments */
    uint64_t entry;
    uint64_t virt_base;          /* where pfn 0 is mapped */
    uint64_t paddr_offset;       /* subtracted from p_paddr */
    uint64_t hypercall_page;     /* virtual address, if has_hypercall_page */
    uint64_t init_p2m;           /* virtual address, if has_init_p2m */
    uint64_t hv_start_low;       /* lowest address that the guest leaves to the hypervisor */
    uint64_t supported_features; /* a bit for each XENFEAT_ */
    uint64_t phys32_entry;       /* where PVH begins */
    uint64_t l1_mfn_mask, l1_mfn_value;
    bool has_hypercall_page;
    bool has_init_p2m;
    bool unmapped_module; /* MOD_START_PFN: the ramdisk is passed by pfn, not mapped */
    bool suspend_cancel;
    bool legacy;                    /* described by a __xen_guest section, not by notes */
    unsigned notes;                 /* how many are Xen's, whatever their number */
    bool seen[XEN_ELFNOTE_MAX + 1]; /* by number; legacy words count as the notes they became */
    char xen_version[16];
    char guest_os[32];
    char guest_version[16];
    char loader[16];
    char pae_mode[32];
    char features[128];
};

/* false: the image cannot be started, and *error says why; *image has what was read until then. */
bool guest_image_read(const uint8_t *file, uint64_t bytes, struct guest_image *image,
                      struct builder_error *error);

#endif
