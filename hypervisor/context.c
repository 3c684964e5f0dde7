/* SPDX-License-Identifier: MIT */
/* A vCPU's state out of other hands: what of it may be loaded, and what becomes of the rest. */
#include "context.h"

#include "asm.h"
#include "debugreg.h"
#include "machine.h"
#include "string.h"

#define RPL_GUEST 3u
#define RFLAGS_KNOWN                                                                               \
    (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF | RFLAGS_DF |           \
     RFLAGS_OF | RFLAGS_NT | RFLAGS_RF | RFLAGS_AC | RFLAGS_ID)
#define MXCSR_OFFSET 24u /* in FXSAVE's image */
#define DEBUGREGS    8u
/* Off here (cpuid.c), and instructions of whoever had it, which fault now. */
#define CR4_OFF (CR4_FSGSBASE | CR4_OSXSAVE)

/* ---- checks */

static bool wrong(char *why, unsigned size, const char *what, const char *is, uint64_t value)
{
    format(why, size, "%s %s: %lx", what, is, value);
    return false;
}

static bool addresses_ok(const vcpu_guest_context_t *c, const struct pvmm_extended *x, char *why,
                         unsigned size)
{
    const struct {
        const char *what;
        uint64_t address;
    } all[] = {
        {"rip", c->user_regs.rip},
        {"rsp", c->user_regs.rsp},
        {"kernel_sp", c->kernel_sp},
        {"the event callback", c->event_callback_eip},
        {"the failsafe callback", c->failsafe_callback_eip},
        {"the syscall callback", c->syscall_callback_eip},
        {"the syscall32 callback", x->syscall32_eip},
        {"the sysenter callback", x->sysenter_eip},
        {"fs_base", c->fs_base},
        {"gs_base_kernel", c->gs_base_kernel},
        {"gs_base_user", c->gs_base_user},
    };
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (!canonical(all[i].address))
            return wrong(why, size, all[i].what, "is not canonical", all[i].address);
    for (unsigned i = 0; i < 256; i++)
        if (!canonical(c->trap_ctxt[i].address))
            return wrong(why, size, "the handler of a trap", "is not canonical",
                         c->trap_ctxt[i].address);
    return true;
}

static bool extended_ok(const struct pvmm_extended *x, char *why, unsigned size)
{
    if (x->syscall32_disables_events > 1 || x->sysenter_disables_events > 1 || x->zero[0] ||
        x->zero[1])
        return wrong(why, size, "a flag of the extended callbacks", "is neither 0 nor 1",
                     x->syscall32_disables_events | x->sysenter_disables_events | x->zero[0] |
                         x->zero[1]);
    return true;
}

static bool descriptors_ok(const vcpu_guest_context_t *c, char *why, unsigned size)
{
    if (c->gdt_ents > FIRST_RESERVED_GDT_ENTRY)
        return wrong(why, size, "the GDT's length", "is out of range", c->gdt_ents);
    if (c->ldt_ents > CORE_LDT_FRAMES * PAGE_BYTES / 8)
        return wrong(why, size, "the LDT's length", "is out of range", c->ldt_ents);
    if (c->ldt_ents && (c->ldt_base % PAGE_BYTES || !guest_range_ok(gva(c->ldt_base), 1)))
        return wrong(why, size, "the LDT's address", "is no page of the guest's", c->ldt_base);
    return true;
}

static bool roots_ok(const vcpu_guest_context_t *c, char *why, unsigned size)
{
    if (c->ctrlreg[3] == 0 || c->ctrlreg[3] % PAGE_BYTES)
        return wrong(why, size, "cr3", "is no frame's address", c->ctrlreg[3]);
    if (c->ctrlreg[1] % PAGE_BYTES)
        return wrong(why, size, "the user root", "is no frame's address", c->ctrlreg[1]);
    if (!(c->flags & VGCF_in_kernel) && c->ctrlreg[1] == 0)
        return wrong(why, size, "the vCPU is in user mode and the user root", "is none",
                     c->ctrlreg[1]);
    return true;
}

static uint32_t mxcsr_of(const vcpu_guest_context_t *c)
{
    uint32_t mxcsr;
    memcpy(&mxcsr, (const uint8_t *)&c->fpu_ctxt + MXCSR_OFFSET, sizeof(mxcsr));
    return mxcsr;
}

