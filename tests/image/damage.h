/* SPDX-License-Identifier: MIT */
/* Damages an image that lies in memory, by a seed, and takes it back. */
#ifndef PVMM_TESTS_IMAGE_DAMAGE_H
#define PVMM_TESTS_IMAGE_DAMAGE_H

#include <stdint.h>

#include "image.h"

struct span {
    uint64_t at, bytes;
};

/* Where damage tells: what is no page of the guest's (headers, tables, indices), and page tables.
 */
struct targets {
    uint8_t *map;
    uint64_t bytes;
    struct span *index, *table;
    unsigned indices, tables;
};

#define UNDO_SPANS 16u
#define UNDO_BYTES 4096u
struct undo {
    unsigned n;
    struct span span[UNDO_SPANS];
    uint8_t was[UNDO_SPANS][UNDO_BYTES];
};

/* `v` is of the image as it is undamaged; NULL: all of it is a target. */
void damage_find_targets(struct targets *t, const struct pv_view *v, uint8_t *map, uint64_t bytes);
void damage_free_targets(struct targets *t);

uint64_t damage_random(uint64_t *seed);
/* One to four changes. */
void damage(const struct targets *t, uint64_t seed, struct undo *u);
void damage_undo(const struct targets *t, const struct undo *u);

#endif
