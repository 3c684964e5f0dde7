/* SPDX-License-Identifier: MIT */
/* What stands around the shadows in their tests: a machine of a few tables and leaves, its frames,
 * the processor's TLB, and the guest's tables as a processor walks them. */
#ifndef PVMM_TESTS_HV_SHADOW_WORLD_H
#define PVMM_TESTS_HV_SHADOW_WORLD_H

#include "hosted.h"

#include "dirty.h"
#include "shadow.h"

#define NR_FRAMES 0x1000u
#define TABLES_AT 0x100u /* L4, L3, L2 and L1 tables, one behind the other */
#define LEAVES_AT 0x400u
#define LEAVES    24u
#define OUTSIDE   (NR_FRAMES + 8) /* no RAM: it has no bit */
#define POOL      4096u           /* frames that there are for shadows, or fewer */
#define TEMPLATE  0xabc000ull     /* in root_template, per slot */

#define WRITE PFEC_WRITE
#define USER  PFEC_USER
#define FETCH 16u

/* By level: tables; slots that are used; addresses that they make. */
extern const unsigned count_of[5], slots_of[5][5], nr_slots[5];
#define VAS (5 * 2 * 2 * 4)

struct va {
    unsigned slot[5];
    uint64_t address;
};
extern struct va vas[VAS];
int va_index(uint64_t address); /* -1: none of these */

unsigned first_table(unsigned level);
unsigned level_of(uint64_t frame); /* 0: no table */
uint64_t *entry_of(uint64_t table, unsigned slot);

struct found {
    bool present;
    uint64_t frame, rights; /* PTE_RW, PTE_USER if all have it; PTE_NX if one has */
    uint64_t *path[5];
};
struct found walk(uint64_t table, const struct va *va);

/* The frames that the shadows took and gave back. */
struct shadow_pool {
    unsigned room, taken, given;
};
extern struct shadow_pool pool;

/* The processor's, of the shadows; by address. */
extern uint64_t tlb[VAS];
extern unsigned begun_anew; /* flushes for want of frames */
void empty_tlb(void);

extern uint64_t bitmap[NR_FRAMES / 64]; /* of the round */

/* An empty one. */
int world_setup(void **state);

#endif
