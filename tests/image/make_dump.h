/* SPDX-License-Identifier: MIT */
/* Dump-cores of any size, width and layout: the headers are written here, what they frame is the
 * caller's to write. */
#ifndef PVMM_TESTS_IMAGE_MAKE_DUMP_H
#define PVMM_TESTS_IMAGE_MAKE_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAKE_NOTES, MAKE_PRSTATUS, MAKE_SHARED, MAKE_PAGES, MAKE_P2M, MAKE_NAMES, MAKE_SECTIONS };

struct make_dump {
    int fd;
    unsigned machine; /* EM_X86_64, EM_386 */
    unsigned vcpus;
    size_t context_bytes;
    uint64_t pages;
    bool turned; /* sections and notes in the reverse order */
    /* What make_dump() found: where each section lies, and where the file ends. */
    uint64_t at[MAKE_SECTIONS], end;
};

/* false: the file could not be written. Pages, table and contexts are holes so far. */
bool make_dump(struct make_dump *d);
/* Element i of the table: page i is that pfn's. */
bool make_dump_element(const struct make_dump *d, uint64_t i, uint64_t pfn, uint64_t mfn);
bool make_dump_page(const struct make_dump *d, uint64_t i, const void *page);

#endif
