/* SPDX-License-Identifier: MIT */
/*
 * Suspend and resume. The tools translate what they know to be a page table, vCPU 0's registers,
 * and what start_info has for them; all else in memory that names a machine frame is the guest's to
 * make anew (docs/libpvguest.md has a table of it).
 *
 * start_info's own machine frame is the hypercall's third argument: in RDX the tools look for it.
 */
#include "internal.h"

#include <xen/sched.h>
#include <xen/version.h>

/* ---- events: masked, as what their handlers look at is not there */

static vcpu_info_t *vcpu_info(struct pvguest *g)
{
    return &pvg_shared_info(g)->vcpu_info[0];
}

static int events_suspend(struct pvguest *g)
{
    g->suspend.masked = vcpu_info(g)->evtchn_upcall_mask;
    __atomic_store_n(&vcpu_info(g)->evtchn_upcall_mask, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* What is pending comes with the way back from any hypercall. */
static int events_resume(struct pvguest *g, bool elsewhere)
{
    (void)elsewhere;
    vcpu_info_t *v = vcpu_info(g);
    __atomic_store_n(&v->evtchn_upcall_mask, g->suspend.masked, __ATOMIC_SEQ_CST);
    if (!g->suspend.masked && __atomic_load_n(&v->evtchn_upcall_pending, __ATOMIC_SEQ_CST))
        pvg_hypercall(g, __HYPERVISOR_xen_version, XENVER_version, 0, 0, 0, 0);
    return 0;
}

/* ---- start_info: the rings by pfn */

static start_info_t *info_of(struct pvguest *g)
{
    return port_at(g, g->si_va, PORT_WRITE);
}

/* 0 stays 0: there is no such ring. */
static int portable(struct pvguest *g, const char *what, uint64_t mfn, uint64_t *pfn)
{
    *pfn = mfn ? pvg_m2p(g, pvg_mfn(mfn)).n : 0;
    return *pfn == PVG_NO_PFN.n ? fail(g, -XEN_EINVAL, "%s, mfn %lx, is no page of ours", what, mfn)
                                : 0;
}

static int info_suspend(struct pvguest *g)
{
    start_info_t *si = info_of(g);
    uint64_t store, console;
    int rc = portable(g, "the xenstore ring", si->store_mfn, &store);
    if (rc == 0)
        rc = portable(g, "the console ring", si->console.domU.mfn, &console);
    if (rc)
        return rc;
    g->suspend.store_mfn = si->store_mfn;
    g->suspend.console_mfn = si->console.domU.mfn;
    si->store_mfn = store;
    si->console.domU.mfn = console;
    return 0;
}

/* Elsewhere the tools have set them; what else is asked of the hypervisor may have changed too. */
static int info_resume(struct pvguest *g, bool elsewhere)
{
    start_info_t *si = info_of(g);
    if (!elsewhere) {
        si->store_mfn = g->suspend.store_mfn;
        si->console.domU.mfn = g->suspend.console_mfn;
        return 0;
    }
    int rc = start_m2p(g);
    if (rc == 0)
        rc = console_resume(g);
    return rc ? rc : start_features(g);
}

/* ---- shared_info: no frame of ours, and another afterwards */

static int shared_suspend(struct pvguest *g)
{
    int rc = fixmap_set(g, FIX_SHARED_INFO, 0);
    if (rc == 0)
        g->shared_va = 0;
    return rc;
}

static int shared_resume(struct pvguest *g, bool elsewhere)
{
    (void)elsewhere;
    return map_shared_info(g);
}

/* ---- all of it */

/* Afterwards in the opposite order: what comes first needs those behind it. */
static const struct {
    const char *name;
    int (*suspend)(struct pvguest *g);
    int (*resume)(struct pvguest *g, bool elsewhere);
} step[] = {
    {"events", events_suspend, events_resume}, {"spaces", spaces_suspend, spaces_resume},
    {"xenstore", store_suspend, store_resume}, {"grants", grants_suspend, grants_resume},
    {"p2m", p2m_suspend, p2m_resume},          {"shared_info", shared_suspend, shared_resume},
    {"start_info", info_suspend, info_resume},
};
#define STEPS (sizeof(step) / sizeof(step[0]))

static void resume(struct pvguest *g, unsigned count, bool elsewhere)
{
    while (count-- > 0) {
        int rc = step[count].resume(g, elsewhere);
        if (fail_in(g, rc, "%s", step[count].name))
            pvg_fatal(g, elsewhere ? "resume" : "back from a suspend");
    }
}

/* The reason stays that of the failure. */
static void take_back(struct pvguest *g, unsigned count)
{
    undo_begin(g);
    resume(g, count, false);
    undo_end(g);
}

static int suspend(struct pvguest *g)
{
    for (unsigned i = 0; i < STEPS; i++) {
        int rc = step[i].suspend(g);
        if (rc == 0)
            continue;
        fail_in(g, rc, "%s", step[i].name);
        take_back(g, i);
        return rc;
    }
    return 0;
}

static int check(struct pvguest *g)
{
    if (!g->booted)
        return fail(g, -XEN_EINVAL, "before pvg_boot()");
    if (pvg_is_initial_domain(g))
        return fail(g, -XEN_EOPNOTSUPP, "the initial domain's is the machine's");
    if (g->batch.lazy)
        return fail(g, -XEN_EBUSY, "in lazy mode");
    for (unsigned i = 0; i < IOREMAPS; i++)
        if (g->ioremap[i])
            return fail(g, -XEN_EBUSY, "an early ioremap, of %lu pages, is mapped", g->ioremap[i]);
    return 0;
}

static int64_t shut_down(struct pvguest *g)
{
    struct sched_shutdown how = {.reason = SHUTDOWN_suspend};
    pvg_mfn_t info = pvg_p2m_mfn(g, pvg_page_of(g, (const void *)g->si_va));
    return pvg_hypercall(g, __HYPERVISOR_sched_op, SCHEDOP_shutdown, (uintptr_t)&how, info.n, 0, 0);
}

int pvg_suspend(struct pvguest *g, enum pvg_resumed *how)
{
    int rc = check(g);
    if (rc == 0)
        rc = suspend(g);
    if (rc)
        return fail_in(g, rc, "suspend");
    int64_t result = shut_down(g);
    if (result < 0) {
        rc = fail(g, (int)result, "suspend: SCHEDOP_shutdown: %s", error_name((int)result));
        take_back(g, STEPS);
        return rc;
    }
    resume(g, STEPS, result == 0);
    if (how)
        *how = result == 0 ? PVG_RESUMED : PVG_CANCELLED;
    return 0;
}
