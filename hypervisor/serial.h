/* SPDX-License-Identifier: MIT */
#ifndef PVMM_HV_SERIAL_H
#define PVMM_HV_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/* Nobody listens yet: the edge of an interrupt that comes before the PIC is set up is lost, and all
 * that arrives after with it. */
void serial_init(void);
/* Off: what arrives stays in the UART, which holds its sender back. On: it is an edge. */
void serial_listen(unsigned line, bool on);
/* Bytes ever taken from it, those included for which the ring had no room. */
uint64_t serial_received(unsigned line);
/* Input arrived at a line and no interrupt was served for it yet. */
bool serial_interrupt_waits(void);

#endif
