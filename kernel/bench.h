/* SPDX-License-Identifier: MIT */
/*
 * What the work of a guest's memory costs, in ticks of the TSC: word `bench` of the command line,
 * in place of the tests; `bench=GLOB` for those rows alone that fit. Under QEMU's -icount shift=0 a
 * tick is an instruction, whoever's it is.
 *
 * A row is run some rounds, and the median of them, without what looking at the clock takes itself,
 * is divided by its elements. bench/micro.py reads the lines:
 *
 *     BENCH-TSC n            the first one
 *     BENCH row n.d          for each element
 *     BENCH-PARTS n          with a GLOB: elements in all, those to warm up included
 *     BENCH-FAILED row why   instead of what is left
 *     BENCH-DONE
 */
#ifndef KERNEL_BENCH_H
#define KERNEL_BENCH_H

#include "look.h"

/* Where nothing else is mapped; its tables are made when the benchmark begins. */
#define BENCH_VA    0x100000000000ull
#define BENCH_PAGES 16384u /* of RAM that entries name */

struct bench {
    struct pvguest *g;
    pvg_pfn_t data;        /* the first of BENCH_PAGES */
    pvg_maddr_t l1_at;     /* of the table for BENCH_VA: live, and empty but for what a row does */
    volatile uint64_t *l1; /* the same, read-only in the direct map */
    pvg_mfn_t root;        /* the other root: bench_root.c */
    const char *glob;      /* of rows to run */
    uint64_t parts;        /* elements gone through */
};

/* Each: 0, or negative. */
typedef int64_t bench_step(struct bench *b);

struct bench_row {
    const char *name;
    uint64_t elements; /* that `run` goes through */
    unsigned rounds;   /* on the clock, and a tenth and one before to warm up; odd */
    bench_step *run;
    bench_step *before, *after; /* each round's, not on the clock; NULL: nothing */
};

/* A part's rows, with what is to be done before the first and after the last; the end is reached by
 * whatever way. */
struct bench_part {
    bench_step *begin, *end;
    const struct bench_row *row;
    unsigned count;
};

#define BENCH_PART(begin, end, rows)                                                               \
    {                                                                                              \
        begin, end, rows, sizeof(rows) / sizeof((rows)[0])                                         \
    }

extern const struct bench_part bench_calls;                      /* bench_calls.c */
extern const struct bench_part bench_roots;                      /* bench_root.c */
extern const struct bench_part *bench_memory(struct pvguest *g); /* bench_memory.c: by p2m layout */

void bench_run(struct pvguest *g, const char *glob);

/* The entry for page `i` of the data. */
uint64_t bench_entry(struct bench *b, uint64_t i);
int64_t bench_mmuext(struct bench *b, unsigned command, pvg_mfn_t mfn);

#endif
