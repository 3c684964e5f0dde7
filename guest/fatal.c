/* SPDX-License-Identifier: MIT */
/* The end that nobody wanted: what is known goes to the console, then the domain crashes. */
#include "internal.h"

#include <xen/sched.h>

#define TRAP_PF 14u

/* The second time by the other way, as the ring may be what is not there; a third time nothing. */
_Noreturn static void end_again(struct pvguest *g, const char *what)
{
    if (g->ends == 2) {
        g->console_va = 0;
        pvg_print(g, "pvguest: FATAL, while saying so: %s\n", what);
    }
    pvg_shutdown(g, SHUTDOWN_crash);
}

_Noreturn void pvg_fatal(struct pvguest *g, const char *what)
{
    if (g->ends++ > 0)
        end_again(g, what);
    pvg_print(g, "pvguest: FATAL: %s%s%s\n", what, g->reason[0] ? ": " : "", g->reason);
    pvg_shutdown(g, SHUTDOWN_crash);
}

_Noreturn void trap_fatal(struct pvguest *g, const struct pvg_trap *t)
{
    char what[80];
    pvg_format(what, sizeof(what), "trap %lu, error %lx, at %lx, which nobody handles", t->vector,
               t->error, t->rip);
    if (g->ends++ > 0)
        end_again(g, what);
    trap_print(g, t);
    pvg_print(g, "pvguest: FATAL: %s\n", what);
    pvg_shutdown(g, SHUTDOWN_crash);
}

static void print_registers(struct pvguest *g, const struct pvg_trap *t)
{
    pvg_print(g, "  rip %016lx cs %lx rflags %lx rsp %016lx ss %lx\n", t->rip, t->cs & 0xffff,
              t->rflags, t->rsp, t->ss & 0xffff);
    pvg_print(g, "  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", t->rax, t->rbx, t->rcx, t->rdx);
    pvg_print(g, "  rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", t->rsi, t->rdi, t->rbp, t->r8);
    pvg_print(g, "  r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", t->r9, t->r10, t->r11, t->r12);
    pvg_print(g, "  r13 %016lx r14 %016lx r15 %016lx\n", t->r13, t->r14, t->r15);
}

void trap_print(struct pvguest *g, const struct pvg_trap *t)
{
    if (t->vector != TRAP_PF) {
        pvg_print(g, "pvguest: trap %lu, error %lx, at %lx\n", t->vector, t->error, t->rip);
        print_registers(g, t);
        return;
    }
    uint64_t address = pvg_fault_address(g);
    pvg_print(g, "pvguest: page fault, %s of %016lx, %s, at %lx\n", t->error & 2 ? "write" : "read",
              address, t->error & 1 ? "which is not allowed" : "which is not mapped", t->rip);
    print_registers(g, t);
    pvg_walk_print(g, address);
}
