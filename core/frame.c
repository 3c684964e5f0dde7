/* SPDX-License-Identifier: MIT */
/* R1: owners and references; a frame is freed only when its last reference goes. */
#include "internal.h"

struct core_domain *domain_of_owner(const struct core *c, uint32_t owner)
{
    for (struct core_domain *d = c->domains; d; d = d->next)
        if (owner_of_domain(d) == owner)
            return d;
    return NULL;
}

void core_init(struct core *c, struct frame *frames, uint64_t *m2p, uint64_t nr_frames,
               void *embedding)
{
    *c =
        (struct core){.frames = frames, .m2p = m2p, .nr_frames = nr_frames, .embedding = embedding};
    for (uint64_t n = 0; n < nr_frames; n++) {
        frames[n].use = 0;
        frames[n].hold = hold_of_owner(OWNER_DEVICE);
        m2p[n] = NO_PFN.n;
    }
}

void core_frame_is_ram(struct core *c, mfn_t m)
{
    frame_at(c, m)->hold = hold_of_owner(OWNER_NOBODY);
}

void core_domain_init(struct core *c, struct core_domain *d, uint16_t id, uint64_t max_frames)
{
    *d = (struct core_domain){.id = id, .max_frames = max_frames, .next = c->domains};
    c->domains = d;
}

void core_vcpu_init(struct core_domain *d, struct core_vcpu *v, unsigned id)
{
    *v = (struct core_vcpu){.domain = d,
                            .next = d->vcpus,
                            .id = id,
                            .kernel_root = NO_MFN,
                            .user_root = NO_MFN,
                            .locked = NO_MFN,
                            .held = NO_MFN};
    for (unsigned i = 0; i < CORE_GDT_FRAMES; i++)
        v->gdt[i] = NO_MFN;
    for (unsigned i = 0; i < CORE_LDT_FRAMES; i++)
        v->ldt[i] = NO_MFN;
    d->vcpus = v;
}

/* A frame nobody owns becomes the domain's: flushed first, lest someone still reaches it through a
 * translation from before it was freed (R9). */
static int adopt(struct core *c, const struct core_domain *d, mfn_t m, uint64_t flags)
{
    if (!frame_exists(c, m))
        return CORE_EINVAL;
    uint64_t hold = load_hold(c, m), page = c->m2p[m.n];
    do {
        if (hold_owner(hold) != OWNER_NOBODY || hold_count(hold) != 0)
            return CORE_EINVAL;
        glue_tlb_flush_since(c, hold_stamp(hold));
    } while (!swap_hold(c, m, &hold,
                        hold_with_stamp(hold_of_owner(owner_of_domain(d)), hold_stamp(hold)) |
                            flags | 1));
    glue_note(c, ACT_GIVEN, mfn_address(m, 0), 0, page);
    return 0;
}

int core_assign(struct core *c, struct core_domain *d, mfn_t m)
{
    int rc = adopt(c, d, m, HOLD_ALLOCATED);
    if (rc == 0)
        __atomic_add_fetch((uint64_t *)&d->frames, 1, __ATOMIC_RELAXED);
    return rc;
}

int core_share(struct core *c, struct core_domain *d, mfn_t m)
{
    int rc = adopt(c, d, m, HOLD_ALLOCATED | HOLD_SHARED);
    if (rc == 0)
        frame_at(c, m)->use = use_of_type(TYPE_WRITABLE) | USE_VALIDATED | 1;
    return rc;
}

/* Has the frame that owner, and its counter room for one more? */
static bool can_be_held(uint64_t hold, uint32_t owner)
{
    return hold_owner(hold) == owner && hold_count(hold) > 0 && hold_count(hold) < HOLD_COUNT_MAX;
}

RARE int ref_refused(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m)
{
    if (!frame_exists(c, m))
        return refuse(c, v, CORE_EINVAL, REASON_NO_SUCH_FRAME, 1, NO_FRAME(.value = m.n));
    uint64_t hold = load_hold(c, m);
    if (hold_owner(hold) == OWNER_DEVICE)
        return refuse(c, v, CORE_EINVAL, REASON_NOT_RAM, 8, ABOUT(.frame = m));
    if (hold_owner(hold) != owner_of_domain(d) || hold_count(hold) == 0)
        return refuse(c, v, CORE_EINVAL, REASON_FOREIGN_FRAME, 8, ABOUT(.frame = m));
    return refuse(c, v, CORE_EINVAL, REASON_COUNT_OVERFLOW, 1, ABOUT(.frame = m));
}

bool ref_try(struct core *c, const struct core_domain *d, mfn_t m)
{
    uint32_t owner = owner_of_domain(d);
    uint64_t hold = frame_exists(c, m) ? load_hold(c, m) : 0;
    do
        if (!can_be_held(hold, owner))
            return false;
    while (!swap_hold(c, m, &hold, hold + 1));
    return true;
}

bool ref_get(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m)
{
    if (ref_try(c, d, m))
        return true;
    ref_refused(c, v, d, m);
    return false;
}

void ref_again(struct core *c, mfn_t m)
{
    __atomic_add_fetch((uint64_t *)&frame_at(c, m)->hold, 1, __ATOMIC_ACQ_REL);
}

void stamp_now(struct core *c, mfn_t m)
{
    uint64_t hold = load_hold(c, m);
    while (!swap_hold(c, m, &hold, hold_with_stamp(hold, glue_tlb_now(c))))
        ;
}

/* The last reference went: the frame is nobody's, and free unless the hypervisor had lent it. */
static void frame_freed(struct core *c, mfn_t m, uint64_t hold)
{
    struct core_domain *d = domain_of_owner(c, hold_owner(hold));
    uint64_t page = c->m2p[m.n];
    c->m2p[m.n] = NO_PFN.n;
    frame_at(c, m)->use = 0;
    glue_note(c, ACT_FREED, mfn_address(m, 0), page, NO_PFN.n);
    if (hold & HOLD_SHARED)
        return;
    if (d)
        __atomic_sub_fetch((uint64_t *)&d->frames, 1, __ATOMIC_RELAXED);
    glue_give(c, m);
}

/* The last one. false: it is not, by now. */
static RARE bool ref_put_last(struct core *c, mfn_t m, uint64_t hold)
{
    uint64_t to = hold_with_stamp(hold_of_owner(OWNER_NOBODY), glue_tlb_now(c));
    if (!swap_hold(c, m, &hold, to))
        return false;
    frame_freed(c, m, hold);
    return true;
}

void ref_put(struct core *c, mfn_t m)
{
    uint64_t hold = load_hold(c, m);
    for (;;) {
        if (hold_count(hold) > 1) {
            if (swap_hold(c, m, &hold, hold - 1))
                return;
        } else if (ref_put_last(c, m, hold)) {
            return;
        } else {
            hold = load_hold(c, m);
        }
    }
}
