/* SPDX-License-Identifier: MIT */
/* Events while user code runs: with a handler, and with none. */
#include "themes.h"
#include "user_world.h"

#include <xen/event_channel.h>

#define SOON 20000000ull /* nanoseconds */

static struct {
    evtchn_port_t port;
    unsigned upcalls, from_user, masked;
} seen;

static int64_t event_op(struct pvguest *g, unsigned command, void *arg)
{
    return pvg_hypercall(g, __HYPERVISOR_event_channel_op, command, (uintptr_t)arg, 0, 0, 0);
}

static bool take_port(struct pvguest *g)
{
    xen_ulong_t *word = &pvg_shared_info(g)->evtchn_pending[seen.port / 64];
    xen_ulong_t bit = 1ul << seen.port % 64;
    return __atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST) & bit;
}

/* The spinning program sees it. */
static bool take_event(struct pvguest *g, struct pvg_trap *p)
{
    struct vcpu_info *v = &pvg_shared_info(g)->vcpu_info[0];
    seen.upcalls++;
    seen.from_user += from_user(p);
    seen.masked += v->evtchn_upcall_mask;
    __atomic_store_n(&v->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    if (take_port(g))
        *data_word(g) = 1;
    return true;
}

static uint8_t upcall_mask(struct pvguest *g)
{
    return *(volatile uint8_t *)&pvg_shared_info(g)->vcpu_info[0].evtchn_upcall_mask;
}

static void unmask_port(struct pvguest *g)
{
    xen_ulong_t *word = &pvg_shared_info(g)->evtchn_mask[seen.port / 64];
    __atomic_fetch_and(word, ~(1ul << seen.port % 64), __ATOMIC_SEQ_CST);
}

static int64_t bind_ipi(struct pvguest *g)
{
    struct evtchn_bind_ipi ipi = {.vcpu = 0};
    int64_t rc = event_op(g, EVTCHNOP_bind_ipi, &ipi);
    seen.port = ipi.port;
    unmask_port(g);
    return rc;
}

static int64_t bind_timer(struct pvguest *g)
{
    struct evtchn_bind_virq virq = {.virq = VIRQ_TIMER, .vcpu = 0};
    int64_t rc = event_op(g, EVTCHNOP_bind_virq, &virq);
    seen.port = virq.port;
    unmask_port(g);
    return rc;
}

/* The time is that of the hypervisor's last look, and soon may be at once: in user mode still, as
 * events are masked here. */
static int64_t timer_soon(struct pvguest *g)
{
    const volatile struct vcpu_time_info *time = &pvg_shared_info(g)->vcpu_info[0].time;
    return pvg_hypercall(g, __HYPERVISOR_set_timer_op, time->system_time + SOON, 0, 0, 0, 0);
}

static int64_t send(struct pvguest *g)
{
    struct evtchn_send s = {.port = seen.port};
    return event_op(g, EVTCHNOP_send, &s);
}

static int64_t close_port(struct pvguest *g)
{
    struct evtchn_close close = {.port = seen.port};
    return event_op(g, EVTCHNOP_close, &close);
}

/* Of an event that `raise` brings, in a program that waits for what the handler does. */
static void interrupted(struct tap *t, int64_t (*bind)(struct pvguest *),
                        int64_t (*raise)(struct pvguest *))
{
    struct pvg_trap r = at(user_spin, USER_DATA, 0);
    uint8_t mask = upcall_mask(t->g);
    seen.upcalls = seen.from_user = seen.masked = 0;
    CHECK_SAME(t, bind(t->g), 0);
    pvg_trap_handler *before = pvg_trap_set(t->g, PVG_TRAP_EVENT, take_event);
    int64_t raised = raise(t->g);
    int rc = raised == 0 ? run(t->g, &r) : 0;
    pvg_trap_set(t->g, PVG_TRAP_EVENT, before);
    CHECK_SAME(t, close_port(t->g), 0);
    CHECK_SAME(t, raised, 0);
    CHECK_OK(t, rc);
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
    CHECK_SAY(t, seen.upcalls > 0 && seen.from_user == seen.upcalls && seen.masked == seen.upcalls,
              "of %u upcalls %u came from user mode, %u masked", seen.upcalls, seen.from_user,
              seen.masked);
    CHECK_SAME(t, upcall_mask(t->g), mask);
}

static void event_on_entry(struct tap *t)
{
    interrupted(t, bind_ipi, send);
}

static void timer_interrupts(struct tap *t)
{
    interrupted(t, bind_timer, timer_soon);
}

/* A program that never ends, until the timer's event, which nobody takes, is seen to be pending. */
static int run_a_while(struct pvguest *g, struct pvg_trap *r)
{
    int rc = (int)timer_soon(g);
    do
        rc = rc ? rc : pvg_user_run(g, r);
    while (rc == 0 && r->vector == PVG_TRAP_EVENT && !take_port(g));
    return rc;
}

/* User mode is left, and can be gone back to. */
static void event_comes_back(struct tap *t)
{
    struct pvg_trap first = at(user_forever, 0, 0), second;
    CHECK_SAME(t, bind_timer(t->g), 0);
    int rc = run_a_while(t->g, &first);
    uint8_t mask = upcall_mask(t->g);
    second = first;
    int rc_second = run_a_while(t->g, &second);
    CHECK_SAME(t, close_port(t->g), 0);
    CHECK_OK(t, rc);
    CHECK_OK(t, rc_second);
    CHECK_SAME(t, mask, 1);
    CHECK_SAME(t, first.vector, PVG_TRAP_EVENT);
    CHECK_SAME(t, second.vector, PVG_TRAP_EVENT);
    CHECK_SAY(t, first.rip - va_of(user_forever) < 8, "rip is %lx", first.rip);
    CHECK(t, second.rax >= first.rax);
}

/* An event at a port that nobody takes does not come for ever: the program goes on with it. */
static void left_pending(struct tap *t)
{
    struct pvg_trap r = at(user_sum, 3, 0);
    CHECK_SAME(t, bind_ipi(t->g), 0);
    int64_t sent = send(t->g);
    int first = pvg_user_run(t->g, &r);
    uint64_t vector = r.vector;
    int second = run(t->g, &r);
    bool pending = take_port(t->g);
    CHECK_SAME(t, close_port(t->g), 0);
    CHECK_SAME(t, sent, 0);
    CHECK_OK(t, first);
    CHECK_SAME(t, vector, PVG_TRAP_EVENT);
    CHECK_OK(t, second);
    CHECK_SAME(t, r.vector, PVG_TRAP_SYSCALL);
    CHECK_SAME(t, r.rax, 6);
    CHECK(t, pending);
}

#define FOR_EACH(X)                                                                                \
    X(event_on_entry)                                                                              \
    X(timer_interrupts)                                                                            \
    X(event_comes_back)                                                                            \
    X(left_pending)

USER_TESTS(FOR_EACH)

const struct theme user_event_theme = THEME("user_event", tests);
