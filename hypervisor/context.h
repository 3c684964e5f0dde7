/* SPDX-License-Identifier: MIT */
/* What a vCPU starts with; and one that comes in from elsewhere, as XEN_DOMCTL_setvcpucontext takes
 * it. */
#ifndef PVMM_HV_CONTEXT_H
#define PVMM_HV_CONTEXT_H

#include "vcpu.h"

/* What a guest reads back of control registers at its start. */
#define CR0_START 0x80050033u /* PG AM WP NE ET MP PE */
#define CR4_START 0x620u      /* PAE OSFXSR OSXMMEXCPT */

/* What guests may ask for by vm_assist. Direct table writes are served whether asked for or not,
 * and 64-bit guests have no 4 GiB segments: accepting is all that most types need. */
#define VM_ASSISTS                                                                                 \
    (1u << VMASST_TYPE_4gb_segments | 1u << VMASST_TYPE_4gb_segments_notify |                      \
     1u << VMASST_TYPE_writable_pagetables | 1u << VMASST_TYPE_pae_extended_cr3 |                  \
     1u << VMASST_TYPE_runstate_update_flag)

/* All that can be told without the domain's memory. `mxcsr_mask`: the bits of MXCSR that this CPU
 * has. false: it cannot be a vCPU's, and `why` (of `size` bytes) says which field is wrong. */
bool context_check(const vcpu_guest_context_t *c, const struct pvmm_extended *x,
                   uint32_t mxcsr_mask, char *why, unsigned size);

/* Gives the state to a vCPU that is not running: all but roots, GDT and LDT, and what lies in the
 * CPU itself (FPU, debug registers, CR0.TS). It was checked. */
void context_load(struct vcpu *v, const vcpu_guest_context_t *c, const struct pvmm_extended *x);

#endif
