/* SPDX-License-Identifier: MIT */
/* The console: a ring for an ordinary domain, console_io for the initial one; and the way out. */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/io/console.h>
#include <xen/sched.h>

static struct xencons_interface *ring;

void console_init(void)
{
    if (start_info->flags & SIF_INITDOMAIN)
        return;
    uint64_t pfn = M2P[start_info->console.domU.mfn];
    ring = (struct xencons_interface *)(VIRT_BASE + pfn * PAGE);
}

static void notify(void)
{
    struct evtchn_send send = {.port = start_info->console.domU.evtchn};
    call2(__HYPERVISOR_event_channel_op, EVTCHNOP_send, &send);
}

static void ring_put(char c)
{
    while (ring->out_prod - __atomic_load_n(&ring->out_cons, __ATOMIC_ACQUIRE) >=
           sizeof(ring->out)) {
        notify();
        call2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    }
    ring->out[ring->out_prod % sizeof(ring->out)] = c;
    __atomic_store_n(&ring->out_prod, ring->out_prod + 1, __ATOMIC_RELEASE);
}

void console_write(const char *text, size_t n)
{
    if (!ring) {
        call3(__HYPERVISOR_console_io, CONSOLEIO_write, n, text);
        return;
    }
    for (size_t i = 0; i < n; i++)
        ring_put(text[i]);
    notify();
}

size_t console_read(char *to, size_t room)
{
    uint32_t from = ring->in_cons;
    uint32_t end = __atomic_load_n(&ring->in_prod, __ATOMIC_ACQUIRE);
    size_t n = 0;
    while (n < room && from != end)
        to[n++] = ring->in[from++ % sizeof(ring->in)];
    __atomic_store_n(&ring->in_cons, from, __ATOMIC_RELEASE);
    if (n)
        notify();
    return n;
}

void console_wait(void)
{
    evtchn_port_t port = start_info->console.domU.evtchn;
    struct sched_poll p = {.nr_ports = 1};
    set_xen_guest_handle(p.ports, &port);
    call2(__HYPERVISOR_sched_op, SCHEDOP_poll, &p);
    __atomic_fetch_and(&shared_info->evtchn_pending[port / 64], ~(1ul << (port % 64)),
                       __ATOMIC_SEQ_CST);
}

static _Noreturn void shutdown(unsigned reason)
{
    struct sched_shutdown how = {.reason = reason};
    for (;;)
        call2(__HYPERVISOR_sched_op, SCHEDOP_shutdown, &how);
}

void power_off(void)
{
    shutdown(SHUTDOWN_poweroff);
}

void give_up(const char *why)
{
    say("GAVE UP: %s\n", why);
    shutdown(SHUTDOWN_crash);
}
