/* SPDX-License-Identifier: MIT */
#ifndef PVMM_HV_PAGING_H
#define PVMM_HV_PAGING_H

#include "cpu.h"
#include "multiboot.h"

/* Builds the hypervisor's mappings and leaves boot.S's tables for them. */
void paging_init(const struct boot_loader_info *b);

#endif
