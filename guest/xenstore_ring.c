/* SPDX-License-Identifier: MIT */
/*
 * The store's ring (<xen/io/xs_wire.h>): requests out, replies and events in. Both ways a message
 * is put together beside the ring, so that it may stop anywhere and go on later. Our own two
 * indices are kept, and only written out; the peer's two are looked at once each time and checked.
 */
#include "store.h"

#define HEADER sizeof(struct xsd_sockmsg)

static struct xenstore_domain_interface *ring(struct pvguest *g)
{
    return port_at(g, g->store.va, PORT_WRITE);
}

int store_give_up(struct pvguest *g, const char *format, ...)
{
    char text[REASON_MAX / 2];
    va_list list;
    va_start(list, format);
    pvg_format_list(text, sizeof(text), format, list);
    va_end(list);
    g->store.broken = true;
    return fail(g, -XEN_EIO, "the store's end of the ring: %s; the ring is given up", text);
}

int store_usable(struct pvguest *g)
{
    if (!g->store.va)
        return fail(g, -XEN_ENODEV, "the store is not open");
    if (g->store.broken)
        return fail(g, -XEN_EIO, "the store's ring was given up");
    return 0;
}

/* ---- out */

static bool is_sent(const struct xenstore *s)
{
    return s->out.at == s->out.size;
}

/* As much as there is room for. */
static int send_some(struct pvguest *g)
{
    struct xenstore *s = &g->store;
    struct xenstore_domain_interface *r = ring(g);
    uint32_t used = s->req_prod - __atomic_load_n(&r->req_cons, __ATOMIC_ACQUIRE);
    if (used > XENSTORE_RING_SIZE)
        return store_give_up(g, "%u bytes of requests are said to lie in %u", used,
                             XENSTORE_RING_SIZE);
    uint32_t room = XENSTORE_RING_SIZE - used;
    if (room == 0 || is_sent(s))
        return 0;
    for (; room > 0 && !is_sent(s); room--)
        r->req[MASK_XENSTORE_IDX(s->req_prod++)] = s->out.bytes[s->out.at++];
    __atomic_store_n(&r->req_prod, s->req_prod, __ATOMIC_RELEASE);
    return pvg_event_send(g, s->port);
}

static void compose(struct xenstore *s, pvg_xs_tx tx, const char *head, const char *rest,
                    size_t bytes)
{
    size_t head_size = strlen(head) + 1;
    struct xsd_sockmsg h = {.type = s->asked_type,
                            .req_id = s->asked,
                            .tx_id = tx,
                            .len = (uint32_t)(head_size + bytes)};
    memcpy(s->out.bytes, &h, HEADER);
    memcpy(s->out.bytes + HEADER, head, head_size);
    if (bytes > 0)
        memcpy(s->out.bytes + HEADER + head_size, rest, bytes);
    s->out.at = 0;
    s->out.size = (uint32_t)HEADER + h.len;
}

/* ---- in */

static struct xsd_sockmsg in_header(const struct xenstore *s)
{
    struct xsd_sockmsg h;
    memcpy(&h, s->in.bytes, HEADER);
    return h;
}

static void in_reset(struct xenstore *s)
{
    s->in.at = 0;
    s->in.size = HEADER;
}

/* Replies come in the order of the requests: `answered` is the last that came. What lies between it
 * and the present one is late; anything else was never asked for. 1: it is what is waited for. */
static int take_reply(struct pvguest *g, const struct xsd_sockmsg *h)
{
    struct xenstore *s = &g->store;
    if (h->req_id - s->answered - 1 >= s->asked - s->answered)
        return store_give_up(g, "a reply to request %u, where %u was the last", h->req_id,
                             s->asked);
    s->answered = h->req_id;
    if (h->req_id != s->asked || !s->waiting)
        return 0;
    if (h->type != s->asked_type && h->type != XS_ERROR)
        return store_give_up(g, "a reply of type %u to a request of type %u", h->type,
                             s->asked_type);
    s->reply_size = h->len;
    return 1;
}

