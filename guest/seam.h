/* SPDX-License-Identifier: MIT */
/* What every port.h and the library name alike (port.md). */
#ifndef PVGUEST_SEAM_H
#define PVGUEST_SEAM_H

enum port_access { PORT_READ, PORT_WRITE };

/* Tables in the image's .bss..page_aligned, zero at first. */
enum image_table { OWN_L4, OWN_L3, OWN_L2, FIX_L2, FIX_L1, IMAGE_TABLES };

#endif
