/* SPDX-License-Identifier: MIT */
/* The console: console_io, or a ring that lies in one of our pages (<xen/io/console.h>). */
#include "internal.h"

#include <xen/event_channel.h>
#include <xen/sched.h>

#define PRINT_MAX 1024u

static struct xencons_interface *ring(struct pvguest *g)
{
    return port_at(g, g->console_va, PORT_WRITE);
}

static void notify(struct pvguest *g)
{
    struct evtchn_send send = {.port = g->console_port};
    pvg_hypercall(g, __HYPERVISOR_event_channel_op, EVTCHNOP_send, (uintptr_t)&send, 0, 0, 0);
}

static void wait_for_room(struct pvguest *g, uint32_t produced)
{
    struct xencons_interface *r = ring(g);
    while (produced - __atomic_load_n(&r->out_cons, __ATOMIC_ACQUIRE) >= sizeof(r->out)) {
        notify(g);
        pvg_hypercall(g, __HYPERVISOR_sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    }
}

static void ring_write(struct pvguest *g, const char *text, size_t bytes)
{
    struct xencons_interface *r = ring(g);
    uint32_t at = r->out_prod;
    for (size_t i = 0; i < bytes; i++) {
        wait_for_room(g, at);
        r->out[MASK_XENCONS_IDX(at++, r->out)] = text[i];
        __atomic_store_n(&r->out_prod, at, __ATOMIC_RELEASE);
    }
    notify(g);
}

/* Before the ring is found, an ordinary domain's text goes the initial one's way: some hypervisors
 * show it, the others refuse. */
void pvg_write(struct pvguest *g, const char *text, size_t bytes)
{
    if (bytes == 0)
        return;
    if (g->console_va)
        ring_write(g, text, bytes);
    else
        pvg_hypercall(g, __HYPERVISOR_console_io, CONSOLEIO_write, bytes, (uintptr_t)text, 0, 0);
}

void pvg_print(struct pvguest *g, const char *format, ...)
{
    static const char cut[] = "...\n";
    char text[PRINT_MAX];
    va_list list;
    va_start(list, format);
    size_t length = pvg_format_list(text, sizeof(text), format, list);
    va_end(list);
    if (length < sizeof(text)) {
        pvg_write(g, text, length);
        return;
    }
    pvg_write(g, text, sizeof(text) - 1);
    pvg_write(g, cut, sizeof(cut) - 1);
}

size_t pvg_read(struct pvguest *g, char *to, size_t room)
{
    if (!g->console_va)
        return 0;
    struct xencons_interface *r = ring(g);
    uint32_t at = r->in_cons, end = __atomic_load_n(&r->in_prod, __ATOMIC_ACQUIRE);
    size_t n = 0;
    while (n < room && at != end)
        to[n++] = r->in[MASK_XENCONS_IDX(at++, r->in)];
    __atomic_store_n(&r->in_cons, at, __ATOMIC_RELEASE);
    if (n > 0)
        notify(g);
    return n;
}

/* start_info names the ring's machine frame; it is an ordinary page of ours. */
static int find_ring(struct pvguest *g, uint64_t *va)
{
    const start_info_t *si = pvg_start_info(g);
    pvg_pfn_t pfn = pvg_m2p(g, pvg_mfn(si->console.domU.mfn));
    if (same_pfn(pfn, PVG_NO_PFN))
        return fail(g, -XEN_EINVAL, "the console's ring, machine frame %lx, is no page of ours",
                    si->console.domU.mfn);
    *va = page_va(g, pfn);
    if (*va == 0)
        return fail(g, -XEN_ENOENT, "the console's ring, page %lx, is mapped nowhere", pfn.n);
    return 0;
}

int console_init(struct pvguest *g)
{
    if (pvg_is_initial_domain(g))
        return 0;
    uint64_t va;
    int rc = find_ring(g, &va);
    if (rc)
        return fail_in(g, rc, "console");
    g->console_port = pvg_start_info(g)->console.domU.evtchn;
    g->console_va = va;
    return 0;
}

/* Nothing can be said without it: the way of the initial domain is the last resort. */
void console_moved(struct pvguest *g)
{
    uint64_t va = 0;
    if (g->console_va && find_ring(g, &va))
        va = 0;
    g->console_va = va;
}

int console_resume(struct pvguest *g)
{
    return g->console_va ? console_init(g) : 0;
}
