/* SPDX-License-Identifier: MIT */
/* The tables once more, where the recount left a question: which entries make a frame two things at
 * once (R2), and what stands in the hypervisor's slots (R6). */
#include "run.h"

#define WORDS 512u
/* In core_count.missing, which the core has done with: its conflict is told of. */
#define TOLD 2u

static bool is_reserved(unsigned level, unsigned slot)
{
    return level == TYPE_L4 && slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
}

static bool is_descriptors(const struct core_count *n)
{
    return n->type == TYPE_DESC || n->conflict == TYPE_DESC;
}

/* ---- R2 */

static void writable(struct run *r, mfn_t m, struct entry_place at)
{
    struct core_count *n = &r->count[m.n];
    if (n->walked)
        check_add(r, TABLE_WRITABLE, m, at,
                  "%s is in use as an L%u table, and entry %u of the L1 table %s maps it writable",
                  check_name(r, m).text, n->walked, at.slot, check_name(r, at.table).text);
    else if (is_descriptors(n))
        check_add(r, DESCRIPTORS_WRITABLE, m, at,
                  "%s is a descriptor page, and entry %u of the L1 table %s maps it writable",
                  check_name(r, m).text, at.slot, check_name(r, at.table).text);
    else
        return;
    n->missing |= TOLD;
}

static void as_table(struct run *r, mfn_t m, struct entry_place at)
{
    struct core_count *n = &r->count[m.n];
    unsigned as = at.level - 1;
    if (n->walked == at.level)
        check_add(r, TABLE_LINEAR, m, at, "entry %u of the L%u table %s names the L%u table %s",
                  at.slot, at.level, check_name(r, at.table).text, n->walked,
                  check_name(r, m).text);
    else if (n->walked != as)
        check_add(r, TABLE_TWO_LEVELS, m, at,
                  "%s is in use as an L%u table, and entry %u of the L%u table %s needs an L%u",
                  check_name(r, m).text, n->walked, at.slot, at.level, check_name(r, at.table).text,
                  as);
    else if (is_descriptors(n))
        check_add(r, TABLE_AS_DESCRIPTORS, m, at,
                  "%s is a descriptor page, and entry %u of the L%u table %s needs an L%u table",
                  check_name(r, m).text, at.slot, at.level, check_name(r, at.table).text, as);
    else
        return;
    n->missing |= TOLD;
}

static void look_at_entry(struct run *r, struct entry_place at)
{
    mfn_t m = r->glue.entry_frame(&r->glue, at.level, at.entry);
    if (m.n >= r->core.nr_frames || !r->count[m.n].conflict)
        return;
    if (at.level > TYPE_L1)
        as_table(r, m, at);
    else if (at.entry & PTE_RW)
        writable(r, m, at);
}

/* The holders that differ are no entries: a vCPU's, a pin. */
static void untold_conflict(struct run *r, mfn_t m)
{
    const struct core_count *n = &r->count[m.n];
    enum frame_type a = (enum frame_type)n->type, b = (enum frame_type)n->conflict;
    enum code code = a == TYPE_DESC || b == TYPE_DESC ? TABLE_AS_DESCRIPTORS : TABLE_TWO_LEVELS;
    if (a == TYPE_WRITABLE || b == TYPE_WRITABLE)
        code = is_descriptors(n) ? DESCRIPTORS_WRITABLE : TABLE_WRITABLE;
    check_add(r, code, m, NO_ENTRY, "%s is needed as %s and as %s at once", check_name(r, m).text,
              core_type_name(a), core_type_name(b));
}

/* ---- R6 */

/* What the hypervisor puts there is its own; and, without USER, its way to the table itself. */
static void look_at_reserved(struct run *r, struct entry_place at)
{
    mfn_t real = pte_frame(at.entry);
    bool user = at.entry & PTE_USER;
    if (!r->v->backend->owned(r->v, real) || (!user && mfn_eq(check_number(r, real), at.table)))
        return;
    check_add(r, RESERVED_SLOT, check_number(r, real), at,
              "slot %u of the L4 table %s is the hypervisor's, and %s %s", at.slot,
              check_name(r, at.table).text, user ? "gives user mode" : "names the guest's",
              check_name_real(r, real).text);
}

/* ---- all of them */

static void look_at_table(struct run *r, mfn_t table, bool conflicts)
{
    unsigned level = r->count[table.n].walked;
    if (level != TYPE_L4 && !conflicts)
        return;
    const uint64_t *words = r->glue.words(&r->glue, table);
    for (unsigned slot = 0; words && slot < WORDS; slot++) {
        struct entry_place at = {table, level, slot, words[slot]};
        if (!pte_present(at.entry))
            continue;
        if (is_reserved(level, slot))
            look_at_reserved(r, at);
        else if (conflicts)
            look_at_entry(r, at);
    }
}

int check_tables(struct run *r)
{
    uint64_t conflicts = 0, outside = r->outside;
    for (uint64_t i = 0; i < r->core.nr_frames; i++)
        conflicts += r->count[i].conflict != 0;
    for (uint64_t i = 0; i < r->core.nr_frames; i++)
        if (r->count[i].walked)
            look_at_table(r, mfn(i), conflicts > 0);
    for (uint64_t i = 0; conflicts && i < r->core.nr_frames; i++)
        if (r->count[i].conflict && !(r->count[i].missing & TOLD))
            untold_conflict(r, mfn(i));
    r->outside = outside;
    return check_may_go_on(r);
}
