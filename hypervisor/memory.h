/* SPDX-License-Identifier: MIT */
/*
 * The machine's memory as the hypervisor reaches and hands it out, and the TLB: what the core's
 * glue needs, without the guest's side of things.
 */
#ifndef PVMM_HV_MEMORY_H
#define PVMM_HV_MEMORY_H

#include <pvmm/recorder.h>

#include "types.h"

/* ---- the hypervisor's part of the address space (layout.h has the numbers and a picture) */

#define HV_SLOTS_START 0xffff800000000000ull /* L4 slot 256 */
#define HV_SLOTS_END   0xffff880000000000ull /* end of slot 271 */
#define M2P_GUEST_BASE 0xffff800000000000ull /* read-only for the guest */
#define DIRECT_BASE    0xffff830000000000ull /* all of RAM, supervisor only, no-execute */

static inline void *direct(maddr_t m)
{
    return (void *)(DIRECT_BASE + m.a);
}

static inline void *direct_frame(mfn_t m)
{
    return (void *)(DIRECT_BASE + (m.n << PAGE_SHIFT_4K));
}

static inline maddr_t direct_address(const void *p)
{
    return (maddr_t){(uint64_t)p - DIRECT_BASE};
}

/* ---- frames.c */

/* One cleared frame for the hypervisor's own use; panics when there is none. */
mfn_t hv_frame(void);
/* Take/return free frames of the machine: the glue's backend. Frames taken are cleared. */
bool frames_take(unsigned order, uint64_t limit, mfn_t *out);
/* One that holds what it held: for somebody who writes all of it before a guest sees it. */
bool frames_take_as_it_is(mfn_t *out);
void frames_give(mfn_t m);
uint64_t frames_free(void);

/* ---- recorder.c: acts by enum core_act, which are enum pvmm_act */

/* Somebody wants to be told: the recorder, or who watches what is written (dirty.h). */
extern bool recorder_on;
/* An act as it stands in a record. */
#define RECORDED(act) ((uint64_t)(act) << PVMM_RECORD_ACT_SHIFT)
/* Never inlined: its callers are the core's shortest paths. */
__attribute__((noinline)) void recorder_write(uint64_t act, maddr_t at, uint64_t old, uint64_t now);

static inline void recorder_note(unsigned act, maddr_t at, uint64_t old, uint64_t now)
{
    if (recorder_on)
        recorder_write(RECORDED(act), at, old, now);
}

/* ---- paging.c */

/* The L4 entries of the hypervisor's slots, the same in every root (R6). */
extern uint64_t root_template[512];
/* Maps page `page` of this CPU's descriptor area; flags 0: not present. Flushing is the caller's.
 */
void paging_map_descriptor(unsigned page, mfn_t m, uint64_t flags);

/* ---- TLB (cpu.c) */

extern uint64_t tlb_flushes, tlb_page_flushes, root_switches; /* counted for the verdict */

void tlb_flush_local(void);    /* whole TLB; advances the TLB clock */
void tlb_flush_hardware(void); /* the same, and the shadows stay as they are */
void tlb_flush_page(gva_t va);
uint16_t tlb_clock(void);
void tlb_flush_since(uint16_t stamp);

/* True when an interrupt waits: hypercalls stop at their next safe point. */
bool cpu_interrupt_pending(void);
/* The same for work of a few instructions, asked about at each entry of a table: only each 64th
 * question looks. */
bool cpu_pause_due(void);

#endif
