/* SPDX-License-Identifier: MIT */
/* event_channel_op: binding and using ports (<xen/event_channel.h>). */
#include "hypercall.h"

static bool virq_is_global(unsigned virq)
{
    switch (virq) {
    case VIRQ_TIMER:
    case VIRQ_DEBUG:
    case VIRQ_XENOPROF:
    case VIRQ_XENPMU:
        return false;
    default:
        return true;
    }
}

static struct port *known_port(struct domain *d, uint32_t port)
{
    return event_port_known(d, port) ? &d->ports[port] : NULL;
}

/* ---- making ports */

static int alloc_unbound(struct domain *self, struct evtchn_alloc_unbound *a)
{
    struct domain *d = domain_by_id(a->dom);
    if (!d)
        return -XEN_ESRCH;
    unsigned p = event_port_take(d);
    if (!p)
        return -XEN_ENOSPC;
    d->ports[p].state = PORT_UNBOUND;
    d->ports[p].remote_domain = a->remote_dom == DOMID_SELF ? self->mem.id : a->remote_dom;
    a->port = p;
    return 0;
}

/* The far port is the domain's own: there is no other domain. */
static int bind_interdomain(struct domain *d, struct evtchn_bind_interdomain *b)
{
    if (!domain_by_id(b->remote_dom))
        return -XEN_ESRCH;
    unsigned p = event_port_take(d);
    if (!p)
        return -XEN_ENOSPC;
    struct port *far = known_port(d, b->remote_port);
    if (!far || far->state != PORT_UNBOUND || far->remote_domain != d->mem.id) {
        event_port_free(d, p);
        return -XEN_EINVAL;
    }
    struct port *near = &d->ports[p];
    near->state = far->state = PORT_INTERDOMAIN;
    near->remote_domain = d->mem.id;
    near->remote_port = (uint16_t)b->remote_port;
    far->remote_port = (uint16_t)p;
    b->local_port = p;
    /* The far end may have sent before: better one event too many. */
    event_raise(d, p);
    return 0;
}

static int bind_virq(struct domain *d, struct evtchn_bind_virq *b)
{
    struct vcpu *v = domain_vcpu(d, b->vcpu);
    if (b->virq >= NR_VIRQS || (virq_is_global(b->virq) && b->vcpu != 0))
        return -XEN_EINVAL;
    if (!v)
        return -XEN_ENOENT;
    if (v->virq_port[b->virq] != 0)
        return -XEN_EEXIST;
    unsigned p = event_port_take(d);
    if (!p)
        return -XEN_ENOSPC;
    d->ports[p].state = PORT_VIRQ;
    d->ports[p].vcpu = (uint8_t)b->vcpu;
    d->ports[p].virq = (uint8_t)b->virq;
    v->virq_port[b->virq] = (uint16_t)p;
    b->port = p;
    return 0;
}

static int bind_ipi(struct domain *d, struct evtchn_bind_ipi *b)
{
    if (!domain_vcpu(d, b->vcpu))
        return -XEN_ENOENT;
    unsigned p = event_port_take(d);
    if (!p)
        return -XEN_ENOSPC;
    d->ports[p].state = PORT_IPI;
    d->ports[p].vcpu = (uint8_t)b->vcpu;
    b->port = p;
    return 0;
}

/* ---- using them */

static void unbind_far_end(struct domain *d, const struct port *p)
{
    struct port *far = &d->ports[p->remote_port];
    if (p->host == HOST_PORT_CONSOLE)
        d->console_port = 0; /* the hypervisor's end: the console has nobody to talk to */
    else if (p->host == HOST_PORT_STORE)
        d->store_port = 0;
    if (p->host != HOST_PORT_NONE)
        return;
    far->state = PORT_UNBOUND;
    far->remote_domain = d->mem.id;
}

static int close_port(struct domain *d, uint32_t number)
{
    struct port *p = known_port(d, number);
    if (!p || p->state == PORT_FREE || p->state == PORT_RESERVED)
        return -XEN_EINVAL;
    if (p->state == PORT_VIRQ)
        d->vcpu[virq_is_global(p->virq) ? 0 : p->vcpu].virq_port[p->virq] = 0;
    if (p->state == PORT_INTERDOMAIN)
        unbind_far_end(d, p);
    event_port_free(d, number);
    return 0;
}

static int send(struct domain *d, uint32_t number)
{
    const struct port *p = known_port(d, number);
    if (!p)
        return -XEN_EINVAL;
    switch (p->state) {
    case PORT_INTERDOMAIN:
        if (p->host == HOST_PORT_CONSOLE)
            console_serve(d);
        else if (p->host == HOST_PORT_STORE)
            xenstore_serve(d);
        else
            event_raise(d, p->remote_port);
        return 0;
    case PORT_IPI:
        event_raise(d, number);
        return 0;
    case PORT_UNBOUND: /* nobody listens yet */
        return 0;
    default:
        return -XEN_EINVAL;
    }
}

static int status(struct evtchn_status *s)
{
    static const uint8_t answers[] = {
        [PORT_FREE] = EVTCHNSTAT_closed,     [PORT_RESERVED] = EVTCHNSTAT_closed,
        [PORT_UNBOUND] = EVTCHNSTAT_unbound, [PORT_INTERDOMAIN] = EVTCHNSTAT_interdomain,
        [PORT_VIRQ] = EVTCHNSTAT_virq,       [PORT_IPI] = EVTCHNSTAT_ipi,
    };
    struct domain *d = domain_by_id(s->dom);
    if (!d)
        return -XEN_ESRCH;
    const struct port *p = known_port(d, s->port);
    if (!p)
        return -XEN_EINVAL;
    s->status = answers[p->state];
    s->vcpu = p->vcpu;
    if (p->state == PORT_UNBOUND) {
        s->u.unbound.dom = p->remote_domain;
    } else if (p->state == PORT_INTERDOMAIN) {
        s->u.interdomain.dom = p->remote_domain;
        s->u.interdomain.port = p->remote_port;
    } else if (p->state == PORT_VIRQ) {
        s->u.virq = p->virq;
    }
    return 0;
}

