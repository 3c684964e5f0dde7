/* SPDX-License-Identifier: MIT */
/*
 * Event channels, and their two-level ABI (<xen/event_channel.h>): a bit per port in shared_info
 * says "pending", another "masked"; a selector in each vcpu_info says which words are worth a look.
 */
#include "domain.h"

#define WORD_BITS  64u
#define KNOWN_STEP 64u /* real Xen makes ports valid in groups of this size */

static bool set_bit(xen_ulong_t *words, unsigned bit)
{
    xen_ulong_t mask = 1ul << bit % WORD_BITS;
    return __atomic_fetch_or(&words[bit / WORD_BITS], mask, __ATOMIC_SEQ_CST) & mask;
}

static bool clear_bit(xen_ulong_t *words, unsigned bit)
{
    xen_ulong_t mask = 1ul << bit % WORD_BITS;
    return __atomic_fetch_and(&words[bit / WORD_BITS], ~mask, __ATOMIC_SEQ_CST) & mask;
}

static bool test_bit(const xen_ulong_t *words, unsigned bit)
{
    return __atomic_load_n(&words[bit / WORD_BITS], __ATOMIC_SEQ_CST) >> bit % WORD_BITS & 1;
}

/* ---- ports */

unsigned event_port_take(struct domain *d)
{
    for (unsigned p = 1; p < EVTCHN_PORTS; p++)
        if (d->ports[p].state == PORT_FREE) {
            d->ports[p] = (struct port){.state = PORT_RESERVED,
                                        .priority = EVTCHN_FIFO_PRIORITY_DEFAULT,
                                        .queue = d->ports[p].queue}; /* it may still be linked */
            if (p >= d->ports_known)
                d->ports_known = (p / KNOWN_STEP + 1) * KNOWN_STEP;
            return p;
        }
    return 0;
}

void event_port_free(struct domain *d, unsigned port)
{
    /* A stale pending bit would surprise the next user of the port. */
    clear_bit(d->shared->evtchn_pending, port);
    fifo_forget(d, port);
    d->ports[port] = (struct port){.state = PORT_FREE, .queue = d->ports[port].queue};
}

bool event_port_known(const struct domain *d, uint32_t port)
{
    return port < (d->ports_known ? d->ports_known : KNOWN_STEP);
}

/* ---- delivery */

void event_notify(struct vcpu *v)
{
    if (__atomic_exchange_n(&v->info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST) == 0)
        vcpu_wake(v);
}

static void select_and_notify(struct domain *d, unsigned port)
{
    struct vcpu *v = &d->vcpu[d->ports[port].vcpu];
    if (!set_bit(&v->info->evtchn_pending_sel, port / WORD_BITS))
        event_notify(v);
}

void event_wake_pollers(struct domain *d, unsigned port)
{
    for (unsigned i = 0; i < d->nr_vcpus; i++) {
        struct vcpu *v = &d->vcpu[i];
        if (v->polling && (v->poll_port == 0 || v->poll_port == port))
            vcpu_wake(v);
    }
}

bool event_port_pending(const struct domain *d, unsigned port)
{
    return d->fifo.on ? fifo_pending(d, port) : test_bit(d->shared->evtchn_pending, port);
}

void event_raise(struct domain *d, unsigned port)
{
    if (d->fifo.on) {
        fifo_raise(d, port);
        return;
    }
    if (set_bit(d->shared->evtchn_pending, port))
        return;
    if (!test_bit(d->shared->evtchn_mask, port))
        select_and_notify(d, port);
    event_wake_pollers(d, port);
}

void event_unmask(struct domain *d, unsigned port)
{
    if (d->fifo.on) {
        fifo_unmask(d, port);
        return;
    }
    if (clear_bit(d->shared->evtchn_mask, port) && event_port_pending(d, port))
        select_and_notify(d, port);
}

void event_virq(struct vcpu *v, unsigned virq)
{
    if (v->virq_port[virq] != 0)
        event_raise(v->domain, v->virq_port[virq]);
}
