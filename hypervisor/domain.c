/* SPDX-License-Identifier: MIT */
/* The one domain: who it is, and how it ends. */
#include "domain.h"

#include "cpu.h"
#include "dirty.h"
#include "explain.h"
#include "publish.h"
#include "recorder.h"

struct domain the_domain;
static struct core the_machine;

struct core *the_core(void)
{
    return &the_machine;
}

struct domain *domain_by_id(uint16_t id)
{
    return id == DOMID_SELF || id == the_domain.mem.id ? &the_domain : NULL;
}

struct vcpu *domain_vcpu(struct domain *d, uint64_t id)
{
    return id < d->nr_vcpus ? &d->vcpu[id] : NULL;
}

static void vcpu_init(struct domain *d, unsigned id)
{
    struct vcpu *v = &d->vcpu[id];
    core_vcpu_init(&d->mem, &v->mem, id);
    v->domain = d;
    v->id = id;
    v->store_target.page = ~0ull;
    v->recorded_as = (uint64_t)id << PVMM_RECORD_VCPU_SHIFT;
    v->info = &d->shared->vcpu_info[id];
    v->info->evtchn_upcall_mask = 1;
    v->debugreg[6] = 0xffff0ff0; /* what the registers hold after a reset */
    v->debugreg[7] = 0x400;
    v->runstate.state = RUNSTATE_offline;
    v->runstate.state_entry_time = now_ns();
}

void domain_init(struct domain *d, uint64_t pages)
{
    core_domain_init(the_core(), &d->mem, GUEST_DOMAIN_ID, pages);
    d->build_frames = pages;
    d->shared_mfn = hv_frame();
    d->shared = direct_frame(d->shared_mfn);
    ASSERT(core_share(the_core(), &d->mem, d->shared_mfn) == 0);
    for (unsigned i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        d->shared->vcpu_info[i].evtchn_upcall_mask = 1;
    d->ports[0].state = PORT_RESERVED; /* 0 means "none" everywhere */
    d->nr_vcpus = MAX_VCPUS;
    for (unsigned i = 0; i < d->nr_vcpus; i++)
        vcpu_init(d, i);
    grant_init(d);
    vtime_wallclock(d);
}

void *domain_page(const struct domain *d, mfn_t m)
{
    if (core_frame_owner(the_core(), m) != d->mem.id)
        return NULL;
    enum frame_type t = core_frame_type(the_core(), m);
    if (t != TYPE_NONE && t != TYPE_WRITABLE)
        return NULL;
    dirty_mark(m);
    return direct_frame(m);
}

/* RAM that no domain owns and that is not free is the hypervisor's own. */
static uint64_t own_frames(void)
{
    uint64_t unowned = 0;
    for (uint64_t n = 0; n < the_core()->nr_frames; n++)
        unowned += core_frame_owner(the_core(), mfn(n)) == -1;
    return unowned - frames_free();
}

void domain_started(struct domain *d)
{
    d->own_frames = own_frames();
    d->entry_time_ns = now_ns();
    channel_domain(d);
    publish_machine(d);
    explain_init();
    recorder_start();
    channel_state(PVMM_STATE_RUNNING);
}

void first_user_entry(struct vcpu *v)
{
    if (mailbox.verdict.ns_to_user == 0)
        mailbox.verdict.ns_to_user = now_ns() - v->domain->entry_time_ns;
}

/* ---- the end */

static void verdict_finding(char *to, const struct core_finding *f)
{
    format(to, PVMM_FINDING_CHARS, "%s: frame %lx, recorded %lx, derived %lx, entry at %lx",
           core_finding_text(f->kind), f->frame.n, f->recorded, f->derived, f->entry_at.a);
    log_line("audit: %s", to);
}

/* The hypervisor's own frames are the same at the end as at the start: a difference was lost. */
static void verdict_lost(struct pvmm_audit *to)
{
    uint64_t own = own_frames();
    if (own == the_domain.own_frames)
        return;
    char *text = to->finding[to->findings < PVMM_FINDINGS ? to->findings : 0];
    to->findings++;
    format(text, PVMM_FINDING_CHARS, "frames neither owned nor free: %lu at the start, %lu now",
           the_domain.own_frames, own);
    log_line("audit: %s", text);
}

/* Derives every count afresh and compares (core.h: the oracle). Nothing runs any more. */
static void verdict_audit(struct pvmm_audit *to)
{
    static struct core_audit a;
    core_audit(the_core(), audit_scratch, &a);
    to->findings = (uint32_t)a.findings;
    to->frames = a.frames;
    to->tables = a.tables;
    to->entries = a.entries;
    for (unsigned i = 0; i < a.findings && i < PVMM_FINDINGS; i++)
        verdict_finding(to->finding[i], &a.first[i]);
    verdict_lost(to);
    to->taken = 1;
    log_line("audit: %lu frames, %lu tables, %lu entries, %lu findings", a.frames, a.tables,
             a.entries, (uint64_t)to->findings);
}

static void verdict_memory(struct pvmm_verdict *to)
{
    _Static_assert((int)PVMM_FRAME_TYPES == (int)TYPE_COUNT, "the channel counts the core's types");
    core_count_types(the_core(), &the_domain.mem, to->frames_by_type, &to->frames_pinned);
    to->tlb_flushes = tlb_flushes;
    to->tlb_page_flushes = tlb_page_flushes;
    to->root_switches = root_switches;
    to->own_frames = the_domain.own_frames;
}

/* The guest was started, and the hypervisor's own state can be trusted. */
static bool worth_auditing(enum pvmm_outcome o)
{
    return o != PVMM_OUTCOME_BAD_GUEST && o != PVMM_OUTCOME_PANIC && the_domain.entry_time_ns != 0;
}

void domain_end(enum pvmm_outcome o, uint32_t reason, const char *message)
{
    struct pvmm_verdict *to = &mailbox.verdict;
    if (the_domain.ended) /* ending failed: nothing more can be said */
        machine_poweroff();
    the_domain.ended = true;
    if (the_domain.entry_time_ns != 0) {
        to->ns_total = now_ns() - the_domain.entry_time_ns;
        console_serve(&the_domain);
    }
    to->outcome = o;
    to->shutdown_reason = reason;
    to->seed = boot_info.seed;
    to->guest_frames = the_domain.build_frames;
    format(to->message, sizeof(to->message), "%s", message);
    log_line("the guest is over: outcome %d%s%s", (int)o, message[0] ? ": " : "", message);
    dirty_end(current_vcpu());
    recorder_on = false;
    if (worth_auditing(o)) {
        if (!mailbox.machine.context_valid) /* else a report says how it ended */
            publish_context(&the_domain.vcpu[0], guest_regs(this_cpu()));
        verdict_memory(to);
        verdict_audit(&to->audit);
    }
    channel_state(PVMM_STATE_ENDED);
    machine_poweroff();
}