static int bind_vcpu(struct domain *d, const struct evtchn_bind_vcpu *b)
{
    if (!domain_vcpu(d, b->vcpu))
        return -XEN_ENOENT;
    struct port *p = known_port(d, b->port);
    if (!p)
        return -XEN_EINVAL;
    bool movable = p->state == PORT_UNBOUND || p->state == PORT_INTERDOMAIN ||
                   (p->state == PORT_VIRQ && virq_is_global(p->virq));
    if (!movable)
        return -XEN_EINVAL;
    p->vcpu = (uint8_t)b->vcpu;
    return 0;
}

static int unmask(struct domain *d, uint32_t number)
{
    const struct port *p = known_port(d, number);
    if (!p)
        return -XEN_EINVAL;
    if (p->state != PORT_FREE && p->state != PORT_RESERVED)
        event_unmask(d, number);
    return 0;
}

static int reset(const struct evtchn_reset *r)
{
    struct domain *d = domain_by_id(r->dom);
    if (!d)
        return -XEN_ESRCH;
    for (unsigned p = 1; p < EVTCHN_PORTS; p++)
        if (d->ports[p].state != PORT_FREE)
            close_port(d, p);
    fifo_reset(d);
    return 0;
}

/* ---- dispatch */

/* How much of the argument each command takes, and whether it is written back. */
static const struct {
    uint8_t bytes;
    bool answers;
} shapes[] = {
    [EVTCHNOP_bind_interdomain] = {sizeof(struct evtchn_bind_interdomain), true},
    [EVTCHNOP_bind_virq] = {sizeof(struct evtchn_bind_virq), true},
    [EVTCHNOP_bind_pirq] = {sizeof(struct evtchn_bind_pirq), true},
    [EVTCHNOP_close] = {sizeof(struct evtchn_close), false},
    [EVTCHNOP_send] = {sizeof(struct evtchn_send), false},
    [EVTCHNOP_status] = {sizeof(struct evtchn_status), true},
    [EVTCHNOP_alloc_unbound] = {sizeof(struct evtchn_alloc_unbound), true},
    [EVTCHNOP_bind_ipi] = {sizeof(struct evtchn_bind_ipi), true},
    [EVTCHNOP_bind_vcpu] = {sizeof(struct evtchn_bind_vcpu), false},
    [EVTCHNOP_unmask] = {sizeof(struct evtchn_unmask), false},
    [EVTCHNOP_reset] = {sizeof(struct evtchn_reset), false},
    [EVTCHNOP_init_control] = {sizeof(struct evtchn_init_control), true},
    [EVTCHNOP_expand_array] = {sizeof(struct evtchn_expand_array), false},
    [EVTCHNOP_set_priority] = {sizeof(struct evtchn_set_priority), false},
};

union argument {
    struct evtchn_alloc_unbound alloc_unbound;
    struct evtchn_bind_interdomain bind_interdomain;
    struct evtchn_bind_virq bind_virq;
    struct evtchn_bind_pirq bind_pirq;
    struct evtchn_bind_ipi bind_ipi;
    struct evtchn_close close;
    struct evtchn_send send;
    struct evtchn_status status;
    struct evtchn_bind_vcpu bind_vcpu;
    struct evtchn_unmask unmask;
    struct evtchn_reset reset;
    struct evtchn_init_control init_control;
    struct evtchn_expand_array expand_array;
    struct evtchn_set_priority set_priority;
};

static int perform(struct domain *d, uint32_t command, union argument *a)
{
    switch (command) {
    case EVTCHNOP_bind_interdomain:
        return bind_interdomain(d, &a->bind_interdomain);
    case EVTCHNOP_bind_virq:
        return bind_virq(d, &a->bind_virq);
    case EVTCHNOP_bind_pirq:
        return -XEN_EPERM; /* the domain has no devices */
    case EVTCHNOP_close:
        return close_port(d, a->close.port);
    case EVTCHNOP_send:
        return send(d, a->send.port);
    case EVTCHNOP_status:
        return status(&a->status);
    case EVTCHNOP_alloc_unbound:
        return alloc_unbound(d, &a->alloc_unbound);
    case EVTCHNOP_bind_ipi:
        return bind_ipi(d, &a->bind_ipi);
    case EVTCHNOP_bind_vcpu:
        return bind_vcpu(d, &a->bind_vcpu);
    case EVTCHNOP_unmask:
        return unmask(d, a->unmask.port);
    case EVTCHNOP_init_control:
        return fifo_init_control(d, &a->init_control);
    case EVTCHNOP_expand_array:
        return fifo_expand_array(d, &a->expand_array);
    case EVTCHNOP_set_priority:
        return fifo_set_priority(d, &a->set_priority);
    default:
        return reset(&a->reset);
    }
}

int64_t hc_event_channel_op(struct call *c)
{
    uint32_t command = (uint32_t)c->arg[0];
    gva_t at = gva(c->arg[1]);
    union argument a;
    if (command >= sizeof(shapes) / sizeof(shapes[0]) || shapes[command].bytes == 0)
        return -XEN_ENOSYS;
    if (!copy_from_guest(&a, at, shapes[command].bytes))
        return -XEN_EFAULT;
    int rc = perform(c->v->domain, command, &a);
    if (rc == 0 && shapes[command].answers && !copy_to_guest(at, &a, shapes[command].bytes))
        return -XEN_EFAULT;
    return rc;
}
