/* SPDX-License-Identifier: MIT */
#ifndef PVMM_HV_CLOCK_H
#define PVMM_HV_CLOCK_H

#include <stdint.h>

#include "cpu.h"

void clock_init(void);
/* rtc.c: the machine's clock chip, in UNIX seconds. */
uint64_t rtc_read(void);

#endif
