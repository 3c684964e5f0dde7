/* SPDX-License-Identifier: MIT */
/* How much memory a domain has: giving, taking back, exchanging (R1, R7). */
#include "internal.h"

#define ORDER_MAX                                                                                  \
    20 /* 4 GiB in one piece: beyond that the answer is no, and a shift may overflow */

static int take_frames(struct core *c, struct core_vcpu *v, const struct core_domain *d,
                       unsigned order, uint64_t limit, mfn_t *out)
{
    uint64_t have = __atomic_load_n((const uint64_t *)&d->frames, __ATOMIC_RELAXED);
    if (order > ORDER_MAX || have + (1ull << order) > d->max_frames ||
        !glue_take(c, order, limit, out))
        return refuse(c, v, CORE_ENOMEM, REASON_NO_MEMORY, 1, NO_FRAME(.value = order));
    return 0;
}

/* The frames come from the free list, so that adopting them cannot fail. From then on other vCPUs
 * may give them a pfn, or away: m2p comes first. */
static void give_to(struct core *c, struct core_domain *d, mfn_t first, unsigned order, pfn_t p)
{
    for (uint64_t i = 0; i < 1ull << order; i++) {
        c->m2p[first.n + i] = p.n == NO_PFN.n ? NO_PFN.n : p.n + i;
        core_assign(c, d, mfn(first.n + i));
    }
}

int core_populate(struct core *c, struct core_vcpu *v, struct core_domain *d, pfn_t p,
                  unsigned order, uint64_t limit, mfn_t *out)
{
    int rc = take_frames(c, v, d, order, limit, out);
    if (rc == 0)
        give_to(c, d, *out, order, p);
    return rc;
}

int core_increase(struct core *c, struct core_vcpu *v, struct core_domain *d, unsigned order,
                  uint64_t limit, mfn_t *out)
{
    return core_populate(c, v, d, NO_PFN, order, limit, out);
}

/* Clears the allocation mark; true: it was set, and its reference is now the caller's. */
static bool take_allocation(struct core *c, mfn_t m)
{
    uint64_t hold = load_hold(c, m);
    do
        if (!(hold & HOLD_ALLOCATED))
            return false;
    while (!swap_hold(c, m, &hold, hold & ~HOLD_ALLOCATED));
    return true;
}

/* An unfinished promotion would keep the frame alive by itself: undo it first. */
static int settle_orphan(struct core *c, struct core_vcpu *v, mfn_t m)
{
    if (!use_is_orphan(load_use(c, m)))
        return 0;
    int rc = type_get(c, v, m, TYPE_WRITABLE);
    if (rc == 0)
        type_put(c, v, m);
    return rc;
}

int core_decrease(struct core *c, struct core_vcpu *v, struct core_domain *d, mfn_t m)
{
    if (!frame_exists(c, m))
        return refuse(c, v, CORE_EINVAL, REASON_NO_SUCH_FRAME, 1, NO_FRAME(.value = m.n));
    if (!ref_get(c, v, d, m))
        return v->refusal.error = CORE_ENXIO;
    int rc = settle_orphan(c, v, m);
    if (rc == 0 && (load_hold(c, m) & HOLD_SHARED))
        rc = refuse(c, v, CORE_EINVAL, REASON_FRAME_HELD, 1, ABOUT(.frame = m));
    if (rc == 0 && take_allocation(c, m))
        ref_put(c, m); /* m2p keeps the pfn while something still refers to the frame */
    ref_put(c, m);
    return rc;
}

/* Takes the domain's only reference away: from here on nobody can find the frame. */
static bool steal(struct core *c, const struct core_domain *d, mfn_t m)
{
    if (!frame_exists(c, m))
        return false;
    uint64_t hold = load_hold(c, m);
    do
        if (hold_owner(hold) != owner_of_domain(d) || hold_count(hold) != 1 ||
            !(hold & HOLD_ALLOCATED) || (hold & HOLD_SHARED))
            return false;
    while (!swap_hold(c, m, &hold, (hold & ~HOLD_ALLOCATED) - 1));
    return true;
}

static void unsteal(struct core *c, mfn_t m)
{
    uint64_t hold = load_hold(c, m);
    while (!swap_hold(c, m, &hold, (hold | HOLD_ALLOCATED) + 1))
        ;
}

struct exchange {
    const mfn_t *in;
    unsigned nr_in, in_order;
    mfn_t *out;
    unsigned nr_out, out_order;
    uint64_t limit;
};

static mfn_t input_frame(const struct exchange *x, uint64_t i)
{
    return mfn(x->in[i >> x->in_order].n + (i & ((1ull << x->in_order) - 1)));
}

static uint64_t input_frames(const struct exchange *x)
{
    return (uint64_t)x->nr_in << x->in_order;
}

