/* SPDX-License-Identifier: MIT */
/* R5: pins and loaded roots, each one type reference held once. */
#include "internal.h"

int core_begin(struct core *c, struct core_vcpu *v)
{
    v->steps = 0;
    v->refusal.error = 0;
    v->refusal.reason = REASON_NONE;
    return v->leftovers > 0 ? finish_leftovers(c, v) : 0;
}

int core_end(struct core *c, struct core_vcpu *v)
{
    if (v->flush_pending)
        glue_tlb_flush_domain(c, v->domain);
    v->flush_pending = false;
    v->steps = 0;
    if (v->leftovers == 0)
        return 0;
    struct core_refusal why = v->refusal;
    int rc = finish_leftovers(c, v);
    v->refusal = why;
    return rc;
}

/* Sets the pin; false: it was set. */
static bool set_pinned(struct core *c, mfn_t m)
{
    uint64_t use = load_use(c, m);
    do
        if (use & USE_PINNED)
            return false;
    while (!swap_use(c, m, &use, use | USE_PINNED));
    return true;
}

static bool clear_pinned(struct core *c, mfn_t m)
{
    uint64_t use = load_use(c, m);
    do
        if (!(use & USE_PINNED))
            return false;
    while (!swap_use(c, m, &use, use & ~USE_PINNED));
    return true;
}

int core_pin(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t m,
             unsigned level)
{
    if (level < TYPE_L1 || level > TYPE_L4)
        return refuse(c, v, CORE_EINVAL, REASON_BAD_COMMAND, 5, ABOUT(.frame = m, .value = level));
    int rc = use_get(c, v, owner, m, (enum frame_type)level);
    if (rc)
        return rc;
    if (set_pinned(c, m)) {
        glue_note(c, ACT_PIN, mfn_address(m, 0), 0, level);
        return 0;
    }
    use_put_later(c, v, m);
    return refuse(c, v, CORE_EINVAL, REASON_ALREADY_PINNED, 5, ABOUT(.frame = m));
}

/* The pin's use is counted still, so that the type is the pin's. */
static void end_pin(struct core *c, struct core_vcpu *v, mfn_t m)
{
    glue_note(c, ACT_UNPIN, mfn_address(m, 0), use_type(load_use(c, m)), 0);
    use_put_later(c, v, m);
}

int core_unpin(struct core *c, struct core_vcpu *v, struct core_domain *owner, mfn_t m)
{
    if (!ref_get(c, v, owner, m))
        return CORE_EINVAL;
    bool was_pinned = clear_pinned(c, m);
    if (was_pinned)
        end_pin(c, v, m);
    else
        refuse(c, v, CORE_EINVAL, REASON_NOT_PINNED, 5, ABOUT(.frame = m));
    ref_put(c, m);
    return was_pinned ? 0 : CORE_EINVAL;
}

void root_swap(struct core *c, struct core_vcpu *v, mfn_t *root, mfn_t m)
{
    mfn_t old = *root;
    *root = m;
    glue_note(c, ACT_ROOT, mfn_address(mfn_eq(m, NO_MFN) ? mfn(0) : m, 0), old.n,
              root == &v->user_root);
    if (!mfn_eq(old, NO_MFN))
        use_put_later(c, v, old);
}

static int load_root(struct core *c, struct core_vcpu *v, mfn_t *root, mfn_t m)
{
    if (mfn_eq(*root, m))
        return 0;
    if (!mfn_eq(m, NO_MFN)) {
        int rc = use_get(c, v, v->domain, m, TYPE_L4);
        if (rc)
            return rc;
    }
    root_swap(c, v, root, m);
    return 0;
}

int core_load_kernel_root(struct core *c, struct core_vcpu *v, mfn_t m)
{
    if (mfn_eq(m, NO_MFN))
        return refuse(c, v, CORE_EINVAL, REASON_NO_SUCH_FRAME, 5, NO_FRAME(.value = m.n));
    return load_root(c, v, &v->kernel_root, m);
}

int core_load_user_root(struct core *c, struct core_vcpu *v, mfn_t m)
{
    if (mfn_eq(m, NO_MFN))
        return refuse(c, v, CORE_EINVAL, REASON_NO_SUCH_FRAME, 5, NO_FRAME(.value = m.n));
    return load_root(c, v, &v->user_root, m.n == 0 ? NO_MFN : m);
}

int core_hold_writable(struct core *c, struct core_vcpu *v, mfn_t m)
{
    int rc = use_get(c, v, v->domain, m, TYPE_WRITABLE);
    if (rc)
        return rc;
    core_drop_writable(c, v);
    v->held = m;
    return 0;
}

void core_drop_writable(struct core *c, struct core_vcpu *v)
{
    if (mfn_eq(v->held, NO_MFN))
        return;
    use_put(c, v, v->held);
    v->held = NO_MFN;
}
