/* SPDX-License-Identifier: MIT */
/*
 * The guest's console: the hypervisor's end of the ring (<xen/io/console.h>), on COM1.
 *
 * The ring lies in an ordinary frame of the guest, which domain_page() checks before each visit.
 */
#include "domain.h"
#include "serial.h"

#include <xen/io/console.h>

#define CONSOLE_LINE 0u /* COM1 */

static volatile bool input_waits;

void serial_input_arrived(unsigned line)
{
    channel_received(line, serial_received(line));
    if (line == CONSOLE_LINE)
        input_waits = true;
    else
        channel_input();
    attend();
}

bool console_input_waits(void)
{
    return input_waits;
}

static struct xencons_interface *ring_of(struct domain *d)
{
    return d->console_port == 0 ? NULL : domain_page(d, d->console_mfn);
}

/* out[] -> COM1. The indices are the guest's: anything out of range empties the ring. */
static bool drain_output(struct xencons_interface *ring)
{
    uint32_t from = ring->out_cons;
    uint32_t to = __atomic_load_n(&ring->out_prod, __ATOMIC_ACQUIRE);
    bool moved = from != to;
    if (to - from > sizeof(ring->out))
        from = to;
    while (from != to) {
        char piece[128];
        unsigned n = 0;
        while (n < sizeof(piece) && from != to)
            piece[n++] = ring->out[MASK_XENCONS_IDX(from++, ring->out)];
        serial_write(CONSOLE_LINE, piece, n);
    }
    __atomic_store_n(&ring->out_cons, to, __ATOMIC_RELEASE);
    return moved;
}

/* COM1 -> in[], as far as there is room; the rest waits in the serial line's own ring. */
static bool fill_input(struct xencons_interface *ring)
{
    uint32_t prod = ring->in_prod;
    uint32_t used = prod - __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE);
    bool moved = false;
    char c;
    input_waits = false;
    while (used < sizeof(ring->in)) {
        if (serial_read(CONSOLE_LINE, &c, 1) != 1)
            break;
        ring->in[MASK_XENCONS_IDX(prod++, ring->in)] = c;
        used++;
        moved = true;
    }
    __atomic_store_n(&ring->in_prod, prod, __ATOMIC_RELEASE);
    return moved;
}

void console_serve(struct domain *d)
{
    struct xencons_interface *ring = ring_of(d);
    if (!ring)
        return;
    bool moved = drain_output(ring);
    if (fill_input(ring))
        moved = true;
    if (moved)
        event_raise(d, d->console_port);
}