static void return_inputs(struct core *c, const struct exchange *x, uint64_t n)
{
    while (n-- > 0)
        unsteal(c, input_frame(x, n));
}

static int take_inputs(struct core *c, struct core_vcpu *v, const struct core_domain *d,
                       const struct exchange *x)
{
    for (uint64_t i = 0; i < input_frames(x); i++) {
        mfn_t m = input_frame(x, i);
        if (!steal(c, d, m)) {
            return_inputs(c, x, i);
            return refuse(c, v, CORE_EINVAL, REASON_FRAME_HELD, 1, ABOUT(.frame = m));
        }
    }
    return 0;
}

static int take_outputs(struct core *c, struct core_vcpu *v, const struct exchange *x)
{
    for (unsigned i = 0; i < x->nr_out; i++) {
        if (glue_take(c, x->out_order, x->limit, &x->out[i]))
            continue;
        while (i-- > 0)
            for (uint64_t k = 0; k < 1ull << x->out_order; k++)
                glue_give(c, mfn(x->out[i].n + k));
        return refuse(c, v, CORE_ENOMEM, REASON_NO_MEMORY, 1, NO_FRAME(.value = x->nr_out));
    }
    return 0;
}

int core_exchange(struct core *c, struct core_vcpu *v, struct core_domain *d, const mfn_t *in,
                  unsigned nr_in, unsigned in_order, const pfn_t *pfns, mfn_t *out, unsigned nr_out,
                  unsigned out_order, uint64_t limit)
{
    struct exchange x = {in, nr_in, in_order, out, nr_out, out_order, limit};
    if (nr_in > CORE_EXCHANGE_MAX || nr_out > CORE_EXCHANGE_MAX || in_order > 9 || out_order > 9 ||
        (uint64_t)nr_in << in_order != (uint64_t)nr_out << out_order)
        return refuse(c, v, CORE_EINVAL, REASON_BAD_ADDRESS, 1, NO_FRAME(.value = nr_in));
    int rc = take_inputs(c, v, d, &x);
    if (rc)
        return rc;
    rc = take_outputs(c, v, &x);
    if (rc) {
        return_inputs(c, &x, input_frames(&x));
        return rc;
    }
    for (uint64_t i = 0; i < input_frames(&x); i++) {
        unsteal(c, input_frame(&x, i));
        take_allocation(c, input_frame(&x, i));
        ref_put(c, input_frame(&x, i));
    }
    for (unsigned i = 0; i < nr_out; i++)
        give_to(c, d, out[i], out_order, pfns[i]);
    return 0;
}

/* ---- the end of a domain */

static int relinquish_vcpu(struct core *c, struct core_vcpu *v)
{
    bool changed;
    core_set_gdt(c, v, NULL, 0, 0);
    core_set_ldt(c, v, gva(0), 0, &changed);
    core_drop_writable(c, v);
    mfn_t *roots[] = {&v->kernel_root, &v->user_root};
    for (unsigned i = 0; i < 2; i++)
        if (!mfn_eq(*roots[i], NO_MFN))
            root_swap(c, v, roots[i], NO_MFN);
    return core_end(c, v);
}

static int relinquish_frame(struct core *c, struct core_vcpu *v, struct core_domain *d, mfn_t m)
{
    if (hold_owner(load_hold(c, m)) != owner_of_domain(d))
        return 0;
    if (load_use(c, m) & USE_PINNED)
        core_unpin(c, v, d, m);
    int rc = finish_leftovers(c, v);
    if (rc || hold_owner(load_hold(c, m)) != owner_of_domain(d))
        return rc;
    if (!(load_hold(c, m) & HOLD_SHARED))
        return core_decrease(c, v, d, m);
    if (take_allocation(c, m))
        use_put(c, v, m);
    return 0;
}

int core_relinquish(struct core *c, struct core_domain *d)
{
    d->dying = true;
    for (struct core_vcpu *v = d->vcpus; v; v = v->next) {
        v->steps = 0;
        if (finish_leftovers(c, v) || relinquish_vcpu(c, v))
            return CORE_RESTART;
    }
    struct core_vcpu nobody = {
        .domain = d, .kernel_root = NO_MFN, .user_root = NO_MFN, .locked = NO_MFN, .held = NO_MFN};
    struct core_vcpu *v = d->vcpus ? d->vcpus : &nobody;
    v->steps = 0;
    for (; d->relinquish_next < c->nr_frames; d->relinquish_next++) {
        if (pause_here(c, v))
            return CORE_RESTART;
        while (relinquish_frame(c, v, d, mfn(d->relinquish_next)) == CORE_RESTART) {
            if (d->vcpus)
                return CORE_RESTART;
            v->steps = 0; /* nobody would remember what is left over: no pause for this frame */
        }
        v->steps++;
    }
    return 0;
}
