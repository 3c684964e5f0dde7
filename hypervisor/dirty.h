/* SPDX-License-Identifier: MIT */
/*
 * Which frames of the guest were written, in rounds: <pvmm/dirty.h> says what the host is told.
 *
 * What the guest writes is seen by shadow.c. What the hypervisor writes for it, too, where it goes
 * through the guest's addresses (copy_to_guest(), guest words). The rest goes through the direct
 * map:
 *
 * - on a request: who asks the core for the write marks the frame (MMUEXT CLEAR_PAGE and COPY_PAGE,
 *   GNTTABOP_copy, update_descriptor);
 * - rings and queues of event channels: domain_page() marks;
 * - vcpu_info, and the accessed bits that the CPU sets in descriptors: when such a frame comes into
 *   use, and in every round.
 *
 * Page tables are not told; a frame that ceases to be one is, as one that is new to the guest
 * (dirty_act()). Nor are frames that the hypervisor lends, of no pfn: shared_info, grant tables.
 */
#ifndef PVMM_HV_DIRTY_H
#define PVMM_HV_DIRTY_H

#include "vcpu.h"

/* The bitmap of the round under way; NULL: nothing is watched. */
extern uint64_t *dirty_bits;

/* Boot: room for the bitmaps. */
void dirty_init(void);

/* At a safe point: what the host rang for. */
void dirty_serve(struct vcpu *v);

/* The watch ends. */
void dirty_end(struct vcpu *v);

/* Told of every act of the core's while it is watched. */
void dirty_act(enum core_act act, maddr_t at, uint64_t old);

/* Before it is written. Every frame number of RAM has a bit. */
static inline void dirty_mark(mfn_t m)
{
    if (dirty_bits && m.n < the_core()->nr_frames)
        dirty_bits[m.n / 64] |= 1ull << m.n % 64;
}

static inline bool dirty_is_marked(mfn_t m)
{
    return m.n >= the_core()->nr_frames || dirty_bits[m.n / 64] >> m.n % 64 & 1;
}

#endif
