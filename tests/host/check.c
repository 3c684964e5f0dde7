/* SPDX-License-Identifier: MIT */
/* Checks of a whole world. They share no code with the core's own oracle, only the frame words. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

/* The frame words, read anew from the layout in core.h. */
static unsigned type_of(const struct world *w, uint64_t n)
{
    return (unsigned)(w->frames[n].use >> 60);
}

static uint32_t uses_of(const struct world *w, uint64_t n)
{
    return (uint32_t)w->frames[n].use;
}

static bool validated(const struct world *w, uint64_t n)
{
    return w->frames[n].use >> 42 & 1;
}

static bool busy(const struct world *w, uint64_t n)
{
    return w->frames[n].use >> 45 & 1;
}

static unsigned held_of(const struct world *w, uint64_t n)
{
    return w->frames[n].use >> 32 & 0x3ff;
}

static unsigned owner_of(const struct world *w, uint64_t n)
{
    return (unsigned)(w->frames[n].hold >> 50);
}

/* World's domain i has id i + 1, and the owner field is one more. */
static const struct core_domain *domain_of(const struct world *w, unsigned owner)
{
    return &w->domain[owner - 2];
}

static bool is_table(unsigned type)
{
    return type >= TYPE_L1 && type <= TYPE_L4;
}

/* What is wrong, and with which frame; NULL stays NULL. */
static const char *with_frame(const char *wrong, uint64_t n)
{
    static char text[160];
    if (!wrong)
        return NULL;
    snprintf(text, sizeof(text), "%s (frame %" PRIx64 ")", wrong, n);
    return text;
}

/* ---- translation caches */

static bool forbids_writing(const struct world *w, uint64_t n)
{
    unsigned type = type_of(w, n);
    return (is_table(type) || type == TYPE_DESC) &&
           (uses_of(w, n) > 0 || busy(w, n) || held_of(w, n) > 0);
}

static const char *check_cached(const struct world *w, const struct cached_frame *f, uint64_t n)
{
    unsigned owner = owner_of(w, n);
    if (owner == OWNER_NOBODY)
        return NULL; /* free: nobody uses it, and it is flushed before somebody does */
    if (owner != f->owner)
        return "R9: a processor still reaches a frame that went to another domain";
    if ((f->as & CACHED_WRITE) && forbids_writing(w, n))
        return "R9: a processor can still write a table or descriptor page";
    if ((f->as & CACHED_L1) && type_of(w, n) != TYPE_L1)
        return "R9: a processor still walks a frame that is no L1 table any more";
    return NULL;
}

const char *world_check_tlb(struct world *w)
{
    for (unsigned i = 0; i < WORLD_CPUS; i++) {
        const struct world_cpu *cpu = &w->cpu[i];
        for (uint64_t n = 0; cpu->any_cached && n < w->core.nr_frames; n++) {
            const char *wrong = cpu->cached[n].as ? check_cached(w, &cpu->cached[n], n) : NULL;
            if (wrong)
                return with_frame(wrong, n);
        }
    }
    return NULL;
}

/* ---- tables */

struct reach {
    uint32_t writable; /* L1 entries with RW, and frames held for writing */
    uint32_t entries;  /* L1 entries at all */
    uint8_t level;     /* named as a table of this level by an entry above or a root */
};

static const char *reach_as_table(struct world *w, struct reach *r, uint64_t n, unsigned level)
{
    if (n >= w->core.nr_frames)
        return "an upper entry names a frame beyond memory";
    if (r[n].level && r[n].level != level)
        return "a frame is a table of two levels";
    r[n].level = (uint8_t)level;
    return NULL;
}

static const char *reach_as_data(struct world *w, struct reach *r, unsigned owner, uint64_t e)
{
    uint64_t n = pte_frame(e).n;
    if (n >= w->core.nr_frames || owner_of(w, n) == OWNER_DEVICE)
        return domain_of(w, owner)->has_devices ? NULL : "device memory without the right";
    if (owner_of(w, n) != owner && !domain_of(w, owner)->controls_all)
        return "an L1 entry maps another domain's frame";
    r[n].entries++;
    r[n].writable += e & PTE_RW ? 1 : 0;
    return NULL;
}

static bool reserved_slot(unsigned level, unsigned slot)
{
    return level == 4 && slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
}

static const char *scan_table(struct world *w, struct reach *r, uint64_t n)
{
    unsigned level = type_of(w, n);
    const char *wrong = NULL;
    for (unsigned slot = 0; slot < WORLD_TABLE_ENTRIES && !wrong; slot++) {
        uint64_t e = w->memory[n][slot];
        if (!pte_present(e) || reserved_slot(level, slot))
            continue;
        if (level > 1)
            wrong = reach_as_table(w, r, pte_frame(e).n, level - 1);
        else
            wrong = reach_as_data(w, r, owner_of(w, n), e);
    }
    return wrong;
}

