/* SPDX-License-Identifier: MIT */
/* From a report to an explanation. */
#include "explain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

#include "core.h"
#include "verdict.h"

/* ---- the frame */

static void append(char *text, size_t size, const char *word, const char *between)
{
    const size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%s", used > 0 ? between : "", word);
}

static void frame_flags(uint32_t flags, char *text, size_t size)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } names[] = {
        {PVMM_FRAME_VALIDATED, "validated"}, {PVMM_FRAME_PINNED, "pinned"},
        {PVMM_FRAME_SHARED, "shared"},       {PVMM_FRAME_KERNEL_ROOT, "kernel-root"},
        {PVMM_FRAME_USER_ROOT, "user-root"}, {PVMM_FRAME_BUILDERS, "builders-root"},
    };

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (flags & names[i].flag)
            append(text, size, names[i].name, " ");
}

static void owner_words(const struct pvmm_frame_state *f, char *text, size_t size)
{
    if (f->owner == -2)
        snprintf(text, size, "not RAM");
    else if (f->owner == -1)
        snprintf(text, size, "nobody's");
    else
        snprintf(text, size, "domain %d's", f->owner);
}

static void frame_words(const struct pvmm_frame_state *f, struct explain_frame *to)
{
    char pfn[40] = "no pfn", p2m[80] = "", flags[sizeof(to->flags) + 8] = "";

    for (const char *word = to->flags; *word != '\0'; word += strspn(word, " ")) {
        char one[24];

        snprintf(one, sizeof(one), "%.*s", (int)strcspn(word, " "), word);
        append(flags, sizeof(flags), one, ", ");
        word += strcspn(word, " ");
    }
    if (!f->known) {
        snprintf(to->text, sizeof(to->text), "mfn 0x%" PRIx64 ", beyond the machine's memory",
                 f->mfn);
        return;
    }
    if (f->pfn != PVMM_NONE)
        snprintf(pfn, sizeof(pfn), "pfn 0x%" PRIx64, f->pfn);
    if (to->p2m_known && to->p2m != f->mfn)
        snprintf(p2m, sizeof(p2m), "; the guest's p2m has mfn 0x%" PRIx64 " there", to->p2m);
    snprintf(to->text, sizeof(to->text),
             "mfn 0x%" PRIx64 " (%s), %s: %s, %u use%s, %u reference%s%s%s%s", f->mfn, pfn,
             to->owner, f->type == PVMM_FRAME_NONE ? "no type" : to->type, f->uses,
             f->uses == 1 ? "" : "s", f->references, f->references == 1 ? "" : "s",
             flags[0] != '\0' ? ", " : "", flags, p2m);
}

/* Who gave the frame the type it has. Its validation is what is recorded: before that, what the
 * recorder has is of an earlier use. */
static void ask_maker(const struct explain_sources *s, const struct pvmm_report *r,
                      struct explain_witness *to)
{
    struct witnessed w;

    if (s->witness == NULL || r->frame.type < PVMM_FRAME_L1 || r->frame.type > PVMM_FRAME_DESC ||
        r->frame.uses == 0 || !(r->frame.flags & PVMM_FRAME_VALIDATED))
        return;
    w = witness_frame(s->witness, r->recorded, PVMM_ACT_TYPE, r->frame.mfn, r->frame.type);
    explain_witness(s, &w, to);
}

static void explain_frame(const struct explain_sources *s, const struct pvmm_report *r,
                          struct explain_frame *to)
{
    const struct pvmm_frame_state *f = &r->frame;
    const char *type = f->type < PVMM_FRAME_TYPES ? frame_type_name(f->type) : "unknown";

    *to = (struct explain_frame){.there = f->mfn != PVMM_NONE, .m2p_back = PVMM_NONE};
    if (!to->there)
        return;
    snprintf(to->type, sizeof(to->type), "%s", type);
    owner_words(f, to->owner, sizeof(to->owner));
    frame_flags(f->type >= PVMM_FRAME_L1 && f->type <= PVMM_FRAME_DESC
                    ? f->flags
                    : f->flags & ~(uint32_t)PVMM_FRAME_VALIDATED,
                to->flags, sizeof(to->flags));
    if (s->view != NULL && f->known && f->pfn != PVMM_NONE) {
        mfn_t listed = NO_MFN;

        to->p2m_known = pv_published(s->view, (pfn_t){f->pfn}, &listed);
        to->p2m = listed.n;
    }
    if (s->view != NULL && f->mfn < s->view->end_pfn.n)
        to->m2p_back = s->view->backend->mfn_of(s->view, (pfn_t){f->mfn}).n;
    frame_words(f, to);
    ask_maker(s, r, &to->maker);
}

/* ---- the way to the entry at fault */

static void step_words(const struct explain_sources *s, const struct pvmm_report_step *p,
                       struct explain_step *to)
{
    char frame[64];

