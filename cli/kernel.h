/* SPDX-License-Identifier: MIT */
/* A kernel file, from whatever wrapping it comes in to an ELF that was found fit to be run. */
#ifndef PVMM_CLI_KERNEL_H
#define PVMM_CLI_KERNEL_H

#include "pvimage.h"

struct kernel {
    int elf_fd;      /* the ELF, unwrapped, in a memory file */
    int original_fd; /* the file as it was given: a real Xen unwraps it by itself */
    uint64_t elf_size;
    uint64_t original_size;
    struct guest_image image;
};

/* Errors are EXIT_UNTESTABLE, and name the file. */
int kernel_load(const char *path, struct kernel *k, struct error *e);

/*
 * Unwrap an ELF that may be compressed into a new memory file; also used for hypervisor images.
 * Returns the memory file or -1.
 */
int elf_unwrap(struct view file, struct error *e);

#endif
