/* SPDX-License-Identifier: MIT */
/* The image that the machine boots: our hypervisor, or a real Xen. */
#ifndef PVMM_CLI_HVIMAGE_H
#define PVMM_CLI_HVIMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/*
 * "pvmm" is our own, from $PVMM_HYPERVISOR or from beside the tool; anything else is the path of a
 * Xen image, compressed or not. Returns a memory file, or -1; errors are EXIT_ENVIRONMENT.
 */
int hv_image_load(const char *name, bool *real_xen, struct error *e);

/* Our own, and where it lies: PATH_MAX bytes or more. Returns a memory file, or -1. */
int hv_image_own(char *path, size_t size, struct error *e);

/* Our own hypervisor with its symbols, as a build leaves it beside the image, if `fd` is that very
 * image. Returns a descriptor, or -1: there is none. */
int hv_image_symbols(int fd);

#endif
