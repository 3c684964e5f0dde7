/* SPDX-License-Identifier: MIT */
/*
 * Event channels and polls (<xen/event_channel.h>, <xen/sched.h>), and the clock. Nobody but the
 * guest runs in this process: what the store would do meanwhile, it does when the guest rings or
 * waits, and time passes when it is looked at or waited for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/sched.h>
#include <xen/xen.h>

#include "inside.h"

#define TSC_START    0x123456789abcull
#define TIME_START   5000000000ull /* ns: the machine is older than the guest */
#define POLL_MAX     128u          /* ports that Xen takes */
#define EVER         4000u /* how often the outside is asked before a wait is called endless */
#define STEP         50u   /* ns that each look at the clock takes */
#define VIRQS        24u
#define OTHER_DOMAIN 2u

static shared_info_t *shared(struct machine *m)
{
    return (void *)m->w->memory[m->shared];
}

/* ---- the clock: two ticks are a nanosecond */

uint64_t machine_tsc(void)
{
    struct machine_events *e = &the_machine.events;
    e->clock += STEP;
    return TSC_START + 2 * e->clock;
}

uint64_t machine_time(struct machine *m)
{
    return TIME_START + m->events.clock;
}

void machine_pass(struct machine *m, uint64_t ns)
{
    m->events.clock += ns;
}

static void clock_init(struct machine *m)
{
    struct vcpu_time_info *t = &shared(m)->vcpu_info[0].time;
    *t = (struct vcpu_time_info){.version = 2,
                                 .tsc_timestamp = TSC_START,
                                 .system_time = TIME_START,
                                 .tsc_to_system_mul = 1u << 31};
}

/* ---- ports */

void events_open(struct machine *m)
{
    memset(m->events.port, 0, sizeof(m->events.port));
    if (m->params.initial_domain)
        return;
    m->events.port[store_port(m)].state = EVENT_PEER;
    m->events.port[m->console_port].state = EVENT_PEER;
}

void events_init(struct machine *m)
{
    memset(&m->events, 0, sizeof(m->events));
    clock_init(m);
    shared(m)->vcpu_info[0].evtchn_upcall_mask = 1;
    events_open(m);
}

void machine_raise(struct machine *m, uint32_t port)
{
    shared_info_t *s = shared(m);
    unsigned long bit = 1ul << port % 64;
    if ((s->evtchn_pending[port / 64] & bit) || m->events.port[port].state == EVENT_FREE)
        return;
    s->evtchn_pending[port / 64] |= bit;
    if (s->evtchn_mask[port / 64] & bit)
        return;
    s->vcpu_info[0].evtchn_pending_sel |= 1ul << port / 64;
    s->vcpu_info[0].evtchn_upcall_pending = 1;
}

static bool is_pending(struct machine *m, uint32_t port)
{
    return shared(m)->evtchn_pending[port / 64] >> port % 64 & 1;
}

static struct event_port *used_port(struct machine *m, uint32_t port)
{
    struct event_port *p = port < EVENT_PORTS ? &m->events.port[port] : NULL;
    return p && p->state != EVENT_FREE ? p : NULL;
}

unsigned machine_ports(struct machine *m)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < EVENT_PORTS; i++)
        n += m->events.port[i].state != EVENT_FREE;
    return n;
}

static uint32_t take_port(struct machine *m, enum event_state state)
{
    for (uint32_t i = 1; i < EVENT_PORTS; i++)
        if (m->events.port[i].state == EVENT_FREE) {
            m->events.port[i] = (struct event_port){.state = state};
            return i;
        }
    return 0;
}

static bool is_self(struct machine *m, domid_t d)
{
    return d == DOMID_SELF || d == m->d->id;
}

/* ---- event_channel_op */

static int alloc_unbound(struct machine *m, struct evtchn_alloc_unbound *a)
{
    if (!is_self(m, a->dom))
        return a->dom == OTHER_DOMAIN ? -XEN_EPERM : -XEN_ESRCH;
    a->port = take_port(m, EVENT_UNBOUND);
    if (!a->port)
        return -XEN_ENOSPC;
    m->events.port[a->port].remote = is_self(m, a->remote_dom) ? m->d->id : a->remote_dom;
    return 0;
}

static int bind_interdomain(struct machine *m, struct evtchn_bind_interdomain *b)
{
    if (!is_self(m, b->remote_dom))
        return b->remote_dom == OTHER_DOMAIN ? -XEN_EINVAL : -XEN_ESRCH;
    struct event_port *far = used_port(m, b->remote_port);
    if (!far || far->state != EVENT_UNBOUND || far->remote != m->d->id)
        return -XEN_EINVAL;
    b->local_port = take_port(m, EVENT_SELF);
    if (!b->local_port)
        return -XEN_ENOSPC;
    m->events.port[b->local_port].remote = (uint16_t)b->remote_port;
    *far = (struct event_port){EVENT_SELF, (uint16_t)b->local_port};
    machine_raise(m, b->local_port);
    return 0;
}

