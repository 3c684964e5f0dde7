/* SPDX-License-Identifier: MIT */
/* Single instructions that C cannot say. */
#ifndef PVMM_HV_ASM_H
#define PVMM_HV_ASM_H

#include <stdbool.h>
#include <stdint.h>

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint64_t low, high; /* of both registers the upper halves are cleared */

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return high << 32 | low;
}

struct cpuid {
    uint32_t a, b, c, d;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;

    __asm__ volatile("cpuid"
                     : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

#define DEFINE_REGISTER(name)                                                                      \
    static inline uint64_t read_##name(void)                                                       \
    {                                                                                              \
        uint64_t v;                                                                                \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(v));                                         \
        return v;                                                                                  \
    }                                                                                              \
    static inline void write_##name(uint64_t v)                                                    \
    {                                                                                              \
        __asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory");                                \
    }

DEFINE_REGISTER(cr0)
DEFINE_REGISTER(cr2)
DEFINE_REGISTER(cr3)
DEFINE_REGISTER(cr4)
DEFINE_REGISTER(dr6)

static inline void invlpg(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void swapgs(void)
{
    __asm__ volatile("swapgs" : : : "memory");
}

static inline void relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

/* Control register bits. */
#define CR0_MP (1ull << 1)
#define CR0_TS (1ull << 3)

#define CR4_PAE        (1ull << 5)
#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_FSGSBASE   (1ull << 16)
#define CR4_OSXSAVE    (1ull << 18)

/* RFLAGS. */
#define RFLAGS_CF   (1ull << 0)
#define RFLAGS_ONE  (1ull << 1)
#define RFLAGS_PF   (1ull << 2)
#define RFLAGS_AF   (1ull << 4)
#define RFLAGS_ZF   (1ull << 6)
#define RFLAGS_SF   (1ull << 7)
#define RFLAGS_TF   (1ull << 8)
#define RFLAGS_IF   (1ull << 9)
#define RFLAGS_DF   (1ull << 10)
#define RFLAGS_OF   (1ull << 11)
#define IOPL_SHIFT  12
#define RFLAGS_IOPL (3ull << IOPL_SHIFT)
#define RFLAGS_NT   (1ull << 14)
#define RFLAGS_RF   (1ull << 16)
#define RFLAGS_VM   (1ull << 17)
#define RFLAGS_AC   (1ull << 18)
#define RFLAGS_ID   (1ull << 21)

/* Exceptions. */
#define TRAP_DB  1
#define TRAP_NMI 2
#define TRAP_BP  3
#define TRAP_OF  4
#define TRAP_UD  6
#define TRAP_NM  7
#define TRAP_DF  8
#define TRAP_TS  10
#define TRAP_NP  11
#define TRAP_SS  12
#define TRAP_GP  13
#define TRAP_PF  14
#define TRAP_AC  17
#define TRAP_MC  18
#define TRAP_CP  21

#define TRAP_INT80   0x80
#define TRAPS_OF_CPU 32 /* vectors below are exceptions */

/* Error codes of #PF. */
#define PFEC_PRESENT 1u
#define PFEC_WRITE   2u
#define PFEC_USER    4u

/* Error codes that name a selector: it is an IDT vector. */
#define SELECTOR_ERROR_IDT 2u

/* Model-specific registers. */
#define MSR_APIC_BASE      0x1b
#define MSR_PAT            0x277
#define MSR_SYSENTER_CS    0x174
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_FMASK          0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

/* Xen's PAT (ABI: guests adopt what they read): WB WT UC- UC WC WP UC UC. */
#define PAT_XEN 0x0000050100070406ull

static inline bool canonical(uint64_t a)
{
    return (uint64_t)((int64_t)(a << 16) >> 16) == a;
}

/* FPU and SSE registers; 512 bytes, aligned to 16. */
static inline void fxsave(void *to)
{
    __asm__ volatile("fxsaveq (%0)" : : "r"(to) : "memory");
}

static inline void fxrstor(const void *from)
{
    __asm__ volatile("fxrstorq (%0)" : : "r"(from) : "memory");
}

#endif