static const char *scan_vcpu(struct world *w, struct reach *r, const struct core_vcpu *v)
{
    const char *wrong = NULL;
    if (!mfn_eq(v->kernel_root, NO_MFN))
        wrong = reach_as_table(w, r, v->kernel_root.n, 4);
    if (!wrong && !mfn_eq(v->user_root, NO_MFN))
        wrong = reach_as_table(w, r, v->user_root.n, 4);
    if (!mfn_eq(v->held, NO_MFN))
        r[v->held.n].writable++;
    return wrong;
}

static const char *judge(const struct world *w, const struct reach *r, uint64_t n)
{
    unsigned type = type_of(w, n);
    uint32_t uses = uses_of(w, n);
    if (r->writable > 0 && (type != TYPE_WRITABLE || uses < r->writable))
        return "a frame is mapped writable without being typed so";
    if (r->writable > 0 && r->level)
        return "a frame is mapped writable and a table at once";
    if (r->level && (type != r->level || uses == 0 || !validated(w, n)))
        return "a frame serves as a table without being a validated one";
    if ((uint32_t)w->frames[n].hold < r->entries)
        return "a frame has more entries than references";
    if (owner_of(w, n) == OWNER_NOBODY && w->m2p[n] != NO_PFN.n)
        return "R7: m2p knows a frame that nobody owns";
    return NULL;
}

const char *world_check_tables(struct world *w)
{
    static struct reach r[WORLD_FRAMES_MAX];
    const char *wrong = NULL;
    memset(r, 0, w->core.nr_frames * sizeof(r[0]));
    for (uint64_t n = 0; n < w->core.nr_frames && !wrong; n++)
        if (is_table(type_of(w, n)) && uses_of(w, n) > 0 && validated(w, n))
            wrong = with_frame(scan_table(w, r, n), n);
    for (unsigned i = 0; i < WORLD_CPUS && !wrong; i++)
        wrong = scan_vcpu(w, r, &w->cpu[i].vcpu);
    for (uint64_t n = 0; n < w->core.nr_frames && !wrong; n++)
        wrong = with_frame(judge(w, &r[n], n), n);
    return wrong;
}

/* ---- free frames */

const char *world_check_free(struct world *w)
{
    for (uint64_t n = WORLD_FIRST_FREE; n < w->core.nr_frames - WORLD_DEVICE_FRAMES; n++) {
        if (w->free[n] && owner_of(w, n) != OWNER_NOBODY)
            return "a frame is on the free list and owned";
        if (!w->free[n] && owner_of(w, n) == OWNER_NOBODY)
            return "a frame is lost: nobody's, and not on the free list";
    }
    return NULL;
}

/* ---- the core's oracle */

void world_print_audit(const struct core_audit *a)
{
    for (uint64_t i = 0; i < a->findings && i < CORE_FINDINGS_KEPT; i++) {
        const struct core_finding *f = &a->first[i];
        fprintf(stderr,
                "  frame %" PRIx64 ": %s (recorded %" PRIx64 ", derived %" PRIx64 ", at %" PRIx64
                ")\n",
                f->frame.n, core_finding_text(f->kind), f->recorded, f->derived, f->entry_at.a);
    }
}

bool world_audit(struct world *w)
{
    if (core_audit(&w->core, w->scratch, &w->audit))
        return true;
    world_print_audit(&w->audit);
    return false;
}

void world_print_frames(const struct world *w)
{
    for (uint64_t n = 0; n < w->core.nr_frames; n++) {
        fprintf(stderr,
                "  %3" PRIx64 " owner %4x holds %08x%s%s  %-10s uses %u held %u%s%s%s%s :", n,
                owner_of(w, n), (uint32_t)w->frames[n].hold,
                w->frames[n].hold >> 48 & 1 ? " alloc" : "",
                w->frames[n].hold >> 49 & 1 ? " shared" : "",
                core_type_name((enum frame_type)type_of(w, n)), uses_of(w, n), held_of(w, n),
                validated(w, n) ? " valid" : "", w->frames[n].use >> 43 & 1 ? " pinned" : "",
                w->frames[n].use >> 44 & 1 ? " locked" : "", busy(w, n) ? " busy" : "");
        for (unsigned i = 0; i < WORLD_TABLE_ENTRIES && i < 16; i++)
            fprintf(stderr, " %" PRIx64, w->memory[n][i]);
        fputc('\n', stderr);
    }
}
