/* SPDX-License-Identifier: MIT */
/* A port (guest/port.md) for parts by themselves: guest memory is the program's, and a test answers
 * the hypercalls. */
#ifndef PVGUEST_PORT_H
#define PVGUEST_PORT_H

#include <pvguest/types.h>

#include "seam.h"

#define FAKE_IMAGE_END (0xffffffff80000000ull + 0x140000)

int64_t fake_hypercall(unsigned number, uint64_t a, uint64_t b, uint64_t c);
_Noreturn void fake_stop(void);

static inline void *port_at(struct pvguest *g, uint64_t va, enum port_access access)
{
    (void)g, (void)access;
    return (void *)(uintptr_t)va;
}

static inline uint64_t port_image_start(void)
{
    return 0xffffffff80000000ull + 0x100000;
}

static inline uint64_t port_image_end(void)
{
    return FAKE_IMAGE_END;
}

static inline int64_t port_hypercall(unsigned number, uint64_t a, uint64_t b, uint64_t c,
                                     uint64_t d, uint64_t e)
{
    (void)d, (void)e;
    return fake_hypercall(number, a, b, c);
}

_Noreturn static inline void port_stop(void)
{
    fake_stop();
}

#endif
