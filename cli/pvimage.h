/* SPDX-License-Identifier: MIT */
/*
 * Can this ELF file be started as a guest? It is judged by the same code as in the hypervisor
 * (builder/), before a machine is; what is wrong with it is EXIT_UNTESTABLE.
 */
#ifndef PVMM_CLI_PVIMAGE_H
#define PVMM_CLI_PVIMAGE_H

#include "guest_image.h"
#include "memfd.h"

/* What it is, if it can be a guest at all. */
int pv_image_check(struct view elf, struct guest_image *image, struct error *e);

/* Do the image, an initrd of so many bytes and what the builder adds fit `memory` bytes? */
int pv_image_fits(const struct guest_image *image, uint64_t memory, uint64_t initrd,
                  struct error *e);

#endif
