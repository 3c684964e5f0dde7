/* SPDX-License-Identifier: MIT */
/*
 * The machine's memory as an array. Included before anything else (-include), so that it stands in
 * for memory.h's direct map and for layout.h's place of the image.
 */
#ifndef PVMM_TEST_HV_HOSTED_MACHINE_H
#define PVMM_TEST_HV_HOSTED_MACHINE_H

#define PVMM_HV_MEMORY_H
#define PVMM_HV_LAYOUT_H

#include "types.h"

#define HOSTED_RAM (96ull << 20)
extern uint8_t *hosted_ram;     /* HOSTED_RAM bytes: the machine's first */
void hosted_machine_init(void); /* clears it */

/* memory.h */

#define HV_SLOTS_START 0xffff800000000000ull
#define HV_SLOTS_END   0xffff880000000000ull
#define M2P_GUEST_BASE 0xffff800000000000ull
#define DIRECT_BASE    0xffff830000000000ull

static inline void *direct(maddr_t m)
{
    return hosted_ram + m.a;
}

static inline void *direct_frame(mfn_t m)
{
    return hosted_ram + (m.n << PAGE_SHIFT_4K);
}

static inline maddr_t direct_address(const void *p)
{
    return (maddr_t){(uint64_t)((const uint8_t *)p - hosted_ram)};
}

mfn_t hv_frame(void);
bool frames_take(unsigned order, uint64_t limit, mfn_t *out);
bool frames_take_as_it_is(mfn_t *out);
void frames_give(mfn_t m);
uint64_t frames_free(void);
void tlb_flush_since(uint16_t stamp);

/* layout.h: the image lies at [IMAGE_PHYS, HOSTED_IMAGE_END) wherever the linker put its end */

#define IMAGE_PHYS       0x200000ull
#define HOSTED_IMAGE_END 0x2a0123ull
#define IMAGE_BASE       ((uint64_t)image_end - HOSTED_IMAGE_END)

#endif
