/* SPDX-License-Identifier: MIT */
/* Who gets a trap: the guest, one of the emulators, or nobody (then it is a bug of ours). */
#include "traps.h"

#include "asm.h"
#include "cpu.h"
#include "domain.h"
#include "explain.h"
#include "interrupts.h"
#include "log.h"
#include "machine.h"
#include "request.h"
#include "shadow.h"
#include "string.h"

#define INT_N_BYTES       2u
#define INT_N_OPCODE      0xcd
#define DR6_INITIAL       0xffff0ff0ull
#define STACK_WORDS_SHOWN 64u

struct exception_fixup {
    uint64_t fault, fixup;
};

extern const struct exception_fixup exception_table[], exception_table_end[];
extern uint8_t iret_to_guest[];

/* ---- the LDT: its pages are mapped when they are first used */

/* A fault at an address in the hardware's LDT: true when the page is there now, or when the access
 * is to be made again because taking the page paused: each attempt gets further. */
static bool fill_ldt(struct vcpu *v, uint64_t address)
{
    unsigned index;
    mfn_t m;
    int rc;

    if (!cpu_ldt_index(address, &index) || index * PAGE_BYTES / 8 >= v->mem.ldt_entries)
        return false;
    if (!request_open(v))
        return true;
    rc = core_ldt_page(the_core(), &v->mem, index, &m);
    if (rc == 0)
        cpu_map_ldt_page(index, m);
    else if (rc != CORE_RESTART && v->mem.refusal.reason != REASON_NO_L1)
        request_refused(v,
                        REQUEST(.kind = PVMM_REQUEST_LDT, .name = "LDT page",
                                .address = v->mem.ldt_base.a + (uint64_t)index * PAGE_BYTES),
                        true);
    request_close(v);
    return rc == 0 || rc == CORE_RESTART;
}

/* ---- exceptions of the guest */

/* `INT n` with a gate closed to the guest: the guest's own table says whether it may. The guest
 * kernel counts as ring 1. The number is read from the code, because TCG puts another into the
 * error code than processors do (n * 16 instead of n * 8). true: done. */
static bool guest_int_n(struct vcpu *v, struct regs *r)
{
    uint8_t code[INT_N_BYTES];
    const struct guest_trap *t;

    if (!(r->error_code & SELECTOR_ERROR_IDT) ||
        !copy_from_guest(code, gva(r->rip), sizeof(code)) || code[0] != INT_N_OPCODE)
        return false;
    t = &v->traps[code[1]];
    if (!t->address || t->dpl < (v->in_kernel ? 1 : 3))
        return false;
    r->rip += INT_N_BYTES;
    bounce_interrupt(v, r, code[1]);
    return true;
}

static void guest_general_protection(struct vcpu *v, struct regs *r)
{
    if (guest_int_n(v, r))
        return;
    if (r->error_code == 0 && v->in_kernel && emulate_privileged(v, r))
        return;
    if (v->stand.due) /* at this instruction, which was refused */
        return;
    bounce_exception(v, r, TRAP_GP, (uint32_t)r->error_code);
}

/* The guest must not see where the hypervisor keeps its LDT: the address becomes its own. */
static uint64_t address_for_guest(const struct vcpu *v, uint64_t address)
{
    unsigned index;

    if (v->mem.ldt_entries == 0 || !cpu_ldt_index(address, &index))
        return address;
    return v->mem.ldt_base.a + index * (uint64_t)PAGE_BYTES + address % PAGE_BYTES;
}

/* The guest kernel wrote to what is present and not writable. true: the guest does not take the
 * fault. */
static inline bool kernel_write_fault(struct vcpu *v, struct regs *r, gva_t va)
{
    switch (emulate_table_write(v, r, va)) {
    case TABLE_WRITE_DONE:
        return true;
    case TABLE_WRITE_REFUSED:
        return v->stand.due;
    default:
        return explain_write_fault(v, r, va);
    }
}

/* A fault of the shadows' alone: true. Else *error is what the guest's own tables would have made
 * it. */
