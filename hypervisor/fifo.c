/* SPDX-License-Identifier: MIT */
#include "fifo.h"

#include "domain.h"
#include "hypercall.h"

#define PENDING    (1u << EVTCHN_FIFO_PENDING)
#define MASKED     (1u << EVTCHN_FIFO_MASKED)
#define LINKED     (1u << EVTCHN_FIFO_LINKED)
#define BUSY       (1u << EVTCHN_FIFO_BUSY)
#define LINK_TRIES 5u /* of a guest's four ways to change a linked word meanwhile, each once */

_Static_assert(FIFO_WORDS *FIFO_PAGES == EVTCHN_PORTS, "a word for each port");

/* ---- the guest's pages, as they are now */

static uint32_t *word_of(const struct domain *d, unsigned port)
{
    unsigned page = port / FIFO_WORDS;
    if (page >= d->fifo.pages)
        return NULL;
    uint32_t *words = domain_page(d, d->fifo.page[page]);
    return words ? &words[port % FIFO_WORDS] : NULL;
}

static struct evtchn_fifo_control_block *control_of(const struct vcpu *v)
{
    uint8_t *page = v->queues.there ? domain_page(v->domain, v->queues.control) : NULL;
    return page ? (struct evtchn_fifo_control_block *)(page + v->queues.offset) : NULL;
}

static uint32_t set(uint32_t *word, uint32_t bits)
{
    return __atomic_fetch_or(word, bits, __ATOMIC_SEQ_CST) & bits;
}

static uint32_t clear(uint32_t *word, uint32_t bits)
{
    return __atomic_fetch_and(word, ~bits, __ATOMIC_SEQ_CST) & bits;
}

static bool has(const uint32_t *word, uint32_t bits)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST) & bits;
}

/* ---- queues */

/* Behind the word of a tail that is still linked; false: it is not, so that the queue is empty. */
static bool link_behind(uint32_t *tail, uint32_t port)
{
    uint32_t was = __atomic_load_n(tail, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < LINK_TRIES && (was & LINKED); i++) {
        uint32_t now = (was & ~(BUSY | EVTCHN_FIFO_LINK_MASK)) | port;
        if (__atomic_compare_exchange_n(tail, &was, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            return true;
    }
    return was & LINKED; /* a guest that keeps changing it has lost the event */
}

/* A tail that is taken out of its queue is its tail no more. */
static void leave_queue(struct vcpu *v, struct port *p, unsigned port)
{
    if (v->queues.tail[p->queue] == port)
        v->queues.tail[p->queue] = 0;
    p->queue = p->priority;
}

static void enqueue(struct vcpu *v, struct evtchn_fifo_control_block *c, unsigned port)
{
    struct port *p = &v->domain->ports[port];
    leave_queue(v, p, port);
    uint32_t *tail = v->queues.tail[p->queue] ? word_of(v->domain, v->queues.tail[p->queue]) : NULL;
    bool linked = tail && link_behind(tail, port);
    v->queues.tail[p->queue] = port;
    if (linked)
        return;
    __atomic_store_n(&c->head[p->queue], port, __ATOMIC_SEQ_CST);
    if (!set(&c->ready, 1u << p->queue))
        event_notify(v);
}

/* ---- what events.c asks for */

void fifo_raise(struct domain *d, unsigned port)
{
    struct vcpu *v = &d->vcpu[d->ports[port].vcpu];
    struct evtchn_fifo_control_block *c = control_of(v);
    uint32_t *word = word_of(d, port);
    if (!word) /* its page may come */
        d->ports[port].pending = true;
    if (!word || !c)
        return;
    bool news = !set(word, PENDING);
    if (!has(word, MASKED) && !set(word, LINKED))
        enqueue(v, c, port);
    if (news)
        event_wake_pollers(d, port);
}

void fifo_unmask(struct domain *d, unsigned port)
{
    uint32_t *word = word_of(d, port);
    if (!word)
        return;
    clear(word, MASKED);
    if (has(word, PENDING))
        fifo_raise(d, port);
}

bool fifo_pending(const struct domain *d, unsigned port)
{
    const uint32_t *word = word_of(d, port);
    return word && has(word, PENDING);
}

void fifo_forget(struct domain *d, unsigned port)
{
    uint32_t *word = word_of(d, port);
    if (word)
        clear(word, PENDING);
}

/* ---- operations */

/* Writable memory of the guest's, as far as can be told now. */
static bool is_page(const struct domain *d, uint64_t frame)
{
    return frame < the_core()->nr_frames && domain_page(d, mfn(frame)) != NULL;
}

/* What is pending by the other ABI waits for its word. */
static void turn_on(struct domain *d)
{
    for (unsigned port = 1; port < EVTCHN_PORTS; port++) {
        struct port *p = &d->ports[port];
        p->pending = p->state != PORT_FREE && event_port_pending(d, port);
        p->queue = p->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    }
    d->fifo = (struct fifo){.on = true};
}

int fifo_init_control(struct domain *d, struct evtchn_init_control *c)
{
    struct vcpu *v = domain_vcpu(d, c->vcpu);
    c->link_bits = EVTCHN_FIFO_LINK_BITS;
    if (!v)
        return -XEN_ENOENT;
    if (c->offset > PAGE_BYTES - sizeof(struct evtchn_fifo_control_block) || c->offset % 8)
        return -XEN_EINVAL;
    if (v->queues.there || !is_page(d, c->control_gfn))
        return -XEN_EINVAL;
    if (!d->fifo.on)
        turn_on(d);
    v->queues =
        (struct fifo_queues){.there = true, .control = mfn(c->control_gfn), .offset = c->offset};
    return 0;
}

/* What was raised before its word was there is raised now. */
static void raise_late(struct domain *d, unsigned from)
{
    for (unsigned port = from; port < from + FIFO_WORDS; port++) {
        struct port *p = &d->ports[port];
        if (p->state == PORT_FREE || !p->pending)
            continue;
        p->pending = false;
        fifo_raise(d, port);
    }
}

int fifo_expand_array(struct domain *d, const struct evtchn_expand_array *e)
{
    if (!d->fifo.on)
        return -XEN_EOPNOTSUPP;
    if (d->fifo.pages == FIFO_PAGES)
        return -XEN_ENOSPC;
    if (!is_page(d, e->array_gfn))
        return -XEN_EINVAL;
    d->fifo.page[d->fifo.pages++] = mfn(e->array_gfn);
    raise_late(d, (d->fifo.pages - 1) * FIFO_WORDS);
    return 0;
}

/* From its next event on. */
int fifo_set_priority(struct domain *d, const struct evtchn_set_priority *s)
{
    if (!event_port_known(d, s->port))
        return -XEN_EINVAL;
    if (!d->fifo.on)
        return -XEN_ENOSYS;
    if (s->priority > EVTCHN_FIFO_PRIORITY_MIN)
        return -XEN_EINVAL;
    d->ports[s->port].priority = (uint8_t)s->priority;
    return 0;
}

void fifo_reset(struct domain *d)
{
    d->fifo = (struct fifo){.on = false};
    for (unsigned i = 0; i < d->nr_vcpus; i++)
        d->vcpu[i].queues = (struct fifo_queues){.there = false};
}
