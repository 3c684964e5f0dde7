/* SPDX-License-Identifier: MIT */
/* Included before anything else (-include): the machine's memory as an array, and the processor's
 * TLB as the test's. */
#ifndef PVMM_TEST_HV_HOSTED_SHADOW_H
#define PVMM_TEST_HV_HOSTED_SHADOW_H

#include "hosted_machine.h"

#include "asm.h"

#define CPU_BLOCK_BYTES 8192ull /* layout.h; nothing runs on such a stack */

#define invlpg(va) hosted_invlpg(va)
void hosted_invlpg(uint64_t va);

/* memory.h */
extern uint64_t root_template[512];
uint16_t tlb_clock(void);
void tlb_flush_local(void);
void tlb_flush_hardware(void);
bool cpu_pause_due(void);
void recorder_note(unsigned act, maddr_t at, uint64_t old, uint64_t now);

#endif
