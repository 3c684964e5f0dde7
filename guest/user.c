/* SPDX-License-Identifier: MIT */
/* User mode: in by HYPERVISOR_iret, and out by whatever trap nobody takes. */
#include "internal.h"

_Static_assert(PVG_USER_CS == FLAT_RING3_CS64, "<xen/arch-x86/xen-x86_64.h>");
_Static_assert(PVG_USER_SS == FLAT_RING3_SS64, "<xen/arch-x86/xen-x86_64.h>");

/* What code may choose (AMD64 APM vol. 2, 3.1.6): the status flags, TF, DF, RF, AC and ID. */
#define RFLAGS_USER  0x250dd5ull
#define RFLAGS_FIXED 0x002ull
#define RFLAGS_IF    0x200ull

/* trap_entry.S: its return address for whom trap_entry() lets out of user mode. */
extern const char user_out[];
/* 0, when user mode has been left again; or what user_stack() said. */
int user_enter(struct pvguest *g, const struct pvg_trap *frame);
int user_stack(struct pvguest *g, uint64_t rsp);

static bool events_masked(struct pvguest *g)
{
    uint64_t at = g->shared_va + offsetof(shared_info_t, vcpu_info[0].evtchn_upcall_mask);
    return *(volatile uint8_t *)port_at(g, at, PORT_READ);
}

/* The upcall has been seen. Its ports are pending still, for whoever asks; only an event at another
 * port makes another upcall. */
static void acknowledge(struct pvguest *g)
{
    struct vcpu_info *v = port_at(g, g->shared_va, PORT_WRITE);
    __atomic_store_n(&v->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&v->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
}

static int refuse(struct pvguest *g, const struct pvg_trap *t)
{
    if (g->user.rsp)
        return fail(g, -XEN_EBUSY, "user code is being run already");
    if (guard_is_on())
        return fail(g, -XEN_EBUSY, "inside pvg_guarded()");
    if (!pvg_space_loaded(g))
        return fail(g, -XEN_EINVAL, "no space with a user root is loaded");
    if (t->rip >= PVG_USER_END || t->rsp >= PVG_USER_END)
        return fail(g, -XEN_EINVAL, "rip %lx, rsp %lx: not both in the lower half", t->rip, t->rsp);
    return 0;
}

/* Called by user_enter(): where the hypervisor is to put the frames of entries from user mode. */
int user_stack(struct pvguest *g, uint64_t rsp)
{
    g->user.rsp = rsp;
    int64_t rc = pvg_hypercall(g, __HYPERVISOR_stack_switch, FLAT_KERNEL_SS, rsp, 0, 0, 0);
    return rc ? fail(g, (int)rc, "stack_switch: %s", error_name((int)rc)) : 0;
}

int pvg_user_run(struct pvguest *g, struct pvg_trap *t)
{
    int rc = refuse(g, t);
    if (rc)
        return fail_in(g, rc, "user mode");
    struct pvg_trap frame = *t;
    frame.cs = PVG_USER_CS;
    frame.ss = PVG_USER_SS;
    frame.rflags = (t->rflags & RFLAGS_USER) | RFLAGS_IF | RFLAGS_FIXED;
    g->user.trap = t;
    g->user.flags = events_masked(g) ? RFLAGS_FIXED : RFLAGS_IF | RFLAGS_FIXED;
    rc = user_enter(g, &frame);
    g->user.rsp = 0;
    return fail_in(g, rc, "user mode");
}

void user_leave(struct pvguest *g, struct pvg_trap *t)
{
    *g->user.trap = *t;
    g->user.trap->cs = (uint16_t)t->cs; /* above it, the event mask as it was */
    if (t->vector == PVG_TRAP_EVENT)
        acknowledge(g);
    t->rip = (uint64_t)user_out;
    t->cs = KERNEL_CS;
    t->ss = FLAT_KERNEL_SS;
    t->rflags = g->user.flags;
    t->rsp = g->user.rsp;
}
