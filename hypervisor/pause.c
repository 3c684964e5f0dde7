/* SPDX-License-Identifier: MIT */
/*
 * Does an interrupt wait? Long requests ask, since the hypervisor runs with interrupts off. Who
 * asks again after a "yes" hears it again, as some ask twice: the counters stand still then.
 */
#include "cpu.h"
#include "machine.h"
#include "serial.h"

#define ASKS_OF_A_LOOK  64u
#define LOOKS_OF_SERIAL 64u

/* The timer's due time tells without asking the hardware; the serial lines are looked at now and
 * then, since port I/O is slow. */
bool interrupt_waits_for(struct cpu *c)
{
    if (c->timer_due_ns && now_ns() >= c->timer_due_ns)
        return true;
    if ((c->looks + 1) % LOOKS_OF_SERIAL == 0 && serial_interrupt_waits())
        return true;
    c->looks++;
    return false;
}

bool pause_due_for(struct cpu *c)
{
    if ((c->asked + 1) % ASKS_OF_A_LOOK == 0 && interrupt_waits_for(c))
        return true;
    c->asked++;
    return false;
}
