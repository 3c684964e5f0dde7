/* SPDX-License-Identifier: MIT */
/* A domain's memory map: what it is told of where its memory lies. Nothing here goes by it. */
#ifndef PVMM_HV_E820_H
#define PVMM_HV_E820_H

#include <stdbool.h>
#include <stdint.h>

#include <pvmm/boot.h>

struct e820_map {
    uint32_t count;
    struct pvmm_e820_entry at[PVMM_E820_MAX];
};

/* Why a module is refused: a printf format for up to two unsigned longs. */
struct e820_error {
    const char *text;
    unsigned long value[2];
};

/* One entry of RAM. */
void e820_flat(struct e820_map *map, uint64_t bytes);

/* From a boot module (<pvmm/boot.h>) that nobody vouches for. false: it is none, *why says why, and
 * *map is as it was. */
bool e820_read(struct e820_map *map, const uint8_t *module, uint64_t bytes, struct e820_error *why);

/* What its entries of RAM add up to, however they lie; for the log. */
uint64_t e820_ram(const struct e820_map *map);

#endif
