/* SPDX-License-Identifier: MIT */
/* The benchmark's p2m, in the layout of this boot, and memory given back and taken. */
#include "bench.h"

#define ROUNDS         51u
#define BALLOON_ROUNDS 11u
#define LOOKUPS        512u
#define SETS           128u
#define BALLOON        1000u

static volatile uint64_t sink;

static int64_t look_up_linear(struct bench *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LOOKUPS; i++)
        sum += pvg_p2m_linear(b->g, pvg_pfn(b->data.n + i));
    sink = sum;
    return 0;
}

static int64_t look_up(struct bench *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LOOKUPS; i++)
        sum += pvg_p2m_entry(b->g, pvg_pfn(b->data.n + i));
    sink = sum;
    return 0;
}

/* Another entry and the old one again: pages of a leaf that is there. */
static int64_t sets(struct bench *b)
{
    for (unsigned i = 0; i < SETS / 2; i++) {
        pvg_pfn_t pfn = pvg_pfn(b->data.n + i);
        uint64_t entry = pvg_p2m_entry(b->g, pfn);
        int64_t rc = pvg_p2m_set(b->g, pfn, entry | PVG_P2M_FOREIGN);
        if (rc == 0)
            rc = pvg_p2m_set(b->g, pfn, entry);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int64_t balloon_down(struct bench *b)
{
    return pvg_balloon_down(b->g, BALLOON, NULL);
}

static int64_t balloon_up(struct bench *b)
{
    return pvg_balloon_up(b->g, BALLOON, NULL);
}

static const struct bench_row linear[] = {
    {"p2m-look-up-linear", LOOKUPS, ROUNDS, look_up_linear, NULL, NULL},
    {"p2m-set-linear", SETS, ROUNDS, sets, NULL, NULL},
    {"balloon-down-linear", BALLOON, BALLOON_ROUNDS, balloon_down, NULL, balloon_up},
    {"balloon-up-linear", BALLOON, BALLOON_ROUNDS, balloon_up, balloon_down, NULL},
};

static const struct bench_row tree[] = {
    {"p2m-look-up-tree", LOOKUPS, ROUNDS, look_up, NULL, NULL},
    {"p2m-set-tree", SETS, ROUNDS, sets, NULL, NULL},
    {"balloon-down-tree", BALLOON, BALLOON_ROUNDS, balloon_down, NULL, balloon_up},
    {"balloon-up-tree", BALLOON, BALLOON_ROUNDS, balloon_up, balloon_down, NULL},
};

static const struct bench_part parts[] = {
    BENCH_PART(NULL, NULL, linear),
    BENCH_PART(NULL, NULL, tree),
};

const struct bench_part *bench_memory(struct pvguest *g)
{
    struct pvg_p2m_info info;
    if (!g)
        return &parts[0];
    pvg_p2m_info(g, &info);
    return &parts[info.layout == PVG_P2M_TREE];
}
