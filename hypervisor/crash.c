/* SPDX-License-Identifier: MIT */
/* What to say when a guest cannot go on: its registers, stack, code, and how an address maps. */
#include "asm.h"
#include "cpu.h"
#include "explain.h"
#include "log.h"
#include "machine.h"
#include "string.h"
#include "traps.h"

#define STACK_WORDS 16u
#define CODE_BYTES  16u
#define LINE_CHARS  128u

static void dump_registers(const struct regs *r)
{
    log_line("  rip %04lx:%016lx rflags %08lx vector %lx error %lx", r->cs, r->rip, r->rflags,
             r->vector, r->error_code);
    log_line("  rsp %04lx:%016lx rbp %016lx", r->ss, r->rsp, r->rbp);
    log_line("  rax %016lx rbx %016lx rcx %016lx rdx %016lx", r->rax, r->rbx, r->rcx, r->rdx);
    log_line("  rsi %016lx rdi %016lx r8  %016lx r9  %016lx", r->rsi, r->rdi, r->r8, r->r9);
    log_line("  r10 %016lx r11 %016lx r12 %016lx r13 %016lx", r->r10, r->r11, r->r12, r->r13);
    log_line("  r14 %016lx r15 %016lx", r->r14, r->r15);
    log_line("  fs %016lx gs %016lx other gs %016lx cr2 %016lx cr3 %016lx", cpu_fs_base(),
             cpu_gs_base_active(), cpu_gs_base_inactive(), read_cr2(), read_cr3());
}

static void dump_code(const struct regs *r)
{
    uint8_t code[CODE_BYTES];
    char line[LINE_CHARS];
    unsigned n = 0;

    if (!copy_from_guest(code, gva(r->rip), sizeof(code))) {
        log_line("  code at rip: not readable");
        return;
    }
    for (unsigned i = 0; i < CODE_BYTES; i++)
        n += (unsigned)format(line + n, sizeof(line) - n, " %02x", code[i]);
    log_line("  code at rip:%s", line);
}

static void dump_stack(const struct regs *r)
{
    for (unsigned i = 0; i < STACK_WORDS; i += 2) {
        uint64_t word[2];

        if (!copy_from_guest(word, gva(r->rsp + i * 8), sizeof(word))) {
            log_line("  stack at %016lx: not readable", r->rsp + i * 8);
            return;
        }
        log_line("  stack %016lx: %016lx %016lx", r->rsp + i * 8, word[0], word[1]);
    }
}

static void dump_frame(mfn_t m)
{
    struct core *c = the_core();

    if (m.n >= c->nr_frames) {
        log_line("    frame %lx: beyond the machine's memory", m.n);
        return;
    }
    log_line("    frame %lx: type %s, %u uses, %u references, owner %d%s%s, pfn %lx", m.n,
             core_type_name(core_frame_type(c, m)), core_frame_uses(c, m), core_frame_holds(c, m),
             core_frame_owner(c, m), core_frame_validated(c, m) ? ", validated" : "",
             core_frame_pinned(c, m) ? ", pinned" : "", c->m2p[m.n]);
}

static void dump_walk_from(const char *name, mfn_t root, gva_t va)
{
    struct core_walk w;

    log_line("  walk of %016lx from the %s root %lx:", va.a, name, root.n);
    dump_frame(root);
    memset(&w, 0, sizeof(w));
    if (!core_walk(the_core(), root, va, &w))
        log_line("    incomplete");
    for (unsigned level = 4; level >= 1 && level >= w.level; level--) {
        log_line("    L%u entry at %lx: %016lx", level, w.at[level].at.a, w.at[level].entry);
        if (pte_present(w.at[level].entry))
            dump_frame(pte_frame(w.at[level].entry));
    }
}

void dump_walk(struct vcpu *v, gva_t va)
{
    dump_walk_from("kernel", v->mem.kernel_root, va);
    if (!v->in_kernel && !mfn_eq(v->mem.user_root, NO_MFN))
        dump_walk_from("user", v->mem.user_root, va);
}

void crash_report(struct vcpu *v, const struct regs *r, gva_t va)
{
    log_line("vCPU %u in guest-%s mode:", v->id, v->in_kernel ? "kernel" : "user");
    dump_registers(r);
    dump_code(r);
    dump_stack(r);
    dump_walk(v, va);
}

void domain_kill(struct vcpu *v, struct regs *r, gva_t va, const char *fmt, ...)
{
    char message[PVMM_MESSAGE_CHARS];
    va_list args;

    va_start(args, fmt);
    format_list(message, sizeof(message), fmt, &args);
    va_end(args);
    log_line("killed: %s", message);
    crash_report(v, r, va);
    if (explain_crash(v, r, va, message)) {
        explain_stand(v, r);
        resume_guest(r);
    }
    domain_end(PVMM_OUTCOME_KILLED, ~0u, message);
}
