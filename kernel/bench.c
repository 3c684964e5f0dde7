/* SPDX-License-Identifier: MIT */
/* The benchmark's clock, its rounds and what it prints. */
#include "bench.h"

#define ROUNDS_MAX 101u
#define TENTHS     10u

static uint64_t ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (uint64_t)high << 32 | low;
}

uint64_t bench_entry(struct bench *b, uint64_t i)
{
    return pvg_pte(pvg_p2m_mfn(b->g, pvg_pfn(b->data.n + i % BENCH_PAGES)), PVG_PTE_DATA);
}

int64_t bench_mmuext(struct bench *b, unsigned command, pvg_mfn_t mfn)
{
    struct mmuext_op op = {.cmd = command};
    op.arg1.mfn = mfn.n;
    return pvg_hypercall(b->g, __HYPERVISOR_mmuext_op, (uintptr_t)&op, 1, 0, DOMID_SELF, 0);
}

/* ---- rounds */

static int64_t nothing(struct bench *b)
{
    (void)b;
    return 0;
}

static int64_t step(struct bench *b, bench_step *f)
{
    return f ? f(b) : 0;
}

/* The optimizer does not know what is called, so that `nothing` costs what every row has of it. */
static int64_t round_of(struct bench *b, const struct bench_row *row, uint64_t *taken)
{
    bench_step *volatile run = row->run;
    int64_t rc = step(b, row->before);
    if (rc < 0)
        return rc;
    uint64_t begun = ticks();
    rc = run(b);
    *taken = ticks() - begun;
    if (rc < 0)
        return rc;
    return step(b, row->after);
}

static void insert(uint64_t *sorted, unsigned n, uint64_t x)
{
    for (; n > 0 && sorted[n - 1] > x; n--)
        sorted[n] = sorted[n - 1];
    sorted[n] = x;
}

static int64_t median(struct bench *b, const struct bench_row *row, uint64_t *taken)
{
    static uint64_t sorted[ROUNDS_MAX];
    unsigned warm = row->rounds / 10 + 1, n = 0;
    for (unsigned i = 0; i < warm + row->rounds; i++) {
        int64_t rc = round_of(b, row, taken);
        if (rc < 0)
            return rc;
        b->parts += row->elements;
        if (i >= warm)
            insert(sorted, n++, *taken);
    }
    *taken = sorted[n / 2];
    return 0;
}

/* ---- rows */

static int64_t failed(struct bench *b, const char *what, int64_t rc)
{
    say(b->g, "BENCH-FAILED %s: %ld %s\n", what, rc, pvg_reason(b->g));
    return rc;
}

static int64_t row_say(struct bench *b, const struct bench_row *row)
{
    static const struct bench_row empty = {"nothing", 0, ROUNDS_MAX, nothing, NULL, NULL};
    uint64_t taken, clock;
    int64_t rc = median(b, &empty, &clock);
    if (rc == 0)
        rc = median(b, row, &taken);
    if (rc < 0)
        return failed(b, row->name, rc);
    uint64_t tenths = ((taken - clock) * TENTHS + row->elements / 2) / row->elements;
    say(b->g, "BENCH %s %lu.%lu\n", row->name, tenths / TENTHS, tenths % TENTHS);
    return 0;
}

static int64_t part_run(struct bench *b, const struct bench_part *part)
{
    int64_t rc = step(b, part->begin);
    if (rc < 0)
        failed(b, part->row[0].name, rc);
    for (unsigned i = 0; i < part->count && rc == 0; i++)
        if (glob_fits(b->glob, part->row[i].name))
            rc = row_say(b, &part->row[i]);
    int64_t ended = step(b, part->end);
    if (ended < 0 && rc == 0)
        rc = failed(b, part->row[0].name, ended);
    return rc;
}

/* ---- all of it */

/* The tables for BENCH_VA stay when its pages are unmapped. */
static int64_t begin(struct bench *b)
{
    struct pvg_walk w;
    int64_t rc = pvg_pages_take(b->g, BENCH_PAGES, 1, &b->data);
    if (rc == 0)
        rc = pvg_map(b->g, BENCH_VA, b->data, WORDS, PVG_PTE_DATA);
    if (rc < 0)
        return rc;
    pvg_walk(b->g, BENCH_VA, &w);
    b->l1_at = w.at[1].at;
    b->l1 = frame_words(b->g, pvg_mfn(b->l1_at.a >> PVG_PAGE_SHIFT));
    return b->l1 ? pvg_unmap(b->g, BENCH_VA, WORDS) : -XEN_EINVAL;
}

static int64_t parts_run(struct bench *b)
{
    const struct bench_part *memory = bench_memory(b->g);
    int64_t rc = begin(b);
    if (rc < 0)
        return failed(b, "begin", rc);
    /* The other layout's run has what does not depend on it. */
    if (memory == bench_memory(NULL)) {
        rc = part_run(b, &bench_calls);
        if (rc == 0)
            rc = part_run(b, &bench_roots);
    }
    return rc ? rc : part_run(b, memory);
}

void bench_run(struct pvguest *g, const char *glob)
{
    struct bench b = {.g = g, .glob = glob};
    say(g, "BENCH-TSC %lu\n", ticks());
    if (parts_run(&b))
        return;
    if (glob[0] != '*' || glob[1])
        say(g, "BENCH-PARTS %lu\n", b.parts);
    say(g, "BENCH-DONE\n");
}
