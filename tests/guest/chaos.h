/* SPDX-License-Identifier: MIT */
/*
 * Random requests, the same ones under every hypervisor: each decision depends on the seed and on
 * nothing else, except where a result is known that must agree.
 */
#ifndef PVMM_TEST_CHAOS_H
#define PVMM_TEST_CHAOS_H

#include "guest.h"

/* ---- who is who in the pool */

enum {
    FIRST_L1 = 0,
    FIRST_L2 = 24,
    FIRST_L3 = 36,
    FIRST_L4 = 44,
    FIRST_WINDOW = 50, /* their addresses show other pages */
    FIRST_DESC = 58,
    SUBJECTS = 60,      /* pages below this may be named by entries */
    FIRST_BALLOON = 60, /* given away, taken and exchanged; named by no table */
    CHAOS_PAGES = 68,
};

/* ---- chaos.c */

void chaos_seed(uint64_t seed);
uint64_t random64(void);
static inline unsigned below(unsigned n)
{
    return (unsigned)(random64() >> 32) % n;
}
static inline bool chance(unsigned percent)
{
    return below(100) < percent;
}
/* Into the digest, and into the trace when this request is traced. */
void note(const char *what, uint64_t value);
void note_request(const char *what, unsigned page, uint64_t value);
void note_result(int64_t rc);
/* The entry without its frame number. */
uint64_t entry_norm(uint64_t entry);

/* ---- chaos_plan.c: what may be asked without running into linear tables, which real Xen has and
 * pvmm has not: entries of tables above L1 are writable ones, so that they never are linear. */

void plan_reset(void);
unsigned class_of_page(unsigned i); /* 1..4; others count as 1 */
/* May page i be asked to become a table of that level, with all it leads to? */
bool plan_level(unsigned i, unsigned level);
/* A value for an entry of page i. */
uint64_t plan_entry(unsigned i);
unsigned plan_slot(unsigned i);
bool plan_copy(unsigned to, unsigned from);
/* May the RW bit of an entry of page i be cleared? */
bool plan_clear_rw(unsigned i);

/* ---- chaos_ops.c, chaos_balloon.c */

void chaos_step(void);
void balloon_step(void);
void balloon_reset(void);
/* Back to the start: roots, descriptor tables, windows, pages. */
void chaos_reset(void);

#endif
