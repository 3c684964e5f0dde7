/* SPDX-License-Identifier: MIT */
/*
 * When the vCPU runs and when it waits. Interrupts only leave notes; everything they ask for is
 * done here, on the way back into the guest, where no request is half done.
 */
#include "asm.h"
#include "dirty.h"
#include "domain.h"
#include "explain.h"
#include "hold.h"

static bool timer_fired, timer_set;

bool attention;

void attend(void)
{
    attention = true;
}

void timer_interrupt(void)
{
    timer_fired = true;
    attend();
}

void timers_changed(void)
{
    timer_set = true;
    attend();
}

void vcpu_wake(struct vcpu *v)
{
    v->blocked = false;
    v->polling = false;
    v->poll_timeout = 0;
}

/* ---- timers */

static bool is_due(uint64_t when, uint64_t now)
{
    return when != 0 && when <= now;
}

static uint64_t period_due(const struct vcpu *v)
{
    return v->period_ns ? v->period_last + v->period_ns : 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0)
        return a | b;
    return a < b ? a : b;
}

/* However late: one event for each timer that is due, never a backlog. */
static void fire_timers(struct vcpu *v, uint64_t now)
{
    if (is_due(v->timer_due, now)) {
        v->timer_due = 0;
        event_virq(v, VIRQ_TIMER);
    }
    if (is_due(period_due(v), now)) {
        v->period_last = now;
        event_virq(v, VIRQ_TIMER);
    }
    if (is_due(v->poll_timeout, now))
        vcpu_wake(v);
}

static void run_timers(struct vcpu *v)
{
    if (!timer_fired && !timer_set)
        return;
    timer_fired = timer_set = false;
    uint64_t now = now_ns();
    fire_timers(v, now);
    timer_arm(earlier(earlier(v->timer_due, period_due(v)), v->poll_timeout));
}

/* ---- accounting */

void runstate_now(const struct vcpu *v, vcpu_runstate_info_t *out)
{
    *out = v->runstate;
    out->time[out->state] += now_ns() - out->state_entry_time;
}

void runstate_enter(struct vcpu *v, int state)
{
    uint64_t now = now_ns();
    v->runstate.time[v->runstate.state] += now - v->runstate.state_entry_time;
    v->runstate.state_entry_time = now;
    v->runstate.state = state;
}

/*
 * The area lies in the guest kernel's memory: only its root shows it. A guest that asked for the
 * update flag finds it set while the values change.
 */
void runstate_publish(struct vcpu *v)
{
    vcpu_runstate_info_t copy = v->runstate;
    gva_t flag_at = gva(v->runstate_va.a + offsetof(vcpu_runstate_info_t, state_entry_time));
    bool flagged = v->domain->vm_assist >> VMASST_TYPE_runstate_update_flag & 1;
    if (v->runstate_va.a == 0 || !v->in_kernel)
        return;
    if (flagged) {
        copy.state_entry_time |= XEN_RUNSTATE_UPDATE;
        copy_to_guest(flag_at, &copy.state_entry_time, sizeof(copy.state_entry_time));
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
    copy_to_guest(v->runstate_va, &copy, sizeof(copy));
    if (flagged) {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        copy.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
        copy_to_guest(flag_at, &copy.state_entry_time, sizeof(copy.state_entry_time));
    }
}

/* ---- into the guest */

static void serve(struct vcpu *v)
{
    attention = false;
    if (channel_stop_requested())
        domain_end(PVMM_OUTCOME_STOPPED, ~0u, "");
    dirty_serve(v);
    hold_if_wanted(v);
    run_timers(v);
    if (console_input_waits())
        console_serve(v->domain);
    if (xenstore_input_waits())
        xenstore_serve(v->domain);
}

static bool may_run(const struct vcpu *v)
{
    return v->online && !v->blocked;
}

static void wait(struct vcpu *v)
{
    runstate_enter(v, RUNSTATE_blocked);
    while (!may_run(v)) {
        cpu_idle();
        serve(v);
    }
    runstate_enter(v, RUNSTATE_running);
    runstate_publish(v);
}

/* A guest without a handler for NMIs does not get any. */
static void deliver_nmi(struct vcpu *v, struct regs *r)
{
    v->nmi_pending = false;
    if (!v->traps[TRAP_NMI].address)
        return;
    v->nmi_masked = true;
    bounce_exception(v, r, TRAP_NMI, 0);
}

void see_to_guest(struct vcpu *v, struct regs *r)
{
    serve(v);
    if (v->stand.due)
        explain_stand(v, r);
    if (!may_run(v))
        wait(v);
    /* An event on top of an NMI waits by itself: the NMI's entry masks events. */
    if (v->nmi_pending && !v->nmi_masked)
        deliver_nmi(v, r);
}