static bool watched_fault(uint64_t address, uint32_t *error)
{
    return __builtin_expect(shadow_on, false) && shadow_fill(gva(address), error);
}

static __attribute__((noinline)) void guest_page_fault(struct vcpu *v, struct regs *r)
{
    const uint32_t write_to_present = PFEC_PRESENT | PFEC_WRITE;
    uint64_t address = read_cr2();
    uint32_t error = (uint32_t)r->error_code;

    /* A page of the LDT; or it was refused, and the guest is to stand at this instruction. */
    if (!(error & PFEC_USER) && (fill_ldt(v, address) || v->stand.due))
        return;
    if (watched_fault(address, &error))
        return;
    if (v->in_kernel && (error & write_to_present) == write_to_present &&
        kernel_write_fault(v, r, gva(address)))
        return;
    bounce_page_fault(v, r, error, address_for_guest(v, address));
}

static void guest_no_fpu(struct vcpu *v, struct regs *r)
{
    cpu_set_task_switched(v, false);
    bounce_exception(v, r, TRAP_NM, 0);
}

static void guest_debug(struct vcpu *v, struct regs *r)
{
    v->debugreg[6] = read_dr6();
    write_dr6(DR6_INITIAL);
    bounce_exception(v, r, TRAP_DB, 0);
}

/* The gate is open to the guest; without a handler it is to look as if it were not. */
static void guest_int80(struct vcpu *v, struct regs *r)
{
    if (v->traps[TRAP_INT80].address) {
        bounce_interrupt(v, r, TRAP_INT80);
        return;
    }
    r->rip -= INT_N_BYTES;
    bounce_exception(v, r, TRAP_GP, TRAP_INT80 * 8 | SELECTOR_ERROR_IDT);
}

static void guest_exception(struct vcpu *v, struct regs *r)
{
    switch (r->vector) {
    case TRAP_DB:
        guest_debug(v, r);
        break;
    case TRAP_UD:
        if (!emulate_privileged(v, r))
            bounce_exception(v, r, TRAP_UD, 0);
        break;
    case TRAP_NM:
        guest_no_fpu(v, r);
        break;
    case TRAP_GP:
        guest_general_protection(v, r);
        break;
    default:
        bounce_exception(v, r, (unsigned)r->vector, (uint32_t)r->error_code);
    }
}

static __attribute__((noinline)) void guest_other_trap(struct vcpu *v, struct regs *r)
{
    if (r->vector < TRAPS_OF_CPU)
        guest_exception(v, r);
    else if (r->vector == TRAP_INT80)
        guest_int80(v, r);
    else
        handle_interrupt((unsigned)r->vector);
}

void guest_entry(struct regs *r)
{
    struct vcpu *v = current_vcpu();

    if (r->vector == TRAP_PF)
        guest_page_fault(v, r);
    else
        guest_other_trap(v, r);
    before_guest(v, r);
}

void guest_syscall(struct regs *r)
{
    struct vcpu *v = current_vcpu();

    if (!v->in_kernel)
        bounce_syscall(v, r);
    else if (r->rax == __HYPERVISOR_iret)
        do_iret(v, r);
    else
        do_hypercall(v, r);
    before_guest(v, r);
}

void guest_syscall32(struct regs *r)
{
    struct vcpu *v = current_vcpu();

    bounce_syscall(v, r);
    before_guest(v, r);
}

/* ---- exceptions of the hypervisor itself */

/* IRETQ could not load what the guest asked for: to the guest it is an exception of the instruction
 * that it was to go on with, as real Xen has it. The guest's general registers are in *r (they were
 * popped already); its iret words are still at their place at the top of the stack. */
static _Noreturn void iret_failed(struct vcpu *v, struct regs *r)
{
    struct regs *g = guest_regs(this_cpu());
    uint64_t vector = r->vector, error = r->error_code;

    memmove(g, r, offsetof(struct regs, vector));
    g->vector = vector;
    g->error_code = error;
    bounce_exception(v, g, (unsigned)vector, (uint32_t)error);
    before_guest(v, g);
    resume_guest(g);
}

