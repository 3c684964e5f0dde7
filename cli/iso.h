/* SPDX-License-Identifier: MIT */
/*
 * A CD image from which GRUB boots what QEMU's -kernel would, made by grub-mkrescue. That program
 * wants directories, so there is a private one for a while. A process of its own makes and removes
 * it, so that nothing stays behind however this one ends.
 */
#ifndef PVMM_CLI_ISO_H
#define PVMM_CLI_ISO_H

#include <stdint.h>

#include "grubcfg.h"

struct iso_files {
    int hypervisor_fd, kernel_fd;
    int initrd_fd; /* -1: none */
    int e820_fd;   /* -1: none */
};

/*
 * A memory file with the image, or -1. A signal on the signalfd `signals`, or `deadline` passing,
 * ends it early with that end's exit code.
 */
int iso_make(const struct iso_files *f, const struct grubcfg *g, int signals, int64_t deadline,
             struct error *e);

#endif
