/* SPDX-License-Identifier: MIT */
/* Hypercalls: who serves which number, batches of them, and what is written down about refusals. */
#include "hypercall.h"

#include <pvmm/hypercalls.h>

#include "explain.h"
#include "guestword.h"
#include "string.h"

#define LOGGED_EACH 4u /* lines per number; more are only counted */

static const char *const names[PVMM_HYPERCALLS] = {
#define NAME(number, name) [number] = #name,
    PVMM_HYPERCALL_LIST(NAME)
#undef NAME
};

static call_handler hc_multicall, hc_iret;

static call_handler *const handlers[PVMM_HYPERCALLS] = {
    [__HYPERVISOR_set_trap_table] = hc_set_trap_table,
    [__HYPERVISOR_mmu_update] = hc_mmu_update,
    [__HYPERVISOR_set_gdt] = hc_set_gdt,
    [__HYPERVISOR_stack_switch] = hc_stack_switch,
    [__HYPERVISOR_set_callbacks] = hc_set_callbacks,
    [__HYPERVISOR_fpu_taskswitch] = hc_fpu_taskswitch,
    [__HYPERVISOR_set_debugreg] = hc_set_debugreg,
    [__HYPERVISOR_get_debugreg] = hc_get_debugreg,
    [__HYPERVISOR_update_descriptor] = hc_update_descriptor,
    [__HYPERVISOR_memory_op] = hc_memory_op,
    [__HYPERVISOR_multicall] = hc_multicall,
    [__HYPERVISOR_update_va_mapping] = hc_update_va_mapping,
    [__HYPERVISOR_set_timer_op] = hc_set_timer_op,
    [__HYPERVISOR_sched_op_compat] = hc_sched_op_compat,
    [__HYPERVISOR_xen_version] = hc_xen_version,
    [__HYPERVISOR_console_io] = hc_console_io,
    [__HYPERVISOR_grant_table_op] = hc_grant_table_op,
    [__HYPERVISOR_vm_assist] = hc_vm_assist,
    [__HYPERVISOR_update_va_mapping_otherdomain] = hc_update_va_mapping_otherdomain,
    [__HYPERVISOR_iret] = hc_iret,
    [__HYPERVISOR_vcpu_op] = hc_vcpu_op,
    [__HYPERVISOR_set_segment_base] = hc_set_segment_base,
    [__HYPERVISOR_mmuext_op] = hc_mmuext_op,
    [__HYPERVISOR_nmi_op] = hc_nmi_op,
    [__HYPERVISOR_sched_op] = hc_sched_op,
    [__HYPERVISOR_callback_op] = hc_callback_op,
    [__HYPERVISOR_event_channel_op] = hc_event_channel_op,
    [__HYPERVISOR_physdev_op] = hc_physdev_op,
    [__HYPERVISOR_xenpmu_op] = hc_xenpmu_op,
};

const char *hypercall_name(uint64_t number)
{
    return number < PVMM_HYPERCALLS && names[number] ? names[number] : "?";
}

/* ---- writing down */

/* true: another line about this number may go to the log. Says so once when it is the last. */
static bool may_log(uint64_t number)
{
    static unsigned lines[PVMM_HYPERCALLS + 1];
    unsigned *n = &lines[number < PVMM_HYPERCALLS ? number : PVMM_HYPERCALLS];
    if (*n >= LOGGED_EACH)
        return false;
    if (++*n == LOGGED_EACH)
        log_line("hypercall %s (%lu): refusals after the next line are only counted",
                 hypercall_name(number), number);
    return true;
}

static bool is_error(const struct call *c, int64_t result)
{
    if (result >= 0 || result < -4095)
        return false;
    /* These two answer with values of the guest's own. */
    return c->number != __HYPERVISOR_iret && c->number != __HYPERVISOR_get_debugreg;
}

/* Guests ask for every vCPU number there could be: no news. */
static bool is_probe(const struct call *c)
{
    return c->number == __HYPERVISOR_vcpu_op && (uint32_t)c->arg[0] == VCPUOP_is_up;
}

