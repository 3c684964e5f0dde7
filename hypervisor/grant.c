/* SPDX-License-Identifier: MIT */
/* The grant table itself: its frames, its entries and who uses them, handles of mappings. */
#include "domain.h"

#include <xen/grant_table.h>

/* The guest changes flags and domain of an entry in one piece, and so does the hypervisor. */
union head {
    uint32_t raw;
    struct {
        uint16_t flags;
        domid_t domain;
    };
};

/* ---- frames */

/* The frames are lent like shared_info: the guest maps and writes them, and can never make tables
 * of them or give them away. */
bool grant_grow(struct domain *d, unsigned frames)
{
    struct grant_table *t = &d->grants;
    if (frames > GRANT_FRAMES_MAX || (frames > t->frames && frames - t->frames > frames_free()))
        return false;
    while (t->frames < frames) {
        mfn_t m = hv_frame();
        ASSERT(core_share(the_core(), &d->mem, m) == 0);
        t->frame[t->frames++] = m;
    }
    return true;
}

void grant_init(struct domain *d)
{
    struct grant_table *t = &d->grants;
    for (unsigned i = 0; i < GRANT_HANDLES; i++)
        t->free[i] = (uint16_t)i;
    t->free_to = GRANT_HANDLES;
    ASSERT(grant_grow(d, 1)); /* as many as a guest of real Xen starts with */
}

/* ---- entries */

bool grant_exists(const struct domain *d, uint32_t ref)
{
    return ref < d->grants.frames * GRANT_PER_FRAME;
}

static grant_entry_v1_t *entry(const struct domain *d, uint32_t ref)
{
    grant_entry_v1_t *of_frame = direct_frame(d->grants.frame[ref / GRANT_PER_FRAME]);
    return &of_frame[ref % GRANT_PER_FRAME];
}

static bool in_use(const struct grant_pin *p)
{
    return p->readers > 0 || p->writers > 0;
}

/* Marks the entry as read, or read and written, if it still grants that. */
static bool mark(const struct domain *d, uint32_t ref, bool writable, uint16_t wanted_mask)
{
    const struct grant_pin *p = &d->grants.pin[ref];
    uint32_t *at = (uint32_t *)entry(d, ref);
    union head seen = {.raw = __atomic_load_n(at, __ATOMIC_ACQUIRE)}, to;
    do {
        bool granted = (seen.flags & wanted_mask) == GTF_permit_access && seen.domain == d->mem.id;
        if ((!granted && !in_use(p)) || (writable && (seen.flags & GTF_readonly)))
            return false;
        to = seen;
        to.flags |= writable ? GTF_reading | GTF_writing : GTF_reading;
    } while (!__atomic_compare_exchange_n(at, &seen.raw, to.raw, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_ACQUIRE));
    return true;
}

/* Takes back the marks that nobody's use justifies any more. */
static void unmark(const struct domain *d, uint32_t ref, bool writable)
{
    const struct grant_pin *p = &d->grants.pin[ref];
    uint16_t clear = in_use(p) ? 0 : GTF_reading;
    if (writable && p->writers == 0)
        clear |= GTF_writing;
    __atomic_and_fetch(&entry(d, ref)->flags, (uint16_t)~clear, __ATOMIC_SEQ_CST);
}

/* The frame of an entry that nobody uses yet, as the guest has it now. */
static bool name_frame(struct domain *d, uint32_t ref)
{
    uint64_t n = __atomic_load_n(&entry(d, ref)->frame, __ATOMIC_RELAXED);
    if (core_frame_owner(the_core(), mfn(n)) != d->mem.id)
        return false;
    d->grants.pin[ref].frame = n;
    return true;
}

int grant_acquire(struct domain *d, uint32_t ref, bool writable, bool for_mapping, mfn_t *out)
{
    uint16_t wanted = for_mapping ? GTF_type_mask | GTF_sub_page : GTF_type_mask;
    if (!grant_exists(d, ref))
        return GNTST_bad_gntref;
    struct grant_pin *p = &d->grants.pin[ref];
    if ((writable ? p->writers : p->readers) >= GRANT_PINS_MAX)
        return GNTST_general_error;
    if ((!in_use(p) || (writable && p->writers == 0)) && !mark(d, ref, writable, wanted))
        return GNTST_general_error;
    if (!in_use(p) && !name_frame(d, ref)) {
        unmark(d, ref, writable);
        return GNTST_bad_page;
    }
    if (writable)
        p->writers++;
    else
        p->readers++;
    *out = mfn(p->frame);
    return GNTST_okay;
}

void grant_release(struct domain *d, uint32_t ref, bool writable)
{
    struct grant_pin *p = &d->grants.pin[ref];
    if (writable)
        p->writers--;
    else
        p->readers--;
    unmark(d, ref, writable);
}

int grant_swap(struct domain *d, uint32_t a, uint32_t b)
{
    if (!grant_exists(d, a) || !grant_exists(d, b))
        return GNTST_bad_gntref;
    if (a == b)
        return GNTST_okay;
    if (in_use(&d->grants.pin[a]) || in_use(&d->grants.pin[b]))
        return GNTST_eagain;
    grant_entry_v1_t kept = *entry(d, a);
    *entry(d, a) = *entry(d, b);
    *entry(d, b) = kept;
    return GNTST_okay;
}

/* ---- handles */

bool grant_handle_free(const struct domain *d)
{
    return d->grants.free_from != d->grants.free_to;
}

uint32_t grant_handle_take(struct domain *d, uint32_t ref, uint32_t flags)
{
    struct grant_table *t = &d->grants;
    uint32_t handle = t->free[t->free_from++ % GRANT_HANDLES];
    t->map[handle] = (struct grant_map){.ref = ref, .flags = flags};
    return handle;
}

const struct grant_map *grant_handle(const struct domain *d, uint32_t handle)
{
    const struct grant_map *m = &d->grants.map[handle < GRANT_HANDLES ? handle : 0];
    return handle < GRANT_HANDLES && m->flags ? m : NULL;
}

void grant_handle_put(struct domain *d, uint32_t handle)
{
    struct grant_table *t = &d->grants;
    t->map[handle].flags = 0;
    t->free[t->free_to++ % GRANT_HANDLES] = (uint16_t)handle;
}
