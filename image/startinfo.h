/* SPDX-License-Identifier: MIT */
/* What the domain builder told the guest, and what the guest tells tools: start_info and
 * shared_info.arch (<xen/xen.h>, <xen/arch-x86/xen.h>), of either width, as one. */
#ifndef PVMM_IMAGE_STARTINFO_H
#define PVMM_IMAGE_STARTINFO_H

#include "image.h"
#include "symbols.h"

#define PV_CMD_LINE 1024u

struct pv_start_info {
    mfn_t frame;
    char how[64]; /* how it was found */
    char magic[33];
    uint64_t nr_pages;
    maddr_t shared_info;
    uint64_t flags;
    uint64_t store_frame, console_frame; /* pfns in an image of a suspended guest, else mfns */
    uint64_t store_port, console_port;
    gva_t pt_base;
    uint64_t nr_pt_frames;
    gva_t mfn_list;
    char cmd_line[PV_CMD_LINE + 1]; /* the guest's: any bytes */
};

/* By v->start_info; else the kernel's symbol; else the first page that begins as one does. `s` may
 * be NULL. */
int pv_start_info_find(struct pv_start_info *out, const struct pv_view *v,
                       const struct pv_symbols *s, struct pv_error *e);

struct pv_arch_info {
    uint64_t max_pfn;
    uint64_t list_list; /* pfn_to_mfn_frame_list_list; ~0: said to be none */
    uint64_t p2m_cr3;   /* 0: no linear list */
    mfn_t p2m_root;     /* of p2m_cr3 */
    uint64_t p2m_vaddr;
    uint64_t p2m_generation;
};
int pv_arch_info_read(struct pv_arch_info *out, const struct pv_view *v, struct pv_error *e);

#endif
