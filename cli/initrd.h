/* SPDX-License-Identifier: MIT */
/*
 * The initial ramdisk. It is opaque to the hypervisor, but a damaged one makes the guest panic long
 * after the cause; so its formats are recognised and read to the end before anything starts.
 */
#ifndef PVMM_CLI_INITRD_H
#define PVMM_CLI_INITRD_H

#include "memfd.h"

/* Cpio archives and compressed archives, one after the other, or a file system image. */
int initrd_check(struct view v, struct error *e);

/* Read, check and copy into a memory file. Errors are EXIT_UNTESTABLE, and name the file. */
int initrd_load(const char *path, int *fd, uint64_t *size, struct error *e);

#endif
