/* SPDX-License-Identifier: MIT */
/* An ELF file's headers, of either class and byte order, by the file's own words: what lies outside
 * of the file reads as 0. No judgement here; both of lint's domain builders build on it. */
#ifndef PVMM_LINT_ELFVIEW_H
#define PVMM_LINT_ELFVIEW_H

#include <stdbool.h>
#include <stdint.h>

#define ELFVIEW_SEGMENTS_MAX 65536u

struct elfview {
    const uint8_t *data;
    uint64_t size;
    bool wide; /* 64-bit */
    bool big;  /* endian */
    unsigned type, machine;
    uint64_t entry;
    uint64_t segments_at, sections_at;
    unsigned segment_bytes, section_bytes; /* of one header, as the file has it */
    unsigned segments, sections, names;    /* how many; the section with their names */
};

struct elfview_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, file_bytes, bytes;
};

struct elfview_section {
    uint32_t name, type;
    uint64_t offset, bytes;
};

/* A note; `desc` is a place in the file. */
struct elfview_note {
    uint64_t at, desc;
    uint32_t type, name_bytes, desc_bytes;
};

/* false: no ELF file. */
bool elfview_open(struct elfview *v, const uint8_t *data, uint64_t size);
bool elfview_holds(const struct elfview *v, uint64_t offset, uint64_t bytes);
uint64_t elfview_number(const struct elfview *v, uint64_t offset, unsigned bytes);
/* The string at `offset` if it ends within the file and 4096 bytes; NULL otherwise. */
const char *elfview_string(const struct elfview *v, uint64_t offset);

/* false: header `i` starts outside of the file. */
bool elfview_segment(const struct elfview *v, unsigned i, struct elfview_segment *s);
bool elfview_section(const struct elfview *v, unsigned i, struct elfview_section *s);

/* The note at `offset`, and where the next one is; false: it does not begin before `end`. */
bool elfview_note(const struct elfview *v, uint64_t offset, uint64_t end, struct elfview_note *n,
                  uint64_t *next);

#endif
