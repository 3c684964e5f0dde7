/* SPDX-License-Identifier: MIT */
/*
 * The seam between the library and where it runs (port.md). This one: a guest's kernel, in which
 * everything is where it says.
 */
#ifndef PVGUEST_PORT_H
#define PVGUEST_PORT_H

#include <pvguest/link.h>

#include "seam.h"

/* A page of guest memory, or a part of one, at its virtual address. */
static inline void *port_at(struct pvguest *g, uint64_t va, enum port_access access)
{
    (void)g, (void)access;
    return (void *)va;
}

static inline uint64_t port_image_table(enum image_table t)
{
    static uint64_t *const table[IMAGE_TABLES] = {pvg_own_l4, pvg_own_l3, pvg_own_l2, pvg_fix_l2,
                                                  pvg_fix_l1};
    return (uint64_t)table[t];
}

static inline uint64_t port_image_start(void)
{
    return (uint64_t)pvg_image_start;
}

static inline uint64_t port_image_end(void)
{
    return (uint64_t)pvg_image_end;
}

/* trap_entry.S: the word at va, or `otherwise` when nothing is mapped there. */
uint64_t pvg_safe_load(uint64_t va, uint64_t otherwise);

/* A word of the machine-to-physical table at `base`. Where the machine has a hole, the table has
 * one, too: no frame of ours, ~0. */
static inline uint64_t port_m2p(uint64_t base, uint64_t mfn)
{
    return pvg_safe_load(base + mfn * sizeof(uint64_t), ~0ull);
}

/* Both are privileged, and emulated by the hypervisor. */
static inline uint64_t port_cr3(void)
{
    uint64_t cr3;
    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    return cr3;
}

static inline uint64_t port_cr2(void)
{
    uint64_t cr2;
    __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
    return cr2;
}

/* Not before what precedes it is done. */
static inline uint64_t port_tsc(void)
{
    uint32_t low, high;
    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

/* The builder fills the hypercall page: 128 stubs of 32 bytes. Unfilled, it is zero. */
static inline int64_t port_hypercall(unsigned number, uint64_t a, uint64_t b, uint64_t c,
                                     uint64_t d, uint64_t e)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    uint64_t rax = number;
    const uint8_t *stub = pvg_hypercall_page + number * 32;
    if (__builtin_expect(*(const volatile uint8_t *)stub != 0, 1))
        __asm__ volatile("call *%[stub]"
                         : "=a"(rax), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                         : [stub] "r"(stub)
                         : "rcx", "r11", "memory", "cc");
    else
        __asm__ volatile("syscall"
                         : "+a"(rax), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                         :
                         : "rcx", "r11", "memory", "cc");
    return (int64_t)rax;
}

/* Never returns: the host's tests come back by other means. */
_Noreturn static inline void port_stop(void)
{
    for (;;)
        __asm__ volatile("pause");
}

#endif
