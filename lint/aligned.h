/* SPDX-License-Identifier: MIT */
/* The parts of the first question: what is asked of the sections, the map and the names. */
#ifndef PVMM_LINT_ALIGNED_H
#define PVMM_LINT_ALIGNED_H

#include "elffile.h"
#include "places.h"

/* What the question is asked of, and where its answer goes. */
struct aligned {
    const struct elf_file *file;
    const struct elf_symbols *symbols;
    const struct lint_options *options;
    const char *member;
    struct lint_report *report;
    struct piece *judged; /* sections of the file's that were looked at */
    size_t nr_judged;
};

/* One of the four, or of the user's, or a part of one: NAME.more. */
bool is_page_aligned(const char *section, const struct lint_options *o);

/* A symbol of something, and not one of the assembler's or of a section's or a file's. */
bool is_thing(const struct elf_symbol *s);
struct place place_of(const struct elf_symbol *s, const struct piece *p);

/* The index of the piece that has the address, of some in the order of their addresses; or `nr`. */
size_t piece_at(const struct piece *p, size_t nr, uint64_t address);

/* Judges an image by the options' map, and adds to `judged` what that tells of. */
int lint_mapped(struct aligned *a, struct lint_error *e);

/* Of an image: page tables, as their names tell, that are off their pages; adds to `*seen` all. */
int lint_tables(const struct aligned *a, size_t *seen, struct lint_error *e);

#endif
