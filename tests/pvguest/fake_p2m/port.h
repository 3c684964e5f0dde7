/* SPDX-License-Identifier: MIT */
/* The port of the p2m's unit tests: every access to a page of the guest goes through the fake. */
#ifndef PVGUEST_FAKE_PORT_H
#define PVGUEST_FAKE_PORT_H

#include <pvguest/types.h>

enum port_access { PORT_READ, PORT_WRITE };
enum image_table { OWN_L4, OWN_L3, OWN_L2, FIX_L2, FIX_L1, IMAGE_TABLES };

void *port_at(struct pvguest *g, uint64_t va, enum port_access access);

#endif
