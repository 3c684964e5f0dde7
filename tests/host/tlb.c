/* SPDX-License-Identifier: MIT */
/*
 * The processors' translation caches, as spiteful as the architecture allows: what a vCPU has
 * touched once stays cached until a whole flush, root switches included (global entries survive
 * them), and a cached L1 table is walked on from although nothing points to it any more.
 */
#include <string.h>

#include "world.h"

static struct world *world_of(struct core *c)
{
    return c->embedding;
}

void (*world_on_flush)(struct world *w, struct world_cpu *cpu);

static void flush_whole(struct world *w, struct world_cpu *cpu)
{
    cpu->flushed = w->clock;
    w->flushes++;
    if (cpu->any_cached)
        memset(cpu->cached, 0, sizeof(cpu->cached));
    cpu->any_cached = false;
    if (world_on_flush)
        world_on_flush(w, cpu);
}

void world_flush_cpu(struct world *w, struct world_cpu *cpu)
{
    bool wraps = w->clock == w->clock_last;
    w->clock = wraps ? 0 : (uint16_t)(w->clock + 1);
    for (unsigned i = 0; wraps && i < WORLD_CPUS; i++)
        flush_whole(w, &w->cpu[i]);
    flush_whole(w, cpu);
}

uint16_t glue_tlb_now(struct core *c)
{
    return world_of(c)->clock;
}

/* A stamp beyond the clock is from before the wrap, and everybody has flushed then. */
void glue_tlb_flush_since(struct core *c, uint16_t stamp)
{
    struct world *w = world_of(c);
    for (unsigned i = 0; i < WORLD_CPUS; i++) {
        struct world_cpu *cpu = &w->cpu[i];
        if (cpu->flushed <= stamp && stamp <= w->clock)
            world_flush_cpu(w, cpu);
        else
            w->filtered_flushes++;
    }
}

void glue_tlb_flush_domain(struct core *c, struct core_domain *d)
{
    struct world *w = world_of(c);
    w->domain_flushes++;
    for (unsigned i = 0; i < WORLD_CPUS; i++)
        if (w->cpu[i].vcpu.domain == d)
            world_flush_cpu(w, &w->cpu[i]);
}

/* ---- use by the guest */

static uint16_t owner_now(const struct world *w, mfn_t m)
{
    return (uint16_t)(w->frames[m.n].hold >> 50);
}

static void cache(struct world *w, struct world_cpu *cpu, mfn_t m, enum cached as)
{
    cpu->any_cached = true;
    cpu->cached[m.n].as |= (uint8_t)as;
    cpu->cached[m.n].owner = owner_now(w, m);
}

static void use_l1_entry(struct world *w, struct world_cpu *cpu, mfn_t table, unsigned slot)
{
    uint64_t *e = &w->memory[table.n][slot];
    mfn_t m = pte_frame(*e);
    if (!pte_present(*e) || m.n >= w->core.nr_frames - WORLD_DEVICE_FRAMES)
        return;
    *e |= PTE_ACCESSED;
    cache(w, cpu, m, CACHED_READ);
    if (*e & PTE_RW) {
        *e |= PTE_DIRTY;
        cache(w, cpu, m, CACHED_WRITE);
    }
}

/* The hardware's walk: it knows no types, only entries. */
static void walk(struct world *w, struct world_cpu *cpu, mfn_t root)
{
    mfn_t m = root;
    for (unsigned level = 4; level > 1; level--) {
        unsigned slot = (unsigned)world_below(w, WORLD_TABLE_ENTRIES);
        uint64_t e = w->memory[m.n][slot];
        bool reserved =
            level == 4 && slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
        if (!pte_present(e) || reserved)
            return;
        w->memory[m.n][slot] |= PTE_ACCESSED;
        m = pte_frame(e);
    }
    cache(w, cpu, m, CACHED_L1);
    use_l1_entry(w, cpu, m, (unsigned)world_below(w, WORLD_TABLE_ENTRIES));
}

/* A cached frame of that kind, searched from a random place. */
static mfn_t cached_frame(struct world *w, struct world_cpu *cpu, enum cached as)
{
    uint64_t start = world_below(w, w->core.nr_frames);
    for (uint64_t i = 0; cpu->any_cached && i < w->core.nr_frames; i++) {
        uint64_t n = (start + i) % w->core.nr_frames;
        if (cpu->cached[n].as & as)
            return mfn(n);
    }
    return NO_MFN;
}

void world_touch(struct world *w, struct core_vcpu *v)
{
    struct world_cpu *cpu = world_cpu_of(w, v);
    mfn_t table = cached_frame(w, cpu, CACHED_L1);
    if (!mfn_eq(table, NO_MFN) && world_below(w, 2))
        use_l1_entry(w, cpu, table, (unsigned)world_below(w, WORLD_TABLE_ENTRIES));
    else if (!mfn_eq(v->user_root, NO_MFN) && world_below(w, 2))
        walk(w, cpu, v->user_root);
    else if (!mfn_eq(v->kernel_root, NO_MFN))
        walk(w, cpu, v->kernel_root);
}

mfn_t world_writable(struct world *w, struct core_vcpu *v)
{
    return cached_frame(w, world_cpu_of(w, v), CACHED_WRITE);
}