    snprintf(to->table, sizeof(to->table), "L%u", p->level);
    explain_entry(s, p->level, p->entry, &to->entry);
    explain_frame_name(s, p->table, frame, sizeof(frame));
    snprintf(to->text, sizeof(to->text), "entry %u of the L%u table %s = %s", p->slot, p->level,
             frame, to->entry.text);
}

static void explain_path(const struct explain_sources *s, struct explanation *x)
{
    const struct pvmm_report *r = &x->report;
    const struct pvmm_place *p = &r->place;
    const bool root =
        p->top_flags & (PVMM_FRAME_PINNED | PVMM_FRAME_KERNEL_ROOT | PVMM_FRAME_USER_ROOT);
    char frame[64];

    x->steps = r->steps;
    for (unsigned i = 0; i < x->steps; i++)
        step_words(s, &r->path[i], &x->step[i]);
    if (x->steps == 0 || p->top_level < 1 || p->top_level > 4)
        return;
    explain_frame_name(s, p->top, frame, sizeof(frame));
    if (p->top_level == 4)
        snprintf(x->place, sizeof(x->place),
                 "the entry maps what lies at 0x%" PRIx64 ", seen from the %s %s", p->va,
                 root ? "root" : "L4 table", frame);
    else
        snprintf(x->place, sizeof(x->place),
                 "the entry maps offset 0x%" PRIx64 " of what the L%u table %s maps, which %s",
                 p->va, p->top_level, frame,
                 p->top_flags & PVMM_FRAME_PINNED ? "is pinned by itself"
                                                  : "hangs from nothing that is in use");
}

static void explain_walk(const struct explain_sources *s, struct explanation *x)
{
    const struct pvmm_report *r = &x->report;

    for (unsigned level = 4; level >= 1 && r->walk_at[level] != 0; level--) {
        const struct pvmm_report_step p = {.table = r->walk_at[level] / PAGE_BYTES,
                                           .entry = r->walk[level],
                                           .level = level,
                                           .slot = (uint32_t)(r->walk_at[level] % PAGE_BYTES / 8)};

        step_words(s, &p, &x->walk[x->walked++]);
    }
}

/* Where there is no L1 table: how far the tables that were asked do reach. */
static void explain_dead_end(const struct explain_sources *s, struct explanation *x)
{
    struct pvmm_report *r = &x->report;
    struct pv_walk w = {0};

    if (s->view == NULL || r->reason != REASON_NO_L1 || r->kind != PVMM_REPORT_REFUSAL ||
        r->request != PVMM_REQUEST_HYPERCALL || r->kernel_root == PVMM_NONE)
        return;
    pv_walk(s->view, (mfn_t){r->kernel_root}, (gva_t){r->args[0]}, &w);
    for (unsigned level = 4; w.level != 0 && level >= w.level; level--) {
        r->walk_at[level] = w.at[level].a;
        r->walk[level] = w.entry[level];
    }
    explain_walk(s, x);
}

/* ---- where in the guest */

unsigned explain_calls(const struct explain_sources *s, uint64_t root, const struct pv_stack *stack,
                       struct explain_call call[PV_FRAMES])
{
    struct pv_stack_frame frames[PV_FRAMES];
    unsigned n = 0;

    if (s->view != NULL && s->symbols != NULL)
        n = (unsigned)pv_stack_walk(s->symbols, s->view, (mfn_t){root}, stack, frames);
    else
        frames[n++] = (struct pv_stack_frame){.address = stack->rip, .certain = true};
    for (unsigned i = 0; i < n; i++) {
        call[i].sp = frames[i].sp;
        call[i].certain = i == 0 || frames[i].certain;
        (i == 0 ? explain_name : explain_return_name)(s, frames[i].address, &call[i].at);
    }
    return n;
}

static void explain_stack(const struct explain_sources *s, struct explanation *x)
{
    const struct pvmm_report *r = &x->report;
    const struct pv_stack stack = {
        r->regs.rip, r->regs.rsp, r->regs.rbp, r->stack, r->stack_words,
    };

    x->calls = explain_calls(s, r->kernel_root, &stack, x->call);
    if (r->origin == 0 || r->origin == r->regs.rip)
        explain_name(s, r->regs.rip, &x->origin);
    else
        explain_return_name(s, r->origin, &x->origin);
    if (r->code_bytes == 0 || !pv_disassemble(r->code, r->code_bytes, r->regs.rip, x->instruction,
                                              sizeof(x->instruction)))
        x->instruction[0] = '\0';
}

/* ---- headline and rule */

static void refusal_headline(struct explanation *x)
{
    const struct pvmm_report *r = &x->report;
    char wanted[48] = "";

    if (r->wanted > PVMM_FRAME_NONE && r->wanted < PVMM_FRAME_TYPES)
        snprintf(wanted, sizeof(wanted), ", and is wanted as %s", frame_type_name(r->wanted));
    if (r->reason == REASON_NONE)
        snprintf(x->headline, sizeof(x->headline), "%s",
                 r->message[0] != '\0' ? r->message : "an argument makes no sense");
    else
        snprintf(x->headline, sizeof(x->headline), "%s%s%s%s", core_reason_text(r->reason),
                 r->reason == REASON_TYPE_IN_USE ? wanted : "", r->message[0] != '\0' ? ": " : "",
                 r->message);
}

