/* SPDX-License-Identifier: MIT */
/*
 * Where things lie in the machine's memory: enough to read the guest's memory, and who owns it, out
 * of the file behind QEMU's memory, while the machine runs or after its end. Part of the mailbox;
 * filled before the state becomes PVMM_STATE_RUNNING.
 */
#ifndef PVMM_ABI_MACHINE_H
#define PVMM_ABI_MACHINE_H

#include <stdint.h>

#define PVMM_MACHINE_VERSION 1u
#define PVMM_NOT_BUILT       (~0ull) /* the guest came in (<pvmm/transfer.h>): all is its own */
#define PVMM_CONTEXT_BYTES   5168u   /* of a 64-bit vcpu_guest_context_t (<xen/arch-x86/xen.h>) */

/*
 * The file has all RAM below the PCI hole first, at its machine address, then, without a gap, the
 * RAM from 4 GiB on. high_end is the end of the latter; so the hole begins at file size - (high_end
 * - 4 GiB).
 */
struct pvmm_machine {
    uint32_t version;     /* PVMM_MACHINE_VERSION */
    uint32_t frame_bytes; /* of an element of the frame table: 16, struct frame of core/core.h */
    uint64_t nr_frames;   /* elements of both tables */
    uint64_t frames_at;   /* machine address of the frame table, below 4 GiB */
    uint64_t m2p_at;      /* and of m2p: a pfn of 8 bytes for each mfn, ~0 for none */
    uint64_t high_end;    /* end of the RAM from 4 GiB on; 0: there is none */
    uint64_t shared_mfn;  /* shared_info; owned by the guest, but no page of it */
    uint64_t start_info_pfn;
    uint64_t
        initial_root;   /* mfn of the L4 that the guest had when it started here: the builder's */
    uint64_t virt_base; /* virtual address of pfn 0 in the builder's tables; PVMM_NOT_BUILT */
    uint64_t tsc_khz;
    uint64_t entry_tsc; /* TSC at the guest's first instruction */
    /* The vCPU as XEN_DOMCTL_getvcpucontext has it: ctrlreg[3] names the kernel root, [1] the user
     * root (0: none). Written when a report of a crash is filed, and at the end. */
    uint32_t context_valid;
    uint32_t vcpus;
    uint8_t context[PVMM_CONTEXT_BYTES] __attribute__((aligned(16)));
};

#endif
