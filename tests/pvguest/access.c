/* SPDX-License-Identifier: MIT */
/*
 * The vCPU's accesses to memory. A translation that was used once stays until something flushes it,
 * as a processor may keep it. Using one that the tables no longer bear out is what a forgotten
 * flush comes to, and ends the test, whether or not it would have done harm this time.
 */
#include <inttypes.h>
#include <string.h>

#include "inside.h"

#define CACHED_PAGES (1u << 17)

struct translation {
    uint64_t page;
    uint64_t frame;
    uint32_t age; /* valid: as the cache's own for its kind */
    uint16_t owner;
    bool writable, global;
};

static struct {
    struct translation at[CACHED_PAGES];
    uint32_t age[2]; /* index: global */
} cache;

void access_flush_all(void)
{
    cache.age[false]++;
    cache.age[true]++;
}

/* The hypervisor's load of a root leaves no global translations either: those are of user pages. */
void access_flush_root(void)
{
    access_flush_all();
}

static struct translation *cached_at(uint64_t page)
{
    return &cache.at[page * 0x9e3779b97f4a7c15ull >> 47];
}

static bool is_valid(const struct translation *t)
{
    return t->age == cache.age[t->global];
}

void access_flush_page(uint64_t va)
{
    struct translation *t = cached_at(va / PAGE_BYTES);
    if (t->page == va / PAGE_BYTES)
        t->age = 0;
}

/* The core asks for whole flushes alone. */
static void core_flushes(struct world *w, struct world_cpu *cpu)
{
    if (cpu == &w->cpu[0])
        access_flush_all();
}

void access_init(void)
{
    access_flush_all();
    if (cache.age[0] == 1)
        cache.age[0] = cache.age[1] = 2; /* 0 is never valid */
    world_on_flush = core_flushes;
}

/* ---- walking */

struct walk {
    unsigned level; /* where it ended; 0: a translation was found */
    uint64_t table, entry;
    uint64_t frame;
    bool writable, global;
};

static bool is_canonical(uint64_t va)
{
    int64_t top = (int64_t)va >> 47;
    return top == 0 || top == -1;
}

static bool is_hypervisors(uint64_t va)
{
    unsigned slot = va >> 39 & 511;
    return slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
}

static struct walk walk(struct machine *m, uint64_t va, bool mark)
{
    struct walk k = {.writable = true};
    uint64_t table = m->v->kernel_root.n;
    for (unsigned level = 4; level > 0; level--) {
        uint64_t *e = &m->w->memory[table][va >> (12 + 9 * (level - 1)) & 511];
        k.level = level, k.table = table, k.entry = *e;
        if (!pte_present(*e))
            return k;
        if (mark)
            *e |= PTE_ACCESSED;
        k.writable = k.writable && (*e & PTE_RW);
        table = pte_frame(*e).n;
        if (table >= m->w->core.nr_frames)
            return k;
    }
    k.level = 0, k.frame = table, k.global = k.entry & PTE_GLOBAL;
    return k;
}

static void mark_dirty(struct machine *m, uint64_t va, const struct walk *k)
{
    m->w->memory[k->table][va >> 12 & 511] |= PTE_DIRTY;
}

/* ---- complaints */

static _Noreturn void refuse_access(uint64_t va, bool write, const struct walk *k)
{
    const char *what = write ? "writes" : "reads";
    if (k->level == 1 && pte_present(k->entry))
        machine_failed("the guest %s %" PRIx64 ", where frame %" PRIx64 " is no memory", what, va,
                       pte_frame(k->entry).n);
    if (k->level)
        machine_failed("the guest %s %" PRIx64 ", which is not mapped: level %u, table %" PRIx64
                       ", entry %" PRIx64,
                       what, va, k->level, k->table, k->entry);
    machine_failed("the guest writes %" PRIx64 ", which is read-only: frame %" PRIx64
                   ", L1 table %" PRIx64 ", entry %" PRIx64,
                   va, k->frame, k->table, k->entry);
}

