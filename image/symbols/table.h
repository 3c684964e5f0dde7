/* SPDX-License-Identifier: MIT */
/* The table of symbols: one sorted array for each source. */
#ifndef PVMM_IMAGE_SYMBOLS_TABLE_H
#define PVMM_IMAGE_SYMBOLS_TABLE_H

#include "symbols.h"

struct source;

enum entry_flags {
    ENTRY_CODE = 1 << 0,
    ENTRY_GLOBAL = 1 << 1,
    ENTRY_WEAK = 1 << 2,
};

struct new_entry {
    const char *name; /* name_bytes of it, without a NUL */
    size_t name_bytes;
    uint64_t address;
    uint64_t size;  /* 0: not known */
    uint64_t limit; /* the end of its section; 0: not known */
    unsigned flags;
    unsigned module; /* source_module(); 0: none */
};

/* A symbol without a size or a next one is believed this far. */
#define LAST_EXTENT 4096u

/* Linux's tables for unwinding stacks: orc.h. */
struct orc_table {
    uint64_t ips, entries;
    uint32_t nr;
};

struct source *source_new(void);
void source_free(struct source *s);
/* false: out of memory, or more than any kernel has. Symbols without a name, or with one
 * that no terminal should be shown, are passed over. */
bool source_add(struct source *s, const struct new_entry *n);
/* The number by which symbols name their module; 0: out of memory. */
unsigned source_module(struct source *s, const char *name);
/* To be called once, when all are there. Returns how many remain. */
size_t source_sort(struct source *s);
bool source_at(const struct source *s, uint64_t va, struct pv_symbol *out);
bool source_find(const struct source *s, const char *name, uint64_t *va);

/* The code from `start` to `end` has a table of its own. false: out of memory. */
bool source_orc(struct source *s, uint64_t start, uint64_t end, const struct orc_table *t);

/* Takes the source over. `guest`: it replaces the guest's of before. false: out of memory. */
bool symbols_adopt(struct pv_symbols *s, struct source *source, bool guest);
/* *t remains what it is if the code at `va` has no table of its own. */
void symbols_orc(const struct pv_symbols *s, uint64_t va, struct orc_table *t);
bool symbols_empty(const struct pv_symbols *s);

/* Always -1, with the reason in *e. */
__attribute__((format(printf, 2, 3))) int symbols_fail(struct pv_error *e, const char *format, ...);

#endif
