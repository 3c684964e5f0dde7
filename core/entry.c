/* SPDX-License-Identifier: MIT */
/* R3: what one entry may say, and what it holds; R6: where it may stand; R8: what it may name. */
#include "internal.h"

bool slot_is_reserved(unsigned level, unsigned slot)
{
    return level == TYPE_L4 && slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
}

/* A guest kernel runs in ring 3, so every present entry gains USER. In L1 entries the kernel's
 * mappings are told apart by a mark; the others become GLOBAL, as they are the same under the
 * kernel's and the user's root. */
uint64_t entry_adjust(unsigned level, uint64_t e)
{
    if (!pte_present(e))
        return e;
    if (level == TYPE_L4)
        return e | PTE_USER | PTE_ACCESSED;
    if (level != TYPE_L1)
        return e | PTE_USER;
    if (!(e & PTE_USER))
        e |= PTE_KERNEL;
    if (!(e & PTE_KERNEL))
        e |= PTE_GLOBAL;
    return e | PTE_USER;
}

uint64_t entry_allowed(const struct core_domain *d, unsigned level)
{
    if (level != TYPE_L1)
        return PTE_ALLOWED_UPPER;
    return d->has_devices ? PTE_ALLOWED_L1 | PTE_CACHE_ATTRIBUTES : PTE_ALLOWED_L1;
}

static uint64_t light_bits(unsigned level)
{
    return level == TYPE_L1 ? PTE_LIGHT_L1 : PTE_LIGHT_UPPER;
}

/* Nothing is counted for device memory: no type protects it, the right to it does. */
static bool is_device(const struct core *c, mfn_t m)
{
    return !frame_exists(c, m) || hold_owner(load_hold(c, m)) == OWNER_DEVICE;
}

/* A frame that an entry names may be another domain's, too (R8). */
static bool is_owned(const struct core *c, const struct core_domain *d, mfn_t m)
{
    return frame_exists(c, m) && hold_owner(load_hold(c, m)) == owner_of_domain(d);
}

static int take_device(struct core *c, struct core_vcpu *v, const struct core_domain *d,
                       uint64_t *e)
{
    if (!d->has_devices) {
        bool all_ones = pte_frame(*e).n == PTE_FRAME_MASK >> PAGE_SHIFT_4K;
        return refuse(c, v, all_ones ? CORE_EINVAL : CORE_EPERM, REASON_NOT_RAM, 3,
                      ABOUT(.frame = pte_frame(*e), .value = *e));
    }
    if (!(*e & PTE_CACHE_ATTRIBUTES))
        *e |= PTE_PWT | PTE_PCD; /* device memory is never mapped cacheable */
    return 0;
}

/* The ABI's answer for a frame that an L1 entry cannot have, whatever the reason. */
static int not_to_be_had(struct core_vcpu *v, uint64_t e, int rc)
{
    if (rc == 0 || rc == CORE_RESTART)
        return rc;
    v->refusal.value = e;
    v->refusal.error = CORE_EBUSY;
    return CORE_EBUSY;
}

/* No reference could be had: device memory needs none but a right, everything else is refused. */
static RARE int take_other(struct core *c, struct core_vcpu *v, const struct core_domain *d,
                           const struct core_domain *frame_domain, uint64_t *e)
{
    if (is_device(c, pte_frame(*e)))
        return take_device(c, v, d, e);
    return not_to_be_had(v, *e, ref_refused(c, v, frame_domain, pte_frame(*e)));
}

static int take_l1(struct core *c, struct core_vcpu *v, const struct core_domain *d,
                   const struct core_domain *frame_domain, uint64_t *e)
{
    mfn_t m = pte_frame(*e);
    if (!ref_try(c, frame_domain, m))
        return take_other(c, v, d, frame_domain, e);
    int rc = *e & PTE_RW ? type_get(c, v, m, TYPE_WRITABLE) : 0;
    if (rc)
        ref_put(c, m);
    return not_to_be_had(v, *e, rc);
}

int entry_take(struct core *c, struct core_vcpu *v, const struct core_domain *d,
               const struct core_domain *frame_domain, unsigned level, uint64_t *e)
{
    if (*e & ~entry_allowed(d, level))
        return refuse(c, v, CORE_EINVAL, REASON_BAD_FLAGS, 3,
                      ABOUT(.frame = pte_frame(*e), .value = *e));
    if (level != TYPE_L1)
        return use_get(c, v, d, pte_frame(*e), (enum frame_type)(level - 1));
    return take_l1(c, v, d, frame_domain, e);
}

int entry_drop(struct core *c, struct core_vcpu *v, unsigned level, uint64_t e)
{
    mfn_t m = pte_frame(e);
    if (!pte_present(e) || (level == TYPE_L1 && is_device(c, m)))
        return 0;
    if (mfn_eq(m, v->locked) && level != TYPE_L1) {
        use_put_later(c, v, m);
        return 0;
    }
    if (level != TYPE_L1 || (e & PTE_RW)) {
        int rc = type_put(c, v, m);
        if (rc)
            return rc;
    }
    ref_put(c, m);
    return 0;
}