/* Only what an access to memory or the load of a selector can raise is ours to go on from. */
static bool fix_up(struct regs *r)
{
    if (r->vector < TRAP_NP || r->vector > TRAP_PF)
        return false;
    for (const struct exception_fixup *f = exception_table; f < exception_table_end; f++) {
        if (f->fault == r->rip) {
            r->rip = f->fixup;
            return true;
        }
    }
    return false;
}

static void dump_host(const struct regs *r)
{
    const uint64_t *stack = (const uint64_t *)r->rsp;
    const uint64_t *end = (const uint64_t *)this_cpu();

    log_line("hypervisor: vector %lx error %lx rip %lx rsp %lx rflags %lx cr2 %lx", r->vector,
             r->error_code, r->rip, r->rsp, r->rflags, read_cr2());
    log_line("  rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx rbp %lx r8 %lx r9 %lx", r->rax,
             r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->r8, r->r9);
    log_line("  r10 %lx r11 %lx r12 %lx r13 %lx r14 %lx r15 %lx", r->r10, r->r11, r->r12, r->r13,
             r->r14, r->r15);
    if ((uint64_t)stack / CPU_BLOCK_BYTES != (uint64_t)end / CPU_BLOCK_BYTES)
        return;
    for (unsigned i = 0; i < STACK_WORDS_SHOWN && stack + i + 4 <= end; i += 4)
        log_line("  stack %lx %lx %lx %lx", stack[i], stack[i + 1], stack[i + 2], stack[i + 3]);
}

/* Of the hypervisor's own accesses to the guest's memory. */
static bool host_watched_fault(const struct regs *r)
{
    uint32_t error = (uint32_t)r->error_code;

    return watched_fault(read_cr2(), &error);
}

void host_entry(struct regs *r)
{
    struct vcpu *v = current_vcpu();

    if (r->vector >= TRAPS_OF_CPU) {
        handle_interrupt((unsigned)r->vector);
        return;
    }
    if (r->vector == TRAP_DB) {
        /* The guest's watchpoint, on its own memory, hit by our copying: not the guest's doing. */
        write_dr6(DR6_INITIAL);
        return;
    }
    if (r->vector == TRAP_PF && v && fill_ldt(v, read_cr2()))
        return;
    if (r->vector == TRAP_PF && v && host_watched_fault(r))
        return;
    if (r->rip == (uint64_t)iret_to_guest)
        iret_failed(v, r);
    if (fix_up(r))
        return;
    dump_host(r);
    panic("trap %lu in the hypervisor at %lx", r->vector, r->rip);
}

struct regs *to_guest_stack(const struct regs *r)
{
    struct regs *g = guest_regs(this_cpu());

    memcpy(g, r, sizeof(*g));
    return g;
}

void ist_entry(struct regs *r)
{
    if (r->vector == TRAP_NMI) {
        log_line("NMI at %lx", r->rip);
        return;
    }
    dump_host(r);
    panic("trap %lu at %lx", r->vector, r->rip);
}

/* ---- the first entry */

void vcpu_start(struct vcpu *v)
{
    struct cpu *c = this_cpu();
    struct regs *r = guest_regs(c);

    c->current = v;
    v->online = true;
    v->guest_cr0 |= read_cr0() & ~CR0_TS;
    v->guest_cr4 |= read_cr4();
    cpu_load_null_selectors();
    cpu_load_gdt(v);
    cpu_load_ldt(v);
    cpu_set_fs_base(v->fs_base);
    cpu_set_gs_base_active(v->in_kernel ? v->gs_base_kernel : v->gs_base_user);
    cpu_set_gs_base_inactive(v->in_kernel ? v->gs_base_user : v->gs_base_kernel);
    cpu_load_root(v);
    memcpy(r, &v->regs, sizeof(*r));
    channel_poll(); /* the host may want it to stand before its first instruction */
    before_guest(v, r);
    resume_guest(r);
}
