/* SPDX-License-Identifier: MIT */
/*
 * The queue: mmu_update elements and update_va_mapping calls, made by one hypercall.
 *
 * Neighbouring mmu_update elements share one call. A queue of one call is made directly, of several
 * as a multicall, whose calls are all tried: the first that was refused is the one reported.
 */
#include "internal.h"

void batch_init(struct pvguest *g)
{
    g->batch = (struct batch){0};
}

/* ---- what became of it */

static unsigned elements_of(const struct multicall_entry *c)
{
    return c->op == __HYPERVISOR_mmu_update ? (unsigned)c->args[1] : 1;
}

static unsigned made_of(const struct batch *b, unsigned i)
{
    const struct multicall_entry *c = &b->call[i];
    if ((int64_t)c->result >= 0)
        return elements_of(c);
    return c->op == __HYPERVISOR_mmu_update && b->done[i] < elements_of(c) ? b->done[i] : 0;
}

static void describe(const struct batch *b, unsigned i, struct pvg_batch_error *e)
{
    const struct multicall_entry *c = &b->call[i];
    e->code = (int)(int64_t)c->result;
    e->index = e->elements + made_of(b, i);
    if (c->op == __HYPERVISOR_mmu_update) {
        const struct mmu_update *u = (const struct mmu_update *)c->args[0] + made_of(b, i);
        e->where = u->ptr;
        e->value = u->val;
    } else {
        e->where = c->args[0];
        e->value = c->args[1];
    }
}

/* The first refusal among the results, and what was made in all. */
static struct pvg_batch_error judge(const struct batch *b)
{
    struct pvg_batch_error e = {0};
    for (unsigned i = 0; i < b->nr_calls; i++) {
        if ((int64_t)b->call[i].result < 0 && !e.code)
            describe(b, i, &e);
        e.made += made_of(b, i);
        e.elements += elements_of(&b->call[i]);
    }
    return e;
}

static int say(struct pvguest *g)
{
    const struct pvg_batch_error *e = &g->batch.error;
    return fail(g, e->code, "element %u of %u, %lx to %lx: refused, %s", e->index, e->elements,
                e->where, e->value, error_name(e->code));
}

/* ---- making it */

static int64_t make_one(struct multicall_entry *c)
{
    return port_hypercall((unsigned)c->op, c->args[0], c->args[1], c->args[2], c->args[3], 0);
}

static void make(struct batch *b)
{
    if (b->nr_calls == 1) {
        b->call[0].result = (unsigned long)make_one(&b->call[0]);
        return;
    }
    int64_t rc = port_hypercall(__HYPERVISOR_multicall, (uint64_t)b->call, b->nr_calls, 0, 0, 0);
    for (unsigned i = 0; rc < 0 && i < b->nr_calls; i++)
        b->call[i].result = (unsigned long)rc; /* not even begun */
}

static int flush(struct pvguest *g)
{
    struct batch *b = &g->batch;
    if (b->nr_calls == 0)
        return 0;
    for (unsigned i = 0; i < b->nr_calls; i++)
        b->done[i] = 0;
    make(b);
    struct pvg_batch_error e = judge(b);
    b->nr_calls = b->nr_updates = 0;
    if (e.code == 0)
        return 0;
    if (b->first_error)
        return e.code; /* the first one is told */
    b->error = e;
    return say(g);
}

/* Makes what is queued; a refusal waits for who asks next. */
static void settle(struct pvguest *g)
{
    int rc = flush(g);
    if (!g->batch.first_error)
        g->batch.first_error = rc;
}

static struct multicall_entry *new_call(struct pvguest *g, unsigned op)
{
    struct batch *b = &g->batch;
    if (b->nr_calls == BATCH_CALLS)
        settle(g);
    struct multicall_entry *c = &b->call[b->nr_calls++];
    *c = (struct multicall_entry){.op = op};
    return c;
}

static int queued(struct pvguest *g)
{
    return g->batch.lazy ? 0 : flush(g);
}

int batch_update(struct pvguest *g, uint64_t ptr, uint64_t value)
{
    struct batch *b = &g->batch;
    if (b->nr_updates == BATCH_UPDATES)
        settle(g);
    struct multicall_entry *c = b->nr_calls ? &b->call[b->nr_calls - 1] : NULL;
    if (!c || c->op != __HYPERVISOR_mmu_update) {
        c = new_call(g, __HYPERVISOR_mmu_update);
        c->args[0] = (unsigned long)&b->update[b->nr_updates];
        c->args[2] = (unsigned long)&b->done[b->nr_calls - 1];
        c->args[3] = DOMID_SELF;
    }
    c->args[1]++;
    b->update[b->nr_updates++] = (struct mmu_update){ptr, value};
    return queued(g);
}

int batch_set_va(struct pvguest *g, uint64_t va, uint64_t entry, unsigned long flags)
{
    struct multicall_entry *c = new_call(g, __HYPERVISOR_update_va_mapping);
    c->args[0] = va;
    c->args[1] = entry;
    c->args[2] = flags;
    return queued(g);
}

int set_va_now(struct pvguest *g, uint64_t va, uint64_t entry)
{
    settle(g);
    int64_t rc = port_hypercall(__HYPERVISOR_update_va_mapping, va, entry, UVMF_INVLPG, 0, 0);
    if (rc == 0)
        return 0;
    return fail(g, (int)rc, "entry of %lx to %lx: refused, %s", va, entry, error_name((int)rc));
}

int mmuext(struct pvguest *g, unsigned command, uint64_t arg1, uint64_t arg2)
{
    struct mmuext_op op = {.cmd = command};
    op.arg1.mfn = arg1;
    op.arg2.src_mfn = arg2;
    settle(g);
    int64_t rc = port_hypercall(__HYPERVISOR_mmuext_op, (uint64_t)&op, 1, 0, DOMID_SELF, 0);
    if (rc == 0)
        return 0;
    return fail(g, (int)rc, "mmuext_op %u of %lx: refused, %s", command, arg1, error_name((int)rc));
}

/* ---- lazy mode */

void pvg_lazy_enter(struct pvguest *g)
{
    g->batch.lazy++;
}

int pvg_lazy_flush(struct pvguest *g)
{
    settle(g);
    int rc = g->batch.first_error;
    g->batch.first_error = 0;
    return rc ? say(g) : 0;
}

int flush_before(struct pvguest *g)
{
    return fail_in(g, pvg_lazy_flush(g), "updates from before");
}

int pvg_lazy_leave(struct pvguest *g)
{
    if (g->batch.lazy == 0)
        return fail(g, -XEN_EINVAL, "lazy mode: left without having been entered");
    return --g->batch.lazy ? 0 : pvg_lazy_flush(g);
}

const struct pvg_batch_error *pvg_batch_error(struct pvguest *g)
{
    return &g->batch.error;
}

/* ---- single entries */

int pvg_set_va(struct pvguest *g, uint64_t va, uint64_t entry)
{
    return batch_set_va(g, va, entry, UVMF_INVLPG);
}

int pvg_set_entry(struct pvguest *g, pvg_maddr_t at, uint64_t entry)
{
    if (at.a % sizeof(uint64_t))
        return fail(g, -XEN_EINVAL, "machine address %lx: no entry begins there", at.a);
    return batch_update(g, at.a | MMU_NORMAL_PT_UPDATE, entry);
}
