/* SPDX-License-Identifier: MIT */
/* What the checker's tests share: a guest to be broken, and what was found of it. */
#ifndef PVMM_TESTS_IMAGE_CHECKED_H
#define PVMM_TESTS_IMAGE_CHECKED_H

#include "check.h"
#include "made.h"

#define FLAGS     (PTE_PRESENT | PTE_ACCESSED | PTE_USER)
#define SPARE     100u /* a slot of the L1 table that maps nothing */
#define VALIDATED (1ull << 42)
#define PINNED    (1ull << 43)
#define BUSY      (1ull << 45)

struct made *whole(void);
/* The table of that level on the way to the first page. */
mfn_t table_of(struct made *m, unsigned level);
uint64_t *entry_of(struct made *m, unsigned level, unsigned slot);
struct frame *frame_of(struct made *m, mfn_t frame);
/* A page that is mapped nowhere, as the GDT of the vCPU. */
mfn_t give_gdt(struct made *m);
struct pv_view *as_dump(struct made *m);
uint64_t found(const struct pv_check *c, const char *code);
void check(const struct pv_view *v, struct pv_check *c);
/* That code, and no other; NULL: none. */
void assert_only(const struct pv_check *c, const char *code);
void answers(const struct pv_check *c, const char *expected);

#endif
