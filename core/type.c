/* SPDX-License-Identifier: MIT */
/*
 * R2: a frame has one type at a time, which changes only at count zero; R9: and never under a
 * translation that some CPU may still hold.
 *
 * The states of a table's use word:
 *   validated, count >= 1        in use; every present entry holds its references
 *   not validated, count >= 1    its last use is being released; entries [0, held) hold references
 *   not validated, count 0, held > 0   an orphan: an unfinished promotion. It may be resumed by
 *                                whoever wants that type next, or undone by whoever wants another
 *   busy                         someone moves `held` right now and is alone in doing so; others
 *                                may still drop uses, which the busy one settles when it ends
 */
#include "internal.h"

/* The word changed under our eyes: look again. No errno, for a validation may return any of them.
 */
#define AGAIN 1

/* Ends a busy spell: applies `settle` to the word as it is by now, and keeps the rule that an
 * orphan holds one reference on itself. The word that results. */
static uint64_t unbusy(struct core *c, mfn_t m, bool was_orphan, bool validated, unsigned held,
                       int count_change)
{
    uint64_t use = load_use(c, m);
    uint64_t to;
    do {
        to = use_with_held(use & ~(USE_BUSY | USE_VALIDATED), held) + (uint64_t)count_change;
        if (validated)
            to |= USE_VALIDATED;
        if (use_is_orphan(to) && !was_orphan) {
            ref_again(c, m);
            was_orphan = true;
        }
    } while (!swap_use(c, m, &use, to));
    if (was_orphan && !use_is_orphan(to))
        ref_put(c, m);
    return to;
}

/* Undoes partial state of a frame with no uses (an orphan); nothing to do for others. */
static int orphan_release(struct core *c, struct core_vcpu *v, mfn_t m)
{
    uint64_t use = load_use(c, m);
    if (!use_is_orphan(use))
        return 0;
    if (!swap_use(c, m, &use, use | USE_BUSY))
        return 0; /* someone else took it in hand; the caller looks again */
    unsigned held = use_held(use);
    int rc = table_release(c, v, m, use_type(use), &held);
    if (rc == 0)
        stamp_now(c, m);
    unbusy(c, m, true, false, held, 0);
    return rc;
}

/* m is claimed (busy) as type t: make it fit for that use. */
static int make_fit(struct core *c, struct core_vcpu *v, mfn_t m, enum frame_type t, unsigned *held)
{
    if (type_is_table(t))
        return table_validate(c, v, m, t, held);
    if (t == TYPE_DESC)
        return descriptors_validate(c, v, m);
    return 0;
}

/* What no mapping may make writable. That a frame of no type becomes one that is written to happens
 * to nearly all, and explains nothing: of that no act is told. */
static bool is_protected(enum frame_type t)
{
    return type_is_table(t) || t == TYPE_DESC;
}

/* First use as t, or first since its release began: alone with the frame, validates it. */
static int type_promote(struct core *c, struct core_vcpu *v, mfn_t m, enum frame_type t,
                        uint64_t use)
{
    enum frame_type before = use_type(use);
    bool same = before == t;
    bool orphan = use_is_orphan(use);
    uint64_t claimed = same ? use | USE_BUSY : use_of_type(t) | USE_BUSY;
    if (!swap_use(c, m, &use, claimed))
        return AGAIN;
    if (!same)
        glue_tlb_flush_since(c, hold_stamp(load_hold(c, m)));
    unsigned held = use_held(claimed);
    int rc = make_fit(c, v, m, t, &held);
    if (rc == 0) {
        unbusy(c, m, orphan, true, 0, 1);
        if (is_protected(before) || is_protected(t))
            glue_note(c, ACT_TYPE, mfn_address(m, 0), before, t);
        return 0;
    }
    uint64_t left = unbusy(c, m, orphan, false, held, 0);
    if (use_count(use) > 0 && use_count(left) == 0)
        glue_note(c, ACT_RELEASE, mfn_address(m, 0), t, TYPE_NONE); /* it was dropped meanwhile */
    if (rc != CORE_RESTART && type_is_table(t))
        leave_orphan(v, m);
    return rc;
}

static int type_mismatch(struct core *c, struct core_vcpu *v, mfn_t m, enum frame_type t)
{
    return refuse(c, v, CORE_EINVAL, REASON_TYPE_IN_USE, 2, ABOUT(.frame = m, .wanted = t));
}

