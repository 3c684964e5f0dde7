/* SPDX-License-Identifier: MIT */
/* The two multiboot protocols. `magic` and `address` are what boot.S found in EAX and EBX; false:
 * `magic` is not this protocol's, or there is no memory map. */
#ifndef PVMM_HV_MULTIBOOT_H
#define PVMM_HV_MULTIBOOT_H

#include "bootinfo.h"

bool multiboot_read(struct boot_loader_info *b, uint32_t magic, uint32_t address);
bool multiboot2_read(struct boot_loader_info *b, uint32_t magic, uint32_t address);

#endif
