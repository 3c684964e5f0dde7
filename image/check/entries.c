/* SPDX-License-Identifier: MIT */
/* What the core's recount finds, with its rule and its place. */
#include "run.h"

#define WORDS 512u

static unsigned level_of(const struct run *r, mfn_t table)
{
    return table.n < r->core.nr_frames ? r->count[table.n].walked : 0;
}

static struct entry_place place_at(const struct run *r, maddr_t at, uint64_t e)
{
    mfn_t table = maddr_frame(at);
    return (struct entry_place){table, level_of(r, table), at.a % PAGE_BYTES / 8, e};
}

static bool is_superpage(const struct entry_place *at)
{
    return at->level > TYPE_L1 && (at->entry & PTE_PSE);
}

/* ---- FINDING_OWNER */

static void not_the_guests(struct run *r, const struct core_finding *f)
{
    struct entry_place at = place_at(r, f->entry_at, f->recorded);
    mfn_t m = r->counted ? NO_MFN : f->frame;
    if (f->entry_at.a == 0) {
        check_add(r, FRAME_OF_NOBODY, m, NO_ENTRY, "something holds %s, which is no frame",
                  check_name_real(r, f->frame).text);
        return;
    }
    if (is_superpage(&at))
        return;
    int owner = r->counted ? -1 : core_frame_owner(&r->core, f->frame);
    if (owner >= 0)
        check_add(r, FRAME_FOREIGN, m, at,
                  "entry %u of the L%u table %s names %s, which is domain %d's", at.slot, at.level,
                  check_name(r, at.table).text, check_name_real(r, f->frame).text, owner);
    else
        check_add(r, FRAME_OF_NOBODY, m, at,
                  "entry %u of the L%u table %s names %s, which is not the guest's", at.slot,
                  at.level, check_name(r, at.table).text,
                  check_name_real(r, pte_frame(f->recorded)).text);
}

/* ---- FINDING_ENTRY */

static void bad_entry(struct run *r, const struct entry_place *at, uint64_t adjusted)
{
    uint64_t allowed = at->level == TYPE_L1 ? PTE_ALLOWED_L1 : PTE_ALLOWED_UPPER;
    uint64_t more = at->entry & ~allowed;
    if (r->counted && at->level == TYPE_L1)
        more &= ~PTE_CACHE_ATTRIBUTES; /* a right that no image tells of */
    if (is_superpage(at))
        check_add(r, SUPERPAGE, NO_MFN, *at, "entry %u of the L%u table %s, %llx, is a superpage",
                  at->slot, at->level, check_name(r, at->table).text,
                  (unsigned long long)at->entry);
    else if (more)
        check_add(r, ENTRY_FLAGS, NO_MFN, *at,
                  "entry %u of the L%u table %s is %llx: the bits %llx are not allowed", at->slot,
                  at->level, check_name(r, at->table).text, (unsigned long long)at->entry,
                  (unsigned long long)more);
    else if (adjusted != at->entry && !r->v->portable)
        check_add(r, ENTRY_UNADJUSTED, NO_MFN, *at,
                  "entry %u of the L%u table %s is %llx: validation would have made it %llx",
                  at->slot, at->level, check_name(r, at->table).text, (unsigned long long)at->entry,
                  (unsigned long long)adjusted);
}

/* The finding is of a descriptor, of an entry, or of what an entry or a root leads to. */
static void refused(struct run *r, const struct core_finding *f)
{
    struct entry_place at = place_at(r, f->entry_at, f->recorded);
    if (!mfn_eq(at.table, f->frame)) {
        at.entry = f->derived;
        check_add(r, TABLE_UNVALIDATED, f->frame, at, "%s is in use as a table and not validated",
                  check_name(r, f->frame).text);
    } else if (at.level == 0) {
        check_add(r, DESCRIPTOR_REFUSED, f->frame, at, "descriptor %u of the page %s is %llx",
                  at.slot, check_name(r, f->frame).text, (unsigned long long)f->recorded);
    } else if (f->derived == f->frame.n && at.slot == 0 && !r->counted &&
               !core_frame_validated(&r->core, f->frame)) {
        check_add(r, TABLE_UNVALIDATED, f->frame, NO_ENTRY, "%s is a vCPU's root and not validated",
                  check_name(r, f->frame).text);
    } else {
        bad_entry(r, &at, f->derived);
    }
}

/* ---- against the frame table */

static bool is_pin_without_use(const struct run *r, mfn_t m)
{
    return core_frame_pinned(&r->core, m) &&
           (core_frame_uses(&r->core, m) == 0 || core_frame_type(&r->core, m) > TYPE_L4);
}

static void bad_state(struct run *r, const struct core_finding *f)
{
    const char *type = core_type_name(core_use_type(f->recorded));
    if (is_pin_without_use(r, f->frame))
        check_add(r, PIN_UNHELD, f->frame, NO_ENTRY, "%s, type %s, is pinned at %u uses",
                  check_name(r, f->frame).text, type, core_use_count(f->recorded));
    else
        check_add(r, STATE, f->frame, NO_ENTRY, "%s, type %s, has the words %llx and %llx",
                  check_name(r, f->frame).text, type, (unsigned long long)f->recorded,
                  (unsigned long long)f->derived);
}

static void bad_count(struct run *r, enum code code, const struct core_finding *f, const char *what)
{
    /* Who needs it as two things at once is told of by check_tables(), the pin as a state. */
    if (r->no_context)
        return;
    if (code == USES_DIFFER && (r->count[f->frame.n].conflict || is_pin_without_use(r, f->frame)))
        return;
    check_add(r, code, f->frame, NO_ENTRY, "%s has %llu %s, and its holders make up %llu",
              check_name(r, f->frame).text, (unsigned long long)f->recorded, what,
              (unsigned long long)f->derived);
}

void check_entry_finding(struct run *r, const struct core_finding *f)
{
    switch (f->kind) {
    case FINDING_OWNER:
        not_the_guests(r, f);
        break;
    case FINDING_ENTRY:
        refused(r, f);
        break;
    case FINDING_TYPE:
        if (!r->count[f->frame.n].conflict && !r->no_context)
            check_add(r, TYPE_DIFFERS, f->frame, NO_ENTRY,
                      "%s has the type %s, and its holders need %s", check_name(r, f->frame).text,
                      core_type_name((enum frame_type)f->recorded),
                      core_type_name((enum frame_type)f->derived));
        break;
    case FINDING_USES:
        bad_count(r, USES_DIFFER, f, "uses");
        break;
    case FINDING_HOLDS:
        bad_count(r, REFERENCES_DIFFER, f, "references");
        break;
    case FINDING_STATE:
        bad_state(r, f);
        break;
    case FINDING_M2P:
        check_add(r, M2P_OF_NOBODY, f->frame, NO_ENTRY,
                  "nobody owns mfn %llx, and m2p has pfn %llx", (unsigned long long)f->frame.n,
                  (unsigned long long)f->recorded);
        break;
    case FINDING_CONFLICT: /* check_tables() knows the entries */
    case FINDING_DOMAIN:   /* the counter itself is in no image */
        break;
    }
}
