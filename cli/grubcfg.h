/* SPDX-License-Identifier: MIT */
/* The script by which GRUB boots a hypervisor, a kernel and what belongs to it. */
#ifndef PVMM_CLI_GRUBCFG_H
#define PVMM_CLI_GRUBCFG_H

#include <stdbool.h>

#include "error.h"

/* Where the script expects the files, in the root of what GRUB boots from. */
#define GRUBCFG_HYPERVISOR "/hypervisor"
#define GRUBCFG_KERNEL     "/kernel"
#define GRUBCFG_RAMDISK    "/ramdisk"
#define GRUBCFG_E820       "/e820"

struct grubcfg {
    bool real_xen;
    bool ramdisk; /* there is one */
    bool e820;    /* a memory map: the last module */
    const char *hypervisor_arguments;
    const char *guest_arguments;
};

/* Malloc'd, or NULL: arguments that GRUB cannot pass to a real Xen are EXIT_USAGE. */
char *grubcfg_make(const struct grubcfg *g, struct error *e);

#endif