static bool registers_ok(const vcpu_guest_context_t *c, uint32_t mxcsr_mask, char *why,
                         unsigned size)
{
    if ((c->flags & VGCF_i387_valid) && (mxcsr_of(c) & ~mxcsr_mask))
        return wrong(why, size, "MXCSR", "has bits that this CPU does not know", mxcsr_of(c));
    for (unsigned n = 0; n < DEBUGREGS; n++) {
        uint64_t value = c->debugreg[n];
        if (n != 4 && n != 5 && debugreg_check(n, &value))
            return wrong(why, size, "a debug register", "holds what a guest may not set",
                         c->debugreg[n]);
    }
    if (c->ctrlreg[4] & CR4_OFF)
        return wrong(why, size, "cr4", "has FSGSBASE or OSXSAVE, which are off here",
                     c->ctrlreg[4]);
    if (c->vm_assist & ~(uint64_t)VM_ASSISTS)
        return wrong(why, size, "vm_assist", "has types that are not known here", c->vm_assist);
    return true;
}

bool context_check(const vcpu_guest_context_t *c, const struct pvmm_extended *x,
                   uint32_t mxcsr_mask, char *why, unsigned size)
{
    return addresses_ok(c, x, why, size) && extended_ok(x, why, size) &&
           descriptors_ok(c, why, size) && roots_ok(c, why, size) &&
           registers_ok(c, mxcsr_mask, why, size);
}

/* ---- loading */

/* Interrupts are on and IOPL is 0 whatever the guest believes: it has a mask and a number of its
 * own.
 */
static uint64_t rflags_for_guest(uint64_t rflags)
{
    return (rflags & RFLAGS_KNOWN) | RFLAGS_IF | RFLAGS_ONE;
}

static void load_registers(struct regs *r, const cpu_user_regs_t *u)
{
    *r = (struct regs){
        .r15 = u->r15,
        .r14 = u->r14,
        .r13 = u->r13,
        .r12 = u->r12,
        .rbp = u->rbp,
        .rbx = u->rbx,
        .r11 = u->r11,
        .r10 = u->r10,
        .r9 = u->r9,
        .r8 = u->r8,
        .rax = u->rax,
        .rcx = u->rcx,
        .rdx = u->rdx,
        .rsi = u->rsi,
        .rdi = u->rdi,
        .rip = u->rip,
        .cs = u->cs | RPL_GUEST,
        .rflags = rflags_for_guest(u->rflags),
        .rsp = u->rsp,
        .ss = u->ss | RPL_GUEST,
    };
}

static void load_traps(struct vcpu *v, const trap_info_t *t)
{
    for (unsigned i = 0; i < 256; i++)
        v->traps[i] = (struct guest_trap){
            .address = t[i].address,
            .cs = t[i].cs | RPL_GUEST,
            .dpl = t[i].flags & 3,
            .mask_events = t[i].flags & 4,
        };
}

/* Events are masked on their own entry, whatever else is. */
static void load_callbacks(struct vcpu *v, const vcpu_guest_context_t *c,
                           const struct pvmm_extended *x)
{
    v->event = (struct guest_callback){c->event_callback_eip, true};
    v->failsafe =
        (struct guest_callback){c->failsafe_callback_eip, c->flags & VGCF_failsafe_disables_events};
    v->syscall =
        (struct guest_callback){c->syscall_callback_eip, c->flags & VGCF_syscall_disables_events};
    v->syscall32 = (struct guest_callback){x->syscall32_eip, x->syscall32_disables_events};
    v->sysenter = (struct guest_callback){x->sysenter_eip, x->sysenter_disables_events};
}

void context_load(struct vcpu *v, const vcpu_guest_context_t *c, const struct pvmm_extended *x)
{
    load_registers(&v->regs, &c->user_regs);
    load_traps(v, c->trap_ctxt);
    load_callbacks(v, c, x);
    v->kernel_ss = c->kernel_ss | RPL_GUEST;
    v->kernel_sp = c->kernel_sp;
    v->fs_base = c->fs_base;
    v->gs_base_kernel = c->gs_base_kernel;
    v->gs_base_user = c->gs_base_user;
    v->guest_cr0 = CR0_START;
    v->guest_cr4 = CR4_START;
    v->iopl = c->user_regs.rflags >> IOPL_SHIFT & 3;
    v->in_kernel = c->flags & VGCF_in_kernel;
    v->domain->vm_assist = (uint32_t)c->vm_assist;
}
