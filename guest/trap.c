/* SPDX-License-Identifier: MIT */
/* Exceptions and events: who takes them, and what becomes of those that nobody takes. */
#include "internal.h"

#include <xen/callback.h>

#include "trap.h"

_Static_assert(TRAP_FAILSAFE == PVG_TRAP_FAILSAFE, "<pvguest/trap.h>");
_Static_assert(TRAP_FAILSAFE + 1 == PVG_TRAPS, "as many stubs as vectors");
_Static_assert(TRAP_FRAME_WORDS * 8 == sizeof(struct pvg_trap), "<pvguest/trap.h>");
_Static_assert(HYPERCALL_IRET == __HYPERVISOR_iret, "<xen/xen.h>");

#define EXCEPTIONS 256u

#define TRAP_BP 3u
#define TRAP_OF 4u
#define TRAP_PF 14u

#define RFLAGS_FIXED  0x002ull /* AMD64 APM vol. 2, 3.1.6 */
#define RFLAGS_IF     0x200ull /* in a frame: events are not masked */
#define PRIVILEGE_ANY 3u       /* of a trap_info: INT n may be used by everyone */
#define MASK_EVENTS   4u       /* events are masked when the handler begins */

/* trap_entry.S */
extern const char trap_stubs[], guarded_out[], safe_load_missed[];
extern uint64_t guard_rsp; /* 0: nothing is guarded */
bool guarded_call(void (*f)(void *), void *arg);
void trap_entry(struct pvg_trap *t);

static struct pvguest *trapped; /* there is one */
static struct pvg_trap *guard_trap;

/* Back out of what is guarded: the frame returns to guarded_call()'s end. */
static void leave_guarded(struct pvg_trap *t)
{
    *guard_trap = *t;
    t->rip = (uint64_t)guarded_out;
    t->cs = KERNEL_CS;
    t->ss = FLAT_KERNEL_SS;
    t->rflags = (t->rflags & RFLAGS_IF) | RFLAGS_FIXED;
    t->rsp = guard_rsp;
}

static bool missed_load(struct pvg_trap *t)
{
    if (t->vector != TRAP_PF || from_user(t) || t->rip != (uint64_t)pvg_safe_load)
        return false;
    t->rip = (uint64_t)safe_load_missed;
    return true;
}

void trap_entry(struct pvg_trap *t)
{
    struct pvguest *g = trapped;
    const bool user = from_user(t) && g->user.rsp; /* not by an iret of the kernel's own */
    if (missed_load(t))
        return;
    pvg_trap_handler *handler = g->handler[t->vector];
    if (handler && handler(g, t))
        return;
    if (user) {
        user_leave(g, t);
        return;
    }
    /* An event that nobody takes is pending still, and comes again where it is not masked. */
    bool again = t->vector == PVG_TRAP_EVENT && (t->rflags & RFLAGS_IF);
    if (!guard_rsp || g->ends > 0 || again)
        trap_fatal(g, t);
    leave_guarded(t);
}

/* The address of a page fault is lost with the next, and who has no handler for events must not
 * meet one between user mode and pvg_user_run()'s end: handlers begin with events masked. */
static uint8_t flags_of(unsigned vector)
{
    return vector == TRAP_BP || vector == TRAP_OF ? MASK_EVENTS | PRIVILEGE_ANY : MASK_EVENTS;
}

/* An entry with address 0 ends it (<xen/arch-x86/xen.h>). */
static trap_info_t trap_table[EXCEPTIONS + 1];

static int set_table(struct pvguest *g)
{
    for (unsigned i = 0; i < EXCEPTIONS; i++)
        trap_table[i] = (trap_info_t){
            .vector = (uint8_t)i,
            .flags = flags_of(i),
            .cs = FLAT_KERNEL_CS,
            .address = pvg_trap_stub(i),
        };
    int64_t rc = pvg_hypercall(g, __HYPERVISOR_set_trap_table, (uintptr_t)trap_table, 0, 0, 0, 0);
    return rc ? fail(g, (int)rc, "set_trap_table: %s", error_name((int)rc)) : 0;
}

static int set_callbacks(struct pvguest *g)
{
    static const struct {
        uint16_t type;
        unsigned vector;
        const char *name;
    } callbacks[] = {{CALLBACKTYPE_event, PVG_TRAP_EVENT, "events"},
                     {CALLBACKTYPE_syscall, PVG_TRAP_SYSCALL, "syscall"},
                     {CALLBACKTYPE_syscall32, PVG_TRAP_SYSCALL32, "syscall32"},
                     {CALLBACKTYPE_failsafe, PVG_TRAP_FAILSAFE, "failsafe"}};
    for (unsigned i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
        struct callback_register r = {.type = callbacks[i].type,
                                      .flags = CALLBACKF_mask_events,
                                      .address = pvg_trap_stub(callbacks[i].vector)};
        int64_t rc =
            pvg_hypercall(g, __HYPERVISOR_callback_op, CALLBACKOP_register, (uintptr_t)&r, 0, 0, 0);
        if (rc)
            return fail(g, (int)rc, "callback_op, of %s: %s", callbacks[i].name,
                        error_name((int)rc));
    }
    return 0;
}

int pvg_trap_table(struct pvguest *g)
{
    int rc = set_table(g);
    if (rc == 0)
        rc = set_callbacks(g);
    return fail_in(g, rc, "traps");
}

int traps_init(struct pvguest *g)
{
    trapped = g;
    return pvg_trap_table(g);
}

uint64_t pvg_trap_stub(unsigned vector)
{
    return vector < PVG_TRAPS ? (uint64_t)trap_stubs + vector * TRAP_STUB_BYTES : 0;
}

pvg_trap_handler *pvg_trap_set(struct pvguest *g, unsigned vector, pvg_trap_handler *handler)
{
    if (vector >= PVG_TRAPS)
        return NULL;
    pvg_trap_handler *before = g->handler[vector];
    g->handler[vector] = handler;
    return before;
}

uint64_t pvg_fault_address(struct pvguest *g)
{
    if (!g->shared_va)
        return port_cr2();
    return load(g, g->shared_va + offsetof(shared_info_t, vcpu_info[0].arch.cr2));
}

bool guard_is_on(void)
{
    return guard_rsp != 0;
}

bool pvg_guarded(struct pvguest *g, void (*f)(void *), void *arg, struct pvg_trap *t)
{
    if (guard_rsp) {
        fail(g, -XEN_EBUSY, "pvg_guarded() inside pvg_guarded()");
        pvg_fatal(g, "a mistake of the caller's");
    }
    guard_trap = t;
    return guarded_call(f, arg);
}
