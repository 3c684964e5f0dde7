/* SPDX-License-Identifier: MIT */
#ifndef PVMM_TEST_SCARCE_H
#define PVMM_TEST_SCARCE_H

#include <stdint.h>

extern unsigned scarce_one_in; /* so many allocations, by chance, one fails; 0: none */

#endif
