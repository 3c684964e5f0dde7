/* SPDX-License-Identifier: MIT */
/* The random test's parts: a guest that chooses requests, and what carries them out. */
#ifndef PVMM_RANDOM_RUN_H
#define PVMM_RANDOM_RUN_H

#include <stdio.h>

#include "world.h"

enum kind {
    KIND_UPDATE,
    KIND_UPDATE_AD,
    KIND_UPDATE_M2P,
    KIND_UPDATE_OTHER, /* no-translate and commands that do not exist */
    KIND_UPDATE_VA,
    KIND_WRITE_L1,
    KIND_PIN,
    KIND_UNPIN,
    KIND_KERNEL_ROOT,
    KIND_USER_ROOT,
    KIND_CLEAR,
    KIND_COPY,
    KIND_COPY_BYTES, /* level of them, from byte `value` to byte `at` */
    KIND_HOLD,
    KIND_DROP,
    KIND_SET_GDT,
    KIND_SET_LDT,
    KIND_LDT_PAGE,
    KIND_DESCRIPTOR,
    KIND_POPULATE,
    KIND_INCREASE,
    KIND_DECREASE,
    KIND_EXCHANGE,
    KIND_COUNT,
};

#define REQUEST_LIST_MAX 16

/* A request as the guest makes it, complete, so that it can be issued again unchanged. */
struct request {
    enum kind kind;
    uint8_t owner;        /* index of the domain it names */
    uint8_t frame_domain; /* and of the one whose frames entries may name */
    uint8_t n, done;      /* elements, and those performed */
    unsigned level;       /* or order */
    bool conditional;     /* write_l1 with `expected` */
    mfn_t m, other;
    uint64_t at, value, expected;
    struct core_update update[REQUEST_LIST_MAX];
    mfn_t list[REQUEST_LIST_MAX], out[REQUEST_LIST_MAX];
    pfn_t pfn[REQUEST_LIST_MAX];
};

/* A vCPU between its requests. */
struct worker {
    struct core_vcpu *vcpu;
    uint8_t domain;
    bool pending;   /* `request` asked to be issued again */
    bool finishing; /* its result stands, but the core has not finished tidying up */
    struct request request;
};

struct past {
    uint64_t step;
    unsigned worker;
    int result;
    const char *phase;
    struct request request;
};

#define HISTORY 20

struct run {
    struct world *w;
    struct worker worker[WORLD_CPUS];
    uint8_t likes[WORLD_FRAMES_MAX]; /* what the guest uses a frame for: level 1..4, or 0: data */
    uint64_t seed, steps, operations, restarts, abandoned, accesses, rebuilt, overflows;
    uint64_t tried[KIND_COUNT], done[KIND_COUNT], refused_by[32];
    struct past past[HISTORY];
};

/* choose.c */
void guest_likes(struct run *r);
void choose_request(struct run *r, unsigned worker, struct request *q);
uint64_t choose_word(struct run *r, unsigned domain, mfn_t m, unsigned slot);
mfn_t choose_owned(struct run *r, unsigned domain);

/* perform.c: one call of the core between core_begin() and core_end(). Returns what is wrong with
 * the way the core answered, or NULL. */
const char *perform(struct run *r, unsigned worker, int *result);
const char *kind_name(enum kind k);
void print_request(FILE *f, const struct past *p);

#endif
