/* SPDX-License-Identifier: MIT */
#ifndef PVMM_IMAGE_VMCORE_H
#define PVMM_IMAGE_VMCORE_H

#include "physical.h"

/* The memory in an ELF vmcore. Takes the file over, also when it fails. */
int pv_vmcore_elf(struct pv_physical **out, struct pv_file *f, struct pv_error *e);

#endif
