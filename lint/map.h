/* SPDX-License-Identifier: MIT */
/* A linker's map: which section of which object went where. GNU ld's and ld.lld's (-Map). */
#ifndef PVMM_LINT_MAP_H
#define PVMM_LINT_MAP_H

#include "places.h"

struct map_symbol {
    char *name;
    uint64_t address;
    bool here, elsewhere; /* of the first of a name: where the image has one */
};

/* The page-aligned input sections that a map has, and the symbols it lists under them. */
struct linker_map {
    struct piece *piece; /* section and member are its own */
    size_t nr_pieces;
    struct map_symbol *symbol;
    size_t nr_symbols;
    uint64_t lines; /* that were understood, of whatever section */
};

int map_read(const struct lint_options *o, struct linker_map *m, struct lint_error *e);
void map_free(struct linker_map *m);

#endif
