/* SPDX-License-Identifier: MIT */
/*
 * The library's port to the host: the guest's memory is an array of the machine's, the hypervisor
 * is the core, and each access walks the tables that are loaded (guest/port.md).
 */
#ifndef PVGUEST_PORT_H
#define PVGUEST_PORT_H

#include <pvguest/types.h>

#include "machine.h"
#include "seam.h"

_Static_assert(IMAGE_TABLES == MACHINE_IMAGE_TABLES, "the builder makes room for all of them");

static inline void *port_at(struct pvguest *g, uint64_t va, enum port_access access)
{
    (void)g;
    return machine_at(va, access == PORT_WRITE);
}

static inline uint64_t port_image_table(enum image_table t)
{
    return machine_image_table(t);
}

static inline uint64_t port_image_start(void)
{
    return machine_image_start();
}

static inline uint64_t port_image_end(void)
{
    return machine_image_end();
}

static inline uint64_t port_m2p(uint64_t base, uint64_t mfn)
{
    return machine_m2p_word(base, mfn);
}

static inline uint64_t port_cr3(void)
{
    return machine_cr3();
}

static inline uint64_t port_cr2(void)
{
    return 0;
}

static inline uint64_t port_tsc(void)
{
    return machine_tsc();
}

static inline int64_t port_hypercall(unsigned number, uint64_t a, uint64_t b, uint64_t c,
                                     uint64_t d, uint64_t e)
{
    return machine_hypercall(number, (uint64_t[]){a, b, c, d, e});
}

_Noreturn static inline void port_stop(void)
{
    machine_stop(MACHINE_STOPPED);
}

#endif
