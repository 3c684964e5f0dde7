/* SPDX-License-Identifier: MIT */
/* The core's surroundings on bare metal (core/glue.md): frames lie in the direct map. */
#ifndef PVMM_HV_GLUE_H
#define PVMM_HV_GLUE_H

#include "core.h"
#include "../memory.h"

#define GLUE_TABLE_ENTRIES     512u
#define GLUE_L4_RESERVED_FIRST 256u
#define GLUE_L4_RESERVED_LAST  271u

static inline uint64_t *glue_frame(struct core *c, mfn_t m)
{
    (void)c;
    return direct_frame(m);
}

static inline mfn_t glue_entry_frame(struct core *c, unsigned level, uint64_t e)
{
    (void)c;
    (void)level;
    return pte_frame(e);
}

static inline void glue_finding(const struct core *c, const struct core_finding *f)
{
    (void)c;
    (void)f;
}

static inline bool glue_pause(struct core *c)
{
    (void)c;
    return cpu_pause_due();
}

static inline bool glue_take(struct core *c, unsigned order, uint64_t limit, mfn_t *out)
{
    (void)c;
    return frames_take(order, limit, out);
}

static inline void glue_give(struct core *c, mfn_t m)
{
    (void)c;
    frames_give(m);
}

static inline uint64_t glue_l4_reserved(struct core *c, mfn_t l4, unsigned slot)
{
    (void)c;
    (void)l4;
    return root_template[slot];
}

static inline uint16_t glue_tlb_now(struct core *c)
{
    (void)c;
    return tlb_clock();
}

static inline void glue_tlb_flush_since(struct core *c, uint16_t stamp)
{
    (void)c;
    tlb_flush_since(stamp);
}

/* One CPU, and it runs the only domain. */
static inline void glue_tlb_flush_domain(struct core *c, struct core_domain *d)
{
    (void)c;
    (void)d;
    tlb_flush_local();
}

static inline void glue_note(struct core *c, enum core_act act, maddr_t at, uint64_t old,
                             uint64_t now)
{
    (void)c;
    recorder_note(act, at, old, now);
}

static inline void glue_relax(void)
{
    __asm__ volatile("pause" : : : "memory");
}

#endif
