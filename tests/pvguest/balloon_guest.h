/* SPDX-License-Identifier: MIT */
/* What the tests of the balloon have in common: a small guest, its state page by page. After each
 * hypercall that gives frames or takes them the list that tools read is looked at from outside. */
#ifndef PVGUEST_TEST_BALLOON_H
#define PVGUEST_TEST_BALLOON_H

#include "internal.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "outside.h"

#include <cmocka.h>
#include <xen/memory.h>

#define NR_PAGES  2048u
#define MAX_PAGES 5120u
#define SEEN      5700u /* pages that are compared one by one */
#define FAR_PAGE  (1ull << 32)
#define MARK      0x9e3779b97f4a7c15ull

extern struct machine *m;
extern struct pvguest *g;
extern enum pvg_p2m_layout layout;
extern uint64_t looks; /* from outside */

void look_from_outside(struct machine *from, unsigned number);
void boot_machine(const struct machine_params *p);
void boot_small(void); /* NR_PAGES of at most MAX_PAGES */
void check_guest(void);
void end(void);

struct state {
    uint64_t owned, free, lost, pins;
    struct pvg_memory_info info;
    struct pvg_regions memory, direct;
    uint64_t entry[SEEN], mark[SEEN];
};

extern struct state before, after;

uint64_t *content(uint64_t mfn); /* a word of a frame */
void note_state(struct state *s);
bool same_regions(const struct pvg_regions *a, const struct pvg_regions *b);
/* All is as in `before`, of each page; what is free and lost together, as a table may be that is
 * not let go. */
void check_old(void);
/* The figures, counted anew; of boot_small()'s guest. */
void check_figures(void);

int linear(void **state);
int tree(void **state);

#define BOTH(f)                                                                                    \
    {#f ", linear", f, linear, NULL, NULL},                                                        \
    {                                                                                              \
#f ", tree", f, tree, NULL, NULL                                                           \
    }

#endif
