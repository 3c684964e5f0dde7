/* SPDX-License-Identifier: MIT */
#include "explain.h"

#include "asm.h"
#include "cpu.h"
#include "dirty.h"
#include "domain.h"
#include "guestword.h"
#include "hold.h"
#include "options.h"
#include "publish.h"
#include "recorder.h"
#include "string.h"

static struct {
    bool strict; /* the first breach ends the guest */
    bool halt;   /* at the first report the guest stands still for a debugger; it has not yet */
} wanted;

#define READER_PATIENCE_NS 10000000000ull
#define MEMORY_COMMAND     0x3fu /* of memory_op's first argument; above: extents done */
#define SYSCALL_BYTES      2u

static bool option_set(const char *key)
{
    uint64_t n = 0;
    return option_number(boot_info.command_line, key, &n) && n != 0;
}

void explain_init(void)
{
    wanted.strict = option_set(PVMM_OPT_STRICT);
    wanted.halt = option_set(PVMM_OPT_HALT);
}

/* ---- which report */

/* Two breaches are the same if they agree in this: only the first is reported in full. */
struct likeness {
    uint64_t origin, hypercall, command;
    uint32_t kind, request, reason, rule, wanted;
    int32_t error;
    bool protected; /* of write faults: they are breaches */
};

/* What a hypercall of many kinds was to do. */
static uint64_t command_of(uint64_t hypercall, const uint64_t args[5], const uint64_t element[3])
{
    switch (hypercall) {
    case __HYPERVISOR_mmuext_op:
        return (uint32_t)element[0];
    case __HYPERVISOR_memory_op:
        return args[0] & MEMORY_COMMAND;
    case __HYPERVISOR_grant_table_op:
        return args[0];
    default:
        return 0;
    }
}

static bool is_protected_type(uint32_t type, uint32_t uses)
{
    return type != TYPE_NONE && type != TYPE_WRITABLE && uses > 0;
}

static bool is_alike(const struct pvmm_report *p, const struct likeness *l)
{
    return p->origin == l->origin && p->hypercall == l->hypercall && p->kind == l->kind &&
           p->request == l->request && p->reason == l->reason && p->rule == l->rule &&
           p->wanted == l->wanted && p->error == l->error &&
           command_of(p->hypercall, p->args, p->element) == l->command &&
           (p->kind != PVMM_REPORT_WRITE_FAULT ||
            is_protected_type(p->frame.type, p->frame.uses) == l->protected);
}

static struct pvmm_report *find_alike(const struct likeness *l)
{
    struct pvmm_reports *all = &mailbox.reports;
    for (unsigned i = 0; i < all->filed; i++)
        if (is_alike(&all->report[i], l))
            return &all->report[i];
    return NULL;
}

/* The last place is for the report of the end. */
static bool has_room(uint32_t kind)
{
    return mailbox.reports.filed < PVMM_REPORTS - (kind == PVMM_REPORT_CRASH ? 0 : 1);
}

/* The report to be filled in; NULL: it is there already, and has been counted, or there is no room.
 */
static struct pvmm_report *report_begin(const struct likeness *l)
{
    struct pvmm_reports *all = &mailbox.reports;
    struct pvmm_report *p = find_alike(l);
    if (p) {
        p->count++;
        return NULL;
    }
    if (!has_room(l->kind)) {
        all->not_kept++;
        return NULL;
    }
    p = &all->report[all->filed];
    memset(p, 0, sizeof(*p));
    p->count = 1;
    p->origin = l->origin;
    p->hypercall = l->hypercall;
    p->kind = l->kind;
    p->request = l->request;
    p->reason = l->reason;
    p->rule = l->rule;
    p->wanted = l->wanted;
    p->error = l->error;
    return p;
}

/* What the host said before it was asked, or too late, is no answer. */
static void wait_for(enum pvmm_waiting what)
{
    channel_go();
    mailbox.reports.waiting = what;
    channel_bell();
}

/* The host looks into the guest's memory for words: symbols, its p2m. Page tables and init code
 * would be gone soon. No interrupt is taken meanwhile, as a request may be half done. Of a host
 * that does not answer once nothing is awaited any more. */
