/* SPDX-License-Identifier: MIT */
/* What the host needs to read the guest: where things lie, and the vCPU in the form that tools know
 * (vcpu_guest_context_t of <xen/arch-x86/xen.h>). */
#include "publish.h"

#include "asm.h"
#include "cpu.h"
#include "machine.h"
#include "string.h"
#include "traps.h"

static void fill_registers(const struct regs *r, cpu_user_regs_t *to)
{
    *to = (cpu_user_regs_t){
        .r15 = r->r15,
        .r14 = r->r14,
        .r13 = r->r13,
        .r12 = r->r12,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .r11 = r->r11,
        .r10 = r->r10,
        .r9 = r->r9,
        .r8 = r->r8,
        .rax = r->rax,
        .rcx = r->rcx,
        .rdx = r->rdx,
        .rsi = r->rsi,
        .rdi = r->rdi,
        .error_code = (uint32_t)r->error_code,
        .entry_vector = (uint32_t)r->vector,
        .rip = r->rip,
        .cs = (uint16_t)r->cs,
        .rflags = r->rflags,
        .rsp = r->rsp,
        .ss = (uint16_t)r->ss,
    };
}

static void fill_traps(const struct vcpu *v, trap_info_t *to)
{
    for (unsigned i = 0; i < 256; i++)
        to[i] = (trap_info_t){
            .vector = (uint8_t)i,
            .flags = (uint8_t)(v->traps[i].dpl | (v->traps[i].mask_events ? 4 : 0)),
            .cs = v->traps[i].cs,
            .address = v->traps[i].address,
        };
}

static void fill_descriptors(const struct vcpu *v, vcpu_guest_context_t *to)
{
    to->ldt_base = v->mem.ldt_base.a;
    to->ldt_ents = v->mem.ldt_entries;
    to->gdt_ents = v->mem.gdt_entries;
    for (unsigned i = 0; i < CORE_GDT_FRAMES; i++)
        to->gdt_frames[i] = mfn_eq(v->mem.gdt[i], NO_MFN) ? 0 : v->mem.gdt[i].n;
}

/* A root as it stands in CR3; of a 64-bit guest that is simply its address. 0: none. */
static uint64_t as_cr3(mfn_t root)
{
    return mfn_eq(root, NO_MFN) ? 0 : root.n << PAGE_SHIFT_4K;
}

static void fill_control(const struct vcpu *v, vcpu_guest_context_t *to)
{
    to->ctrlreg[0] = v->guest_cr0;
    to->ctrlreg[1] = as_cr3(v->mem.user_root);
    to->ctrlreg[2] = v->info->arch.cr2;
    to->ctrlreg[3] = as_cr3(v->mem.kernel_root);
    to->ctrlreg[4] = v->guest_cr4;
    for (unsigned i = 0; i < 8; i++)
        to->debugreg[i] = v->debugreg[i];
}

static uint64_t flags_of(const struct vcpu *v)
{
    return VGCF_i387_valid | (v->in_kernel ? VGCF_in_kernel : 0) | (v->online ? VGCF_online : 0) |
           (v->failsafe.mask_events ? VGCF_failsafe_disables_events : 0) |
           (v->syscall.mask_events ? VGCF_syscall_disables_events : 0);
}

/* With TS set, saving would trap. */
static void fill_fpu(struct vcpu *v, vcpu_guest_context_t *to)
{
    bool switched = v->guest_cr0 & CR0_TS;

    cpu_set_task_switched(v, false);
    fxsave(&to->fpu_ctxt);
    cpu_set_task_switched(v, switched);
}

static void fill_context(struct vcpu *v, const struct regs *r, vcpu_guest_context_t *to)
{
    memset(to, 0, sizeof(*to));
    fill_fpu(v, to);
    to->flags = flags_of(v);
    fill_registers(r, &to->user_regs);
    to->user_regs.rflags |= (uint64_t)v->iopl << IOPL_SHIFT; /* the CPU's is 0 */
    fill_traps(v, to->trap_ctxt);
    fill_descriptors(v, to);
    fill_control(v, to);
    to->kernel_ss = v->kernel_ss;
    to->kernel_sp = v->kernel_sp;
    to->event_callback_eip = v->event.address;
    to->failsafe_callback_eip = v->failsafe.address;
    to->syscall_callback_eip = v->syscall.address;
    to->vm_assist = v->domain->vm_assist;
    to->fs_base = cpu_fs_base();
    to->gs_base_kernel = v->in_kernel ? cpu_gs_base_active() : cpu_gs_base_inactive();
    to->gs_base_user = v->in_kernel ? cpu_gs_base_inactive() : cpu_gs_base_active();
}

/* Real Xen has no code selectors for these in a 64-bit guest. */
static void fill_extended(const struct vcpu *v, struct pvmm_extended *to)
{
    *to = (struct pvmm_extended){
        .syscall32_eip = v->syscall32.address,
        .sysenter_eip = v->sysenter.address,
        .syscall32_disables_events = v->syscall32.mask_events,
        .sysenter_disables_events = v->sysenter.mask_events,
    };
}

void publish_context(struct vcpu *v, const struct regs *r)
{
    fill_extended(v, &mailbox.extended);
    fill_context(v, r, (vcpu_guest_context_t *)mailbox.machine.context);
    mailbox.machine.context_valid = 1;
}

/* ---- where things lie */

void publish_empty(const struct domain *d)
{
    struct pvmm_machine *m = &mailbox.machine;
    m->high_end = boot_info.high_end;
    m->shared_mfn = d->shared_mfn.n;
    m->tsc_khz = tsc_khz();
}

void publish_machine(const struct domain *d)
{
    struct pvmm_machine *m = &mailbox.machine;
    publish_empty(d);
    _Static_assert(sizeof(m->context) == sizeof(vcpu_guest_context_t), "the ABI's layout");
    m->frame_bytes = sizeof(struct frame);
    m->nr_frames = the_core()->nr_frames;
    m->frames_at = direct_address(the_core()->frames).a;
    m->m2p_at = direct_address(the_core()->m2p).a;
    m->start_info_pfn = d->start_info.n;
    m->initial_root = d->vcpu[0].mem.kernel_root.n;
    m->virt_base = d->virt_base.a;
    m->entry_tsc = rdtsc();
    m->vcpus = d->nr_vcpus;
    m->version = PVMM_MACHINE_VERSION;
}
