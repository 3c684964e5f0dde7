/* SPDX-License-Identifier: MIT */
/* Events: the upcall, what is masked in it, and the way back. */
#include "themes.h"

#include <xen/event_channel.h>

#define SENDS 5u

static struct {
    unsigned upcalls, masked, pending;
    evtchn_port_t port;
} seen;

static int64_t event_op(struct pvguest *g, unsigned command, void *arg)
{
    return pvg_hypercall(g, __HYPERVISOR_event_channel_op, command, (uintptr_t)arg, 0, 0, 0);
}

/* Whether the bit was set. */
static bool take_bit(xen_ulong_t *words, evtchn_port_t port)
{
    xen_ulong_t bit = 1ul << port % 64;
    return __atomic_fetch_and(&words[port / 64], ~bit, __ATOMIC_SEQ_CST) & bit;
}

static bool take_event(struct pvguest *g, struct pvg_trap *p)
{
    shared_info_t *s = pvg_shared_info(g);
    struct vcpu_info *v = &s->vcpu_info[0];
    (void)p;
    seen.upcalls++;
    seen.masked += v->evtchn_upcall_mask;
    __atomic_store_n(&v->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    seen.pending += take_bit(s->evtchn_pending, seen.port);
    return true;
}

/* Bound to this vCPU, to be sent to by itself. */
static int64_t bind(struct pvguest *g)
{
    struct evtchn_bind_ipi ipi = {.vcpu = 0};
    int64_t rc = event_op(g, EVTCHNOP_bind_ipi, &ipi);
    seen.port = ipi.port;
    return rc;
}

static int64_t send_some(struct pvguest *g)
{
    struct evtchn_send send = {.port = seen.port};
    int64_t rc = 0;
    for (unsigned i = 0; i < SENDS && rc == 0; i++)
        rc = event_op(g, EVTCHNOP_send, &send);
    return rc;
}

static uint8_t set_mask(struct pvguest *g, uint8_t mask)
{
    return __atomic_exchange_n(&pvg_shared_info(g)->vcpu_info[0].evtchn_upcall_mask, mask,
                               __ATOMIC_SEQ_CST);
}

/* A kernel that returned by another way than HYPERVISOR_iret would stay masked after the first. */
static void upcalls(struct tap *t)
{
    struct evtchn_close close = {0};
    seen.upcalls = seen.masked = seen.pending = 0;
    CHECK(t, pvg_shared_info(t->g) != NULL);
    CHECK_SAME(t, bind(t->g), 0);
    take_bit(pvg_shared_info(t->g)->evtchn_mask, seen.port);
    pvg_trap_handler *before = pvg_trap_set(t->g, PVG_TRAP_EVENT, take_event);
    uint8_t mask = set_mask(t->g, 0);
    int64_t rc = send_some(t->g);
    uint8_t mask_after = set_mask(t->g, mask);
    pvg_trap_set(t->g, PVG_TRAP_EVENT, before);
    close.port = seen.port;
    CHECK_SAME(t, event_op(t->g, EVTCHNOP_close, &close), 0);
    CHECK_SAME(t, rc, 0);
    CHECK_SAME(t, mask_after, 0);
    CHECK_SAME(t, seen.pending, SENDS);
    CHECK_SAME(t, seen.masked, seen.upcalls);
    CHECK_SAY(t, seen.upcalls >= SENDS, "%u upcalls for %u events", seen.upcalls, SENDS);
}

/* Masked, an event stays pending. */
static void masked(struct tap *t)
{
    struct evtchn_close close = {0};
    seen.upcalls = 0;
    CHECK(t, pvg_shared_info(t->g) != NULL);
    CHECK_SAME(t, bind(t->g), 0);
    pvg_trap_handler *before = pvg_trap_set(t->g, PVG_TRAP_EVENT, take_event);
    uint8_t mask = set_mask(t->g, 1);
    int64_t rc = send_some(t->g);
    bool pending = take_bit(pvg_shared_info(t->g)->evtchn_pending, seen.port);
    set_mask(t->g, mask);
    pvg_trap_set(t->g, PVG_TRAP_EVENT, before);
    close.port = seen.port;
    CHECK_SAME(t, event_op(t->g, EVTCHNOP_close, &close), 0);
    CHECK_SAME(t, rc, 0);
    CHECK(t, pending);
    CHECK_SAME(t, seen.upcalls, 0);
}

static const struct test tests[] = {
    {"upcalls", upcalls},
    {"masked", masked},
};

const struct theme event_theme = THEME("event", tests);
