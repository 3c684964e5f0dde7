/* SPDX-License-Identifier: MIT */
/* What emulate.c, msr.c, cpuid.c and ptwrite.c share. */
#ifndef PVMM_HV_EMULATE_H
#define PVMM_HV_EMULATE_H

#include "asm.h"
#include "insn.h"
#include "vcpu.h"

/* The bytes at rip, as many as can be read. */
void fetch_instruction(const struct regs *r, struct insn_text *t);

/* false: the guest gets #GP. */
bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value);
bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value);

/* The leaf as the guest kernel shall see it. */
struct cpuid guest_cpuid(uint32_t leaf, uint32_t subleaf);

#endif
