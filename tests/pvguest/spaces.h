/* SPDX-License-Identifier: MIT */
/* What the tests of spaces share: two spaces, pages to map, the operations, and what must be the
 * same after one that failed. */
#ifndef PVGUEST_TEST_SPACES_H
#define PVGUEST_TEST_SPACES_H

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "guest.h"
#include "roots.h"

#include <cmocka.h>

#define NR_PAGES 6000u
#define MIB      (1ull << 20)
#define GIB      (1ull << 30)
#define LOW      0x400000ull
#define BORDER   (0x8000000000ull - PVG_PAGE_BYTES) /* of two L3 tables */
#define UPPER    0xffffd00000000000ull              /* a slot of the kernel half that is empty */
#define MANY     1500u
#define USER_RW  (PVG_PTE_DATA | PVG_PTE_USER)
#define USER_RO  (PVG_PTE_RO_DATA | PVG_PTE_USER)

extern struct machine *m;
extern struct pvguest *g;
extern struct pvg_space a, b, third;
extern struct pvg_space *s; /* what the operations are on */
extern pvg_pfn_t page;      /* the first of MANY */
extern pvg_pfn_t tables[3];
extern unsigned attach_level;

#define assert_reason(part) assert_non_null(strstr(pvg_reason(g), part))
#define assert_made(call)                                                                          \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, pvg_reason(g));                                              \
    } while (0)

/* ---- what must be the same */

#define WATCHED 12u
struct snapshot {
    uint64_t free, pins, typed[5], spaces, tables, reserved, entry[WATCHED], own[4], loaded;
};

int setup(void **state);
void heal(void);
const char *anything_wrong(void);
void assert_sound(const char *what);
int teardown(void **state);
/* Without the library's help. */
uint64_t entry_from(uint64_t root, uint64_t va, unsigned *level);
uint64_t mfn_of(pvg_pfn_t pfn);
uint64_t root_of(const struct pvg_space *s);
uint64_t seen(const struct pvg_space *s, uint64_t va);
uint64_t seen_by_user(const struct pvg_space *s, uint64_t va);
uint64_t wanted(uint64_t i, bool writable);
struct snapshot look(void);
/* Fails the n-th call (kind 0), element (1) or search for pages (2): true when it was made all the
 * same, as there is no n-th. */
bool made_with(int (*run)(void), unsigned kind, uint64_t n, const char *name);
/* Each of all kinds in turn; `back` undoes it between rounds, and it is left made. How many failed.
 */
unsigned each_failure(int (*run)(void), int (*back)(void), const char *name);
void both_ways(int (*run)(void), int (*back)(void), const char *name);

/* ---- the operations */

int make_third(void);
int end_third(void);
int load_a(void);
int load_b(void);
int load_own(void);
int pin_a(void);
int unpin_a(void);
int map_low(void);
int unmap_low(void);
int map_many(void);
int unmap_many(void);
int map_border(void);
int unmap_border(void);
int map_more(void);
int unmap_more(void);
int change_there(void);
int change_back(void);
int protect_there(void);
int protect_back(void);
int map_upper(void);
int unmap_upper(void);
int alloc_table(void);
int free_table(void);
int attach(void);
int detach(void);
int suspend(void);
int resume(void);

#endif
