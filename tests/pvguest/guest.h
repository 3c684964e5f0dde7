/* SPDX-License-Identifier: MIT */
/* The library in the machine: starting it, and whether what it says and what the core knows agree.
 */
#ifndef PVGUEST_TEST_GUEST_H
#define PVGUEST_TEST_GUEST_H

#include <pvguest/pvguest.h>

#include "machine.h"

/* A new guest, as pvg_start() makes it, in the machine that machine_make() made last. NULL: the
 * start was refused; guest_reason() has why. */
struct pvguest *guest_start(struct machine *m);
const char *guest_reason(void);

/*
 * The guest's view against the core's, at any time after guest_start(): each entry of the p2m names
 * a frame of the guest's whose m2p is that page, and no frame of the guest's is missing; each page
 * of the direct map is the p2m's frame, writable unless the core has it as a table; free memory is
 * mapped and writable. NULL, or what is wrong.
 */
const char *guest_check(struct machine *m, struct pvguest *g);
/* And what holds once pvg_boot() is done: the image alone at PVG_VIRT_BASE, nothing else mapped,
 * one pin, the list for the toolstack, shared_info, the counts. */
const char *guest_check_booted(struct machine *m, struct pvguest *g);

/* Of that, what the toolstack is told: mfn_list_list and shared_info. */
const char *guest_check_lists(struct machine *m, struct pvguest *g);

/* The n-th search for free pages from now finds none, and none behind it does; 0: from now on all
 * find what there is. */
void guest_fail_search(uint64_t n);
bool guest_search_failed(void); /* since the last that was to fail */

#endif
