/* SPDX-License-Identifier: MIT */
/* Event channels, asked and waited for, and the time. No mask is touched: a poll sees masked ones.
 */
#include "internal.h"

#include <xen/event_channel.h>
#include <xen/sched.h>

_Static_assert(PVG_PORTS == EVTCHN_2L_NR_CHANNELS, "as many as shared_info has bits");

static int event_op(struct pvguest *g, unsigned command, void *arg)
{
    return (int)pvg_hypercall(g, __HYPERVISOR_event_channel_op, command, (uintptr_t)arg, 0, 0, 0);
}

int pvg_event_offer(struct pvguest *g, domid_t remote, uint32_t *port)
{
    struct evtchn_alloc_unbound op = {.dom = DOMID_SELF, .remote_dom = remote};
    int rc = event_op(g, EVTCHNOP_alloc_unbound, &op);
    if (rc)
        return fail(g, rc, "a port for domain %u: refused, %s", remote, error_name(rc));
    *port = op.port;
    return 0;
}

int pvg_event_bind(struct pvguest *g, domid_t remote, uint32_t remote_port, uint32_t *port)
{
    struct evtchn_bind_interdomain op = {.remote_dom = remote, .remote_port = remote_port};
    int rc = event_op(g, EVTCHNOP_bind_interdomain, &op);
    if (rc)
        return fail(g, rc, "binding to port %u of domain %u: refused, %s", remote_port, remote,
                    error_name(rc));
    *port = op.local_port;
    return 0;
}

int pvg_event_bind_virq(struct pvguest *g, unsigned virq, uint32_t *port)
{
    struct evtchn_bind_virq op = {.virq = virq, .vcpu = 0};
    int rc = event_op(g, EVTCHNOP_bind_virq, &op);
    if (rc)
        return fail(g, rc, "binding virtual interrupt %u: refused, %s", virq, error_name(rc));
    *port = op.port;
    return 0;
}

int pvg_event_close(struct pvguest *g, uint32_t port)
{
    struct evtchn_close op = {.port = port};
    int rc = event_op(g, EVTCHNOP_close, &op);
    return rc ? fail(g, rc, "closing port %u: refused, %s", port, error_name(rc)) : 0;
}

int pvg_event_send(struct pvguest *g, uint32_t port)
{
    struct evtchn_send op = {.port = port};
    int rc = event_op(g, EVTCHNOP_send, &op);
    return rc ? fail(g, rc, "an event by port %u: refused, %s", port, error_name(rc)) : 0;
}

/* ---- pending bits */

static bool is_port(uint32_t port)
{
    return port > 0 && port < PVG_PORTS;
}

static unsigned long *pending_word(struct pvguest *g, uint32_t port)
{
    return &pvg_shared_info(g)->evtchn_pending[port / 64];
}

static bool is_pending(struct pvguest *g, uint32_t port)
{
    return __atomic_load_n(pending_word(g, port), __ATOMIC_ACQUIRE) >> port % 64 & 1;
}

bool pvg_event_take(struct pvguest *g, uint32_t port)
{
    if (!is_port(port) || !g->shared_va || !is_pending(g, port))
        return false;
    unsigned long bit = 1ul << port % 64;
    return __atomic_fetch_and(pending_word(g, port), ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* ---- waiting */

static bool any_pending(struct pvguest *g, const uint32_t *ports, unsigned count)
{
    bool any = false;
    for (unsigned i = 0; i < count && !any; i++)
        any = is_pending(g, ports[i]);
    return any;
}

static int wait_check(struct pvguest *g, const uint32_t *ports, unsigned count)
{
    if (!g->shared_va)
        return fail(g, -XEN_EINVAL, "shared_info is not mapped yet");
    if (count > PVG_WAIT_MAX)
        return fail(g, -XEN_EINVAL, "%u ports, at most %u can be waited for", count, PVG_WAIT_MAX);
    for (unsigned i = 0; i < count; i++)
        if (!is_port(ports[i]))
            return fail(g, -XEN_EINVAL, "port %u: there is none of that number", ports[i]);
    return 0;
}

/* A time that is past ends it at once; 0 would be for ever. */
static int poll(struct pvguest *g, const uint32_t *ports, unsigned count, uint64_t until)
{
    evtchn_port_t list[PVG_WAIT_MAX];
    for (unsigned i = 0; i < count; i++)
        list[i] = ports[i];
    struct sched_poll op = {.nr_ports = count,
                            .timeout = until == PVG_FOREVER ? 0
                                       : until              ? until
                                                            : 1};
    set_xen_guest_handle(op.ports, list);
    int rc = (int)pvg_hypercall(g, __HYPERVISOR_sched_op, SCHEDOP_poll, (uintptr_t)&op, 0, 0, 0);
    return rc ? fail(g, rc, "poll of %u ports: refused, %s", count, error_name(rc)) : 0;
}

int pvg_event_wait(struct pvguest *g, const uint32_t *ports, unsigned count, uint64_t until)
{
    int rc = wait_check(g, ports, count);
    if (rc == 0 && any_pending(g, ports, count))
        return 0;
    if (rc == 0)
        rc = poll(g, ports, count, until);
    if (rc)
        return fail_in(g, rc, "waiting for events");
    if (until == PVG_FOREVER || any_pending(g, ports, count) || pvg_time(g) < until)
        return 0;
    return fail(g, -XEN_ETIMEDOUT, "waiting for events: none came until %lu", until);
}

/* ---- time */

static uint64_t scale(uint64_t ticks, int shift, uint32_t mul)
{
    ticks = shift < 0 ? ticks >> -shift : ticks << shift;
    return (uint64_t)((__extension__(unsigned __int128) ticks * mul) >> 32);
}

/* The version is odd while the hypervisor writes, and another one afterwards. */
uint64_t pvg_time(struct pvguest *g)
{
    if (!g->shared_va)
        return 0;
    const struct vcpu_time_info *t = &pvg_shared_info(g)->vcpu_info[0].time;
    uint32_t version;
    uint64_t now;
    do {
        version = __atomic_load_n(&t->version, __ATOMIC_ACQUIRE);
        const volatile struct vcpu_time_info *v = t;
        now = v->system_time +
              scale(port_tsc() - v->tsc_timestamp, v->tsc_shift, v->tsc_to_system_mul);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while ((version & 1) || version != __atomic_load_n(&t->version, __ATOMIC_RELAXED));
    return now;
}
