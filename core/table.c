/* SPDX-License-Identifier: MIT */
/*
 * R4: a table is validated entry by entry, in bounded steps that can pause and resume, and is
 * released the same way backwards. `held` is the seam: entries [0, held) hold their references.
 */
#include "internal.h"

/* Most entries of most tables are empty: they hold nothing, and are passed over without a pause.
 * The first present entry at or after `slot`; ENTRIES: none. */
static unsigned next_present(struct core *c, mfn_t m, unsigned slot)
{
    const uint64_t *table = glue_frame(c, m);
    while (slot < ENTRIES && !pte_present(entry_load(&table[slot])))
        slot++;
    return slot;
}

/* One more than the last present entry below `end`; 0: none. */
static unsigned last_present(struct core *c, mfn_t m, unsigned end)
{
    const uint64_t *table = glue_frame(c, m);
    while (end > 0 && !pte_present(entry_load(&table[end - 1])))
        end--;
    return end;
}

/* Takes what one entry needs, and leaves the entry in the form the hardware may see (R3). */
static int validate_entry(struct core *c, struct core_vcpu *v, const struct core_domain *d, mfn_t m,
                          unsigned level, unsigned slot)
{
    uint64_t *at = &glue_frame(c, m)[slot];
    uint64_t e = entry_load(at);
    if (!pte_present(e) || slot_is_reserved(level, slot))
        return 0;
    int rc = entry_take(c, v, d, d, level, &e);
    if (rc == 0)
        entry_store(at, entry_adjust(level, e));
    else if (rc != CORE_RESTART)
        refuse_step(v, m, level, slot);
    return rc;
}

/* R6: whatever the guest left in the hypervisor's slots gives way to what belongs there. */
static void fill_reserved_slots(struct core *c, mfn_t m)
{
    for (unsigned slot = GLUE_L4_RESERVED_FIRST; slot <= GLUE_L4_RESERVED_LAST; slot++)
        entry_store(&glue_frame(c, m)[slot], glue_l4_reserved(c, m, slot));
}

/* The table's release may have paused inside the last entry that it still holds: half of what that
 * one leads to is released already, and must be whole again before it counts as validated. */
static int mend_seam(struct core *c, struct core_vcpu *v, mfn_t m, unsigned level, unsigned held)
{
    if (level == TYPE_L1 || held == 0 || slot_is_reserved(level, held - 1))
        return 0;
    uint64_t e = entry_load(&glue_frame(c, m)[held - 1]);
    if (!pte_present(e))
        return 0;
    int rc = type_get(c, v, pte_frame(e), (enum frame_type)(level - 1));
    if (rc == 0)
        return type_put(c, v, pte_frame(e)); /* not the last one: the entry has its own */
    if (rc != CORE_RESTART)
        refuse_step(v, m, level, held - 1);
    return rc;
}

int table_validate(struct core *c, struct core_vcpu *v, mfn_t m, unsigned level, unsigned *held)
{
    const struct core_domain *d = domain_of_owner(c, hold_owner(load_hold(c, m)));
    int mended = mend_seam(c, v, m, level, *held);
    if (mended)
        return mended;
    for (; (*held = next_present(c, m, *held)) < ENTRIES; ++*held) {
        if (pause_here(c, v))
            return CORE_RESTART;
        int rc = validate_entry(c, v, d, m, level, *held);
        if (rc)
            return rc;
        v->steps++;
    }
    if (level == TYPE_L4)
        fill_reserved_slots(c, m);
    return 0;
}

int table_release(struct core *c, struct core_vcpu *v, mfn_t m, unsigned level, unsigned *held)
{
    for (; (*held = last_present(c, m, *held)) > 0; --*held) {
        if (pause_here(c, v))
            return CORE_RESTART;
        unsigned slot = *held - 1;
        uint64_t e = entry_load(&glue_frame(c, m)[slot]);
        int rc = slot_is_reserved(level, slot) ? 0 : entry_drop(c, v, level, e);
        if (rc)
            return rc;
        v->steps++;
    }
    return 0;
}
