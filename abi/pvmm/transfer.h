/* SPDX-License-Identifier: MIT */
/*
 * A domain that the host puts together, page by page, instead of one that is built from a kernel:
 * how a saved guest comes back. The hypervisor learns no file format; it gives frames, and takes
 * what was made of them as it takes everything of a guest's, through the core.
 *
 *   1. the option incoming=1 (<pvmm/boot.h>): no module is wanted. The hypervisor makes an empty
 *      domain of mem= bytes, with its shared_info, grant table and event channels, and gives it all
 *      of its frames, as they are: with what the machine's memory held there. It fills struct
 *      pvmm_transfer_place in the mailbox, `version` last, and rings. Valid by then too: domid,
 *      store_port, console_port, machine.high_end, machine.shared_mfn, machine.tsc_khz. The state
 *      remains PVMM_STATE_BOOTING
 *   2. the host writes the pages into the frames of the list, each of them whole, and says in the
 *      list which pfn each is, and which tables are to be pinned. In them frames are named by mfn:
 *      page tables, the guest's p2m, start_info are the host's to write. It fills struct
 *      pvmm_transfer and rings PVMM_BELL_BUILD
 *   3. the hypervisor copies struct pvmm_transfer and checks every field; sets the m2p; takes back
 * the frames that are not used; pins, loads the roots, the GDT and the rest of the vCPU's state
 * through the core and the same checks as hypercalls; and starts the guest (PVMM_STATE_RUNNING).
 * What cannot be is PVMM_OUTCOME_BAD_GUEST: the verdict's message says why, `refused_pfn` of which
 *      page it speaks
 *
 * The list and struct pvmm_transfer lie in the hypervisor's memory below 4 GiB, and are the host's
 * to write between 1 and the bell only.
 */
#ifndef PVMM_ABI_TRANSFER_H
#define PVMM_ABI_TRANSFER_H

#include <stdint.h>

#include <pvmm/machine.h>

#define PVMM_TRANSFER_VERSION 3u
#define PVMM_NO_PFN           0xffffffffu /* of a pfn with 32 bits */
#define PVMM_SHARED_BYTES     4096u
#define PVMM_WALL_END         (1ull << 62) /* ns: the year 2116 */

/* An element of the list: a frame of the domain. */
struct pvmm_transfer_page {
    uint64_t mfn; /* the hypervisor's; ascending in no order */
    uint32_t pfn; /* the host's; PVMM_NO_PFN (as it is found): not used */
    uint32_t pin; /* 1..4: pinned as a table of that level, in the order of the list; 0: not */
};

/* Callbacks that vcpu_guest_context_t has no room for (XEN_DOMCTL_get_ext_vcpucontext's). */
struct pvmm_extended {
    uint64_t syscall32_eip, sysenter_eip;
    uint16_t syscall32_cs, sysenter_cs;
    uint8_t syscall32_disables_events, sysenter_disables_events; /* 0 or 1 */
    uint8_t zero[2];
};

/* Written by the host. */
struct pvmm_transfer {
    uint32_t version; /* PVMM_TRANSFER_VERSION */
    uint32_t bytes;   /* of this structure */
    uint64_t pages;   /* elements of the list, as told */
    uint64_t used;    /* of these: with a pfn */
    uint64_t end_pfn; /* every pfn is below; the length of the guest's p2m list */
    uint64_t wall_ns; /* UNIX time as PVMM_BELL_BUILD is rung, below PVMM_WALL_END: the machine's
                         clock chip has whole seconds alone */
    uint32_t start_info_pfn;
    uint32_t store_pfn,
        console_pfn; /* of the two rings; store_pfn may be PVMM_NO_PFN where there is no store */
    uint32_t vcpus;  /* 1 */
    struct pvmm_extended extended;
    /* vcpu_guest_context_t of <xen/arch-x86/xen.h> as XEN_DOMCTL_setvcpucontext takes it:
     * gdt_frames and ctrlreg[3], ctrlreg[1] (0: none) by mfn. */
    uint8_t context[PVMM_CONTEXT_BYTES] __attribute__((aligned(16)));
    /* The old shared_info. vcpu_info[] and arch are taken over; nothing is pending, all is masked,
     * pfn_to_mfn_frame_list_list is 0, clocks and the rest are new. */
    uint8_t shared_info[PVMM_SHARED_BYTES] __attribute__((aligned(16)));
};

/* Part of the mailbox. */
struct pvmm_transfer_place {
    uint32_t version; /* PVMM_TRANSFER_VERSION once the empty domain is there; 0: none is wanted */
    uint32_t page_bytes;  /* of struct pvmm_transfer_page */
    uint64_t list_at;     /* machine address of the list, */
    uint64_t pages;       /* its length; */
    uint64_t at;          /* of struct pvmm_transfer */
    uint32_t refused_pfn; /* PVMM_NO_PFN: no page in particular */
    uint32_t zero;
};

#endif
