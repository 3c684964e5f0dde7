/* SPDX-License-Identifier: MIT */
/*
 * Roots and what hangs from them: a change of many entries is a list of edits, which are all made
 * or all taken back; tables below the roots are found by looking, and known by whose they are.
 */
#ifndef PVGUEST_ROOTS_H
#define PVGUEST_ROOTS_H

#include "internal.h"

/* ---- edits.c: changes of entries, all of which are made or taken back */

enum edit_how {
    EDIT_ONE = 0,
    EDIT_ROOTS = 1, /* an L4 entry of the kernel half: of every root */
    EDIT_TABLE = 2, /* the old entry names a table that nothing names any more */
};

struct edits {
    struct pvguest *g;
    bool plain; /* the tables are no tables yet: by stores */
    uint64_t count;
    pvg_pfn_t pages; /* with room for more than EDITS_ROOM */
    uint64_t nr_pages;
};

/* Lazy mode from here to edits_end(). */
int edits_begin(struct pvguest *g, struct edits *e, uint64_t room, bool plain);
void edits_set(struct edits *e, pvg_maddr_t at, enum edit_how how, uint64_t old, uint64_t entry);
struct edit edits_get(const struct edits *e, uint64_t i);
/* Makes what is queued. What was refused is for edits_undo() to take back. */
int edits_make(struct edits *e);
void edits_undo(struct edits *e);
void edits_end(struct edits *e);

/* ---- space_tables.c: the tables below the roots of spaces */

enum belongs { BELONGS_NOT, BELONGS_MADE, BELONGS_ATTACHED };

/* Whether `table`, which an entry of `parent` names, hangs there by the library's doing. */
enum belongs table_belongs(struct pvguest *g, pvg_pfn_t parent, pvg_pfn_t table);
struct allocated *allocated_of(struct pvguest *g, pvg_pfn_t table);
struct table_link {
    pvg_pfn_t parent, table;
    unsigned slot, level; /* in the parent; of the table */
    enum belongs belongs;
};
/* All tables below one, of the lower half where it is a root, those below each before it. Ends at
 * the first that is not 0. */
typedef int each_table(struct pvguest *g, const struct table_link *l, void *arg);
int tables_visit(struct pvguest *g, pvg_pfn_t top, unsigned level, each_table *each, void *arg);
/* Zeroed pages in a row, writable, that count as tables from here on. */
int tables_take(struct pvguest *g, uint64_t count, pvg_pfn_t *first);
/* Writable ones; cannot fail. */
void tables_put(struct pvguest *g, pvg_pfn_t first, uint64_t count);
/* So many in as few rows as free memory has them, and the i-th of them. */
#define TABLE_ROWS 32u
struct table_rows {
    unsigned nr;
    struct pvg_range row[TABLE_ROWS];
};
int table_rows_take(struct pvguest *g, uint64_t count, struct table_rows *t);
void table_rows_put(struct pvguest *g, const struct table_rows *t);
pvg_pfn_t table_rows_at(const struct table_rows *t, uint64_t i);
/* All tables below one: read-only or writable; those that were attached, pinned or not. */
int tables_protect(struct pvguest *g, pvg_pfn_t top, unsigned level, bool writable);
int tables_pin(struct pvguest *g, pvg_pfn_t top, unsigned level, bool pin);
/* mmuext(), while undoing: what is refused twice is fatal. */
void mmuext_again(struct pvguest *g, unsigned command, pvg_pfn_t table);

/* ---- space.c, space_range.c */

/* 0; -XEN_EINVAL: neither NULL nor a space. */
int space_check(struct pvguest *g, const struct pvg_space *s);
pvg_pfn_t space_root(struct pvguest *g, const struct pvg_space *s);
/* Tables of it are plain memory. */
static inline bool space_is_plain(const struct pvg_space *s)
{
    return s && !s->pinned;
}
/* What changes at va can be in the TLB. */
bool space_is_live(struct pvguest *g, const struct pvg_space *s, uint64_t va);
/* -XEN_EINVAL: no whole pages, not canonical, the hypervisor's; before pvg_boot(). */
int check_addresses(struct pvguest *g, uint64_t va, uint64_t count);
/* Sets an entry of `level` above L1, in all roots where it is one of L4. */
struct place {
    unsigned level;
    pvg_mfn_t table;
    unsigned slot;
    uint64_t entry;
};
void edits_hook(struct edits *e, const struct pvg_space *s, const struct place *p,
                enum edit_how how, uint64_t entry);
/* Makes the tables that a range needs, of which no page may be mapped yet, in the space that is
 * loaded; then, in lazy mode, calls `then`: where that fails, they are taken back. */
int space_with_tables(struct pvguest *g, uint64_t va, uint64_t count,
                      int (*then)(struct pvguest *g, void *arg), void *arg);

#endif