/* The header, or the whole message, is there. */
static int arrived(struct pvguest *g)
{
    struct xenstore *s = &g->store;
    struct xsd_sockmsg h = in_header(s);
    if (h.len > XENSTORE_PAYLOAD_MAX)
        return store_give_up(g, "a message of %u bytes", h.len);
    s->in.size = (uint32_t)HEADER + h.len;
    if (s->in.at < s->in.size)
        return 0;
    in_reset(s);
    s->in.bytes[HEADER + h.len] = 0;
    if (h.type == XS_WATCH_EVENT)
        return store_event(g, s->in.bytes + HEADER, h.len);
    return take_reply(g, &h);
}

/* The peer has to hear of room only where it may wait for it; a message at an end is one, too. A
 * line that brings bytes one by one would otherwise be answered for each. */
static bool is_news(const struct xenstore *s, uint32_t filled)
{
    return s->in.at == 0 || filled >= XENSTORE_RING_SIZE / 2;
}

/* All that lies there now, or up to the reply that is waited for: then 1. */
static int receive_some(struct pvguest *g)
{
    struct xenstore *s = &g->store;
    struct xenstore_domain_interface *r = ring(g);
    uint32_t before = s->rsp_cons;
    uint32_t there = __atomic_load_n(&r->rsp_prod, __ATOMIC_ACQUIRE) - before;
    int rc = 0;
    if (there > XENSTORE_RING_SIZE)
        return store_give_up(g, "%u bytes of replies are said to lie in %u", there,
                             XENSTORE_RING_SIZE);
    if (there == 0)
        return 0;
    while (rc == 0 && there-- > 0) {
        s->in.bytes[s->in.at++] = r->rsp[MASK_XENSTORE_IDX(s->rsp_cons++)];
        if (s->in.at == s->in.size)
            rc = arrived(g);
    }
    if (rc < 0)
        return rc;
    __atomic_store_n(&r->rsp_cons, s->rsp_cons, __ATOMIC_SEQ_CST);
    uint32_t filled = __atomic_load_n(&r->rsp_prod, __ATOMIC_SEQ_CST) - before;
    int sent = is_news(s, filled) ? pvg_event_send(g, s->port) : 0;
    return rc ? rc : sent;
}

/* ---- both */

static int move(struct pvguest *g)
{
    int rc = send_some(g);
    return rc ? rc : receive_some(g);
}

int store_look(struct pvguest *g)
{
    int rc = store_usable(g);
    if (rc)
        return rc;
    pvg_event_take(g, g->store.port);
    return move(g);
}

/* Until what lies in `out` is sent, and, where it is waited for, its reply has come. The pending
 * bit is taken first: what comes after the look sets it again. When time is up there is a last
 * look. */
static int talk(struct pvguest *g, uint64_t until)
{
    struct xenstore *s = &g->store;
    for (;;) {
        pvg_event_take(g, s->port);
        int rc = move(g);
        if (rc < 0)
            return rc;
        if (rc > 0 || (!s->waiting && is_sent(s)))
            return 0;
        if (until != PVG_FOREVER && pvg_time(g) >= until)
            return fail(g, -XEN_ETIMEDOUT, "no answer in %lu ns", s->patience);
        rc = pvg_event_wait(g, &s->port, 1, until);
        if (rc && rc != -XEN_ETIMEDOUT)
            return rc;
    }
}

/* The store's words for errors are the names of <xen/errno.h>. */
static int check_reply(struct pvguest *g, uint32_t type)
{
    if (type != XS_ERROR)
        return 0;
    int rc = error_code(store_reply(&g->store));
    return fail(g, rc ? rc : -XEN_EINVAL, "refused, %s", store_reply(&g->store));
}

static uint64_t deadline(struct pvguest *g)
{
    uint64_t now = pvg_time(g), patience = g->store.patience;
    return patience && patience < PVG_FOREVER - now ? now + patience : PVG_FOREVER;
}

