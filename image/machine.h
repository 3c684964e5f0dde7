/* SPDX-License-Identifier: MIT */
#ifndef PVMM_IMAGE_MACHINE_H
#define PVMM_IMAGE_MACHINE_H

#include "core.h"
#include "image.h"

/* The machine's memory contract as of the last refresh, for the core's looking functions: a copy of
 * its frame table and m2p, and no domain in it. NULL: a view of another kind. */
struct core *pv_machine_core(const struct pv_view *v);

#endif
