/* SPDX-License-Identifier: MIT */
/* The memory map: where RAM may be, and what must be left alone. */
#ifndef PVGUEST_E820_H
#define PVGUEST_E820_H

#include <pvguest/memblock.h>

#pragma GCC visibility push(default)

#define PVG_E820_MAX 1024u /* entries; Xen's own limit (E820MAX of 4.17) */

/* The types of ACPI, table 15-374 ("Address Range Types"). */
enum pvg_e820_type {
    PVG_E820_RAM = 1,
    PVG_E820_RESERVED = 2,
    PVG_E820_ACPI = 3,
    PVG_E820_NVS = 4,
    PVG_E820_UNUSABLE = 5,
};

/* As Xen writes it: XENMEM_memory_map of <xen/memory.h>. Bytes, not pages. */
struct pvg_e820_entry {
    uint64_t address, bytes;
    uint32_t type;
} __attribute__((packed));

struct pvg_e820 {
    unsigned count;
    struct pvg_e820_entry at[PVG_E820_MAX];
};

/*
 * Puts a map in order, in place: sorted by address, empty entries dropped, neighbours of one type
 * joined, and where entries overlap the higher type wins (what is anything but RAM stays so, even of
 * type 0, which ACPI does not know). An entry may end at 2^64. `room` is for the work, which is large
 * for a stack: what is left in it means nothing.
 * 0; -XEN_EINVAL with *bad set when entry *bad wraps past 2^64; -XEN_ENOSPC when the ordered map
 * does not fit. On failure the map is as it was.
 */
int pvg_e820_sanitise(struct pvg_e820 *map, struct pvg_e820 *room, unsigned *bad);

/*
 * The whole pages of RAM of an ordered map, below page `limit`: a page that is only partly RAM is
 * none. -XEN_ENOSPC: they do not fit.
 */
int pvg_e820_ram(const struct pvg_e820 *map, uint64_t limit, struct pvg_regions *ram);

#pragma GCC visibility pop

#endif
