/* SPDX-License-Identifier: MIT */
/*
 * Two vCPUs of one domain, each a thread, ask for everything at once about the same few frames.
 * Built with the thread sanitizer. Between rounds both stop and the whole is audited; in the end
 * the domain is taken down and every frame must be free.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core.h"
#include "glue.h"

#define FRAMES         40
#define THREADS        2
#define ROUND_REQUESTS 400
#define PATIENCE       20 /* seconds without progress: they hang */

struct worker {
    struct core_vcpu vcpu;
    uint64_t requests, granted;
    _Atomic uint64_t progress;
};

static struct core the_core;
static struct frame frames[FRAMES];
static uint64_t m2p[FRAMES];
static uint64_t memory[FRAMES][WORLD_TABLE_ENTRIES];
static bool is_free[FRAMES];
static pthread_mutex_t free_lock = PTHREAD_MUTEX_INITIALIZER;
static struct core_domain domain;
static struct worker worker[THREADS];
static pthread_barrier_t meeting;
static bool done_all; /* written by the first thread between two meetings */
static time_t end_time;
static uint64_t audits;
static _Atomic uint64_t relaxed;
static _Atomic uint16_t tlb_clock;
static _Thread_local uint64_t random_state;

static uint64_t below(uint64_t n)
{
    uint64_t x = random_state += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return (x ^ (x >> 31)) % n;
}

/* ---- glue */

uint64_t *glue_frame(struct core *c, mfn_t m)
{
    (void)c;
    return memory[m.n];
}

bool glue_pause(struct core *c)
{
    (void)c;
    return below(12) == 0;
}

bool glue_take(struct core *c, unsigned order, uint64_t limit, mfn_t *out)
{
    bool found = false;
    pthread_mutex_lock(&free_lock);
    for (uint64_t n = 0; order == 0 && n < c->nr_frames && n < limit && !found; n++) {
        found = is_free[n];
        if (found)
            *out = mfn(n);
    }
    if (found)
        is_free[out->n] = false;
    pthread_mutex_unlock(&free_lock);
    /* Atomic, as a walk may still look at a table that is gone; it believes nothing of it. */
    for (unsigned i = 0; found && i < WORLD_TABLE_ENTRIES; i++)
        __atomic_store_n(&memory[out->n][i], 0, __ATOMIC_RELAXED);
    return found;
}

void glue_give(struct core *c, mfn_t m)
{
    (void)c;
    pthread_mutex_lock(&free_lock);
    is_free[m.n] = true;
    pthread_mutex_unlock(&free_lock);
}

uint64_t glue_l4_reserved(struct core *c, mfn_t l4, unsigned slot)
{
    (void)c, (void)l4;
    return pte_make(mfn(0), PTE_PRESENT | PTE_RW | PTE_USER) | (uint64_t)slot << 53;
}

uint16_t glue_tlb_now(struct core *c)
{
    (void)c;
    return tlb_clock;
}

void glue_tlb_flush_since(struct core *c, uint16_t stamp)
{
    (void)c, (void)stamp;
    tlb_clock++;
}

void glue_tlb_flush_domain(struct core *c, struct core_domain *d)
{
    (void)c, (void)d;
    tlb_clock++;
}

void glue_relax(void)
{
    relaxed++;
    sched_yield();
}

void glue_note(struct core *c, enum core_act act, maddr_t at, uint64_t old, uint64_t now)
{
    (void)c, (void)act, (void)at, (void)old, (void)now;
}

/* ---- requests */

/* Frame n is liked as one use or another, so that much of what is asked can be granted: level 1..4,
 * or 0: data. */
static unsigned liked_level(uint64_t n)
{
    return (unsigned)(n % 6 > 4 ? 0 : n % 6);
}

static mfn_t any_frame(void)
{
    return mfn(below(FRAMES));
}

static mfn_t frame_liked(unsigned level)
{
    mfn_t m = any_frame();
    while (below(16) && liked_level(m.n) != level)
        m = any_frame();
    return m;
}

static uint64_t any_entry(unsigned level)
{
    if (below(4) == 0)
        return 0;
    uint64_t flags = PTE_PRESENT | PTE_USER | (below(2) ? PTE_RW : 0);
    return pte_make(frame_liked(level > 0 ? level - 1 : 0), flags);
}

static uint64_t place(mfn_t m)
{
    return (m.n << PAGE_SHIFT_4K) + below(WORLD_TABLE_ENTRIES) * sizeof(uint64_t);
}

static int ask_update(struct core_vcpu *v)
{
    mfn_t m = any_frame();
    unsigned done;
    struct core_update u[2] = {{place(m), any_entry(liked_level(m.n))},
                               {place(m) | below(4), any_entry(liked_level(m.n))}};
    return core_mmu_update(&the_core, v, &domain, &domain, u, 2, &done);
}

/* A guest's direct store: it holds the frame as writable meanwhile. */
static int ask_store(struct core_vcpu *v)
{
    mfn_t m = any_frame();
    int rc = core_hold_writable(&the_core, v, m);
    for (unsigned i = 0; rc == 0 && i < 4; i++)
        __atomic_store_n(&memory[m.n][below(WORLD_TABLE_ENTRIES)], any_entry(liked_level(m.n)),
                         __ATOMIC_RELAXED);
    if (rc == 0)
        core_drop_writable(&the_core, v);
    return rc;
}

static int ask_write_l1(struct core_vcpu *v)
{
    mfn_t m = frame_liked(1);
    uint64_t expected = 0;
    return core_write_l1(&the_core, v, (maddr_t){place(m)}, any_entry(1),
                         below(2) ? &expected : NULL);
}