static void await_reader(void)
{
    static bool nobody_reads;
    uint64_t end = now_ns() + READER_PATIENCE_NS;
    bool read = false;
    wait_for(nobody_reads ? PVMM_WAITING_NOT : PVMM_WAITING_READ);
    while (!nobody_reads && !read) {
        channel_poll();
        read = channel_go() || channel_stop_requested();
        nobody_reads = !read && now_ns() >= end;
    }
    mailbox.reports.waiting = PVMM_WAITING_NOT;
}

static void report_end(void)
{
    __atomic_store_n(&mailbox.reports.filed, mailbox.reports.filed + 1, __ATOMIC_RELEASE);
    await_reader();
}

/* ---- frames and holders */

static uint32_t frame_flags(mfn_t m)
{
    const struct core_vcpu *v = &the_domain.vcpu[0].mem;
    uint32_t flags = 0;
    if (m.n >= the_core()->nr_frames)
        return 0;
    flags |= core_frame_validated(the_core(), m) ? PVMM_FRAME_VALIDATED : 0;
    flags |= core_frame_pinned(the_core(), m) ? PVMM_FRAME_PINNED : 0;
    flags |= core_frame_shared(the_core(), m) ? PVMM_FRAME_SHARED : 0;
    flags |= mfn_eq(m, v->kernel_root) ? PVMM_FRAME_KERNEL_ROOT : 0;
    flags |= mfn_eq(m, v->user_root) ? PVMM_FRAME_USER_ROOT : 0;
    if (m.n == mailbox.machine.initial_root && mailbox.machine.virt_base != PVMM_NOT_BUILT)
        flags |= PVMM_FRAME_BUILDERS;
    return flags;
}

static void fill_frame(struct pvmm_frame_state *to, mfn_t m)
{
    struct core *c = the_core();
    *to = (struct pvmm_frame_state){.mfn = m.n, .pfn = PVMM_NONE};
    if (m.n >= c->nr_frames)
        return;
    *to = (struct pvmm_frame_state){
        .mfn = m.n,
        .pfn = c->m2p[m.n],
        .type = core_frame_type(c, m),
        .uses = core_frame_uses(c, m),
        .references = core_frame_holds(c, m),
        .owner = core_frame_owner(c, m),
        .flags = frame_flags(m),
        .known = 1,
    };
}

static struct pvmm_place place_of(struct core_place p)
{
    return (struct pvmm_place){
        .va = p.va.a, .top = p.top.n, .top_level = p.top_level, .top_flags = frame_flags(p.top)};
}

/* Looks for holders, and keeps those that conflict before the others. */
struct search {
    struct pvmm_report *to;
    enum frame_type wanted;
    bool any;       /* whoever holds it is in the way */
    bool conflicts; /* which of the two kinds this turn keeps */
};

static bool is_in_the_way(const struct search *s, const struct core_holder *h)
{
    if (s->any)
        return true;
    if (s->wanted == TYPE_NONE)
        return h->as != TYPE_NONE && h->as != TYPE_WRITABLE;
    return h->as != TYPE_NONE && h->as != s->wanted;
}

static void fill_holder(struct pvmm_holder *to, const struct core_holder *h, bool conflicts)
{
    *to = (struct pvmm_holder){
        .kind = h->kind, .conflicts = conflicts, .vcpu = h->vcpu ? h->vcpu->id : 0};
    if (h->kind != HOLDER_ENTRY)
        return;
    to->level = h->level;
    to->slot = h->slot;
    to->table = h->table.n;
    to->at = h->at.a;
    to->entry = h->entry;
    to->table_flags = frame_flags(h->table);
    to->place = place_of(
        core_place_of(the_core(), h->table, h->level, h->slot, the_domain.vcpu[0].mem.kernel_root));
}

static bool take_holder(void *context, const struct core_holder *h)
{
    struct search *s = context;
    struct pvmm_report *p = s->to;
    if (is_in_the_way(s, h) != s->conflicts)
        return true;
    if (p->holders < PVMM_REPORT_HOLDERS)
        fill_holder(&p->holder[p->holders], h, s->conflicts);
    p->holders++;
    return true;
}

static void fill_holders(struct pvmm_report *p, mfn_t m, enum frame_type type, bool any)
{
    struct search s = {.to = p, .wanted = type, .any = any, .conflicts = true};
    if (m.n >= the_core()->nr_frames)
        return;
    core_holders(the_core(), m, take_holder, &s);
    s.conflicts = false;
    core_holders(the_core(), m, take_holder, &s);
}

/* ---- the guest */

