/* SPDX-License-Identifier: MIT */
/*
 * A machine in an array, for host tests of the core. Everything around the core that can go wrong
 * can be made to: work pauses where one likes, free frames run out, and the processors keep stale
 * translations for as long as nobody makes them flush.
 */
#ifndef PVMM_HOST_WORLD_H
#define PVMM_HOST_WORLD_H

#include "core.h"
#include "glue.h"

/* The size of the arrays, and of what is in them: who embeds the world may ask for others. */
#ifndef WORLD_FRAMES_MAX
#define WORLD_FRAMES_MAX 256
#endif
#ifndef WORLD_VCPUS
#define WORLD_VCPUS 2 /* of each domain */
#endif
#ifndef WORLD_DEVICE_FRAMES
#define WORLD_DEVICE_FRAMES 2
#endif
#ifndef WORLD_GAP
#define WORLD_GAP 0 /* words behind each frame, which the address sanitizer has nobody touch */
#endif
#ifndef WORLD_ACTS
#define WORLD_ACTS 64 /* of the acts since they were last cleared, so many are kept */
#endif
#define WORLD_DOMAINS 2
#define WORLD_CPUS    (WORLD_DOMAINS * WORLD_VCPUS)

/* The fixed places: a frame of the hypervisor's, one shared with each domain, device memory at the
 * end. All between is free at first. */
#define WORLD_HYPERVISOR_FRAME 0
#define WORLD_SHARED_FRAME     1 /* and one more for the second domain */
#define WORLD_FIRST_FREE       (WORLD_SHARED_FRAME + WORLD_DOMAINS)

/* What a processor may still reach a frame as. */
enum cached {
    CACHED_READ = 1,
    CACHED_WRITE = 2,
    CACHED_L1 = 4, /* a paging-structure cache: the processor walks on from this L1 table */
};

struct cached_frame {
    uint8_t as;     /* enum cached, or-ed */
    uint16_t owner; /* who owned the frame when it was cached */
};

/* One virtual CPU on a processor of its own. */
struct world_cpu {
    struct core_vcpu vcpu;
    uint16_t flushed; /* the TLB clock at the last whole flush */
    bool any_cached;
    struct cached_frame cached[WORLD_FRAMES_MAX];
};

enum pause_mode {
    PAUSE_NEVER,
    PAUSE_ALWAYS,
    PAUSE_RANDOM, /* one time in pause_one_in */
    PAUSE_AT,     /* once, the pause_at-th time that the core asks, from 1 */
};

/* What the core told of itself (glue_note). */
struct world_act {
    enum core_act act;
    maddr_t at;
    uint64_t old, now;
};

/* What a frame must be, by what was told of it. */
struct world_told {
    uint8_t table; /* in use as a table of this level; 0: as none */
    bool given, pinned;
    uint64_t pfn;
};

struct world {
    struct core core;
    struct frame frames[WORLD_FRAMES_MAX];
    uint64_t m2p[WORLD_FRAMES_MAX];
    bool free[WORLD_FRAMES_MAX];
    mfn_t missing; /* its content is not there, as in a dump; NO_MFN: all is */
    struct core_domain domain[WORLD_DOMAINS];
    struct world_cpu cpu[WORLD_CPUS];
    struct core_count scratch[WORLD_FRAMES_MAX];
    struct core_audit audit;

    uint64_t random; /* the state of world_random() */

    enum pause_mode pause;
    unsigned pause_one_in;
    uint64_t pause_at;
    uint64_t pause_asked; /* times the core asked since world_pause() */

    uint64_t take_from;    /* the free list is searched from here */
    uint64_t take_fail_at; /* the n-th take from now fails; 0: none does */
    uint64_t taken, given;

    struct world_act act[WORLD_ACTS];
    uint64_t acts; /* beyond those kept they are only counted */
    struct world_told told[WORLD_FRAMES_MAX];
    const char *told_wrong; /* an act that cannot be; NULL: none */

    uint16_t clock;
    uint16_t clock_last; /* wraps after this value */
    uint64_t flushes, filtered_flushes, domain_flushes;

    /* last: of a large world part is used */
    uint64_t memory[WORLD_FRAMES_MAX][WORLD_TABLE_ENTRIES + WORLD_GAP];
};

/* A machine of nr_frames with both domains, their vCPUs and shared frames; no memory given. */
void world_init(struct world *w, uint64_t nr_frames, uint64_t seed);
/* Gives domain `i` n frames off the free list; the first of them. */
mfn_t world_give(struct world *w, unsigned i, unsigned n);
/* Makes domain `i` new after core_relinquish(). */
void world_domain_again(struct world *w, unsigned i);
/* Takes domain `i` down, with all the restarts it asks for. */
void world_relinquish(struct world *w, unsigned i);

struct core_domain *world_domain(struct world *w, unsigned i);
struct core_vcpu *world_vcpu(struct world *w, unsigned i, unsigned vcpu);
struct world_cpu *world_cpu_of(struct world *w, const struct core_vcpu *v);

uint64_t world_random(struct world *w);
uint64_t world_below(struct world *w, uint64_t n); /* 0 .. n-1 */

void world_pause(struct world *w, enum pause_mode mode, uint64_t at_or_one_in);

/* What another processor does while the core waits for it, if anything. */
extern void (*world_on_relax)(void);
/* For who keeps a translation cache of his own: told of every whole flush. */
extern void (*world_on_flush)(struct world *w, struct world_cpu *cpu);

/* ---- the processors */

void world_flush_cpu(struct world *w, struct world_cpu *cpu);
/* The guest touches an address at random through the vCPU's roots, or through what the processor
 * has cached of them. */
void world_touch(struct world *w, struct core_vcpu *v);
/* A frame that the processor can write, be it through a stale translation; NO_MFN: none. */
mfn_t world_writable(struct world *w, struct core_vcpu *v);

/* ---- checks: each returns NULL, or what is wrong */

/* R9: no processor reaches a frame in a way that the frame's present use forbids. */
const char *world_check_tlb(struct world *w);
/* Derived from the tables alone, sharing nothing with core_recount(). */
const char *world_check_tables(struct world *w);
/* The free list against the owners. */
const char *world_check_free(struct world *w);
/* The frames against what the core has told of them. */
const char *world_check_acts(struct world *w);
/* What core_holders() tells of frame n against the frame's words, and core_place_of() of those
 * holders against core_walk(). */
const char *world_check_holders(struct world *w, uint64_t n);
/* core_audit(); prints the findings on stderr. */
bool world_audit(struct world *w);
void world_print_audit(const struct core_audit *a);
void world_print_frames(const struct world *w);

#endif
