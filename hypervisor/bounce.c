/* SPDX-License-Identifier: MIT */
/*
 * Making the guest take something: the frame on its kernel stack, the switch between its two modes,
 * and HYPERVISOR_iret, which undoes both.
 *
 * A frame, from low to high: rcx r11 [ds es fs gs] [error] rip cs rflags rsp ss. The cs word's bits
 * 39:32 carry the event mask as it was; its RPL is 0 when the guest kernel was interrupted.
 */
#include "asm.h"
#include "cpu.h"
#include "machine.h"
#include "traps.h"

#define FRAME_WORDS_MAX     12u
#define STACK_ALIGNMENT     16u
#define CS_MASK_SHIFT       32
#define SELECTOR_RPL        3u
#define RFLAGS_NEVER        (RFLAGS_IOPL | RFLAGS_VM)
#define RFLAGS_FOR_HANDLERS (RFLAGS_AC | RFLAGS_VM | RFLAGS_RF | RFLAGS_NT | RFLAGS_TF)

/* How one bounce differs from another. */
struct bounce {
    const char *what;
    uint64_t handler;
    bool mask_events;
    bool has_error;
    uint32_t error_code;
    bool has_selectors;
    bool page_fault; /* its address is in vcpu_info.arch.cr2 */
};

/* ---- the guest's two modes */

void enter_guest_kernel(struct vcpu *v)
{
    if (v->in_kernel)
        return;
    v->in_kernel = true;
    swapgs();
    cpu_load_root(v);
}

void enter_guest_user(struct vcpu *v)
{
    if (!v->in_kernel)
        return;
    v->in_kernel = false;
    swapgs();
    cpu_load_root(v);
}

/* ---- the frame */

static uint64_t saved_cs(const struct vcpu *v, const struct regs *r, bool was_kernel)
{
    uint64_t cs = (uint16_t)r->cs;

    if (was_kernel)
        cs &= ~(uint64_t)SELECTOR_RPL;
    return cs | (uint64_t)v->info->evtchn_upcall_mask << CS_MASK_SHIFT;
}

static uint64_t saved_rflags(const struct vcpu *v, const struct regs *r)
{
    uint64_t flags = r->rflags & ~(RFLAGS_IF | RFLAGS_IOPL);

    return v->info->evtchn_upcall_mask ? flags : flags | RFLAGS_IF;
}

