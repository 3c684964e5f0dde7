/* SPDX-License-Identifier: MIT */
/* The guest's debug registers, by hypercall and by MOV: the same checks for both. */
#ifndef PVMM_HV_DEBUGREG_H
#define PVMM_HV_DEBUGREG_H

#include "vcpu.h"

/* Register n (0..7; 4 and 5 are other names of 6 and 7). 0, -EPERM: a breakpoint on the hypervisor
 * or on ports, -EINVAL: reserved bits, -ENODEV: no such register. */
int debugreg_check(uint32_t n, uint64_t *value); /* *value becomes what the register will hold */
int debugreg_set(struct vcpu *v, uint32_t n, uint64_t value);
int debugreg_get(const struct vcpu *v, uint32_t n, uint64_t *value);

#endif
