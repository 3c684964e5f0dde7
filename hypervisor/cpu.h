/* SPDX-License-Identifier: MIT */
/* What each CPU owns: found from the stack pointer, at the top of the CPU's block (layout.h). */
#ifndef PVMM_HV_CPU_H
#define PVMM_HV_CPU_H

#include <stddef.h>
#include <stdint.h>

#include "layout.h"
#include "regs.h"
#include "types.h"

struct vcpu;

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_bitmap;
} __attribute__((packed));

struct cpu {
    struct vcpu *current;
    uint64_t syscall_rsp; /* scratch of the SYSCALL stub */
    unsigned id;
    uint16_t tlb_flushed_at; /* TLB clock of the last whole flush */
    unsigned looks, asked;   /* "no" of cpu_interrupt_pending() and of cpu_pause_due() */
    bool ldt_mapped;         /* pages of the hardware's LDT show the guest's */
    uint64_t timer_due_ns;   /* what the one-shot timer is armed for; 0: off */
    uint64_t *descriptors;   /* page of the hypervisor's own descriptors, through the direct map */
    struct tss tss;
} __attribute__((aligned(16)));

/* NMI, #MC, #DF, #DB: index into tss.ist plus one. */
#define IST_NMI 1
#define IST_MC  2
#define IST_DF  3
#define IST_DB  4

extern uint8_t cpu_blocks[][CPU_BLOCK_BYTES];

static inline struct cpu *this_cpu(void)
{
    uint64_t sp;

    __asm__("movq %%rsp, %0" : "=r"(sp));
    return (struct cpu *)((sp | (CPU_BLOCK_BYTES - 1)) + 1) - 1;
}

/* Where the registers of the interrupted guest lie. */
static inline struct regs *guest_regs(struct cpu *c)
{
    return (struct regs *)c - 1;
}

/* Puts frame `m` into place `index` of the hardware's LDT. */
void cpu_map_ldt_page(unsigned index, mfn_t m);
/* True when `address` lies in this CPU's LDT pages: *index is the page. */
bool cpu_ldt_index(uint64_t address, unsigned *index);
uint64_t cpu_gs_base_inactive(void);
void cpu_load_null_selectors(void);

/* pause.c: cpu_interrupt_pending() and cpu_pause_due() of that CPU. */
bool interrupt_waits_for(struct cpu *c);
bool pause_due_for(struct cpu *c);

/* Sets the boot CPU up: descriptor tables, MSRs, FPU (cpu_init.c). */
void cpu_init(void);

#endif
