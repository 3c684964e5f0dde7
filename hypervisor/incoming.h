/* SPDX-License-Identifier: MIT */
/* A domain that the host puts together (<pvmm/transfer.h>). */
#ifndef PVMM_HV_INCOMING_H
#define PVMM_HV_INCOMING_H

#include "bootinfo.h"
#include "domain.h"

/* Sets room aside for what is told, if a domain is to come in; before frames_release_ram(). */
void transfer_reserve(void);
/* That room, which nobody needs once the domain is there; empty: none. */
struct boot_range transfer_room(void);

/* Makes the_domain, empty and of `pages` pages, and of it what the host says. What cannot be ends
 * the run with PVMM_OUTCOME_BAD_GUEST. */
void transfer_receive(uint64_t pages, bool with_store);

#endif
