/* SPDX-License-Identifier: MIT */
/* sched_op and its older form: giving the CPU up, for a while or for good (<xen/sched.h>). */
#include "hypercall.h"

#include "explain.h"
#include "hold.h"

#include <xen/sched.h>

#define POLL_PORTS_MAX 128u /* as real Xen has it */

static enum pvmm_outcome outcome_of(unsigned reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return PVMM_OUTCOME_POWEROFF;
    case SHUTDOWN_reboot:
        return PVMM_OUTCOME_REBOOT;
    case SHUTDOWN_suspend:
        return PVMM_OUTCOME_SUSPEND;
    default:
        return PVMM_OUTCOME_CRASH;
    }
}

/* A guest that gives up by itself shows its state too: where it stands, and its last page fault. */
static int64_t report_crash(struct call *c, unsigned reason, const char *message)
{
    gva_t last_fault = gva(c->v->info->arch.cr2);
    log_line("%s", message);
    crash_report(c->v, c->regs, last_fault);
    if (explain_crash(c->v, c->regs, last_fault.a ? last_fault : gva(NO_INDEX), message))
        return call_restart(c); /* in earnest, when a debugger has looked */
    domain_end(PVMM_OUTCOME_CRASH, reason, message);
}

/* <xen/elfnote.h>, SUSPEND_CANCEL: nothing came of it, and the guest goes on with 1 as the result.
 */
static int64_t cancel_suspend(const struct call *c)
{
    log_line("the guest suspended itself, start_info being frame %lx: cancelled, it goes on",
             c->arg[2]);
    mailbox.verdict.suspends++;
    return 1;
}

/* It stands once this call's result, 0, is in place. What the host answers goes where that is: to
 * an element of a multicall it could not get. */
static int nothing(struct core *core, struct core_vcpu *v, const void *what)
{
    (void)core;
    (void)v;
    (void)what;
    return 0;
}

/* What another request of the guest's was paused in is done first: as it stands, a frame is a table
 * or is none. */
static int64_t hold_suspend(struct call *c)
{
    if (c->nested)
        return cancel_suspend(c);
    request_to_the_end(c->v, nothing, NULL);
    log_line("the guest suspended itself, start_info being frame %lx", c->arg[2]);
    c->v->suspended = true;
    attend();
    return 0;
}

static int64_t shut_down(struct call *c, unsigned reason)
{
    char message[64] = "";
    if (reason == SHUTDOWN_suspend && on_suspend() == PVMM_SUSPEND_CANCELS)
        return cancel_suspend(c);
    if (reason == SHUTDOWN_suspend && on_suspend() == PVMM_SUSPEND_HOLDS)
        return hold_suspend(c);
    if (outcome_of(reason) == PVMM_OUTCOME_CRASH) {
        format(message, sizeof(message), "the guest shut down with reason %u%s", reason,
               reason == SHUTDOWN_crash ? " (crash)" : "");
        return report_crash(c, reason, message);
    }
    domain_end(outcome_of(reason), reason, message);
}

static int64_t guest_shutdown(struct call *c, gva_t arg)
{
    struct sched_shutdown how;
    if (!copy_from_guest(&how, arg, sizeof(how)))
        return -XEN_EFAULT;
    return shut_down(c, how.reason & 0xff);
}

/* before_guest() does the waiting, once this call's result is in place. */
static int64_t block(struct vcpu *v)
{
    v->info->evtchn_upcall_mask = 0;
    v->blocked = !event_due(v);
    attend();
    return 0;
}

/* 1: one of the ports is pending, 0: none is. */
static int poll_ports(const struct domain *d, const struct sched_poll *p, evtchn_port_t *last)
{
    for (unsigned i = 0; i < p->nr_ports; i++) {
        gva_t at = gva((uint64_t)p->ports.p + i * sizeof(*last));
        if (!copy_from_guest(last, at, sizeof(*last)))
            return -XEN_EFAULT;
        if (!event_port_known(d, *last))
            return -XEN_EINVAL;
        if (event_port_pending(d, *last))
            return 1;
    }
    return 0;
}

static int64_t poll(struct vcpu *v, gva_t arg)
{
    struct sched_poll p;
    evtchn_port_t port = 0;
    if (!copy_from_guest(&p, arg, sizeof(p)))
        return -XEN_EFAULT;
    if (p.nr_ports > POLL_PORTS_MAX)
        return -XEN_EINVAL;
    if (!guest_range_ok(gva((uint64_t)p.ports.p), p.nr_ports * sizeof(port)))
        return -XEN_EFAULT;
    if (event_due(v))
        return 0;
    int rc = poll_ports(v->domain, &p, &port);
    if (rc)
        return rc > 0 ? 0 : rc;
    v->poll_port = p.nr_ports == 1 ? port : 0;
    v->poll_timeout = p.timeout;
    v->polling = true;
    v->blocked = true;
    timers_changed(); /* which has the vCPU attended to as well */
    return 0;
}

int64_t hc_sched_op(struct call *c)
{
    gva_t arg = gva(c->arg[1]);
    /* A guest that waits for its console must see it move. */
    console_serve(c->v->domain);
    switch ((uint32_t)c->arg[0]) {
    case SCHEDOP_yield:
        return 0;
    case SCHEDOP_block:
        return block(c->v);
    case SCHEDOP_shutdown:
        return guest_shutdown(c, arg);
    case SCHEDOP_poll:
        return poll(c->v, arg);
    case SCHEDOP_pin_override:
        return -XEN_EPERM; /* for the hardware's domain alone */
    default:
        return -XEN_ENOSYS;
    }
}

/* <xen/sched.h>: the reason is the argument itself, of which real Xen takes a byte. A kernel that
 * passes the newer form's pointer gives its reason as that byte of an address. */
int64_t hc_sched_op_compat(struct call *c)
{
    console_serve(c->v->domain);
    switch ((uint32_t)c->arg[0]) {
    case SCHEDOP_yield:
        return 0;
    case SCHEDOP_block:
        return block(c->v);
    case SCHEDOP_shutdown:
        return shut_down(c, c->arg[1] & 0xff);
    default:
        return -XEN_ENOSYS;
    }
}