/* A table or a descriptor page: no mapping may make it writable. */
static bool stored_to_protected(const struct pvmm_report *r)
{
    return r->frame.mfn != PVMM_NONE && r->frame.type >= PVMM_FRAME_L1 &&
           r->frame.type <= PVMM_FRAME_DESC && r->frame.uses > 0;
}

static void fault_headline(struct explanation *x)
{
    const struct pvmm_report *r = &x->report;

    if (stored_to_protected(r))
        snprintf(x->headline, sizeof(x->headline),
                 "the guest kernel stored to 0x%" PRIx64 ", where a frame in use as %s is mapped "
                 "read-only",
                 r->address, frame_type_name(r->frame.type));
    else
        snprintf(x->headline, sizeof(x->headline),
                 "the guest kernel stored to 0x%" PRIx64 ", which it has mapped read-only",
                 r->address);
}

static void decide_kind(struct explanation *x)
{
    const struct pvmm_report *r = &x->report;

    switch (r->kind) {
    case PVMM_REPORT_WRITE_FAULT:
        x->kind = x->code = "write-fault";
        x->weight = stored_to_protected(r) ? EXPLAIN_BREACH : EXPLAIN_FAULT;
        fault_headline(x);
        break;
    case PVMM_REPORT_CRASH:
        x->kind = x->code = "crash";
        x->weight = EXPLAIN_CRASH;
        snprintf(x->headline, sizeof(x->headline), "%s",
                 r->message[0] != '\0' ? r->message : "the guest is over");
        break;
    default:
        x->kind = "refusal";
        x->code = explain_reason_code(r->reason);
        refusal_headline(x);
        break;
    }
    x->rule = r->rule;
    x->rule_text = core_rule_text(r->rule);
    x->error = r->error;
    x->error_name = explain_error_name(r->error);
}

/* An end that the guest asked for by a hypercall is about no address: SYSCALL accesses nothing. */
static void drop_address(struct pvmm_report *r)
{
    const bool syscall = r->code_bytes >= 2 && r->code[0] == 0x0f && r->code[1] == 0x05;

    if (r->kind != PVMM_REPORT_CRASH || !syscall)
        return;
    r->address = PVMM_NONE;
    r->frame.mfn = PVMM_NONE;
    r->holders = 0;
}

/* Does the request itself write the entry where its way begins? */
static bool asks_for_entry(const struct pvmm_report *r)
{
    return r->request == PVMM_REQUEST_STORE || r->hypercall == __HYPERVISOR_mmu_update ||
           r->hypercall == __HYPERVISOR_update_va_mapping ||
           r->hypercall == __HYPERVISOR_update_va_mapping_otherdomain;
}

static bool is_unseen(const struct explain_witness *w)
{
    return w->asked && w->w.answer != WITNESS_SEEN && w->w.answer != WITNESS_BEFORE;
}

/*
 * The entry that is to blame, if it was stored and not asked for: where the way ends, which is in a
 * table that is only now validated; else what holds the frame against the request.
 */
static void name_unseen(struct explanation *x)
{
    const struct pvmm_report *r = &x->report;

    if (r->kind == PVMM_REPORT_REFUSAL && x->steps > (asks_for_entry(r) ? 1u : 0u)) {
        const struct pvmm_report_step *at = &r->path[x->steps - 1];

        snprintf(x->unseen, sizeof(x->unseen), "0x%" PRIx64 ":%u", at->table, at->slot);
        return;
    }
    for (unsigned i = 0; i < x->holders && x->unseen[0] == '\0'; i++)
        if (x->holder[i].conflicts && r->holder[i].kind == PVMM_HOLDER_ENTRY &&
            is_unseen(&x->holder[i].maker))
            snprintf(x->unseen, sizeof(x->unseen), "0x%" PRIx64 ":%u", r->holder[i].table,
                     r->holder[i].slot);
}

struct explanation *explain(const struct explain_sources *s, const struct pvmm_report *r)
{
    struct explanation *x = calloc(1, sizeof(*x));

    if (x == NULL)
        return NULL;
    x->has_report = true;
    x->report = *r;
    drop_address(&x->report);
    r = &x->report;
    x->count = r->count;
    x->timed = explain_seconds(s, r->time, &x->seconds);
    decide_kind(x);
    explain_request(s, r, &x->request);
    explain_frame(s, r, &x->frame);
    explain_path(s, x);
    if (x->report.address != PVMM_NONE) {
        explain_name(s, r->address, &x->target);
        explain_walk(s, x);
    }
    explain_dead_end(s, x);
    explain_holders(s, x);
    name_unseen(x);
    explain_stack(s, x);
    explain_hints(s, x);
    return x;
}
