/* SPDX-License-Identifier: MIT */
/*
 * Kernel images made in memory: image_linux() and its sisters make good ones, a test then changes
 * one thing and calls image_build(). What is not asked for is absent.
 */
#ifndef PVMM_TEST_BUILDER_IMAGE_H
#define PVMM_TEST_BUILDER_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <xen/elfnote.h>

#define IMAGE_SEGMENTS 20u
#define IMAGE_NOTES    24u
#define IMAGE_BYTES    8192u

#define LINUX_BASE  0xffffffff80000000ull
#define LINUX_PADDR 0x1000000ull
#define LINUX_P2M   0x8000000000ull

struct image_note {
    uint32_t type;
    const char *text; /* NULL: `number` in `bytes` bytes, then `more` in 8 if bytes is 16 */
    uint64_t number, more;
    uint32_t bytes;
};

struct image_segment {
    uint64_t offset, paddr, file_bytes, bytes;
};

struct image {
    uint8_t elf_class, data;
    uint16_t machine, type;
    uint64_t phoff, entry;
    uint16_t phentsize, phnum; /* phnum 0: as many as there are */
    struct image_segment segment[IMAGE_SEGMENTS];
    unsigned segments;
    struct image_note note[IMAGE_NOTES];
    unsigned notes;
    bool notes_in_section;                       /* instead of a program header */
    uint64_t notes_offset, notes_bytes;          /* what the header says; 0: the truth */
    const char *legacy;                          /* content of section __xen_guest */
    uint64_t legacy_offset, shoff, names_offset; /* 0: the truth */
    uint16_t shentsize, shstrndx;

    uint8_t byte[IMAGE_BYTES]; /* image_build()'s result */
    uint64_t n;
};

/* A segment of a page and a half at 16 MiB, and the notes of a Linux kernel. */
void image_linux(struct image *m);
/* Like a boot loader: VIRT_BASE 0, no INIT_P2M, modules mapped. */
void image_grub(struct image *m);
/* The description is one string, and nothing else. */
void image_legacy(struct image *m, const char *text);

void image_number(struct image *m, uint32_t type, uint64_t value); /* adds or replaces a note */
void image_text(struct image *m, uint32_t type, const char *text);
void image_drop(struct image *m, uint32_t type);
void image_add_segment(struct image *m, uint64_t paddr, uint64_t bytes);

void image_build(struct image *m);

#endif
