/* SPDX-License-Identifier: MIT */
/* The guest's memory seen through the root that is loaded: every access may fault. */
#include "machine.h"

#define LOWER_HALF_END 0x0000800000000000ull

bool fallible_copy(void *to, const void *from, uint64_t bytes);

bool guest_range_ok(gva_t va, uint64_t bytes)
{
    uint64_t end = va.a + bytes;

    if (end < va.a && end != 0)
        return false;
    if (va.a < LOWER_HALF_END)
        return bytes <= LOWER_HALF_END - va.a;
    /* Above the non-canonical gap the hypervisor's own slots come first. */
    return va.a >= HV_SLOTS_END;
}

bool copy_from_guest(void *to, gva_t from, uint64_t bytes)
{
    return guest_range_ok(from, bytes) && fallible_copy(to, (const void *)from.a, bytes);
}

bool copy_to_guest(gva_t to, const void *from, uint64_t bytes)
{
    return guest_range_ok(to, bytes) && fallible_copy((void *)to.a, from, bytes);
}
