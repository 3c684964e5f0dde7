/* SPDX-License-Identifier: MIT */
/* The PIC (ExtINT through the local APIC's LINT0) and the local APIC. */
#include "interrupts.h"

#include "asm.h"
#include "layout.h"
#include "machine.h"
#include "serial.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1
#define PIC_INIT     0x11 /* edge, cascaded, four words */
#define PIC_CASCADE  2
#define PIC_8086     1
#define PIC_EOI      0x20

#define IRQ_COM1 4
#define IRQ_COM2 3

/* Registers of the local APIC. */
#define LAPIC_EOI           0x0b0
#define LAPIC_SPURIOUS      0x0f0
#define LAPIC_LVT_TIMER     0x320
#define LAPIC_LVT_LINT0     0x350
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE  0x3e0

#define LAPIC_ENABLED   0x100
#define LAPIC_EXTINT    0x700
#define LAPIC_DIVIDE_16 0x3

static volatile uint32_t *lapic(unsigned reg)
{
    return (volatile uint32_t *)(LAPIC_BASE + reg);
}

static void pic_init(void)
{
    outb(PIC1_COMMAND, PIC_INIT);
    outb(PIC2_COMMAND, PIC_INIT);
    outb(PIC1_DATA, VECTOR_PIC);
    outb(PIC2_DATA, VECTOR_PIC + 8);
    outb(PIC1_DATA, 1u << PIC_CASCADE);
    outb(PIC2_DATA, PIC_CASCADE);
    outb(PIC1_DATA, PIC_8086);
    outb(PIC2_DATA, PIC_8086);
    outb(PIC1_DATA, (uint8_t) ~(1u << IRQ_COM1 | 1u << IRQ_COM2));
    outb(PIC2_DATA, 0xff);
}

void interrupts_init(void)
{
    pic_init();
    *lapic(LAPIC_SPURIOUS) = LAPIC_ENABLED | VECTOR_SPURIOUS;
    *lapic(LAPIC_LVT_LINT0) = LAPIC_EXTINT;
    for (unsigned i = 0; i < PVMM_LINES; i++)
        serial_listen(i, true);
    *lapic(LAPIC_TIMER_DIVIDE) = LAPIC_DIVIDE_16;
    *lapic(LAPIC_LVT_TIMER) = VECTOR_TIMER;
}

void lapic_timer_start(uint32_t ticks)
{
    *lapic(LAPIC_TIMER_INITIAL) = ticks;
}

uint32_t lapic_timer_left(void)
{
    return *lapic(LAPIC_TIMER_CURRENT);
}

static void pic_interrupt(unsigned irq)
{
    if (irq == IRQ_COM1)
        serial_interrupt(0);
    else if (irq == IRQ_COM2)
        serial_interrupt(1);
    outb(PIC1_COMMAND, PIC_EOI);
}

void handle_interrupt(unsigned vector)
{
    if (vector == VECTOR_TIMER) {
        *lapic(LAPIC_EOI) = 0;
        clock_interrupt();
    } else if (vector >= VECTOR_PIC && vector < VECTOR_PIC + 8) {
        pic_interrupt(vector - VECTOR_PIC);
    } else if (vector != VECTOR_SPURIOUS) {
        log_line("unexpected interrupt %x", vector);
    }
}
