/* SPDX-License-Identifier: MIT */
/*
 * The core's surroundings offline (core/glue.md): a machine that stands still, or of which a copy
 * of the frame table is looked at. Frames come out of the view; there is nothing to take, to flush
 * or to wait for.
 */
#ifndef PVMM_IMAGE_GLUE_H
#define PVMM_IMAGE_GLUE_H

#include "core.h"
#include "image.h"

/* c->embedding. What is NULL is as it stands in the view, and the core's frames are machine frames;
 * a checker that numbers frames without gaps (image/check/) has all three. */
struct glue_image {
    const struct pv_view *view;
    uint64_t *(*words)(struct glue_image *i, mfn_t m);
    mfn_t (*entry_frame)(struct glue_image *i, unsigned level, uint64_t e);
    void (*finding)(struct glue_image *i, const struct core_finding *f);
};

#define GLUE_TABLE_ENTRIES     512u
#define GLUE_L4_RESERVED_FIRST 256u
#define GLUE_L4_RESERVED_LAST  271u

static inline uint64_t *glue_frame(struct core *c, mfn_t m)
{
    struct glue_image *i = c->embedding;
    if (i->words)
        return i->words(i, m);
    return i->view->backend->words ? i->view->backend->words(i->view, m) : NULL;
}

static inline mfn_t glue_entry_frame(struct core *c, unsigned level, uint64_t e)
{
    struct glue_image *i = c->embedding;
    return i->entry_frame ? i->entry_frame(i, level, e) : pte_frame(e);
}

static inline void glue_finding(const struct core *c, const struct core_finding *f)
{
    struct glue_image *i = c->embedding;
    if (i->finding)
        i->finding(i, f);
}

static inline bool glue_pause(struct core *c)
{
    (void)c;
    return false;
}

static inline bool glue_take(struct core *c, unsigned order, uint64_t limit, mfn_t *out)
{
    (void)c;
    (void)order;
    (void)limit;
    (void)out;
    return false;
}

/* What is freed offline stays where it is. */
static inline void glue_give(struct core *c, mfn_t m)
{
    (void)c;
    (void)m;
}

/* What the hypervisor put there is not known here: what is there is taken for it. */
static inline uint64_t glue_l4_reserved(struct core *c, mfn_t l4, unsigned slot)
{
    const uint64_t *words = glue_frame(c, l4);
    return words ? words[slot] : 0;
}

static inline uint16_t glue_tlb_now(struct core *c)
{
    (void)c;
    return 0;
}

static inline void glue_tlb_flush_since(struct core *c, uint16_t stamp)
{
    (void)c;
    (void)stamp;
}

static inline void glue_tlb_flush_domain(struct core *c, struct core_domain *d)
{
    (void)c;
    (void)d;
}

static inline void glue_note(struct core *c, enum core_act act, maddr_t at, uint64_t old,
                             uint64_t now)
{
    (void)c;
    (void)act;
    (void)at;
    (void)old;
    (void)now;
}

static inline void glue_relax(void)
{
}

#endif
