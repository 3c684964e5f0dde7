/* SPDX-License-Identifier: MIT */
/*
 * Shadow page tables: what the CPU uses in place of the guest's own while it is watched what the
 * guest writes to (dirty.h). They are a large TLB. Empty at first, they are filled at page faults
 * with what the guest's tables say, as a processor's walk would, accessed and dirty bits of the
 * guest's entries included; a page can be written through them only once it is marked in the round.
 * What a TLB may go on showing when the guest has changed its tables, they may show, too; where the
 * TLB is flushed, they forget (cpu.c). Rules of the processor: Intel SDM 3A, 4.6 to 4.10.
 *
 * One CPU. Only the guest's part of a root is shadowed; the hypervisor's slots are as in every
 * root.
 */
#ifndef PVMM_HV_SHADOW_H
#define PVMM_HV_SHADOW_H

#include "memory.h"

#define SHADOW_ROOTS     8u    /* of the guest's, that are known at a time */
#define SHADOW_TABLES    2048u /* below them, at most; */
#define SHADOW_TABLES_OK 64u   /* and at least */

extern bool shadow_on, shadow_out_of_date;

/* Takes its frames; half of what is free is left to the guest. false: there are too few, and
 * nothing was taken. The caller loads the root anew, after either. */
bool shadow_begin(void);
void shadow_end(void);

/* The root to load in place of this one, at once: faults are its own from here on. */
mfn_t shadow_root(mfn_t guest_root);

/*
 * A page fault at an address of the guest's, with the error code that it had. True: the guest's
 * tables allow the access, and so do the shadows now. Else the fault is the guest's, and *error
 * says of PFEC_PRESENT what it would say without shadows. The tables are those of the root that is
 * loaded: the vCPU may have another one already, or be in its other mode, before that is.
 */
bool shadow_fill(gva_t va, uint32_t *error);

/* The guest's tables change, so that shadows may be out of date; what was no present entry is in
 * none. */
static inline void shadow_tables_change(void)
{
    shadow_out_of_date = true;
}
/* The same of an update of the entry at `at` (mmu_update's ptr), before it is made. */
void shadow_entry_changes(uint64_t at);

/* The TLB is being flushed: whole, or a page of it. */
void shadow_flush(void);
void shadow_flush_page(gva_t va);

/* Nothing can be written any more without a fault. The caller flushes the TLB. */
void shadow_forget(void);

#endif
