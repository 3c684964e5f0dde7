/* SPDX-License-Identifier: MIT */
/* The port of a part that is tested by itself: an image at a place of the test's choice, no memory.
 */
#ifndef PVGUEST_PORT_H
#define PVGUEST_PORT_H

#include <pvguest/types.h>

#include "seam.h"

extern uint64_t fake_image_start, fake_image_end;

void *port_at(struct pvguest *g, uint64_t va, enum port_access access);

static inline uint64_t port_image_start(void)
{
    return fake_image_start;
}

static inline uint64_t port_image_end(void)
{
    return fake_image_end;
}

#endif
