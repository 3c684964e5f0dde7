/* SPDX-License-Identifier: MIT */
/*
 * The core's glue for host tests: frames are an array, tables are small, and everything that can go
 * wrong around the core can be made to (see struct world).
 */
#ifndef PVMM_HOST_GLUE_H
#define PVMM_HOST_GLUE_H

#include "core.h"

#ifndef WORLD_TABLE_ENTRIES
#define WORLD_TABLE_ENTRIES 8
#endif

#define GLUE_TABLE_ENTRIES     WORLD_TABLE_ENTRIES
#define GLUE_L4_RESERVED_FIRST (WORLD_TABLE_ENTRIES / 2)
#define GLUE_L4_RESERVED_LAST  (WORLD_TABLE_ENTRIES / 2 + (WORLD_TABLE_ENTRIES == 512 ? 15 : 1))

uint64_t *glue_frame(struct core *c, mfn_t m);
bool glue_pause(struct core *c);
bool glue_take(struct core *c, unsigned order, uint64_t limit, mfn_t *out);
void glue_give(struct core *c, mfn_t m);
uint64_t glue_l4_reserved(struct core *c, mfn_t l4, unsigned slot);
uint16_t glue_tlb_now(struct core *c);
void glue_tlb_flush_since(struct core *c, uint16_t stamp);
void glue_tlb_flush_domain(struct core *c, struct core_domain *d);
void glue_relax(void);
void glue_note(struct core *c, enum core_act act, maddr_t at, uint64_t old, uint64_t now);

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

#endif
