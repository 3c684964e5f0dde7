/* SPDX-License-Identifier: MIT */
/* The audit of a machine that runs pvmm: the recount against the copy of its frame table. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

/* LDT pages are taken when the CPU first needs them: those that have the type are. */
static void take_ldt(struct run *r, unsigned vcpu)
{
    vcpu_guest_context_t c;
    struct core_vcpu *v = &r->vcpu[vcpu];
    memcpy(&c, r->v->vcpu[vcpu].context, sizeof(c));
    for (unsigned i = 0; i < CORE_LDT_FRAMES && i * 512ul < c.ldt_ents; i++) {
        struct core_walk w;
        if (!core_walk(&r->core, v->kernel_root, gva(c.ldt_base + i * (uint64_t)PAGE_BYTES), &w) ||
            w.level != TYPE_L1 || !w.present)
            continue;
        mfn_t m = pte_frame(w.at[TYPE_L1].entry);
        if (core_frame_type(&r->core, m) == TYPE_DESC && core_frame_uses(&r->core, m) > 0) {
            v->ldt[i] = m;
            r->descriptors++;
        }
    }
}

/* The hypervisor writes to one frame for each vCPU (its vcpu_info), and holds it for that; which
 * one no context tells. It is the one that has just that much more than is known. */
static void take_held(struct run *r)
{
    for (uint64_t i = 0; i < r->core.nr_frames && r->held_for_hypervisor < r->v->nr_vcpus; i++) {
        struct core_count *n = &r->count[i];
        if (core_frame_type(&r->core, mfn(i)) != TYPE_WRITABLE || n->conflict ||
            (n->type != TYPE_WRITABLE && n->type != TYPE_NONE) ||
            core_frame_uses(&r->core, mfn(i)) != n->uses + 1 ||
            core_frame_holds(&r->core, mfn(i)) != n->holds + 1)
            continue;
        n->type = TYPE_WRITABLE;
        n->uses++;
        n->holds++;
        r->held_for_hypervisor++;
    }
}

int check_machine(struct run *r, const struct core *of_machine)
{
    struct core_audit a = {0};
    r->core = *of_machine;
    r->core.domains = NULL;
    check_use_glue(r);
    core_domain_init(&r->core, &r->domain, (uint16_t)r->v->domain[r->v->chosen].id, ~0ull);
    r->count = calloc(r->core.nr_frames + 1, sizeof(*r->count));
    if (!r->count)
        return pv_no_memory(r->e);
    if (check_take_vcpus(r))
        return -1;
    for (unsigned i = 0; i < r->v->nr_vcpus; i++)
        r->no_context |= !r->v->vcpu[i].valid;
    for (unsigned i = 0; i < r->v->nr_vcpus; i++)
        if (r->v->vcpu[i].valid && !mfn_eq(r->vcpu[i].kernel_root, NO_MFN))
            take_ldt(r, i);
    for (uint64_t i = 0; i < r->core.nr_frames; i++)
        r->pins += core_frame_pinned(&r->core, mfn(i));
    core_recount(&r->core, r->count, &a);
    take_held(r);
    core_compare(&r->core, r->count, &a);
    r->out->tables = a.tables;
    r->out->entries = a.entries;
    r->out->missing = a.missing;
    r->out->frames = r->v->nr_pages;
    return check_may_go_on(r) ? -1 : check_tables(r);
}
