/* SPDX-License-Identifier: MIT */
/* The port of the p2m's unit tests: every access to a page of the guest goes through the fake. */
#ifndef PVGUEST_FAKE_PORT_H
#define PVGUEST_FAKE_PORT_H

#include <pvguest/types.h>

#include "seam.h"

void *port_at(struct pvguest *g, uint64_t va, enum port_access access);

#endif
