/* SPDX-License-Identifier: MIT */
/* Setting the machine's frames up; what others need of them later is in memory.h. In this order:
 * frames_init, frames_fill, boot_frame as often as needed, frames_release_ram. */
#ifndef PVMM_HV_FRAMES_H
#define PVMM_HV_FRAMES_H

#include "bootinfo.h"
#include "layout.h"
#include "types.h"

#define M2P_PAGE_BYTES 0x200000ull

/* Sizes the machine, finds the place for permanent arrays. */
void frames_init(const struct boot_loader_info *b);
/* Allocates and initialises frame table, m2p, scratch and list. RAM from `blank_from` on is taken
 * to hold zeroes. */
void frames_fill(uint64_t seed, uint64_t blank_from);
/* One cleared frame that is never free again: page tables of the hypervisor. */
mfn_t boot_frame(void);
/* Room for an array that is never free again, below 4 GiB; not cleared. */
void *boot_array(uint64_t bytes);
/* Everything that is still unused becomes free, in the order of the seed. */
void frames_release_ram(const struct boot_loader_info *b);
/* The whole frames of a boot module that was read become free, where they are RAM in use: loaders
 * put modules below 1 MiB, too. */
void frames_release(const struct boot_loader_info *b, struct boot_range what);

/* Bytes of the m2p, in whole pages of 2 MiB. */
uint64_t m2p_bytes(void);

#endif