static _Noreturn void stale(uint64_t va, bool write, const struct translation *t,
                            const struct walk *k)
{
    machine_failed("the guest %s %" PRIx64 " by a stale translation to frame %" PRIx64
                   "; the tables now end at level %u, table %" PRIx64 ", entry %" PRIx64,
                   write ? "writes" : "reads", va, t->frame, k->level, k->table, k->entry);
}

static uint16_t owner_of(struct machine *m, uint64_t n)
{
    return (uint16_t)(m->w->frames[n].hold >> 50);
}

/* What no access may reach, whatever the tables and the cache say (R2, R9). */
static void check_frame(struct machine *m, uint64_t va, bool write, uint64_t n)
{
    unsigned type = core_frame_type(&m->w->core, mfn(n));
    unsigned owner = owner_of(m, n);
    if (owner != OWNER_DEVICE && owner != (unsigned)m->d->id + 1 && !grants_reach(n, write))
        machine_failed("the guest reaches frame %" PRIx64 " at %" PRIx64 ", which is not its own",
                       n, va);
    if (write && type != TYPE_NONE && type != TYPE_WRITABLE &&
        core_frame_uses(&m->w->core, mfn(n)) > 0)
        machine_failed("the guest writes frame %" PRIx64 " at %" PRIx64 ", which is in use as %s",
                       n, va, core_type_name((enum frame_type)type));
}

/* ---- the access */

static void check_cached(uint64_t va, bool write, const struct translation *t, const struct walk *k)
{
    if (k->level || k->frame != t->frame || (write && !k->writable))
        stale(va, write, t, k);
}

void *machine_at(uint64_t va, bool write)
{
    struct machine *m = &the_machine;
    struct translation *t = cached_at(va / PAGE_BYTES);
    if (!is_canonical(va) || is_hypervisors(va))
        machine_failed("the guest %s %" PRIx64 ", which is %s", write ? "writes" : "reads", va,
                       is_canonical(va) ? "the hypervisor's" : "not canonical");
    struct walk k = walk(m, va, true);
    bool hit = is_valid(t) && t->page == va / PAGE_BYTES;
    /* A cached translation that forbids the write is looked up afresh. */
    if (hit && (!write || t->writable))
        check_cached(va, write, t, &k);
    else if (k.level || (write && !k.writable))
        refuse_access(va, write, &k);
    else
        *t = (struct translation){.page = va / PAGE_BYTES,
                                  .frame = k.frame,
                                  .age = cache.age[k.global],
                                  .owner = owner_of(m, k.frame),
                                  .writable = k.writable,
                                  .global = k.global};
    check_frame(m, va, write, k.frame);
    if (write)
        mark_dirty(m, va, &k);
    return (uint8_t *)m->w->memory[k.frame] + va % PAGE_BYTES;
}

void access_show(struct machine *m)
{
    struct world_cpu *cpu = &m->w->cpu[0];
    memset(cpu->cached, 0, m->w->core.nr_frames * sizeof(cpu->cached[0]));
    for (unsigned i = 0; i < CACHED_PAGES; i++) {
        const struct translation *t = &cache.at[i];
        if (!is_valid(t))
            continue;
        cpu->cached[t->frame].as |= t->writable ? CACHED_READ | CACHED_WRITE : CACHED_READ;
        cpu->cached[t->frame].owner = t->owner;
    }
    cpu->any_cached = true;
}

unsigned machine_walk(struct machine *m, uint64_t va, uint64_t *entry, uint64_t *at)
{
    if (!is_canonical(va))
        return 5;
    struct walk k = walk(m, va, false);
    unsigned level = k.level ? k.level : 1;
    *entry = k.entry;
    *at = k.table << 12 | (va >> (12 + 9 * (level - 1)) & 511) * sizeof(uint64_t);
    return level;
}