static int bind_virq(struct machine *m, struct evtchn_bind_virq *b)
{
    if (b->virq >= VIRQS)
        return -XEN_EINVAL;
    if (b->vcpu != 0)
        return -XEN_ENOENT;
    for (uint32_t i = 0; i < EVENT_PORTS; i++)
        if (m->events.port[i].state == EVENT_VIRQ && m->events.port[i].remote == b->virq)
            return -XEN_EEXIST;
    b->port = take_port(m, EVENT_VIRQ);
    if (!b->port)
        return -XEN_ENOSPC;
    m->events.port[b->port].remote = (uint16_t)b->virq;
    return 0;
}

static int close_port(struct machine *m, uint32_t number)
{
    struct event_port *p = used_port(m, number);
    if (!p)
        return -XEN_EINVAL;
    if (p->state == EVENT_SELF)
        m->events.port[p->remote] = (struct event_port){EVENT_UNBOUND, m->d->id};
    *p = (struct event_port){EVENT_FREE, 0};
    shared(m)->evtchn_pending[number / 64] &= ~(1ul << number % 64);
    return 0;
}

static void ask_peer(struct machine *m)
{
    if (m->events.peer)
        m->events.peer(m);
}

static int send(struct machine *m, uint32_t number)
{
    const struct event_port *p = used_port(m, number);
    if (!p || p->state == EVENT_VIRQ)
        return -XEN_EINVAL;
    if (p->state == EVENT_SELF)
        machine_raise(m, p->remote);
    else if (p->state == EVENT_PEER && number == m->console_port)
        drain_ring(m);
    else if (p->state == EVENT_PEER)
        ask_peer(m);
    return 0;
}

static bool is_due(struct injection *i)
{
    return i->in > 0 && --i->in == 0;
}

/* The console's are spared: what is printed on the way would be counted, too. */
static int injected(struct machine *m, uint64_t command, const void *arg)
{
    const struct evtchn_send *s = arg;
    if (command == EVTCHNOP_send && s->port == m->console_port && !m->params.initial_domain)
        return 0;
    m->events.calls++;
    return is_due(&m->events.call) ? m->events.call.error : 0;
}

int64_t do_event_channel_op(struct machine *m, const uint64_t arg[5])
{
    void *op = (void *)arg[1];
    int rc = injected(m, arg[0], op);
    if (rc)
        return rc;
    switch (arg[0]) {
    case EVTCHNOP_alloc_unbound:
        return alloc_unbound(m, op);
    case EVTCHNOP_bind_interdomain:
        return bind_interdomain(m, op);
    case EVTCHNOP_bind_virq:
        return bind_virq(m, op);
    case EVTCHNOP_close:
        return close_port(m, ((struct evtchn_close *)op)->port);
    case EVTCHNOP_send:
        return send(m, ((struct evtchn_send *)op)->port);
    default:
        return -XEN_ENOSYS;
    }
}

/* ---- polls */

/* 1: one of them is pending. */
static int look_at_ports(struct machine *m, const struct sched_poll *p)
{
    for (unsigned i = 0; i < p->nr_ports; i++) {
        if (p->ports.p[i] >= EVENT_PORTS)
            return -XEN_EINVAL;
        if (is_pending(m, p->ports.p[i]))
            return 1;
    }
    return 0;
}

/* It comes back at once when the outside, or time, has done what is waited for. */
static void sleep_for(struct machine *m, const struct sched_poll *p)
{
    for (unsigned i = 0; i < EVER; i++) {
        ask_peer(m);
        if (look_at_ports(m, p))
            return;
        if (p->timeout) {
            if (p->timeout > machine_time(m))
                m->events.clock = p->timeout - TIME_START;
            return;
        }
    }
    machine_failed("the guest waits for events that never come");
}

int64_t do_poll(struct machine *m, const struct sched_poll *p)
{
    int rc = injected(m, ~0ull, NULL);
    if (rc == 0 && p->nr_ports > POLL_MAX)
        rc = -XEN_EINVAL;
    if (rc == 0)
        rc = look_at_ports(m, p);
    if (rc == 0)
        sleep_for(m, p);
    return rc < 0 ? rc : 0;
}

/* ---- for tests */

void machine_set_peer(struct machine *m, machine_peer *peer)
{
    m->events.peer = peer;
}

void machine_fail_event(struct machine *m, uint64_t n, int error)
{
    m->events.call = (struct injection){n, error};
}

bool machine_event_fails(struct machine *m)
{
    return m->events.call.in > 0;
}
