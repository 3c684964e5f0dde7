/* SPDX-License-Identifier: MIT */
/* What the files of the report share. */
#ifndef PVMM_REPORT_GATHER_H
#define PVMM_REPORT_GATHER_H

#include <json-c/json.h>

#include "column.h"
#include "image.h"
#include "internal.h"
#include "report.h"

#define NO_CELL   0xffffffffu
#define CELL_MAX  0xfffffff0u /* mfns and pfns of cells are below */
#define MANY      65535u      /* uses, where that many or more */
#define MAX_EXTRA (1u << 20)  /* cells that are not the guest's */

/* In the order of docs/report-format.md. */
enum kind {
    KIND_L4,
    KIND_L3,
    KIND_L2,
    KIND_L1,
    KIND_SEGDESC,
    KIND_SHARED_INFO,
    KIND_START_INFO,
    KIND_LIST,
    KIND_TEXT,
    KIND_KERNEL_RO,
    KIND_USER_TEXT,
    KIND_USER,
    KIND_USER_RO,
    KIND_KERNEL,
    KIND_PLAIN,
    KIND_BLANK,
    KIND_FOREIGN,
    KINDS,
};

#define FLAG_PINNED     1u
#define FLAG_USER       2u
#define FLAG_EXECUTABLE 4u
#define FLAG_ZEROES     8u
#define FLAG_FINDING    16u
#define FLAG_OWNED      32u
#define FLAG_LISTED     64u

enum column_name {
    COLUMN_MFN,
    COLUMN_PFN,
    COLUMN_KIND,
    COLUMN_FLAGS,
    COLUMN_USES,
    COLUMN_WRITABLE,
    COLUMN_TABLE,
    COLUMN_FIRST,
    COLUMN_SLOT,
    COLUMN_TARGET,
    COLUMN_ENTRY,
    COLUMN_ACT_TIME,
    COLUMN_ACT_KIND,
    COLUMN_ACT_CELL,
    COLUMNS,
};

/* Everything that the page is made of. Arrays by cell have `cells` elements; a cell costs 18 bytes
 * while it is gathered. */
struct gathered {
    const struct report_subject *s;
    const struct report_options *o;
    const struct pv_view *v;
    struct pv_error *e;

    uint32_t *mfn; /* by cell, ascending */
    uint32_t cells;
    uint32_t *hint; /* by mfn >> shift: where to begin to look */
    unsigned shift;

    uint32_t *extra; /* frames that become cells besides the guest's */
    uint32_t extras;
    bool extras_full;

    uint32_t *pfn;
    uint8_t *level; /* of tables */
    uint8_t *kind, *flags, *seen;
    uint16_t *uses, *writable;

    mfn_t *root;
    size_t roots;
    uint32_t *table; /* cells that are tables, ascending */
    uint32_t tables;
    uint64_t upper_entries, l1_entries;
    bool with_l1; /* their entries are columns, too */

    uint64_t of_kind[KINDS];
    struct pv_p2m_summary sum;
    bool compared;
    struct json_object *differences;
    struct json_object *roots_are, *shares, *tree;
    uint64_t tick;
    char left_out[256];
    struct column column[COLUMNS];
};

/* ---- cells.c */
int cells_own(struct gathered *g);
/* The frame is none of the cells: it becomes one when the extras are merged. */
int cells_note_extra(struct gathered *g, mfn_t m);
/* g->level is by cell, and moves with them. */
int cells_merge_extras(struct gathered *g);
uint32_t cell_of(const struct gathered *g, mfn_t m);
/* The same, of the guest's frames alone. */
uint32_t cell_owned(const struct gathered *g, mfn_t m);
/* To what was left out, as a sentence. */
void leave_out(struct gathered *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- tables.c */
#define SLOTS 512u
struct table_words {
    uint64_t word[SLOTS];
};
/* Present entries of it, the hypervisor's slots not: the others are 0. How many slots it has. */
unsigned table_read(const struct gathered *g, uint32_t cell, struct table_words *w);
int tables_discover(struct gathered *g); /* g->level, g->table; notes extras */
int tables_columns(struct gathered *g);  /* uses, writable, and the columns of tables and entries */
/* The table's place in g->table; NO_CELL: none. */
uint32_t table_index(const struct gathered *g, uint32_t cell);

/* ---- marks.c: how frames are mapped */
int marks_set(struct gathered *g);
#define SEEN_USER_RW   1u
#define SEEN_USER_RO   2u
#define SEEN_USER_TEXT 4u
#define SEEN_ELSE      8u /* in the kernel's half, not in its map of all memory */
#define SEEN_ELSE_RW   16u
#define SEEN_ALL       32u /* in its map of all memory */
#define SEEN_ALL_RW    64u
#define SEEN_TEXT      128u

/* ---- kinds.c */
int kinds_set(struct gathered *g);
extern const char *const kind_keys[KINDS];
extern const char *const kind_names[KINDS];

/* ---- blank.c: FLAG_ZEROES */
int blank_find(struct gathered *g);

/* ---- roots.c: json_roots, json_shares */
int roots_find(struct gathered *g); /* g->root */
int roots_tell(struct gathered *g);

/* ---- lists.c: what the lists say; FLAG_LISTED */
int lists_compare(struct gathered *g);
/* ---- tree.c */
int tree_tell(struct gathered *g);

/* ---- meta.c */
struct json_object *meta_make(struct gathered *g);
/* ---- words.c: fields of JSON whose text may be the guest's */
void put_words(struct json_object *o, const char *key, const char *text); /* "" or NULL: null */
void put_number(struct json_object *o, const char *key, uint64_t n);      /* ~0: null */
void put_cell(struct json_object *o, const char *key, uint32_t cell);
struct json_object *symbol_json(const struct gathered *g, uint64_t va);

/* ---- gather.c */
#define ACT_NAMES 12u
extern const char *const act_names[ACT_NAMES];
int gather(struct gathered *g, const struct report_subject *s, const struct report_options *o,
           struct pv_error *e);
void gather_free(struct gathered *g);

#endif
