/* SPDX-License-Identifier: MIT */
/* The p2m list that the guest publishes (shared_info.arch, <xen/arch-x86/xen.h>), entry by entry.
 */
#ifndef PVMM_CLI_P2M_H
#define PVMM_CLI_P2M_H

#include "image.h"

/* What the guest's list has at `pfn`. false: no list, or it cannot be read there. */
bool p2m_lookup(const struct pv_view *v, uint64_t pfn, uint64_t *mfn);

#endif
