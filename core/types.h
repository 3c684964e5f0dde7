/* SPDX-License-Identifier: MIT */
/*
 * Numbers that must not be mixed: each kind is a structure of one field, so that passing one for
 * another is a compile error.
 */
#ifndef PVMM_CORE_TYPES_H
#define PVMM_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A machine frame number: which 4096-byte frame of the machine's memory. */
typedef struct {
    uint64_t n;
} mfn_t;

/* A pseudo-physical frame number: the guest's own numbering, 0 upwards. */
typedef struct {
    uint64_t n;
} pfn_t;

/* A machine address in bytes. */
typedef struct {
    uint64_t a;
} maddr_t;

/* A virtual address of the guest. */
typedef struct {
    uint64_t a;
} gva_t;

#define PAGE_SHIFT_4K 12
#define PAGE_BYTES    4096u

#define NO_MFN ((mfn_t){~0ull})
#define NO_PFN ((pfn_t){~0ull})

static inline mfn_t mfn(uint64_t n)
{
    return (mfn_t){n};
}

static inline pfn_t pfn(uint64_t n)
{
    return (pfn_t){n};
}

static inline gva_t gva(uint64_t a)
{
    return (gva_t){a};
}

static inline bool mfn_eq(mfn_t a, mfn_t b)
{
    return a.n == b.n;
}

static inline mfn_t maddr_frame(maddr_t m)
{
    return (mfn_t){m.a >> PAGE_SHIFT_4K};
}

static inline maddr_t mfn_address(mfn_t m, unsigned offset)
{
    return (maddr_t){(m.n << PAGE_SHIFT_4K) | offset};
}

#endif
