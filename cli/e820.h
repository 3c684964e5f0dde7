/* SPDX-License-Identifier: MIT */
/*
 * A memory map of one's own, out of a text file, one entry a line:
 *
 *   START-END TYPE     END is the last byte, as Linux prints it
 *   START+SIZE TYPE    any size: none, or one that leads beyond the last address
 *
 * Numbers are decimal or 0x..., perhaps with K, M or G behind. TYPE is ram or usable, reserved,
 * acpi, nvs, unusable, or a number. Lines of Linux's log are taken as they are, "[mem START-END]
 * TYPE" with anything before it. Blank lines, and what follows a #, are passed over.
 *
 * The guest gets the entries as they stand there, in their order. So only what cannot be said is
 * refused: a map may be unsorted, overlap, leave the kernel without RAM, be absurd.
 */
#ifndef PVMM_CLI_E820_H
#define PVMM_CLI_E820_H

#include <pvmm/boot.h>

#include "memfd.h"

struct memory_map {
    struct pvmm_e820 head; /* as the hypervisor gets it: no gap between the two */
    struct pvmm_e820_entry at[PVMM_E820_MAX];
};

/* Errors are EXIT_USAGE and name the line, if it is one line's fault. */
int memory_map_parse(struct view text, struct memory_map *map, struct error *e);

/* Reads the file and makes the hypervisor's module of it: a memory file, or -1. Errors name the
 * file. */
int memory_map_load(const char *path, struct error *e);

#endif