static void fill_request(struct request *q, const struct call *c)
{
    *q = (struct request){
        .kind = PVMM_REQUEST_HYPERCALL,
        .name = hypercall_name(c->number),
        .hypercall = c->number,
        .multicall_index = c->nested ? c->v->multicall_index : NO_INDEX,
        .batch_index = NO_INDEX,
        .address = NO_INDEX,
    };
    memcpy(q->args, c->arg, sizeof(q->args));
}

/* About page tables or descriptors. Those are reported, too, when they fail before the core is
 * asked: for a bad buffer, a domain that the guest may not name, an unknown command. */
static bool is_table_request(uint64_t number)
{
    return number == __HYPERVISOR_mmu_update || number == __HYPERVISOR_mmuext_op ||
           number == __HYPERVISOR_update_va_mapping || number == __HYPERVISOR_set_gdt ||
           number == __HYPERVISOR_update_descriptor ||
           number == __HYPERVISOR_update_va_mapping_otherdomain;
}

static void log_error(const struct call *c, bool served, int64_t result)
{
    if (!served)
        log_line("hypercall %s (%lu) is not implemented, called from %lx",
                 hypercall_name(c->number), c->number, c->regs->rip);
    else
        log_line("hypercall %s(%lx, %lx, %lx, %lx) refused: %ld, called from %lx",
                 hypercall_name(c->number), c->arg[0], c->arg[1], c->arg[2], c->arg[3], result,
                 c->regs->rip);
}

static __attribute__((noinline, cold)) void note_error(const struct call *c, bool served,
                                                       int64_t result)
{
    struct request q;
    if (c->number < PVMM_HYPERCALLS)
        mailbox.verdict.refused[c->number]++;
    if (c->noted)
        return;
    if (is_table_request(c->number)) {
        fill_request(&q, c);
        explain_refusal(c->v, &q, NULL, (int)result);
    }
    if (!is_probe(c) && may_log(c->number))
        log_error(c, served, result);
}

static void note_result(const struct call *c, bool served, int64_t result)
{
    if (c->number < PVMM_HYPERCALLS)
        mailbox.verdict.hypercalls[c->number]++;
    else
        mailbox.verdict.unknown_hypercalls++;
    if (is_error(c, result))
        note_error(c, served, result);
}

void note_refusal_at(struct call *c, int rc, uint64_t index, uint64_t count,
                     const uint64_t element[3])
{
    const struct core_refusal *why = &c->v->mem.refusal;
    bool cores = why->error == rc && why->reason != REASON_NONE;
    struct request q;
    if (!cores && !is_table_request(c->number))
        return;
    c->noted = true;
    fill_request(&q, c);
    q.batch_index = index;
    q.batch_count = count;
    if (element)
        memcpy(q.element, element, sizeof(q.element));
    bool log = may_log(c->number);
    if (cores) {
        request_refused(c->v, &q, log);
        return;
    }
    explain_refusal(c->v, &q, NULL, rc);
    if (log)
        log_error(c, true, rc);
}

void note_refusal(struct call *c, int rc)
{
    note_refusal_at(c, rc, NO_INDEX, 0, NULL);
}

/* ---- memory requests */

bool request_begin(struct call *c)
{
    return request_open(c->v);
}

int64_t request_end(struct call *c, int rc)
{
    if (rc < 0 && rc != CORE_RESTART)
        note_refusal(c, rc);
    request_close(c->v);
    return rc == CORE_RESTART ? call_restart(c) : rc;
}

/* ---- dispatch */

static int64_t dispatch(struct call *c)
{
    call_handler *serve = c->number < PVMM_HYPERCALLS ? handlers[c->number] : NULL;
    int64_t result = serve ? serve(c) : -XEN_ENOSYS;
    if (!c->restart)
        note_result(c, serve, result);
    return result;
}

/* One may have come meanwhile. */
static void unmask_nmi(struct vcpu *v)
{
    if (!v->nmi_masked)
        return;
    v->nmi_masked = false;
    attend();
}

