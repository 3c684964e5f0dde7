/* SPDX-License-Identifier: MIT */
/* The machine: memory, domains, free frames, pauses. */
#include <assert.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

#include "world.h"

static struct world *world_of(struct core *c)
{
    return c->embedding;
}

uint64_t world_random(struct world *w)
{
    uint64_t x = w->random += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

uint64_t world_below(struct world *w, uint64_t n)
{
    return world_random(w) % n;
}

struct core_domain *world_domain(struct world *w, unsigned i)
{
    return &w->domain[i];
}

struct core_vcpu *world_vcpu(struct world *w, unsigned i, unsigned vcpu)
{
    return &w->cpu[i * WORLD_VCPUS + vcpu].vcpu;
}

struct world_cpu *world_cpu_of(struct world *w, const struct core_vcpu *v)
{
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        if (&w->cpu[i].vcpu == v)
            return &w->cpu[i];
    return NULL;
}

static void make_domain(struct world *w, unsigned i)
{
    struct core_domain *d = &w->domain[i];
    core_domain_init(&w->core, d, (uint16_t)(i + 1), w->core.nr_frames);
    for (unsigned k = 0; k < WORLD_VCPUS; k++)
        core_vcpu_init(d, world_vcpu(w, i, k), k);
    int rc = core_share(&w->core, d, mfn(WORLD_SHARED_FRAME + i));
    assert(rc == 0);
}

static void clear_frame(struct world *w, uint64_t n)
{
    memset(w->memory[n], 0, WORLD_TABLE_ENTRIES * sizeof(w->memory[n][0]));
}

static void make_frame(struct world *w, uint64_t n)
{
    clear_frame(w, n);
    ASAN_POISON_MEMORY_REGION(w->memory[n] + WORLD_TABLE_ENTRIES,
                              WORLD_GAP * sizeof(w->memory[n][0]));
}

void world_init(struct world *w, uint64_t nr_frames, uint64_t seed)
{
    assert(nr_frames <= WORLD_FRAMES_MAX);
    memset(w, 0, offsetof(struct world, memory));
    for (uint64_t n = 0; n < nr_frames; n++)
        make_frame(w, n);
    w->random = seed;
    w->clock_last = 0xffff;
    w->missing = NO_MFN;
    core_init(&w->core, w->frames, w->m2p, nr_frames, w);
    for (uint64_t n = 0; n < nr_frames - WORLD_DEVICE_FRAMES; n++) {
        w->told[n].pfn = NO_PFN.n;
        core_frame_is_ram(&w->core, mfn(n));
        w->free[n] = n >= WORLD_FIRST_FREE;
    }
    for (unsigned i = 0; i < WORLD_DOMAINS; i++)
        make_domain(w, i);
}

mfn_t world_give(struct world *w, unsigned i, unsigned n)
{
    mfn_t first = NO_MFN;
    while (n-- > 0) {
        mfn_t m;
        bool taken = glue_take(&w->core, 0, CORE_NO_LIMIT, &m);
        assert(taken);
        int rc = core_assign(&w->core, &w->domain[i], m);
        assert(rc == 0);
        if (mfn_eq(first, NO_MFN))
            first = m;
    }
    return first;
}

void world_relinquish(struct world *w, unsigned i)
{
    while (core_relinquish(&w->core, &w->domain[i]) == CORE_RESTART)
        ;
}

void world_domain_again(struct world *w, unsigned i)
{
    struct core_domain **at = &w->core.domains;
    while (*at != &w->domain[i])
        at = &(*at)->next;
    *at = (*at)->next;
    make_domain(w, i);
    for (unsigned k = 0; k < WORLD_VCPUS; k++)
        world_flush_cpu(w, world_cpu_of(w, world_vcpu(w, i, k)));
}

void world_pause(struct world *w, enum pause_mode mode, uint64_t at_or_one_in)
{
    w->pause = mode;
    w->pause_at = at_or_one_in;
    w->pause_one_in = (unsigned)at_or_one_in;
    w->pause_asked = 0;
}

/* ---- glue */

uint64_t *glue_frame(struct core *c, mfn_t m)
{
    assert(m.n < c->nr_frames);
    return mfn_eq(m, world_of(c)->missing) ? NULL : world_of(c)->memory[m.n];
}

bool glue_pause(struct core *c)
{
    struct world *w = world_of(c);
    w->pause_asked++;
    switch (w->pause) {
    case PAUSE_ALWAYS:
        return true;
    case PAUSE_RANDOM:
        return world_below(w, w->pause_one_in) == 0;
    case PAUSE_AT:
        return w->pause_asked == w->pause_at;
    case PAUSE_NEVER:
        break;
    }
    return false;
}

static bool all_free(const struct world *w, uint64_t first, uint64_t n)
{
    for (uint64_t i = first; i < first + n; i++)
        if (i >= w->core.nr_frames || !w->free[i])
            return false;
    return true;
}

bool glue_take(struct core *c, unsigned order, uint64_t limit, mfn_t *out)
{
    struct world *w = world_of(c);
    w->taken++;
    if (order > 9 || (w->take_fail_at > 0 && --w->take_fail_at == 0))
        return false;
    uint64_t n = 1ull << order;
    for (uint64_t i = 0; i < c->nr_frames; i++) {
        uint64_t first = (w->take_from + i) % c->nr_frames;
        if (first + n > limit || first % n || !all_free(w, first, n))
            continue;
        for (uint64_t k = first; k < first + n; k++) {
            w->free[k] = false;
            clear_frame(w, k);
        }
        *out = mfn(first);
        return true;
    }
    return false;
}

/* Old content stays in the frame: nobody may rely on finding it cleared here. */
void glue_give(struct core *c, mfn_t m)
{
    struct world *w = world_of(c);
    assert(m.n < c->nr_frames && !w->free[m.n]);
    w->free[m.n] = true;
    w->given++;
}

/* Recognisable, and with RW: a frame that a slot of the hypervisor's maps is none of the guest's
 * business, and must not be counted. */
uint64_t glue_l4_reserved(struct core *c, mfn_t l4, unsigned slot)
{
    (void)c;
    return pte_make(mfn(WORLD_HYPERVISOR_FRAME), PTE_PRESENT | PTE_RW | PTE_USER) |
           ((l4.n & 7) << 52) | ((uint64_t)(slot & 7) << 55);
}

void (*world_on_relax)(void);

void glue_relax(void)
{
    if (world_on_relax)
        world_on_relax();
}