static unsigned add_selectors(uint64_t *frame, unsigned n)
{
    uint16_t ds, es, fs, gs;

    __asm__ volatile("movw %%ds, %0; movw %%es, %1; movw %%fs, %2; movw %%gs, %3"
                     : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
    frame[n++] = ds;
    frame[n++] = es;
    frame[n++] = fs;
    frame[n++] = gs;
    return n;
}

static unsigned make_frame(const struct vcpu *v, const struct regs *r, const struct bounce *b,
                           bool was_kernel, uint64_t frame[FRAME_WORDS_MAX])
{
    unsigned n = 0;

    frame[n++] = r->rcx;
    frame[n++] = r->r11;
    if (b->has_selectors)
        n = add_selectors(frame, n);
    if (b->has_error)
        frame[n++] = b->error_code;
    frame[n++] = r->rip;
    frame[n++] = saved_cs(v, r, was_kernel);
    frame[n++] = saved_rflags(v, r);
    frame[n++] = r->rsp;
    frame[n++] = r->ss;
    return n;
}

static _Noreturn void no_handler(struct vcpu *v, struct regs *r, const struct bounce *b)
{
    uint64_t address = v->info->arch.cr2;

    if (b->page_fault)
        domain_kill(v, r, gva(address), "the guest has no handler for %s at rip %lx, address %lx",
                    b->what, r->rip, address);
    domain_kill(v, r, gva(r->rip), "the guest has no handler for %s at rip %lx", b->what, r->rip);
}

static void deliver(struct vcpu *v, struct regs *r, const struct bounce *b)
{
    bool was_kernel = v->in_kernel;
    uint64_t frame[FRAME_WORDS_MAX];
    unsigned words;
    uint64_t sp;

    if (!b->handler)
        no_handler(v, r, b);
    words = make_frame(v, r, b, was_kernel, frame);
    sp = (was_kernel ? r->rsp : v->kernel_sp) & ~(uint64_t)(STACK_ALIGNMENT - 1);
    sp -= words * sizeof(frame[0]);
    enter_guest_kernel(v);
    if (!copy_to_guest(gva(sp), frame, words * sizeof(frame[0])))
        domain_kill(v, r, gva(sp), "the guest's stack at %lx cannot take the frame for %s", sp,
                    b->what);

    if (b->mask_events)
        v->info->evtchn_upcall_mask = 1;
    r->rip = b->handler;
    r->cs = SELECTOR_FLAT_CS64;
    r->ss = SELECTOR_FLAT_SS;
    r->rsp = sp;
    r->rflags = (r->rflags & ~(RFLAGS_FOR_HANDLERS | RFLAGS_IOPL)) | RFLAGS_IF | RFLAGS_ONE;
}

/* ---- what is delivered */

static bool pushes_error(unsigned vector)
{
    return vector == TRAP_DF || (vector >= TRAP_TS && vector <= TRAP_PF) || vector == TRAP_AC ||
           vector == TRAP_CP;
}

static void deliver_trap(struct vcpu *v, struct regs *r, unsigned vector, bool has_error,
                         uint32_t error_code)
{
    const struct guest_trap *t = &v->traps[vector];
    char what[32];

    format(what, sizeof(what), "trap %u (error %x)", vector, error_code);
    deliver(v, r,
            &(struct bounce){.what = what,
                             .handler = t->address,
                             .mask_events = t->mask_events,
                             .has_error = has_error,
                             .error_code = error_code,
                             .page_fault = has_error && vector == TRAP_PF});
}

void bounce_exception(struct vcpu *v, struct regs *r, unsigned vector, uint32_t error_code,
                      uint64_t fault_address)
{
    mailbox.verdict.exceptions_bounced++;
    if (vector == TRAP_PF) {
        /* Rings do not tell the modes apart, so neither does the CPU's error code. */
        error_code = v->in_kernel ? error_code & ~PFEC_USER : error_code | PFEC_USER;
        v->info->arch.cr2 = fault_address;
    }
    deliver_trap(v, r, vector, pushes_error(vector), error_code);
}

void bounce_interrupt(struct vcpu *v, struct regs *r, unsigned vector)
{
    mailbox.verdict.exceptions_bounced++;
    deliver_trap(v, r, vector, false, 0);
}

void bounce_event(struct vcpu *v, struct regs *r)
{
    mailbox.verdict.events_delivered++;
    deliver(v, r,
            &(struct bounce){.what = "an event", .handler = v->event.address, .mask_events = true});
}

static void deliver_callback(struct vcpu *v, struct regs *r, const struct guest_callback *c,
                             const char *what)
{
    r->rflags &= ~RFLAGS_DF;
    deliver(v, r,
            &(struct bounce){.what = what, .handler = c->address, .mask_events = c->mask_events});
}

/* Without a callback the instruction is undefined: it is two bytes long and already done. */
void bounce_syscall(struct vcpu *v, struct regs *r)
{
    const struct guest_callback *c = r->vector == VECTOR_SYSCALL ? &v->syscall : &v->syscall32;

    if (c->address) {
        deliver_callback(v, r, c, "a system call");
        return;
    }
    r->rip -= 2;
    bounce_exception(v, r, TRAP_UD, 0, 0);
}

void bounce_failsafe(struct vcpu *v, struct regs *r)
{
    deliver(v, r,
            &(struct bounce){.what = "a state that cannot be loaded",
                             .handler = v->failsafe.address,
                             .mask_events = v->failsafe.mask_events,
                             .has_selectors = true});
}

/* ---- HYPERVISOR_iret */

struct iret_frame {
    uint64_t rax, r11, rcx, flags, rip, cs, rflags, rsp, ss;
};

void guest_iret(struct vcpu *v, struct regs *r)
{
    struct iret_frame f;

    if (!copy_from_guest(&f, gva(r->rsp), sizeof(f)))
        domain_kill(v, r, gva(r->rsp), "iret: the frame at %lx is not readable", r->rsp);
    if ((f.cs & SELECTOR_RPL) == SELECTOR_RPL) {
        if (mfn_eq(v->mem.user_root, NO_MFN))
            domain_kill(v, r, gva(f.rip), "iret to user mode without a user page table");
        enter_guest_user(v);
        first_user_entry(v);
    }
    r->rax = f.rax;
    r->r11 = f.r11;
    r->rcx = f.rcx;
    r->rip = f.rip;
    r->cs = (uint16_t)f.cs | SELECTOR_RPL;
    r->rflags = (f.rflags & ~RFLAGS_NEVER) | RFLAGS_IF | RFLAGS_ONE;
    r->rsp = f.rsp;
    r->ss = (uint16_t)f.ss | SELECTOR_RPL;
    v->info->evtchn_upcall_mask = !(f.rflags & RFLAGS_IF);
}