int store_ask(struct pvguest *g, uint32_t type, pvg_xs_tx tx, const char *head, const char *rest,
              size_t bytes)
{
    struct xenstore *s = &g->store;
    int rc = store_usable(g);
    if (rc)
        return rc;
    size_t length = strlen(head);
    if (length > PVG_XS_PATH_MAX)
        return fail(g, -XEN_EINVAL, "a path of %lu bytes", length);
    if (bytes > XENSTORE_PAYLOAD_MAX - 1 - length)
        return fail(g, -XEN_E2BIG, "%lu bytes and a path of %lu, at most %u", bytes, length,
                    XENSTORE_PAYLOAD_MAX);
    uint64_t until = deadline(g);
    rc = talk(g, until);
    if (rc)
        return fail_in(g, rc, "the request before");
    s->asked++;
    s->asked_type = type;
    compose(s, tx, head, rest, bytes);
    s->waiting = true;
    rc = talk(g, until);
    s->waiting = false;
    return rc ? rc : check_reply(g, in_header(s).type);
}

/* ---- opening it */

static int find_ring(struct pvguest *g, uint64_t *va, uint32_t *port)
{
    const start_info_t *si = pvg_start_info(g);
    if (pvg_is_initial_domain(g) || si->store_mfn == 0 || si->store_evtchn == 0)
        return fail(g, -XEN_ENODEV, "the domain has no store");
    pvg_pfn_t pfn = pvg_m2p(g, pvg_mfn(si->store_mfn));
    if (same_pfn(pfn, PVG_NO_PFN))
        return fail(g, -XEN_EINVAL, "the store's ring, machine frame %lx, is no page of ours",
                    si->store_mfn);
    *port = si->store_evtchn;
    *va = page_va(g, pfn);
    if (*va == 0)
        return fail(g, -XEN_ENOENT, "the store's ring, page %lx, is mapped nowhere", pfn.n);
    return 0;
}

/* What lies there unread is of others, or of before. */
static int attach(struct pvguest *g)
{
    struct xenstore *s = &g->store;
    uint64_t va;
    uint32_t port = 0;
    int rc = find_ring(g, &va, &port);
    if (rc)
        return rc;
    s->va = va;
    s->port = port;
    struct xenstore_domain_interface *r = ring(g);
    s->rsp_cons = __atomic_load_n(&r->rsp_prod, __ATOMIC_ACQUIRE);
    __atomic_store_n(&r->rsp_cons, s->rsp_cons, __ATOMIC_RELEASE);
    s->req_prod = r->req_prod;
    uint32_t taken = __atomic_load_n(&r->req_cons, __ATOMIC_ACQUIRE);
    if (s->req_prod - taken > XENSTORE_RING_SIZE)
        s->req_prod = taken;
    s->out.at = s->out.size = 0;
    in_reset(s);
    s->broken = false;
    return 0;
}

/* Any event may have been in what was given up; what matters to control, it looks at again. */
static void events_dropped(struct xenstore *s)
{
    s->lost = s->lost || s->watches.count > 0;
    s->control.shutdown = s->control.target = s->control.open;
}

int pvg_xs_open(struct pvguest *g)
{
    struct xenstore *s = &g->store;
    if (!g->booted)
        return fail(g, -XEN_EINVAL, "store: before the boot");
    if (s->va && !s->broken)
        return 0;
    int rc = attach(g);
    if (rc == 0)
        events_dropped(s);
    return fail_in(g, rc, "store");
}

void pvg_xs_patience(struct pvguest *g, uint64_t ns)
{
    g->store.patience = ns;
}

uint32_t pvg_xs_port(struct pvguest *g)
{
    return g->store.va && !g->store.broken ? g->store.port : 0;
}

/* ---- suspend.c */

/* Half a request would be the first thing that the next store reads. What has come is taken now. A
 * ring that has been given up is no reason to stay. */
int store_suspend(struct pvguest *g)
{
    struct xenstore *s = &g->store;
    if (!s->va || s->broken)
        return 0;
    undo_begin(g);
    store_look(g);
    undo_end(g);
    if (!s->broken && !is_sent(s))
        return fail(g, -XEN_EBUSY, "store: %u bytes of a request are not sent",
                    s->out.size - s->out.at);
    return 0;
}

int store_resume(struct pvguest *g, bool elsewhere)
{
    struct xenstore *s = &g->store;
    if (!s->va || !elsewhere)
        return 0;
    int rc = attach(g);
    if (rc == 0)
        rc = store_watch_again(g);
    if (rc == 0)
        rc = control_again(g);
    return fail_in(g, rc, "store");
}
