/* SPDX-License-Identifier: MIT */
/*
 * R4: a table is validated entry by entry, in bounded steps that can pause and resume, and is
 * released the same way backwards. `held` is the seam: entries [0, held) hold their references.
 */
#include "internal.h"

/* Takes what one entry needs, and leaves the entry in the form the hardware may see (R3). */
static int validate_entry(struct core *c, struct core_vcpu *v, const struct core_domain *d,
                          mfn_t m, unsigned level, unsigned slot)
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

int table_validate(struct core *c, struct core_vcpu *v, mfn_t m, unsigned level, unsigned *held)
{
    const struct core_domain *d = domain_of_owner(c, hold_owner(load_hold(c, m)));
    for (; *held < ENTRIES; ++*held) {
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
    for (; *held > 0; --*held) {
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
