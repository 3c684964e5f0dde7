/* SPDX-License-Identifier: MIT */
/*
 * The p2m as a tool sees it that saves or inspects the guest: from shared_info on, by machine
 * frames alone (<xen/arch-x86/xen.h>, arch_shared_info). A frame on the way that is not the guest's
 * ends the test.
 */
#ifndef PVGUEST_TEST_OUTSIDE_H
#define PVGUEST_TEST_OUTSIDE_H

#include <pvguest/types.h>

#include "machine.h"

const arch_shared_info_t *outside_info(struct machine *m);
/* The page's word by pfn_to_mfn_frame_list_list. All ones: there is no frame. */
uint64_t outside_list(struct machine *m, uint64_t pfn);
/* The same by p2m_vaddr, in the tables that p2m_cr3 names, each of which must be one. */
uint64_t outside_linear(struct machine *m, uint64_t pfn);

#endif
