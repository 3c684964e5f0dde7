/* SPDX-License-Identifier: MIT */
/* Linux's x86 boot image: where the compressed kernel lies in it (boot protocol 2.08 and later). */
#ifndef PVMM_CLI_BZIMAGE_H
#define PVMM_CLI_BZIMAGE_H

#include "memfd.h"

struct bzimage {
    struct view payload;    /* the compressed ELF, without the size at its end */
    uint32_t unpacked_size; /* what the packer wrote as the ELF's size */
};

/* A file that format_of() called a bzImage. Violations are EXIT_UNTESTABLE. */
int bzimage_parse(struct view file, struct bzimage *b, struct error *e);

#endif
