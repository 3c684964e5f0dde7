/* SPDX-License-Identifier: MIT */
/* vcpu_op and the timers (<xen/vcpu.h>). */
#include "hypercall.h"

#include <xen/sched.h>

#include "dirty.h"
#include "string.h"

#define MS                1000000ull
#define PERIOD_MIN_NS     MS /* as real Xen has it */
#define PERIOD_MAX_NS     (1ull << 62)
#define TIMER_FAR_NS      (1ull << 50) /* beyond this a guest's time has wrapped */
#define TIMER_FAR_INSTEAD (100 * MS)

/* ---- bring-up */

/* Every vCPU there is was started by the builder. */
static int64_t vcpu_initialise(struct vcpu *v, gva_t arg)
{
    uint8_t first;
    if (!copy_from_guest(&first, arg, sizeof(first)))
        return -XEN_EFAULT;
    return v->online ? -XEN_EEXIST : -XEN_EINVAL;
}

static int64_t vcpu_up(struct vcpu *v)
{
    v->online = true;
    vcpu_wake(v);
    return 0;
}

/* The last one to go takes the domain with it. */
static int64_t vcpu_down(struct vcpu *v)
{
    struct domain *d = v->domain;
    for (unsigned i = 0; i < d->nr_vcpus; i++)
        if (&d->vcpu[i] != v && d->vcpu[i].online) {
            v->online = false;
            attend();
            return 0;
        }
    domain_end(PVMM_OUTCOME_POWEROFF, SHUTDOWN_poweroff, "");
}

/* ---- areas of guest memory that the hypervisor writes */

static int vcpu_info_check(const struct call *c, const struct vcpu *v,
                           const struct vcpu_register_vcpu_info *where)
{
    if (where->offset > PAGE_BYTES - sizeof(vcpu_info_t) || where->offset % _Alignof(vcpu_info_t))
        return -XEN_ENXIO;
    if (!mfn_eq(v->mem.held, NO_MFN) || (v != c->v && v->online))
        return -XEN_EINVAL;
    return 0;
}

/* From now on vcpu_info lies there. Everything is made to look pending, so that nothing is lost
 * in the move: the guest copes with an upcall too many. */
static void vcpu_info_move(struct vcpu *v, const struct vcpu_register_vcpu_info *where)
{
    vcpu_info_t *to = (vcpu_info_t *)((uint8_t *)direct_frame(mfn(where->mfn)) + where->offset);
    dirty_mark(mfn(where->mfn));
    memcpy(to, v->info, sizeof(*to));
    v->info = to;
    __atomic_store_n(&to->evtchn_pending_sel, ~0ul, __ATOMIC_SEQ_CST);
    event_notify(v);
}

static int64_t register_vcpu_info(struct call *c, struct vcpu *v)
{
    struct vcpu_register_vcpu_info where;
    if (!copy_from_guest(&where, gva(c->arg[2]), sizeof(where)))
        return -XEN_EFAULT;
    int rc = vcpu_info_check(c, v, &where);
    if (rc)
        return rc;
    if (!request_begin(c))
        return call_restart(c);
    /* Held as writable memory, so that it becomes neither a table nor someone else's (R1, R2). */
    rc = core_hold_writable(the_core(), &v->mem, mfn(where.mfn));
    if (rc == 0) {
        vcpu_info_move(v, &where);
        vtime_publish(v);
    }
    return request_end(c, rc);
}

static int64_t register_runstate(struct vcpu *v, gva_t arg)
{
    struct vcpu_register_runstate_memory_area area;
    if (!copy_from_guest(&area, arg, sizeof(area)) ||
        !guest_range_ok(gva(area.addr.p), sizeof(vcpu_runstate_info_t)))
        return -XEN_EFAULT;
    v->runstate_va = gva(area.addr.p);
    runstate_publish(v);
    return 0;
}

static int64_t register_time(struct vcpu *v, gva_t arg)
{
    struct vcpu_register_time_memory_area area;
    if (!copy_from_guest(&area, arg, sizeof(area)) ||
        !guest_range_ok(gva(area.addr.p), sizeof(vcpu_time_info_t)))
        return -XEN_EFAULT;
    v->time_va = gva(area.addr.p);
    vtime_publish(v);
    return 0;
}