/* One attempt; or AGAIN. */
static int type_try_get(struct core *c, struct core_vcpu *v, mfn_t m, enum frame_type t)
{
    uint64_t use = load_use(c, m);
    bool same = use_type(use) == t;
    if (use & USE_BUSY) {
        if (!same)
            return type_mismatch(c, v, m, t);
        if (pause_here(c, v))
            return CORE_RESTART;
        glue_relax();
        return AGAIN;
    }
    if (use_count(use) == 0 && !same && use_held(use) > 0) {
        int rc = orphan_release(c, v, m);
        return rc ? rc : AGAIN;
    }
    if (use_count(use) > 0 && !same)
        return type_mismatch(c, v, m, t);
    if (!same || !(use & USE_VALIDATED))
        return type_promote(c, v, m, t, use);
    if (use_count(use) == USE_COUNT)
        return refuse(c, v, CORE_EINVAL, REASON_COUNT_OVERFLOW, 1, ABOUT(.frame = m, .wanted = t));
    return swap_use(c, m, &use, use + 1) ? 0 : AGAIN;
}

/* Of that type, fit for it, nobody at work on it, and the counter has room? */
static bool has_room_as(uint64_t use, enum frame_type t)
{
    return (use & ~(USE_COUNT | USE_PINNED | USE_LOCKED)) == (use_of_type(t) | USE_VALIDATED) &&
           use_count(use) < USE_COUNT;
}

static RARE int type_get_anew(struct core *c, struct core_vcpu *v, mfn_t m, enum frame_type t)
{
    int rc;
    do
        rc = type_try_get(c, v, m, t);
    while (rc == AGAIN);
    return rc;
}

int type_get(struct core *c, struct core_vcpu *v, mfn_t m, enum frame_type t)
{
    uint64_t use = load_use(c, m);
    if (has_room_as(use, t) && swap_use(c, m, &use, use + 1)) /* nearly always */
        return 0;
    return type_get_anew(c, v, m, t);
}

/* The last use of a validated, or half released, table ends. */
static int type_release(struct core *c, struct core_vcpu *v, mfn_t m, uint64_t use)
{
    if (!swap_use(c, m, &use, (use & ~USE_VALIDATED) | USE_BUSY))
        return AGAIN;
    unsigned held = use & USE_VALIDATED ? ENTRIES : use_held(use);
    int rc = table_release(c, v, m, use_type(use), &held);
    if (rc == 0)
        stamp_now(c, m);
    unbusy(c, m, false, false, held, rc == 0 ? -1 : 0);
    if (rc == 0)
        glue_note(c, ACT_RELEASE, mfn_address(m, 0), use_type(use), TYPE_NONE);
    return rc;
}

static int type_try_put(struct core *c, struct core_vcpu *v, mfn_t m)
{
    uint64_t use = load_use(c, m);
    bool last = use_count(use) == 1 && !(use & USE_BUSY);
    if (last && (use & USE_LOCKED)) {
        glue_relax();        /* whoever changes an entry of it relies on that use, */
        return CORE_RESTART; /* and might want what this vCPU has locked */
    }
    if (last && type_is_table(use_type(use)))
        return type_release(c, v, m, use);
    if (last)
        stamp_now(c, m);
    return swap_use(c, m, &use, use - 1) ? 0 : AGAIN;
}

static RARE int type_put_last(struct core *c, struct core_vcpu *v, mfn_t m)
{
    int rc;
    do
        rc = type_try_put(c, v, m);
    while (rc == AGAIN);
    return rc;
}

int type_put(struct core *c, struct core_vcpu *v, mfn_t m)
{
    uint64_t use = load_use(c, m);
    if (use_count(use) > 1 && swap_use(c, m, &use, use - 1))
        return 0;
    return type_put_last(c, v, m);
}

int use_get(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m,
            enum frame_type t)
{
    if (!ref_get(c, v, d, m))
        return CORE_EINVAL;
    int rc = type_get(c, v, m, t);
    if (rc)
        ref_put(c, m);
    return rc;
}

void use_put(struct core *c, struct core_vcpu *v, mfn_t m)
{
    type_put(c, v, m);
    ref_put(c, m);
}

