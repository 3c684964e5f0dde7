/* SPDX-License-Identifier: MIT */
/* Tables of kallsyms as Linux's build makes them, in each of their orders. */
#ifndef PVMM_TESTS_SYMBOLS_TABLES_H
#define PVMM_TESTS_SYMBOLS_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum values {
    VALUES_ADDRESSES,
    VALUES_OFFSETS,
    VALUES_PERCPU,
    VALUES_RELATIVE,
};

struct tables_kind {
    const char *name;
    enum values values;
    bool values_last;      /* from 6.4 */
    bool order_of_names;   /* from 6.2 */
    unsigned marker_bytes; /* 4; 8 before 4.20 */
};

struct tables_symbol {
    uint64_t address;
    char letter;
    const char *name;
};

/* Writes them from `to` on, which lies at a multiple of 8; the guest has it at `va`. Returns how many bytes; 0: no room. */
size_t tables_build(const struct tables_kind *kind, const struct tables_symbol *symbol, size_t nr,
                    uint64_t base, uint64_t va, uint8_t *to, size_t room);

#endif
