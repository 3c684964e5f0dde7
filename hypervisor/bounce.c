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
#include "guestword.h"
#include "machine.h"
#include "string.h"
#include "traps.h"

#define FRAME_WORDS_MAX     8u
#define STACK_ALIGNMENT     16u
#define CS_MASK_SHIFT       32
#define SELECTOR_RPL        3u
#define RFLAGS_NEVER        (RFLAGS_IOPL | RFLAGS_VM)
#define RFLAGS_FOR_HANDLERS (RFLAGS_AC | RFLAGS_VM | RFLAGS_RF | RFLAGS_NT | RFLAGS_TF)

/* How one bounce differs from another. */
struct bounce {
    const char *what; /* NULL: exception or interrupt `vector` */
    unsigned vector;
    uint64_t handler;
    bool mask_events;
    bool has_error;
    uint32_t error_code;
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

static inline __attribute__((always_inline)) unsigned
make_frame(const struct vcpu *v, const struct regs *r, const struct bounce *b, bool was_kernel,
           uint64_t frame[FRAME_WORDS_MAX])
{
    unsigned n = 0;

    frame[n++] = r->rcx;
    frame[n++] = r->r11;
    if (b->has_error)
        frame[n++] = b->error_code;
    frame[n++] = r->rip;
    frame[n++] = saved_cs(v, r, was_kernel);
    frame[n++] = saved_rflags(v, r);
    frame[n++] = r->rsp;
    frame[n++] = r->ss;
    return n;
}

static void name_bounce(char *to, unsigned size, const char *what, unsigned vector,
                        uint32_t error_code)
{
    if (what)
        copy_string(to, what, size);
    else
        format(to, size, "trap %u (error %x)", vector, error_code);
}

/* In these two the parts of the bounce come one by one: by its address it would have to be in
 * memory whenever one is made. What could not be delivered is what the guest dies of, whatever
 * brought it here: an event comes after a SYSCALL that is done. */
static _Noreturn __attribute__((noinline, cold)) void
no_handler(struct vcpu *v, struct regs *r, const char *known_as, unsigned vector,
           uint32_t error_code, bool page_fault)
{
    uint64_t address = v->info->arch.cr2;
    char what[32];

    r->vector = vector;
    name_bounce(what, sizeof(what), known_as, vector, error_code);
    if (page_fault)
        domain_kill(v, r, gva(address), "the guest has no handler for %s at rip %lx, address %lx",
                    what, r->rip, address);
    domain_kill(v, r, gva(r->rip), "the guest has no handler for %s at rip %lx", what, r->rip);
}

static _Noreturn __attribute__((noinline, cold)) void no_stack(struct vcpu *v, struct regs *r,
                                                               const char *known_as,
                                                               unsigned vector, uint32_t error_code,
                                                               uint64_t sp, bool was_kernel)
{
    char what[32];

    r->vector = vector;
    if (!was_kernel) /* it stays where its registers are */
        enter_guest_user(v);

    name_bounce(what, sizeof(what), known_as, vector, error_code);
    domain_kill(v, r, gva(sp), "the guest's stack at %lx cannot take the frame for %s", sp, what);
}

static inline __attribute__((always_inline)) bool
write_frame(uint64_t sp, const uint64_t frame[FRAME_WORDS_MAX], unsigned words)
{
    if (!guest_range_ok(gva(sp), words * sizeof(frame[0])))
        return false;
#pragma GCC unroll 12
    for (unsigned i = 0; i < words; i++)
        if (!guest_word_put(sp + i * sizeof(frame[0]), frame[i]))
            return false;
    return true;
}

/* Compiled into each kind of bounce, most of which it knows beforehand. */
static inline __attribute__((always_inline)) void deliver(struct vcpu *v, struct regs *r,
                                                          const struct bounce *b)
{
    bool was_kernel = v->in_kernel;
    uint64_t frame[FRAME_WORDS_MAX];
    unsigned words;
    uint64_t sp;

    if (!b->handler)
        no_handler(v, r, b->what, b->vector, b->error_code, b->page_fault);
    words = make_frame(v, r, b, was_kernel, frame);
    sp = (was_kernel ? r->rsp : v->kernel_sp) & ~(uint64_t)(STACK_ALIGNMENT - 1);
    sp -= words * sizeof(frame[0]);
    enter_guest_kernel(v);
    if (!write_frame(sp, frame, words))
        no_stack(v, r, b->what, b->vector, b->error_code, sp, was_kernel);
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

void bounce_exception(struct vcpu *v, struct regs *r, unsigned vector, uint32_t error_code)
{
    mailbox.verdict.exceptions_bounced++;
    deliver(v, r,
            &(struct bounce){.vector = vector,
                             .handler = v->traps[vector].address,
                             .mask_events = v->traps[vector].mask_events,
                             .has_error = pushes_error(vector),
                             .error_code = error_code});
}

void bounce_page_fault(struct vcpu *v, struct regs *r, uint32_t error_code, uint64_t address)
{
    mailbox.verdict.exceptions_bounced++;
    v->info->arch.cr2 = address;
    /* Rings do not tell the modes apart, so neither does the CPU's error code. */
    deliver(v, r,
            &(struct bounce){.vector = TRAP_PF,
                             .handler = v->traps[TRAP_PF].address,
                             .mask_events = v->traps[TRAP_PF].mask_events,
                             .has_error = true,
                             .error_code =
                                 v->in_kernel ? error_code & ~PFEC_USER : error_code | PFEC_USER,
                             .page_fault = true});
}

void bounce_interrupt(struct vcpu *v, struct regs *r, unsigned vector)
{
    mailbox.verdict.exceptions_bounced++;
    deliver(v, r,
            &(struct bounce){.vector = vector,
                             .handler = v->traps[vector].address,
                             .mask_events = v->traps[vector].mask_events});
}

void bounce_event(struct vcpu *v, struct regs *r)
{
    mailbox.verdict.events_delivered++;
    deliver(v, r,
            &(struct bounce){.what = "an event",
                             .vector = VECTOR_UPCALL,
                             .handler = v->event.address,
                             .mask_events = true});
}

static void deliver_callback(struct vcpu *v, struct regs *r, const struct guest_callback *c,
                             const char *what)
{
    deliver(v, r,
            &(struct bounce){.what = what,
                             .vector = (unsigned)r->vector,
                             .handler = c->address,
                             .mask_events = c->mask_events});
    r->rflags &= ~RFLAGS_DF; /* of the callback; the frame has the program's */
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
    bounce_exception(v, r, TRAP_UD, 0);
}

/* ---- HYPERVISOR_iret */

/* The guest's frame, in this order from its stack pointer up. */
enum iret_word {
    IRET_RAX,
    IRET_R11,
    IRET_RCX,
    IRET_FLAGS,
    IRET_RIP,
    IRET_CS,
    IRET_RFLAGS,
    IRET_RSP,
    IRET_SS,
    IRET_WORDS
};

static bool read_iret_frame(uint64_t f[IRET_WORDS], uint64_t sp)
{
    if (!guest_range_ok(gva(sp), IRET_WORDS * sizeof(f[0])))
        return false;
#pragma GCC unroll 9
    for (unsigned i = 0; i < IRET_WORDS; i++)
        if (!guest_word_get(&f[i], sp + i * sizeof(f[0])))
            return false;
    return true;
}

void guest_iret(struct vcpu *v, struct regs *r)
{
    uint64_t f[IRET_WORDS];

    if (!read_iret_frame(f, r->rsp))
        domain_kill(v, r, gva(r->rsp), "iret: the frame at %lx is not readable", r->rsp);
    if ((f[IRET_CS] & SELECTOR_RPL) == SELECTOR_RPL) {
        if (mfn_eq(v->mem.user_root, NO_MFN))
            domain_kill(v, r, gva(f[IRET_RIP]), "iret to user mode without a user page table");
        enter_guest_user(v);
        first_user_entry(v);
    }
    r->rax = f[IRET_RAX];
    r->r11 = f[IRET_R11];
    r->rcx = f[IRET_RCX];
    r->rip = f[IRET_RIP];
    r->cs = (uint16_t)f[IRET_CS] | SELECTOR_RPL;
    r->rflags = (f[IRET_RFLAGS] & ~RFLAGS_NEVER) | RFLAGS_IF | RFLAGS_ONE;
    r->rsp = f[IRET_RSP];
    r->ss = (uint16_t)f[IRET_SS] | SELECTOR_RPL;
    v->info->evtchn_upcall_mask = !(f[IRET_RFLAGS] & RFLAGS_IF);
}
