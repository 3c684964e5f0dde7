/* SPDX-License-Identifier: MIT */
/* The brackets around every memory request, and what is written down about refused ones. */
#include "request.h"

#include "cpu.h"
#include "dirty.h"
#include "explain.h"
#include "machine.h"
#include "string.h"

bool request_open(struct vcpu *v)
{
    if (core_begin(the_core(), &v->mem) != CORE_RESTART)
        return true;
    core_end(the_core(), &v->mem);
    return false;
}

/* Each round does at least one step, so this ends. */
void request_close(struct vcpu *v)
{
    while (core_end(the_core(), &v->mem) == CORE_RESTART)
        core_begin(the_core(), &v->mem);
}

int request_to_the_end(struct vcpu *v,
                       int (*request)(struct core *, struct core_vcpu *, const void *),
                       const void *what)
{
    struct core_refusal why;
    int rc;
    do {
        rc = core_begin(the_core(), &v->mem);
        if (rc == 0)
            rc = request(the_core(), &v->mem, what);
        why = v->mem.refusal;
        request_close(v);
    } while (rc == CORE_RESTART);
    v->mem.refusal = why;
    return rc;
}

static void owner_text(char *to, unsigned size, int owner)
{
    if (owner == -1)
        copy_string(to, "nobody's", size);
    else if (owner == -2)
        copy_string(to, "no RAM", size);
    else
        format(to, size, "domain %d's", owner);
}

/* The state of the frame that a request stumbled on, as it was then. */
static void log_frame(const struct core_refusal *why)
{
    char owner[24];
    if (mfn_eq(why->frame, NO_MFN))
        return;
    owner_text(owner, sizeof(owner), core_hold_owner(why->hold));
    log_line("  frame %lx (%s): type %s, %u uses, %u references; wanted as %s", why->frame.n, owner,
             core_type_name(core_use_type(why->use)), core_use_count(why->use),
             core_hold_count(why->hold), core_type_name((enum frame_type)why->wanted));
}

static void log_refusal(const struct core_refusal *why, const struct request *q, uint64_t rip)
{
    bool known = why->frame.n < the_core()->nr_frames;
    log_line("%s: R%u, %s: %d (value %lx, pfn %lx), called from %lx", q->name, (unsigned)why->rule,
             core_reason_text(why->reason), why->error, why->value,
             known ? the_core()->m2p[why->frame.n] : NO_PFN.n, rip);
    log_frame(why);
    for (unsigned i = 0; i < why->steps; i++)
        log_line("  at L%u table %lx, slot %u", (unsigned)why->path[i].level, why->path[i].table.n,
                 (unsigned)why->path[i].slot);
}

/* A promotion that failed leaves the entries it looked at as the core wants them (R3). */
static void mark_refused(const struct core_refusal *why)
{
    for (unsigned i = 0; i < why->steps; i++)
        dirty_mark(why->path[i].table);
    dirty_mark(why->frame);
}

__attribute__((noinline, cold)) void request_refused(struct vcpu *v, const struct request *q,
                                                     bool log)
{
    mark_refused(&v->mem.refusal);
    if (log)
        log_refusal(&v->mem.refusal, q, guest_regs(this_cpu())->rip);
    /* That there is no more memory is no breach: to ask for it is everybody's right. */
    mailbox.verdict.refused_requests +=
        v->mem.refusal.reason == REASON_NO_MEMORY ||
        explain_refusal(v, q, &v->mem.refusal, v->mem.refusal.error);
}

int load_kernel_root(struct vcpu *v, mfn_t m)
{
    int rc = core_load_kernel_root(the_core(), &v->mem, m);
    if (rc)
        return rc;
    /* The LDT's pages were found through the old root. */
    core_drop_ldt(the_core(), &v->mem);
    cpu_unmap_ldt(v);
    v->store_target.page = ~0ull;
    cpu_load_root(v);
    return 0;
}
