/* SPDX-License-Identifier: MIT */
/* One request, one line: its number, its name, the result, and what can be seen of its effect. */
#ifndef PVMM_TEST_ASK_H
#define PVMM_TEST_ASK_H

#include "guest.h"

#include <xen/errno.h>

#define NAMED __attribute__((format(printf, 4, 5)))

/* A single mmu_update; shows the entry behind ptr when it lies in the pool, done, and m2p of the
 * frame when the command is about that. */
int64_t ask_update(uint64_t ptr, uint64_t val, uint64_t domain, const char *fmt, ...) NAMED;
int64_t ask_ext(unsigned cmd, uint64_t arg1, uint64_t arg2, const char *fmt, ...) NAMED;
/* Shows the entry that maps va, without its accessed and dirty bits. */
int64_t ask_va(uint64_t va, uint64_t val, uint64_t flags, const char *fmt, ...) NAMED;
/* Any hypercall: a[0] is its number. */
struct call {
    uint64_t n, a, b, c, d, e;
};
int64_t ask(const struct call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define ASK(n_, a_, b_, c_, d_, ...)                                                               \
    ask(&(struct call){n_, (uint64_t)(a_), (uint64_t)(b_), (uint64_t)(c_), (uint64_t)(d_), 0},     \
        __VA_ARGS__)
/* A batch with a done counter, which starts as `done`. */
int64_t ask_batch(unsigned nr, const void *list, uint64_t count, uint32_t done, const char *fmt,
                  ...) __attribute__((format(printf, 5, 6)));
/* A line of its own without a request. */
void tell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
unsigned requests_asked(void);

/* Frames of every kind, for requests that name one (conform_types.c). */
struct target {
    const char *name;
    uint64_t mfn;
};
#define TARGETS 13
extern struct target targets[TARGETS];
void targets_make(void);
void targets_undo(void);

void conform_flags(void);
void conform_types(void);
void conform_updates(void);
void conform_batches(void);
void conform_ext(void);
void conform_descriptors(void);
void conform_memory(void);
void conform_misc(void);
void conform_exchange(void);
void conform_grants(void);

#endif
