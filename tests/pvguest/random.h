/* SPDX-License-Identifier: MIT */
/* The random test's model of a guest, and what its parts use of each other (random.c says what it
 * is). */
#ifndef PVGUEST_RANDOM_H
#define PVGUEST_RANDOM_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#include <xen/memory.h>

#define BLOCKS      64u
#define BLOCK_PAGES 16u
#define SLOTS       1024u /* of the window that pages are mapped in */
#define WINDOW      0xffffcd0000000000ull
#define AREAS       4u
#define AREA_PAGES  2048u
#define BALLOON     3000u
#define EXTENSIONS  24u
#define GROWN_MAX   3000 /* pages that the balloon may bring */
#define CHECK_EVERY 2000u

struct block {
    uint64_t first, count; /* 0: free */
};

struct remap {
    void *va; /* NULL: free */
    uint64_t address, bytes;
};

struct model {
    struct machine *m;
    struct pvguest *g;
    uint64_t random, seed, calls, pages;
    bool tree, initial;

    uint64_t call;
    const char *doing;
    bool injected;
    uint64_t failures, refusals;

    struct block block[BLOCKS];
    uint64_t slot[SLOTS]; /* the entry's frame and RW bit; 0: nothing is mapped */
    uint64_t area_base[AREAS], area[AREAS][AREA_PAGES];
    uint64_t ballooned;
    struct remap remap[4];
    uint64_t next_extension, extensions;
    int64_t grown; /* by the balloon, less what it took */
};

extern struct model r;

#define CHECK(is, ...)                                                                             \
    do {                                                                                           \
        if (!(is))                                                                                 \
            wrong(__VA_ARGS__);                                                                    \
    } while (0)

/* ---- random.c: numbers, and failures */

uint64_t below(uint64_t n);
_Noreturn void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
void inject(void);
void heal(void);
bool succeeded(int rc);
void refused(int rc, int want);

/* ---- random_pages.c */

uint64_t direct(uint64_t pfn);
uint64_t frame_of(uint64_t pfn);
void write_tags(uint64_t pfn);
void check_tags(const uint64_t *page, uint64_t pfn);
struct block *some_block(bool taken);
void do_take(void);
bool is_mapped(const struct block *b);
void do_give(void);
void do_give_twice(void);
void do_protect(void);
uint64_t slot_va(unsigned s);
void check_slots(unsigned first, unsigned count);
void touch_slot(unsigned s);
void do_map(void);
void do_unmap(void);
void do_touch(void);
void do_batch(void);
void do_table(void);

/* ---- random_p2m.c */

void check_entry(uint64_t pfn, uint64_t want);
void do_p2m_set(void);
void do_p2m_refused(void);
void do_p2m_identity(void);
void do_p2m_get(void);
void do_inflate(void);
void do_deflate(void);
void do_map_ballooned(void);
void do_extend(void);
void do_remap(void);
void do_unremap(void);

/* ---- random_balloon.c */

void do_balloon_down(void);
void do_balloon_up(void);
void do_balloon_to(void);
void do_contiguous(void);
void do_scattered(void);

/* ---- random_grant.c */

void check_grants(void);
bool grants_can_be_saved(void);
void grants_let_go(void);
void grants_are_elsewhere(void);
void do_grant_init(void);
void do_grant_access(void);
void do_grant_end(void);
void do_grant_used(void);
void do_peer_lend(void);
void do_grant_map(void);
void do_grant_unmap(void);
void do_grant_suspend(void);

/* ---- random_suspend.c */

void do_suspend(void);

/* ---- random_space.c */

void check_spaces(void);
bool spaces_can_be_saved(void);
void spaces_to_pages(void);
void spaces_learn_frames(void);
bool is_in_space(const struct block *b);
void do_space_make(void);
void do_space_end(void);
void do_space_load(void);
void do_space_pin(void);
void do_space_suspend(void);
void do_space_map(void);
void do_space_protect(void);
void do_space_unmap(void);
void do_space_upper(void);
void do_table_alloc(void);
void do_table_attach(void);

/* ---- random_store.c */

void check_store(void);
void store_let_go(void);
void store_is_elsewhere(void);
void do_store_change(void);
void do_store_look(void);
void do_store_transaction(void);
void do_store_watch(void);

#endif
