/* SPDX-License-Identifier: MIT */
/*
 * kallsyms: the names of a Linux kernel's own symbols, in its read-only data. Nothing points there,
 * so the tables are found by their own form, and believed only if all of them agree.
 */
#ifndef PVMM_IMAGE_SYMBOLS_KALLSYMS_H
#define PVMM_IMAGE_SYMBOLS_KALLSYMS_H

#include "table.h"

/* A piece of the guest's memory, copied. */
struct window {
    const uint8_t *byte;
    size_t bytes;
    uint64_t va; /* of the first; a multiple of 8 */
};

struct kallsyms {
    uint32_t count;
    const uint8_t *names, *names_end; /* compressed: a length, and so many codes of tokens */
    const char *tokens;
    uint16_t index[256];
    const uint8_t *values;
    enum {
        KALLSYMS_ADDRESSES, /* 8 bytes each */
        KALLSYMS_OFFSETS,   /* 4 bytes each, from `base` */
        KALLSYMS_PERCPU,    /* those below zero are from base - 1 downwards, others absolute */
        KALLSYMS_RELATIVE,  /* 4 bytes each, from where they stand; the first at `base` */
    } kind;
    uint64_t base;
};

/* Tokens stand for themselves mostly: those of the digits, one behind the other, are the mark. */
#define KALLSYMS_MARK       "0\0001\0002\0003\0004\0005\0006\0007\0008\0009"
#define KALLSYMS_MARK_BYTES 20u

/* The mark at `at` of the window: does a table of tokens with its index lie around it? */
bool kallsyms_tokens(const struct window *w, size_t at);
/* The same, and all the other tables. */
bool kallsyms_find(const struct window *w, size_t at, struct kallsyms *out);
/* Adds all symbols. false: out of memory. */
bool kallsyms_decode(const struct kallsyms *k, struct source *to);

/* Looks for them in the guest's memory. */
int kallsyms_load(struct source *to, const struct pv_view *v, mfn_t root, struct pv_error *e);

#endif