static int ask_gdt(struct core_vcpu *v)
{
    mfn_t m = frame_liked(0);
    return core_set_gdt(&the_core, v, &m, (unsigned)below(2), 8);
}

static int ask_va(struct core_vcpu *v)
{
    return core_update_va(&the_core, v, &domain, gva(below(1 << 23) << 1), any_entry(1));
}

static int ask(struct core_vcpu *v)
{
    struct core *c = &the_core;
    mfn_t m = any_frame();
    unsigned level = liked_level(m.n) ? liked_level(m.n) : 1 + (unsigned)below(4);
    switch (below(16)) {
    case 0:
    case 1:
    case 2:
        return core_pin(c, v, &domain, m, below(8) ? level : 1 + (unsigned)below(4));
    case 3:
    case 4:
        return core_unpin(c, v, &domain, m);
    case 5:
        return core_load_kernel_root(c, v, frame_liked(4));
    case 6:
        return core_load_user_root(c, v, below(3) ? frame_liked(4) : mfn(0));
    case 7:
        return core_decrease(c, v, &domain, m);
    case 8:
        return core_populate(c, v, &domain, pfn(below(FRAMES)), 0, CORE_NO_LIMIT, &m);
    case 9:
        if (below(3) == 0)
            return core_copy_bytes(c, v, &domain, m, 8 * (unsigned)below(4), any_frame(),
                                   8 * (unsigned)below(4), 1 + (unsigned)below(32));
        return below(2) ? core_clear_page(c, v, &domain, m)
                        : core_copy_page(c, v, &domain, m, any_frame());
    case 10:
        return ask_write_l1(v);
    case 11:
        return below(2) ? ask_va(v) : ask_gdt(v);
    case 12:
    case 13:
        return ask_store(v);
    default:
        return ask_update(v);
    }
}

static void one_request(struct worker *me)
{
    if (core_begin(&the_core, &me->vcpu) == 0) {
        me->requests++;
        me->granted += ask(&me->vcpu) == 0;
    }
    while (core_end(&the_core, &me->vcpu) == CORE_RESTART)
        core_begin(&the_core, &me->vcpu);
    me->progress++;
}

/* ---- rounds */

static void audit(void)
{
    static struct core_count scratch[FRAMES];
    struct core_audit a;
    audits++;
    if (core_audit(&the_core, scratch, &a))
        return;
    for (uint64_t i = 0; i < a.findings && i < CORE_FINDINGS_KEPT; i++)
        fprintf(stderr, "frame %" PRIx64 ": %s (recorded %" PRIx64 ", derived %" PRIx64 ")\n",
                a.first[i].frame.n, core_finding_text(a.first[i].kind), a.first[i].recorded,
                a.first[i].derived);
    _exit(1);
}

static void *work(void *arg)
{
    struct worker *me = arg;
    random_state = me->vcpu.id + 1;
    for (bool over = false; !over;) {
        for (unsigned i = 0; i < ROUND_REQUESTS; i++)
            one_request(me);
        pthread_barrier_wait(&meeting);
        if (me == &worker[0]) {
            audit();
            done_all = time(NULL) >= end_time;
        }
        pthread_barrier_wait(&meeting);
        over = done_all;
    }
    return NULL;
}

static uint64_t all_progress(void)
{
    return worker[0].progress + worker[1].progress;
}

/* Waits for the end, and gives up when nothing moves. */
static void watch(void)
{
    uint64_t seen = 0;
    unsigned idle = 0;
    while (time(NULL) < end_time) {
        sleep(1);
        idle = all_progress() == seen ? idle + 1 : 0;
        seen = all_progress();
        if (idle == PATIENCE) {
            fputs("the vCPUs hang\n", stderr);
            _exit(1);
        }
    }
    alarm(PATIENCE);
}

static void set_up(void)
{
    core_init(&the_core, frames, m2p, FRAMES, NULL);
    for (uint64_t n = 1; n < FRAMES; n++) {
        core_frame_is_ram(&the_core, mfn(n));
        is_free[n] = true;
    }
    core_domain_init(&the_core, &domain, 1, FRAMES);
    for (unsigned i = 0; i < THREADS; i++)
        core_vcpu_init(&domain, &worker[i].vcpu, i);
    for (uint64_t n = 1; n < FRAMES - 4; n++) {
        mfn_t m;
        if (!glue_take(&the_core, 0, CORE_NO_LIMIT, &m) || core_assign(&the_core, &domain, m))
            abort();
    }
}

static bool all_free(void)
{
    for (uint64_t n = 1; n < FRAMES; n++)
        if (!is_free[n])
            return false;
    return true;
}

int main(int argc, char **argv)
{
    pthread_t thread[THREADS];
    set_up();
    end_time = time(NULL) + (argc > 1 ? atoi(argv[1]) : 20);
    pthread_barrier_init(&meeting, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, work, &worker[i]))
            abort();
    watch();
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    while (core_relinquish(&the_core, &domain) == CORE_RESTART)
        ;
    audit();
    printf("%" PRIu64 " and %" PRIu64 " requests, %" PRIu64 " granted, %" PRIu64 " waits, %" PRIu64
           " audits\n",
           worker[0].requests, worker[1].requests, worker[0].granted + worker[1].granted, relaxed,
           audits);
    if (!all_free())
        fputs("a frame is not free in the end\n", stderr);
    return all_free() ? 0 : 1;
}