static int64_t get_runstate(const struct vcpu *v, gva_t arg)
{
    vcpu_runstate_info_t now;
    runstate_now(v, &now);
    return copy_to_guest(arg, &now, sizeof(now)) ? 0 : -XEN_EFAULT;
}

/* ---- timers */

static int64_t set_periodic(struct vcpu *v, gva_t arg)
{
    struct vcpu_set_periodic_timer set;
    if (!copy_from_guest(&set, arg, sizeof(set)))
        return -XEN_EFAULT;
    if (set.period_ns < PERIOD_MIN_NS || set.period_ns > PERIOD_MAX_NS)
        return -XEN_EINVAL;
    v->period_ns = set.period_ns;
    timers_changed();
    return 0;
}

static int64_t stop_periodic(struct vcpu *v)
{
    v->period_ns = 0;
    timers_changed();
    return 0;
}

/* A time that has passed is due at once; 0 means "not set" only here. */
static void set_timer(struct vcpu *v, uint64_t due)
{
    v->timer_due = due ? due : 1;
    timers_changed();
}

static int64_t set_singleshot(const struct call *c, struct vcpu *v)
{
    struct vcpu_set_singleshot_timer set;
    if (v != c->v)
        return -XEN_EINVAL;
    if (!copy_from_guest(&set, gva(c->arg[2]), sizeof(set)))
        return -XEN_EFAULT;
    if ((set.flags & VCPU_SSHOTTMR_future) && set.timeout_abs_ns < now_ns())
        return -XEN_ETIME;
    set_timer(v, set.timeout_abs_ns);
    return 0;
}

static int64_t stop_singleshot(const struct call *c, struct vcpu *v)
{
    if (v != c->v)
        return -XEN_EINVAL;
    v->timer_due = 0;
    timers_changed();
    return 0;
}

int64_t hc_set_timer_op(struct call *c)
{
    uint64_t due = c->arg[0], now = now_ns();
    if (due == 0)
        return stop_singleshot(c, c->v);
    /* So far ahead, or negative: the guest's arithmetic has wrapped. Some have work to do at once,
     * others none at all; soon serves both. */
    if ((int64_t)due < 0 || (due > now && due - now >= TIMER_FAR_NS))
        due = now + TIMER_FAR_INSTEAD;
    set_timer(c->v, due);
    return 0;
}

/* ---- dispatch */

static int64_t send_nmi(struct vcpu *v, uint64_t arg)
{
    if (arg != 0)
        return -XEN_EINVAL;
    v->nmi_pending = true;
    attend();
    vcpu_wake(v);
    return 0;
}

int64_t hc_vcpu_op(struct call *c)
{
    struct vcpu *v = domain_vcpu(c->v->domain, (uint32_t)c->arg[1]);
    gva_t arg = gva(c->arg[2]);
    if (!v)
        return -XEN_ENOENT;
    switch ((uint32_t)c->arg[0]) {
    case VCPUOP_initialise:
        return vcpu_initialise(v, arg);
    case VCPUOP_up:
        return vcpu_up(v);
    case VCPUOP_down:
        return vcpu_down(v);
    case VCPUOP_is_up:
        return v->online;
    case VCPUOP_get_runstate_info:
        return get_runstate(v, arg);
    case VCPUOP_register_runstate_memory_area:
        return register_runstate(v, arg);
    case VCPUOP_set_periodic_timer:
        return set_periodic(v, arg);
    case VCPUOP_stop_periodic_timer:
        return stop_periodic(v);
    case VCPUOP_set_singleshot_timer:
        return set_singleshot(c, v);
    case VCPUOP_stop_singleshot_timer:
        return stop_singleshot(c, v);
    case VCPUOP_register_vcpu_info:
        return register_vcpu_info(c, v);
    case VCPUOP_send_nmi:
        return send_nmi(v, arg.a);
    case VCPUOP_get_physid:
        return -XEN_EINVAL; /* only for vCPUs that are tied to a CPU */
    case VCPUOP_register_vcpu_time_memory_area:
        return register_time(v, arg);
    default:
        return -XEN_ENOSYS;
    }
}
