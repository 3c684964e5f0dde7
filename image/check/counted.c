/* SPDX-License-Identifier: MIT */
/*
 * The recount where nobody has counted before: a frame table is made up in which every frame is the
 * guest's, and pinned is what the image says. A frame costs 28 bytes: 16 of the frame table, 12 of
 * the recount.
 */
#include "run.h"

#include <stdlib.h>

#define WORDS 512u
/* Of struct frame's words (core.h). */
#define USE_VALIDATED    (1ull << 42)
#define USE_PINNED       (1ull << 43)
#define USE_TYPE_SHIFT   60
#define HOLD_ALLOCATED   (1ull << 48)
#define HOLD_OWNER_SHIFT 50

static void set_use(struct run *r, mfn_t m, unsigned level, bool pinned)
{
    r->made[m.n].use =
        (uint64_t)level << USE_TYPE_SHIFT | USE_VALIDATED | (pinned ? USE_PINNED : 0);
}

void check_pin(struct run *r, mfn_t m, unsigned level)
{
    set_use(r, m, level, true);
}

static void take_told(struct run *r, mfn_t m, mfn_t real)
{
    struct pv_told told = {0};
    if (r->v->backend->told && r->v->backend->told(r->v, real, &told) && told.level >= 1 &&
        told.level <= 4 && told.pinned) {
        check_pin(r, m, told.level);
        r->pins++;
    } else {
        set_use(r, m, TYPE_NONE, false);
    }
}

static void take_pinned_roots(struct run *r)
{
    const struct pv_backend *b = r->v->backend;
    for (mfn_t real = b->next_pinned_root(r->v, mfn(0)); !mfn_eq(real, NO_MFN);
         real = b->next_pinned_root(r->v, mfn(real.n + 1))) {
        mfn_t m = check_number(r, real);
        if (mfn_eq(m, NO_MFN) || core_frame_pinned(&r->core, m))
            continue;
        check_pin(r, m, TYPE_L4);
        r->pins++;
    }
}

/* No vCPU is known, but a root is. */
static void take_known_root(struct run *r)
{
    mfn_t m = check_number(r, r->v->kernel_root);
    if (mfn_eq(m, NO_MFN) || r->roots || core_frame_pinned(&r->core, m))
        return;
    check_pin(r, m, TYPE_L4);
    r->roots++;
}

static int make_frames(struct run *r)
{
    uint64_t n = r->v->nr_pages;
    r->made = calloc(n + 1, sizeof(*r->made));
    r->count = calloc(n + 1, sizeof(*r->count));
    if (!r->made || !r->count)
        return pv_no_memory(r->e);
    core_init(&r->core, r->made, NULL, 0, &r->glue);
    r->core.nr_frames = n;
    check_use_glue(r);
    check_number_all(r);
    core_domain_init(&r->core, &r->domain, 0, n);
    /* Device memory and cache attributes want a right of which most images say nothing. */
    r->domain.has_devices = !r->v->portable;
    for (uint64_t i = 0; i < n; i++) {
        r->made[i].hold = (r->domain.id + 1ull) << HOLD_OWNER_SHIFT | HOLD_ALLOCATED | 1;
        take_told(r, mfn(i), check_real(r, mfn(i)));
    }
    take_pinned_roots(r);
    return 0;
}

static int recount(struct run *r)
{
    struct core_audit a = {0};
    r->outside = 0;
    core_recount(&r->core, r->count, &a);
    r->out->tables = a.tables;
    r->out->entries = a.entries;
    r->out->missing = a.missing;
    r->out->frames = r->core.nr_frames;
    return check_may_go_on(r);
}

static bool is_loaded(const struct run *r, mfn_t m)
{
    for (unsigned i = 0; i < r->v->nr_vcpus; i++)
        if (mfn_eq(r->vcpu[i].kernel_root, m) || mfn_eq(r->vcpu[i].user_root, m))
            return true;
    return false;
}

