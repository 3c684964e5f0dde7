/* SPDX-License-Identifier: MIT */
/* Vmcores as the Linux kernel and makedumpfile make them of a machine with Xen, for tests. */
#ifndef PVMM_TESTS_IMAGE_MAKE_VMCORE_H
#define PVMM_TESTS_IMAGE_MAKE_VMCORE_H

#include <elf.h>

#include "made_xen.h"

#define LOADS    3
#define NOTES_AT 0x1000
#define GAP      3000 /* a frame, and some behind it, that are not in the file: the crash kernel's */
#define GAP_END  3100

struct vmcore {
    struct made_xen *x;
    int fd;
    uint64_t bytes;
    Elf64_Phdr load[1 + LOADS];
};

struct vmcore *vmcore_new(bool split);
void vmcore_free(struct vmcore *c);

/* Its parts, once more: what a test may have overwritten. */
void put(const struct vmcore *c, uint64_t at, const void *from, size_t n);
void put_notes(struct vmcore *c);
void put_header(struct vmcore *c);

/* As makedumpfile has it, with pages that are not compressed. */
#define BLOCKS_AT 4096u
struct vmcore *compressed_new(bool split);

#endif