static void leave(struct core_vcpu *v, mfn_t m, bool counted)
{
    v->leftover[v->leftovers++] = (struct core_leftover){.table = m, .counted = counted};
}

void leave_orphan(struct core_vcpu *v, mfn_t m)
{
    leave(v, m, false);
}

APART void use_put_later(struct core *c, struct core_vcpu *v, mfn_t m)
{
    uint64_t use = load_use(c, m);
    while (type_is_table(use_type(use))) {
        if (use_count(use) == 1) {
            leave(v, m, true);
            return;
        }
        if (swap_use(c, m, &use, use - 1)) {
            ref_put(c, m);
            return;
        }
    }
    use_put(c, v, m);
}

RARE int finish_leftovers(struct core *c, struct core_vcpu *v)
{
    while (v->leftovers > 0) {
        struct core_leftover l = v->leftover[v->leftovers - 1];
        int rc = l.counted ? type_put(c, v, l.table) : orphan_release(c, v, l.table);
        if (rc)
            return rc;
        v->leftovers--;
        if (l.counted)
            ref_put(c, l.table);
    }
    return 0;
}

unsigned table_lock(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m)
{
    uint64_t use = frame_exists(c, m) ? load_use(c, m) : 0;
    do {
        while (use & USE_LOCKED) {
            glue_relax();
            use = load_use(c, m);
        }
        if (!type_is_table(use_type(use)) || !(use & USE_VALIDATED) || use_count(use) == 0)
            return 0;
    } while (!swap_use(c, m, &use, use | USE_LOCKED));
    v->locked = m;
    if (hold_owner(load_hold(c, m)) == owner_of_domain(d))
        return use_type(use);
    table_unlock(c, v);
    return 0;
}

void table_unlock(struct core *c, struct core_vcpu *v)
{
    mfn_t m = v->locked;
    v->locked = NO_MFN;
    __atomic_and_fetch((uint64_t *)&frame_at(c, m)->use, ~USE_LOCKED, __ATOMIC_RELEASE);
}

/* ---- looking */

enum frame_type core_frame_type(const struct core *c, mfn_t m)
{
    return use_type(load_use(c, m));
}

uint32_t core_frame_uses(const struct core *c, mfn_t m)
{
    return use_count(load_use(c, m));
}

uint32_t core_frame_holds(const struct core *c, mfn_t m)
{
    return hold_count(load_hold(c, m));
}

bool core_frame_pinned(const struct core *c, mfn_t m)
{
    return load_use(c, m) & USE_PINNED;
}

bool core_frame_validated(const struct core *c, mfn_t m)
{
    return load_use(c, m) & USE_VALIDATED;
}

bool core_frame_shared(const struct core *c, mfn_t m)
{
    return load_hold(c, m) & HOLD_SHARED;
}

int core_hold_owner(uint64_t hold)
{
    uint32_t owner = hold_owner(hold);
    if (owner == OWNER_DEVICE)
        return -2;
    return owner == OWNER_NOBODY ? -1 : (int)owner - 1;
}

int core_frame_owner(const struct core *c, mfn_t m)
{
    return core_hold_owner(frame_exists(c, m) ? load_hold(c, m) : hold_of_owner(OWNER_DEVICE));
}

enum frame_type core_use_type(uint64_t use)
{
    return use_type(use);
}

uint32_t core_use_count(uint64_t use)
{
    return use_count(use);
}

uint32_t core_hold_count(uint64_t hold)
{
    return hold_count(hold);
}

uint16_t core_frame_stamp(const struct core *c, mfn_t m)
{
    return hold_stamp(load_hold(c, m));
}

void core_count_types(const struct core *c, const struct core_domain *d,
                      uint64_t by_type[TYPE_COUNT], uint64_t *pinned)
{
    for (unsigned t = 0; t < TYPE_COUNT; t++)
        by_type[t] = 0;
    *pinned = 0;
    for (uint64_t n = 0; n < c->nr_frames; n++) {
        uint64_t use = load_use(c, mfn(n));
        if (hold_owner(load_hold(c, mfn(n))) != owner_of_domain(d))
            continue;
        by_type[use_count(use) ? use_type(use) : TYPE_NONE]++;
        *pinned += use & USE_PINNED ? 1 : 0;
    }
}