static int64_t hc_iret(struct call *c)
{
    unmask_nmi(c->v);
    guest_iret(c->v, c->regs);
    return (int64_t)c->regs->rax; /* as the guest's frame had it */
}

/* An element as the guest's list has it; hc_multicall() has checked the list's range. */
static inline bool element_fetch(struct call *element, uint64_t at)
{
    const uint64_t args = at + offsetof(multicall_entry_t, args);
    _Static_assert(sizeof(multicall_entry_t) == 8 * sizeof(uint64_t), "words, all of it");
    if (!guest_word_get(&element->number, at + offsetof(multicall_entry_t, op)))
        return false;
    for (unsigned i = 0; i < 6; i++)
        if (!guest_word_get(&element->arg[i], args + i * sizeof(uint64_t)))
            return false;
    return true;
}

/* It is to be called again: with the arguments that remain. */
static __attribute__((noinline, cold)) int64_t element_again(const struct call *element, gva_t at)
{
    gva_t args = gva(at.a + offsetof(multicall_entry_t, args));
    return copy_to_guest(args, element->arg, sizeof(element->arg)) ? 0 : -XEN_EFAULT;
}

/* Takes one element, calls, writes the result back, or the arguments that remain. */
static int64_t multicall_element(struct call *c, gva_t at, struct call *element)
{
    element->v = c->v;
    element->regs = c->regs;
    element->restart = element->noted = false;
    element->nested = true;
    if (!element_fetch(element, at.a))
        return -XEN_EFAULT;
    int64_t result = dispatch(element);
    if (element->restart)
        return element_again(element, at);
    return guest_word_put(at.a + offsetof(multicall_entry_t, result), (uint64_t)result)
               ? 0
               : -XEN_EFAULT;
}

static int64_t hc_multicall(struct call *c)
{
    gva_t list = gva(c->arg[0]);
    uint32_t count = (uint32_t)c->arg[1];
    struct call element;
    if (c->nested)
        return -XEN_EINVAL;
    if (!guest_range_ok(list, (uint64_t)count * sizeof(multicall_entry_t)))
        return -XEN_EFAULT;
    uint64_t before = progress_take(&c->v->multicall, list.a);
    for (uint32_t i = 0; i < count; i++) {
        c->v->multicall_index = before + i;
        bool stop = i > 0 && (c->v->blocked || cpu_interrupt_pending());
        int64_t rc = stop ? 0 : multicall_element(c, list, &element);
        if (rc)
            return rc;
        if (stop || element.restart) {
            c->arg[0] = list.a;
            c->arg[1] = count - i;
            c->v->multicall = (struct progress){list.a, before + i};
            return call_restart(c);
        }
        if (element.number == __HYPERVISOR_iret) /* the guest is elsewhere now */
            return (int64_t)c->regs->rax;
        list.a += sizeof(multicall_entry_t);
    }
    return 0;
}

/* The SYSCALL instruction is two bytes long: stepping back over it issues the call again. */
static void rewind_call(const struct call *c, struct regs *r)
{
    r->rip -= 2;
    r->rdi = c->arg[0];
    r->rsi = c->arg[1];
    r->rdx = c->arg[2];
    r->r10 = c->arg[3];
    r->r8 = c->arg[4];
}

void do_iret(struct vcpu *v, struct regs *r)
{
    mailbox.verdict.hypercalls[__HYPERVISOR_iret]++;
    unmask_nmi(v);
    guest_iret(v, r);
}

__attribute__((noinline)) void do_hypercall(struct vcpu *v, struct regs *r)
{
    if (__builtin_expect(v->stand.answered, false) && explain_answered(v, r))
        return;
    struct call c = {
        .v = v,
        .regs = r,
        .number = r->rax,
        .arg = {r->rdi, r->rsi, r->rdx, r->r10, r->r8},
    };
    int64_t result = dispatch(&c);
    if (c.restart)
        rewind_call(&c, r);
    else
        r->rax = (uint64_t)result;
}
