/* SPDX-License-Identifier: MIT */
/*
 * Which frames of the guest were written: what a host needs that copies its memory while it runs.
 *
 * The host rings PVMM_BELL_ROUND. The first one begins the watch, and round 1; each later one ends
 * the round under way, tells its frames, and begins the next. PVMM_BELL_UNWATCH ends it all. Both
 * are heeded while the guest runs, waits or stands.
 *
 * There are two bitmaps, one behind the other from `at` on, each of `bytes` bytes: frame m is bit
 * m % 64 of word m / 64 (little-endian words). When `rounds` becomes r, the bitmap r & 1 says what
 * was written in round r - 1 (nothing, for r = 1), and does not change until the next bell; the
 * other one is the hypervisor's. A frame is in it if, during the round, anybody wrote to it (the
 * guest, or the hypervisor for it), it came to the guest, became another pfn, or ceased to be a
 * page table or a descriptor page. It was marked before it was written: what the host reads of a
 * frame after `rounds` became r is either what counts, or the frame is in a later bitmap.
 *
 * Not told: entries of page tables. They are to be copied when the guest stands, all of them.
 *
 * The guest does not see it: its page tables are as it made them, accessed and dirty bits included.
 */
#ifndef PVMM_ABI_DIRTY_H
#define PVMM_ABI_DIRTY_H

#include <stdint.h>

#define PVMM_DIRTY_VERSION 1u

enum pvmm_dirty_state {
    PVMM_DIRTY_OFF = 0,
    PVMM_DIRTY_ON = 1,
    PVMM_DIRTY_NO_MEMORY = 2, /* the machine has no room for it; the guest goes on as before */
};

/* Part of the mailbox. */
struct pvmm_dirty {
    uint32_t version; /* PVMM_DIRTY_VERSION */
    uint32_t state;   /* enum pvmm_dirty_state: the answer to the last bell; written before `heeded` */
    uint64_t at;      /* machine address, below 4 GiB, of the two bitmaps; 0: never made */
    uint64_t bytes;   /* of each; a multiple of 4096 */
    uint64_t frames;  /* bits that count: every frame number of RAM is below */
    uint64_t told;    /* frames in the bitmap of `rounds` */
    uint64_t rounds;  /* since the watch began; 0: off. Written last of a round's */
    uint64_t heeded;  /* PVMM_BELL_ROUND and PVMM_BELL_UNWATCH, ever; written last of all */
};

#endif