/* As entry_drop, but never pauses: the last use of a table is left over. */
static void entry_drop_later(struct core *c, struct core_vcpu *v, unsigned level, uint64_t e)
{
    if (level == TYPE_L1) {
        entry_drop(c, v, level, e);
    } else if (pte_present(e)) {
        v->flush_pending = true;
        use_put_later(c, v, pte_frame(e));
    }
}

/* Stores the checked entry; *value becomes what was stored. false: `expected` lost; it receives
 * what is there. */
static bool entry_write(uint64_t *at, uint64_t *value, const struct entry_change *change,
                        uint64_t *old)
{
    if (change->expected) {
        *old = *change->expected;
        return entry_swap(at, change->expected, *value);
    }
    *old = entry_load(at);
    uint64_t to;
    do
        to = *value | (change->keep_ad ? *old & (PTE_ACCESSED | PTE_DIRTY) : 0);
    while (!entry_swap(at, old, to));
    *value = to;
    return true;
}

static void note_entry(struct core *c, mfn_t m, unsigned slot, uint64_t old, uint64_t now)
{
    glue_note(c, ACT_ENTRY, mfn_address(m, slot * (unsigned)sizeof(uint64_t)), old, now);
}

static bool differ_only_in(uint64_t old, uint64_t value, uint64_t bits)
{
    return !((old ^ value) & ~bits);
}

static int entry_lost(struct core *c, struct core_vcpu *v, mfn_t m,
                      const struct entry_change *change)
{
    return refuse(c, v, CORE_EBUSY, REASON_ENTRY_CHANGED, 10,
                  ABOUT(.frame = m, .value = *change->expected));
}

/* Bits that hold no reference change, and nothing else. */
static int change_light(struct core *c, struct core_vcpu *v, mfn_t m, uint64_t *at, uint64_t value,
                        const struct entry_change *change)
{
    uint64_t old;
    return entry_write(at, &value, change, &old) ? 0 : entry_lost(c, v, m, change);
}

/* The mapping of a frame of the domain's RAM becomes writable, or stops to be: its reference stays,
 * its use as writable comes or goes. */
static int change_rw(struct core *c, struct core_vcpu *v, mfn_t m, unsigned slot, uint64_t *at,
                     uint64_t value, const struct entry_change *change)
{
    bool gains = value & PTE_RW;
    mfn_t frame = pte_frame(value);
    if (gains) {
        int rc = not_to_be_had(v, change->value, type_get(c, v, frame, TYPE_WRITABLE));
        if (rc)
            return rc;
    }
    uint64_t old;
    bool written = entry_write(at, &value, change, &old);
    if (written)
        note_entry(c, m, slot, old, value);
    if (gains != written)
        type_put(c, v, frame);
    return written ? 0 : entry_lost(c, v, m, change);
}

/* The entry names another frame, or none, or did: new references are taken, the old ones dropped.
 */
static int change_whole(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m,
                        unsigned level, unsigned slot, uint64_t *at,
                        const struct entry_change *change)
{
    uint64_t value = change->value, old;
    if (pte_present(value)) {
        int rc = entry_take(c, v, d, change->frame_domain, level, &value);
        if (rc)
            return rc;
    }
    value = entry_adjust(level, value);
    bool written = entry_write(at, &value, change, &old);
    if (written)
        note_entry(c, m, slot, old, value);
    entry_drop_later(c, v, level, written ? old : value);
    return written ? 0 : entry_lost(c, v, m, change);
}

/* Compiled once for each level below: most of it is decided by the level alone. */
static inline __attribute__((always_inline)) int
change_at_level(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m,
                unsigned level, unsigned slot, const struct entry_change *change)
{
    uint64_t *at = &glue_frame(c, m)[slot];
    if (pte_present(change->value) && (change->value & ~entry_allowed(d, level)))
        return refuse(c, v, CORE_EINVAL, REASON_BAD_FLAGS, 3,
                      ABOUT(.frame = pte_frame(change->value), .value = change->value));
    uint64_t is = entry_load(at), value = entry_adjust(level, change->value);
    if (pte_present(is) && pte_present(value)) {
        if (differ_only_in(is, value, light_bits(level)))
            return change_light(c, v, m, at, value, change);
        if (level == TYPE_L1 && differ_only_in(is, value, PTE_LIGHT_L1 | PTE_RW) &&
            change->frame_domain == d && is_owned(c, d, pte_frame(value)))
            return change_rw(c, v, m, slot, at, value, change);
    }
    return change_whole(c, v, d, m, level, slot, at, change);
}

HOT int entry_change_l1(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m,
                        unsigned slot, const struct entry_change *change)
{
    return change_at_level(c, v, d, m, TYPE_L1, slot, change);
}

APART int entry_change_upper(struct core *c, struct core_vcpu *v, const struct core_domain *d,
                             mfn_t m, unsigned level, unsigned slot,
                             const struct entry_change *change)
{
    if (slot_is_reserved(level, slot))
        return refuse(c, v, CORE_EINVAL, REASON_RESERVED_SLOT, 6, ABOUT(.frame = m, .value = slot));
    int rc = change_at_level(c, v, d, m, level, slot, change);
    __atomic_add_fetch((uint64_t *)&c->upper_changes, 1, __ATOMIC_RELEASE);
    return rc;
}
