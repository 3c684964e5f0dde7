/* SPDX-License-Identifier: MIT */
/* Carries out one request, and holds the core's answer against what core.h says of answers. */
#include <inttypes.h>

#include "run.h"

const char *kind_name(enum kind k)
{
    static const char *const name[KIND_COUNT] = {
        [KIND_UPDATE] = "mmu_update",
        [KIND_UPDATE_AD] = "mmu_update, keep A/D",
        [KIND_UPDATE_M2P] = "mmu_update, m2p",
        [KIND_UPDATE_OTHER] = "mmu_update, other",
        [KIND_UPDATE_VA] = "update_va",
        [KIND_WRITE_L1] = "write_l1",
        [KIND_PIN] = "pin",
        [KIND_UNPIN] = "unpin",
        [KIND_KERNEL_ROOT] = "load_kernel_root",
        [KIND_USER_ROOT] = "load_user_root",
        [KIND_CLEAR] = "clear_page",
        [KIND_COPY] = "copy_page",
        [KIND_COPY_BYTES] = "copy_bytes",
        [KIND_HOLD] = "hold_writable",
        [KIND_DROP] = "drop_writable",
        [KIND_SET_GDT] = "set_gdt",
        [KIND_SET_LDT] = "set_ldt",
        [KIND_LDT_PAGE] = "ldt_page",
        [KIND_DESCRIPTOR] = "update_descriptor",
        [KIND_POPULATE] = "populate",
        [KIND_INCREASE] = "increase",
        [KIND_DECREASE] = "decrease",
        [KIND_EXCHANGE] = "exchange",
    };
    return name[k];
}

void print_request(FILE *f, const struct past *p)
{
    const struct request *q = &p->request;
    fprintf(f,
            "  step %" PRIu64 " vcpu %u %s: %s -> %d  (domain %u/%u, frame %" PRIx64
            ", other %" PRIx64 ", level %u, at %" PRIx64 ", value %" PRIx64 ", n %u, done %u)\n",
            p->step, p->worker, p->phase, kind_name(q->kind), p->result, q->owner, q->frame_domain,
            q->m.n, q->other.n, q->level, q->at, q->value, q->n, q->done);
    if (q->kind > KIND_UPDATE_OTHER)
        return;
    for (unsigned i = 0; i < q->n; i++)
        fprintf(f, "      [%u] ptr %" PRIx64 " val %" PRIx64 "\n", i, q->update[i].ptr,
                q->update[i].val);
}

static int update(struct run *r, struct core_vcpu *v, struct request *q)
{
    unsigned done = 0;
    int rc =
        core_mmu_update(&r->w->core, v, &r->w->domain[q->owner], &r->w->domain[q->frame_domain],
                        q->update + q->done, (unsigned)(q->n - q->done), &done);
    q->done = (uint8_t)(q->done + done);
    return rc;
}

static int call(struct run *r, struct worker *who)
{
    struct core *c = &r->w->core;
    struct core_vcpu *v = who->vcpu;
    struct request *q = &who->request;
    struct core_domain *d = &r->w->domain[who->domain];
    struct core_domain *owner = &r->w->domain[q->owner];
    bool changed;
    switch (q->kind) {
    case KIND_UPDATE:
    case KIND_UPDATE_AD:
    case KIND_UPDATE_M2P:
    case KIND_UPDATE_OTHER:
        return update(r, v, q);
    case KIND_UPDATE_VA:
        return core_update_va(c, v, &r->w->domain[q->frame_domain], gva(q->at), q->value);
    case KIND_WRITE_L1:
        return core_write_l1(c, v, (maddr_t){q->at}, q->value,
                             q->conditional ? &q->expected : NULL);
    case KIND_PIN:
        return core_pin(c, v, owner, q->m, q->level);
    case KIND_UNPIN:
        return core_unpin(c, v, owner, q->m);
    case KIND_KERNEL_ROOT:
        return core_load_kernel_root(c, v, q->m);
    case KIND_USER_ROOT:
        return core_load_user_root(c, v, q->m);
    case KIND_CLEAR:
        return core_clear_page(c, v, owner, q->m);
    case KIND_COPY:
        return core_copy_page(c, v, owner, q->m, q->other);
    case KIND_COPY_BYTES:
        return core_copy_bytes(c, v, owner, q->m, (unsigned)q->at, q->other, (unsigned)q->value,
                               q->level);
    case KIND_HOLD:
        return core_hold_writable(c, v, q->m);
    case KIND_DROP:
        core_drop_writable(c, v);
        return 0;
    case KIND_SET_GDT:
        return core_set_gdt(c, v, q->list, q->n, q->level);
    case KIND_SET_LDT:
        return core_set_ldt(c, v, gva(q->at), q->level, &changed);
    case KIND_LDT_PAGE:
        return core_ldt_page(c, v, q->level, &q->m);
    case KIND_DESCRIPTOR:
        return core_update_descriptor(c, v, (maddr_t){q->at}, q->value);
    case KIND_POPULATE:
        return core_populate(c, v, d, pfn(q->value), q->level, CORE_NO_LIMIT, &q->m);
    case KIND_INCREASE:
        return core_increase(c, v, d, q->level, CORE_NO_LIMIT, &q->m);
    case KIND_DECREASE:
        return core_decrease(c, v, owner, q->m);
    case KIND_EXCHANGE:
        return core_exchange(c, v, d, q->list, q->n, q->level, q->pfn, q->out, q->done,
                             q->conditional, CORE_NO_LIMIT);
    case KIND_COUNT:
        break;
    }
    return 0;
}

/* R10: every refusal says why, and means the error it is returned with. */
static const char *check_answer(const struct core_vcpu *v, int rc)
{
    const struct core_refusal *f = &v->refusal;
    if (rc == 0 || rc == CORE_RESTART)
        return NULL;
    if (rc > 0)
        return "a positive result";
    if (f->error != rc)
        return "R10: the refusal's error is not the one returned";
    if (f->reason == REASON_NONE || f->rule == 0 || f->rule > 10)
        return "R10: a refusal without a reason or rule";
    for (unsigned i = 1; i < f->steps; i++)
        if (f->path[i].level + 1 != f->path[i - 1].level)
            return "R10: the path does not lead from the outside in";
    return NULL;
}

const char *perform(struct run *r, unsigned worker, int *result)
{
    struct worker *who = &r->worker[worker];
    *result = call(r, who);
    return check_answer(who->vcpu, *result);
}