static void fill_registers(struct pvmm_regs *to, const struct regs *r)
{
    *to = (struct pvmm_regs){
        .rax = r->rax,
        .rbx = r->rbx,
        .rcx = r->rcx,
        .rdx = r->rdx,
        .rsi = r->rsi,
        .rdi = r->rdi,
        .rbp = r->rbp,
        .rsp = r->rsp,
        .r8 = r->r8,
        .r9 = r->r9,
        .r10 = r->r10,
        .r11 = r->r11,
        .r12 = r->r12,
        .r13 = r->r13,
        .r14 = r->r14,
        .r15 = r->r15,
        .rip = r->rip,
        .rflags = r->rflags,
        .cs = r->cs,
        .ss = r->ss,
    };
}

static void fill_stack(struct pvmm_report *p, uint64_t sp)
{
    while (p->stack_words < PVMM_REPORT_STACK) {
        uint64_t at = sp + p->stack_words * sizeof(p->stack[0]);
        if (!guest_range_ok(gva(at), sizeof(p->stack[0])) ||
            !guest_word_get(&p->stack[p->stack_words], at))
            return;
        p->stack_words++;
    }
}

/* SYSCALL leaves rip behind itself; a report begins with the instruction. */
static uint64_t instruction_of(const struct regs *r)
{
    return r->vector == VECTOR_SYSCALL ? r->rip - SYSCALL_BYTES : r->rip;
}

static void fill_code(struct pvmm_report *p, uint64_t at)
{
    for (unsigned n = PVMM_REPORT_CODE; n > 0 && p->code_bytes == 0; n--)
        if (copy_from_guest(p->code, gva(at), n))
            p->code_bytes = n;
}

static void fill_guest(struct pvmm_report *p, const struct vcpu *v, const struct regs *r)
{
    p->time = rdtsc();
    p->recorded = mailbox.recorder.written;
    p->vcpu = v->id;
    p->in_kernel = v->in_kernel;
    p->kernel_root = v->mem.kernel_root.n;
    p->user_root = v->mem.user_root.n;
    fill_registers(&p->regs, r);
    p->regs.rip = instruction_of(r);
    fill_code(p, p->regs.rip);
    fill_stack(p, r->rsp);
}

/* In user mode from the user root, unless that does not know the address at all: then it is one of
 * the kernel's, as its stack is. */
static bool walk_of(const struct vcpu *v, gva_t va, struct core_walk *w)
{
    memset(w, 0, sizeof(*w));
    if (!v->in_kernel && core_walk(the_core(), v->mem.user_root, va, w))
        return true;
    if (!v->in_kernel && w->level <= 1)
        return false;
    memset(w, 0, sizeof(*w));
    return core_walk(the_core(), v->mem.kernel_root, va, w);
}

/* How `va` maps, and the frame that it leads to (NO_MFN: none). */
static mfn_t fill_walk(struct pvmm_report *p, const struct vcpu *v, gva_t va)
{
    struct core_walk w;
    p->address = va.a;
    bool present = walk_of(v, va, &w);
    for (unsigned level = 4; level >= 1 && level >= w.level; level--) {
        p->walk[level] = w.at[level].entry;
        p->walk_at[level] = w.at[level].at.a;
    }
    return present ? pte_frame(w.at[1].entry) : NO_MFN;
}

/* ---- standing still for a debugger */

/* Before the guest goes on it is to stand at its present instruction (explain_stand). */
static void stand_ask(struct vcpu *v, const struct regs *r)
{
    wanted.halt = false;
    v->stand = (struct stand){.due = true, .rip = instruction_of(r), .rsp = r->rsp, .rax = r->rax};
    attend();
}

static void end_if_strict(void)
{
    if (wanted.strict)
        domain_end(PVMM_OUTCOME_BROKEN, ~0u, "the guest broke the memory contract");
}

/* What came in between, of events, has another stack. */
static bool is_where_it_stood(const struct vcpu *v, const struct regs *r)
{
    return v->stand.rip == instruction_of(r) && v->stand.rsp == r->rsp;
}

/* Is this the same instruction once more, after the guest stood there? Once true, no more. */
static bool stand_over(struct vcpu *v, const struct regs *r)
{
    bool over = v->stand.over && is_where_it_stood(v, r);
    if (over)
        v->stand.over = false;
    return over;
}

