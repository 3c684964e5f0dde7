/* SPDX-License-Identifier: MIT */
/* The interrupt controllers: the legacy PIC for the serial lines, the local APIC for the timer. */
#ifndef PVMM_HV_INTERRUPTS_H
#define PVMM_HV_INTERRUPTS_H

#include <stdint.h>

void interrupts_init(void);
/* Serves interrupt `vector`, tells the controller. */
void handle_interrupt(unsigned vector);

/* The local APIC's one-shot timer: counts `ticks` down, then VECTOR_TIMER; 0: off. */
void lapic_timer_start(uint32_t ticks);
uint32_t lapic_timer_left(void);

/* clock.c: the one-shot timer ran out. */
void clock_interrupt(void);

#endif