static const char *told_words(const struct pv_told *told)
{
    static const char *const words[] = {"no table", "an L1 table", "an L2 table", "an L3 table",
                                        "an L4 table"};
    return told->level <= 4 ? words[told->level] : "of a type that is none";
}

/* An entry's frame that is not the guest's; with `any`, an entry at all. */
static bool find_entry(struct run *r, mfn_t table, unsigned level, bool any, struct entry_place *at)
{
    const uint64_t *words = r->glue.words(&r->glue, table);
    for (unsigned slot = 0; words && slot < WORDS; slot++) {
        if (!pte_present(words[slot]))
            continue;
        *at = (struct entry_place){table, level, slot, words[slot]};
        if (any || mfn_eq(check_number(r, pte_frame(words[slot])), NO_MFN))
            return true;
    }
    return false;
}

/* A type without a use may be left over from an earlier one: no rule is broken by that. But then
 * nothing maps the frame writable, and what is left in it does not lead to other tables. */
static void idle_type(struct run *r, mfn_t m, const struct pv_told *told)
{
    struct entry_place at = NO_ENTRY;
    if (told->level == 0)
        return;
    r->told_idle++;
    if (r->count[m.n].type == TYPE_WRITABLE)
        check_add(r, TOLD_TYPE, m, NO_ENTRY, "%s is mapped writable, and the image calls it %s",
                  check_name(r, m).text, told_words(told));
    else if (find_entry(r, m, told->level, false, &at))
        check_add(r, TOLD_TYPE, m, at,
                  "the image calls %s %s, and its entry %u, %llx, names no frame of the guest's",
                  check_name(r, m).text, told_words(told), at.slot, (unsigned long long)at.entry);
    else if (told->level > TYPE_L1 && find_entry(r, m, told->level, true, &at))
        check_add(r, TOLD_TYPE, m, at,
                  "the image calls %s %s, and it names tables, but nothing holds it: a pin, or the "
                  "type of a table above it, is lost",
                  check_name(r, m).text, told_words(told));
}

/* Types of the image that are not those of use. Two levels at once are check_tables()'s. */
static void compare_told(struct run *r, mfn_t m)
{
    struct pv_told told;
    unsigned walked = r->count[m.n].walked;
    if (!r->v->backend->told(r->v, check_real(r, m), &told)) {
        r->missing_told += walked != 0;
        return;
    }
    if (!walked)
        idle_type(r, m, &told);
    else if (told.level == walked || r->count[m.n].conflict)
        return;
    else if (is_loaded(r, m))
        check_add(r, ROOT_TOLD, m, NO_ENTRY, "%s is loaded as a root, and the image calls it %s",
                  check_name(r, m).text, told_words(&told));
    else
        check_add(r, TOLD_TYPE, m, NO_ENTRY,
                  "%s is in use as an L%u table, and the image calls it %s", check_name(r, m).text,
                  walked, told_words(&told));
}

/* From now on the frame table says what was found: so that the core's searches know the tables. */
static void note_types(struct run *r)
{
    for (uint64_t i = 0; i < r->core.nr_frames; i++)
        if (r->count[i].walked) {
            set_use(r, mfn(i), r->count[i].walked, core_frame_pinned(&r->core, mfn(i)));
            if (r->options->levels)
                r->options->levels[i] = r->count[i].walked;
        }
}

/* Once more, with the roots that the first time made known. */
static int recount_with_more(struct run *r)
{
    r->more_roots = check_find_roots(r);
    if (r->more_roots == 0)
        return check_may_go_on(r);
    check_forget(r);
    free(r->vcpu);
    r->domain.vcpus = NULL;
    r->roots = r->descriptors = 0;
    return check_take_vcpus(r) || recount(r) ? -1 : 0;
}

int check_counted(struct run *r)
{
    r->counted = true;
    if (make_frames(r) || check_take_vcpus(r))
        return -1;
    take_known_root(r);
    if (recount(r) || recount_with_more(r))
        return -1;
    note_types(r);
    for (uint64_t i = 0; r->v->backend->told && i < r->core.nr_frames; i++)
        compare_told(r, mfn(i));
    return check_tables(r);
}
