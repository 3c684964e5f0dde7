/* SPDX-License-Identifier: MIT */
/* Two 16550 UARTs: output is polled, input comes by interrupt into a ring. */
#include "serial.h"

#include "asm.h"
#include "machine.h"

#define LINES      PVMM_LINES
#define INPUT_RING 4096u /* a power of two */
#define FIFO_BYTES 16u

/* Registers. */
#define UART_DATA    0
#define UART_IER     1
#define UART_FCR     2
#define UART_LCR     3
#define UART_MCR     4
#define UART_LSR     5
#define UART_SCRATCH 7

#define IER_RECEIVED   0x01
#define FCR_ENABLE     0x07 /* on, both FIFOs cleared, a byte at a time */
#define LCR_8N1        0x03
#define LCR_DIVISOR    0x80
#define DIVISOR_115200 1
#define MCR_LINES      0x0b /* DTR RTS OUT2: OUT2 lets the interrupt through */
#define LSR_RECEIVED   0x01
#define LSR_EMPTY      0x20
#define SCRATCH_TEST   0x5a

struct line {
    uint16_t port;
    bool present;
    uint8_t ring[INPUT_RING];
    unsigned in, out; /* bytes ever */
    uint64_t received;
};

static struct line lines[LINES] = {{.port = 0x3f8}, {.port = 0x2f8}};

static void init_line(struct line *l)
{
    outb(l->port + UART_SCRATCH, SCRATCH_TEST);
    l->present = inb(l->port + UART_SCRATCH) == SCRATCH_TEST;
    if (!l->present)
        return;
    outb(l->port + UART_IER, 0);
    outb(l->port + UART_LCR, LCR_DIVISOR);
    outb(l->port + UART_DATA, DIVISOR_115200);
    outb(l->port + UART_IER, 0);
    outb(l->port + UART_LCR, LCR_8N1);
    outb(l->port + UART_FCR, FCR_ENABLE);
    outb(l->port + UART_MCR, MCR_LINES);
}

void serial_init(void)
{
    for (unsigned i = 0; i < LINES; i++)
        init_line(&lines[i]);
}

void serial_listen(unsigned line, bool on)
{
    if (lines[line].present)
        outb(lines[line].port + UART_IER, on ? IER_RECEIVED : 0);
}

void serial_write(unsigned line, const void *data, unsigned n)
{
    struct line *l = &lines[line];
    const uint8_t *p = data;

    for (unsigned i = 0; l->present && i < n; i++) {
        while (i % FIFO_BYTES == 0 && !(inb(l->port + UART_LSR) & LSR_EMPTY))
            relax();
        outb(l->port + UART_DATA, p[i]);
    }
}

/* A full ring drops what comes: nobody reads it. */
void serial_interrupt(unsigned line)
{
    struct line *l = &lines[line];

    while (l->present && inb(l->port + UART_LSR) & LSR_RECEIVED) {
        uint8_t byte = inb(l->port + UART_DATA);

        l->received++;
        if (l->in - l->out < INPUT_RING)
            l->ring[l->in++ % INPUT_RING] = byte;
    }
    if (l->in != l->out)
        serial_input_arrived(line);
}

uint64_t serial_received(unsigned line)
{
    return lines[line].received;
}

unsigned serial_read(unsigned line, void *to, unsigned n)
{
    struct line *l = &lines[line];
    uint8_t *p = to;
    unsigned i;

    for (i = 0; i < n && l->out != l->in; i++)
        p[i] = l->ring[l->out++ % INPUT_RING];
    return i;
}

bool serial_interrupt_waits(void)
{
    for (unsigned i = 0; i < LINES; i++) {
        if (lines[i].present && inb(lines[i].port + UART_LSR) & LSR_RECEIVED)
            return true;
    }
    return false;
}
