/* SPDX-License-Identifier: MIT */
/* Where the guest takes its traps, and the switches that go with them. */
#include "context.h"
#include "debugreg.h"
#include "hypercall.h"

#include <xen/nmi.h>

#include "asm.h"

#define RPL_GUEST 3u

/* ---- traps */

static void take_trap(struct vcpu *v, const trap_info_t *t)
{
    v->traps[t->vector] = (struct guest_trap){
        .address = t->address,
        .cs = t->cs | RPL_GUEST,
        .dpl = t->flags & 3,
        .mask_events = t->flags & 4,
    };
}

/* Entries are merged into the table; one with address 0 ends the list. No list: no traps. */
int64_t hc_set_trap_table(struct call *c)
{
    gva_t list = gva(c->arg[0]);
    trap_info_t t;
    if (list.a == 0) {
        for (unsigned i = 0; i < 256; i++)
            c->v->traps[i] = (struct guest_trap){.address = 0};
        return 0;
    }
    for (;; list.a += sizeof(t)) {
        if (!copy_from_guest(&t, list, sizeof(t)))
            return -XEN_EFAULT;
        if (t.address == 0)
            return 0;
        if (!canonical(t.address))
            return -XEN_EINVAL;
        take_trap(c->v, &t);
        if (cpu_interrupt_pending()) {
            c->arg[0] = list.a + sizeof(t);
            return call_restart(c);
        }
    }
}

/* The NMI's handler is the trap table's entry 2; NMIs do not nest, so events wait meanwhile. */
static void take_nmi_handler(struct vcpu *v, uint64_t address)
{
    v->traps[TRAP_NMI] = (struct guest_trap){
        .address = address,
        .cs = FLAT_KERNEL_CS,
        .mask_events = address != 0,
    };
}

int64_t hc_nmi_op(struct call *c)
{
    struct xennmi_callback cb;
    switch ((uint32_t)c->arg[0]) {
    case XENNMI_register_callback:
        if (!copy_from_guest(&cb, gva(c->arg[1]), sizeof(cb)))
            return -XEN_EFAULT;
        if (!canonical(cb.handler_address))
            return -XEN_EINVAL;
        take_nmi_handler(c->v, cb.handler_address);
        return 0;
    case XENNMI_unregister_callback:
        take_nmi_handler(c->v, 0);
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}

/* ---- callbacks */

static struct guest_callback *callback_of(struct vcpu *v, unsigned type)
{
    switch (type) {
    case CALLBACKTYPE_event:
        return &v->event;
    case CALLBACKTYPE_failsafe:
        return &v->failsafe;
    case CALLBACKTYPE_syscall:
        return &v->syscall;
    case CALLBACKTYPE_syscall32:
        return &v->syscall32;
    case CALLBACKTYPE_sysenter:
        return &v->sysenter;
    default:
        return NULL;
    }
}

static int64_t register_callback(struct vcpu *v, unsigned type, uint64_t address, bool mask_events)
{
    if (!canonical(address))
        return -XEN_EINVAL;
    if (type == CALLBACKTYPE_nmi) {
        take_nmi_handler(v, address);
        return 0;
    }
    struct guest_callback *cb = callback_of(v, type);
    if (!cb)
        return -XEN_ENOSYS;
    *cb = (struct guest_callback){.address = address, .mask_events = mask_events};
    return 0;
}

/* Only the NMI's can be taken back. */
static int64_t unregister_callback(struct vcpu *v, unsigned type)
{
    if (type == CALLBACKTYPE_nmi) {
        take_nmi_handler(v, 0);
        return 0;
    }
    return callback_of(v, type) ? -XEN_EINVAL : -XEN_ENOSYS;
}

int64_t hc_callback_op(struct call *c)
{
    struct callback_register reg;
    struct callback_unregister unreg;
    switch ((uint32_t)c->arg[0]) {
    case CALLBACKOP_register:
        if (!copy_from_guest(&reg, gva(c->arg[1]), sizeof(reg)))
            return -XEN_EFAULT;
        return register_callback(c->v, reg.type, reg.address, reg.flags & CALLBACKF_mask_events);
    case CALLBACKOP_unregister:
        if (!copy_from_guest(&unreg, gva(c->arg[1]), sizeof(unreg)))
            return -XEN_EFAULT;
        return unregister_callback(c->v, unreg.type);
    default:
        return -XEN_ENOSYS;
    }
}

/* The older form: events always masked on their own entry, the other two not. */
int64_t hc_set_callbacks(struct call *c)
{
    register_callback(c->v, CALLBACKTYPE_event, c->arg[0], true);
    register_callback(c->v, CALLBACKTYPE_failsafe, c->arg[1], false);
    register_callback(c->v, CALLBACKTYPE_syscall, c->arg[2], false);
    return 0;
}

/* ---- FPU */

int64_t hc_fpu_taskswitch(struct call *c)
{
    bool set = (uint32_t)c->arg[0] != 0;
    c->v->guest_cr0 = set ? c->v->guest_cr0 | CR0_TS : c->v->guest_cr0 & ~CR0_TS;
    cpu_set_task_switched(c->v, set);
    return 0;
}

/* ---- debug registers */

int64_t hc_set_debugreg(struct call *c)
{
    return debugreg_set(c->v, (uint32_t)c->arg[0], c->arg[1]);
}

int64_t hc_get_debugreg(struct call *c)
{
    uint64_t value;
    int rc = debugreg_get(c->v, (uint32_t)c->arg[0], &value);
    return rc ? rc : (int64_t)value;
}

/* ---- vm_assist */

int64_t hc_vm_assist(struct call *c)
{
    uint32_t type = (uint32_t)c->arg[1];
    if (type >= 32 || !(VM_ASSISTS >> type & 1))
        return -XEN_EINVAL;
    switch ((uint32_t)c->arg[0]) {
    case VMASST_CMD_enable:
        c->v->domain->vm_assist |= 1u << type;
        return 0;
    case VMASST_CMD_disable:
        c->v->domain->vm_assist &= ~(1u << type);
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}
