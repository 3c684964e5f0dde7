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

static int take_frame(struct core *c, struct core_vcpu *v, const struct core_domain *frame_domain,
                      uint64_t e)
{
    mfn_t m = pte_frame(e);
    int rc;
    if (e & PTE_RW)
        rc = use_get(c, v, frame_domain, m, TYPE_WRITABLE);
    else
        rc = ref_get(c, v, frame_domain, m) ? 0 : CORE_EINVAL;
    if (rc == 0 || rc == CORE_RESTART)
        return rc;
    v->refusal.value = e;
    v->refusal.error = CORE_EBUSY; /* the ABI's answer for a frame an L1 entry cannot have */
    return CORE_EBUSY;
}

int entry_take(struct core *c, struct core_vcpu *v, const struct core_domain *d,
               const struct core_domain *frame_domain, unsigned level, uint64_t *e)
{
    if (*e & ~entry_allowed(d, level))
        return refuse(c, v, CORE_EINVAL, REASON_BAD_FLAGS, 3,
                      ABOUT(.frame = pte_frame(*e), .value = *e));
    if (level != TYPE_L1)
        return use_get(c, v, d, pte_frame(*e), (enum frame_type)(level - 1));
    if (is_device(c, pte_frame(*e)))
        return take_device(c, v, d, e);
    return take_frame(c, v, frame_domain, *e);
}

int entry_drop(struct core *c, struct core_vcpu *v, unsigned level, uint64_t e)
{
    mfn_t m = pte_frame(e);
    if (!pte_present(e) || (level == TYPE_L1 && is_device(c, m)))
        return 0;
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

/* Stores the checked entry. false: `expected` lost; it receives what is there. */
static bool entry_write(uint64_t *at, uint64_t value, const struct entry_change *change,
                        uint64_t *old)
{
    if (change->expected) {
        *old = *change->expected;
        return entry_swap(at, change->expected, value);
    }
    *old = entry_load(at);
    uint64_t to;
    do
        to = value | (change->keep_ad ? *old & (PTE_ACCESSED | PTE_DIRTY) : 0);
    while (!entry_swap(at, old, to));
    return true;
}

/* Nothing but bits that hold no reference changes? */
static bool is_light(unsigned level, uint64_t old, uint64_t value)
{
    return pte_present(old) && pte_present(value) && !((old ^ value) & ~light_bits(level));
}

int entry_change(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m,
                 unsigned level, unsigned slot, const struct entry_change *change)
{
    uint64_t *at = &glue_frame(c, m)[slot];
    uint64_t value = change->value;
    if (slot_is_reserved(level, slot))
        return refuse(c, v, CORE_EINVAL, REASON_RESERVED_SLOT, 6, ABOUT(.frame = m, .value = slot));
    if (pte_present(value) && (value & ~entry_allowed(d, level)))
        return refuse(c, v, CORE_EINVAL, REASON_BAD_FLAGS, 3,
                      ABOUT(.frame = pte_frame(value), .value = value));
    bool light = is_light(level, entry_load(at), entry_adjust(level, value));
    if (pte_present(value) && !light) {
        int rc = entry_take(c, v, d, change->frame_domain, level, &value);
        if (rc)
            return rc;
    }
    value = entry_adjust(level, value);
    uint64_t old;
    if (!entry_write(at, value, change, &old)) {
        if (!light)
            entry_drop_later(c, v, level, value);
        return refuse(c, v, CORE_EBUSY, REASON_ENTRY_CHANGED, 10,
                      ABOUT(.frame = m, .value = *change->expected));
    }
    if (!light)
        entry_drop_later(c, v, level, old);
    return 0;
}
