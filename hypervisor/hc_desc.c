/* SPDX-License-Identifier: MIT */
/* Descriptor tables, segment bases and the kernel's stack. */
#include "hypercall.h"

#include "asm.h"
#include "dirty.h"

#define GDT_ENTRIES_PER_FRAME 512u
#define RPL_GUEST             3u

int64_t hc_set_gdt(struct call *c)
{
    uint32_t entries = (uint32_t)c->arg[1];
    unsigned n = (entries + GDT_ENTRIES_PER_FRAME - 1) / GDT_ENTRIES_PER_FRAME;
    xen_ulong_t numbers[CORE_GDT_FRAMES];
    mfn_t frames[CORE_GDT_FRAMES];
    if (entries > FIRST_RESERVED_GDT_ENTRY)
        return -XEN_EINVAL;
    if (n > 0 && !copy_from_guest(numbers, gva(c->arg[0]), n * sizeof(numbers[0])))
        return -XEN_EFAULT;
    for (unsigned i = 0; i < n; i++)
        frames[i] = mfn(numbers[i]);
    if (!request_begin(c))
        return call_restart(c);
    int rc = core_set_gdt(the_core(), &c->v->mem, frames, n, entries);
    if (rc == 0)
        cpu_load_gdt(c->v);
    return request_end(c, rc);
}

int64_t hc_update_descriptor(struct call *c)
{
    if (!request_begin(c))
        return call_restart(c);
    dirty_mark(maddr_frame((maddr_t){c->arg[0]}));
    int rc = core_update_descriptor(the_core(), &c->v->mem, (maddr_t){c->arg[0]}, c->arg[1]);
    return request_end(c, rc);
}

int64_t hc_stack_switch(struct call *c)
{
    uint16_t ss = (uint16_t)c->arg[0];
    c->v->kernel_ss = ss | RPL_GUEST;
    c->v->kernel_sp = c->arg[1];
    return 0;
}

/* Of a bad selector the guest learns by reading GS back: Linux takes an error for its end. */
static int64_t load_user_gs(uint16_t selector)
{
    cpu_load_user_gs(selector > RPL_GUEST ? selector | RPL_GUEST : selector);
    return 0;
}

int64_t hc_set_segment_base(struct call *c)
{
    struct vcpu *v = c->v;
    uint64_t base = c->arg[1];
    uint32_t which = (uint32_t)c->arg[0];
    if (which == SEGBASE_GS_USER_SEL)
        return load_user_gs((uint16_t)base);
    if (which > SEGBASE_GS_USER_SEL || !canonical(base))
        return -XEN_EINVAL;
    switch (which) {
    case SEGBASE_FS:
        v->fs_base = base;
        cpu_set_fs_base(base);
        break;
    case SEGBASE_GS_USER: /* the inactive one: this is guest-kernel mode */
        v->gs_base_user = base;
        cpu_set_gs_base_inactive(base);
        break;
    default:
        v->gs_base_kernel = base;
        cpu_set_gs_base_active(base);
    }
    return 0;
}