/* A hypercall is not made twice: its answer waits until the guest executes its SYSCALL again. One
 * that is issued again in any case, to be finished, stands there already; and behind a multicall
 * that went on somewhere else (iret) there is nothing to wait for. */
static void step_back(struct vcpu *v, struct regs *r)
{
    if (r->vector != VECTOR_SYSCALL || r->rip != v->stand.rip + SYSCALL_BYTES)
        return;
    v->stand.answer = r->rax;
    v->stand.answered = !v->stand.in_earnest;
    r->rip = v->stand.rip;
    r->rax = v->stand.rax;
}

bool explain_answered(struct vcpu *v, struct regs *r)
{
    if (!is_where_it_stood(v, r))
        return false;
    v->stand.answered = false;
    r->rax = v->stand.answer;
    end_if_strict();
    return true;
}

void explain_stand(struct vcpu *v, struct regs *r)
{
    step_back(v, r);
    v->stand.due = false;
    v->stand.over = r->vector != VECTOR_SYSCALL || v->stand.in_earnest;
    wait_for(PVMM_WAITING_STAND);
    while (!channel_go()) {
        if (channel_stop_requested())
            domain_end(PVMM_OUTCOME_STOPPED, ~0u, "");
        hold_if_wanted(v);
        dirty_serve(v);
        cpu_idle();
    }
    mailbox.reports.waiting = PVMM_WAITING_NOT;
}

/* ---- a breach */

/* Of each kind the first; a frame that does not exist has no address. */
static void act_refused(const struct pvmm_report *p)
{
    uint64_t at = p->frame.known ? p->frame.mfn << PAGE_SHIFT_4K : 0;
    if (p->steps)
        at = (p->path[p->steps - 1].table << PAGE_SHIFT_4K) +
             p->path[p->steps - 1].slot * sizeof(uint64_t);
    recorder_note(PVMM_ACT_REFUSED, (maddr_t){at}, p->reason | p->rule << 8, p->value);
}

/* Counted, and what is to come of it. `fresh`: it is the first of its kind. */
static void breach(struct vcpu *v, const struct regs *r, bool fresh)
{
    mailbox.reports.broken++;
    if (wanted.halt && fresh)
        stand_ask(v, r);
    else if (!v->stand.due)
        end_if_strict();
}

static void fill_request(struct pvmm_report *p, const struct request *q)
{
    p->multicall_index = q->multicall_index;
    p->batch_index = q->batch_index;
    p->batch_count = q->batch_count;
    p->address = q->address;
    memcpy(p->args, q->args, sizeof(p->args));
    memcpy(p->element, q->element, sizeof(p->element));
}

/* What stands there; the core names tables alone, and what is no RAM is not for reading. */
static uint64_t entry_at(const struct core_step *s)
{
    bool ram = core_frame_owner(the_core(), s->table) != -2;
    return ram ? ((const uint64_t *)direct_frame(s->table))[s->slot] : 0;
}

/* The entries of the path as they stand: the outermost may not have been written. */
static void fill_path(struct pvmm_report *p, const struct core_refusal *why, mfn_t root)
{
    if (why->steps == 0)
        return;
    p->steps = why->steps;
    for (unsigned i = 0; i < why->steps; i++) {
        const struct core_step *s = &why->path[i];
        p->path[i] = (struct pvmm_report_step){
            .table = s->table.n,
            .entry = entry_at(s),
            .level = s->level,
            .slot = s->slot,
        };
    }
    p->place = place_of(core_place_of_path(the_core(), why->path, why->steps, root));
}

static void fill_refusal(struct pvmm_report *p, const struct vcpu *v,
                         const struct core_refusal *why)
{
    bool in_the_way = why->reason == REASON_FRAME_HELD || why->reason == REASON_ALREADY_PINNED;
    p->value = why->value;
    fill_frame(&p->frame, why->frame);
    fill_path(p, why, v->mem.kernel_root);
    fill_holders(p, why->frame, (enum frame_type)why->wanted, in_the_way);
}

