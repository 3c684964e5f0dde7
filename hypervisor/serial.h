/* SPDX-License-Identifier: MIT */
#ifndef PVMM_HV_SERIAL_H
#define PVMM_HV_SERIAL_H

#include <stdbool.h>

void serial_init(void);
/* Input arrived at a line and no interrupt was served for it yet. */
bool serial_interrupt_waits(void);

#endif