bool explain_refusal(struct vcpu *v, const struct request *q, const struct core_refusal *why,
                     int error)
{
    const struct regs *r = guest_regs(this_cpu());
    if (stand_over(v, r)) { /* it was reported before the guest stood there */
        end_if_strict();
        return false;
    }
    const struct likeness l = {
        .origin = guest_origin(r),
        .hypercall = q->hypercall,
        .command = command_of(q->hypercall, q->args, q->element),
        .kind = PVMM_REPORT_REFUSAL,
        .request = q->kind,
        .error = error,
        .reason = why ? why->reason : 0,
        .rule = why ? why->rule : 0,
        .wanted = why ? why->wanted : 0,
    };
    struct pvmm_report *p = report_begin(&l);
    if (p) {
        fill_request(p, q);
        fill_guest(p, v, r);
        p->frame = (struct pvmm_frame_state){.mfn = PVMM_NONE, .pfn = PVMM_NONE};
        if (why)
            fill_refusal(p, v, why);
        act_refused(p);
        report_end();
    }
    breach(v, r, p);
    return true;
}

/* ---- stores to what is read-only */

/* Is the frame one that no mapping may make writable (R2, R3)? */
static bool is_protected(mfn_t m)
{
    return m.n < the_core()->nr_frames &&
           is_protected_type(core_frame_type(the_core(), m), core_frame_uses(the_core(), m));
}

/* Does the walk lead to what the guest kernel may not write to, and what is its own: a mapping of
 * its kernel, or a protected frame? Anything else is copy-on-write for a process. */
static bool is_own_readonly(const struct vcpu *v, const struct core_walk *w)
{
    bool writable = true;
    for (unsigned level = 1; level <= 4; level++)
        writable &= !!(w->at[level].entry & PTE_RW);
    if (writable) /* by now: it was a stale translation */
        return false;
    return (w->at[1].entry & PTE_KERNEL) || mfn_eq(v->mem.user_root, NO_MFN) ||
           is_protected(pte_frame(w->at[1].entry));
}

/* A store to a protected frame breaks the contract. A store to what the guest itself has read-only
 * for no such reason is its own affair: kernels do that on purpose, to see whether a page is there
 * to be written. */
static void report_write_fault(struct vcpu *v, const struct regs *r, gva_t va, bool protected)
{
    const struct likeness l = {
        .origin = r->rip,
        .hypercall = NO_INDEX,
        .kind = PVMM_REPORT_WRITE_FAULT,
        .rule = 3,
        .wanted = TYPE_WRITABLE,
        .protected = protected,
    };
    struct pvmm_report *p = report_begin(&l);
    if (p) {
        fill_request(p, REQUEST(.address = va.a));
        fill_guest(p, v, r);
        mfn_t m = fill_walk(p, v, va);
        p->value = p->walk[1];
        fill_frame(&p->frame, m);
        p->place = (struct pvmm_place){.va = va.a & ~(uint64_t)(PAGE_BYTES - 1),
                                       .top = v->mem.kernel_root.n,
                                       .top_level = 4,
                                       .top_flags = frame_flags(v->mem.kernel_root)};
        fill_holders(p, m, TYPE_WRITABLE, false);
        report_end();
    }
    if (protected)
        breach(v, r, p);
    else if (wanted.halt && p)
        stand_ask(v, r);
}

bool explain_write_fault(struct vcpu *v, const struct regs *r, gva_t va)
{
    struct core_walk w;
    memset(&w, 0, sizeof(w));
    if (!core_walk(the_core(), v->mem.kernel_root, va, &w) || !is_own_readonly(v, &w))
        return false;
    bool protected = is_protected(pte_frame(w.at[1].entry));
    if (stand_over(v, r)) { /* it was reported before the guest stood there */
        if (protected)
            end_if_strict();
        return false;
    }
    report_write_fault(v, r, va, protected);
    return v->stand.due;
}

/* ---- the end */

bool explain_crash(struct vcpu *v, struct regs *r, gva_t va, const char *message)
{
    const struct likeness l = {
        .origin = guest_origin(r), .hypercall = NO_INDEX, .kind = PVMM_REPORT_CRASH};
    struct pvmm_report *p = stand_over(v, r) ? NULL : report_begin(&l);
    publish_context(v, r);
    if (!p)
        return false;
    fill_request(p, REQUEST(.kind = PVMM_REQUEST_NONE));
    fill_guest(p, v, r);
    p->frame = (struct pvmm_frame_state){.mfn = PVMM_NONE, .pfn = PVMM_NONE};
    if (va.a != NO_INDEX)
        fill_frame(&p->frame, fill_walk(p, v, va));
    copy_string(p->message, message, sizeof(p->message));
    report_end();
    if (!wanted.halt)
        return false;
    stand_ask(v, r);
    v->stand.in_earnest = true;
    return true;
}
