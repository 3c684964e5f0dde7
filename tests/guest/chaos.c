/* SPDX-License-Identifier: MIT */
/* The driver: seed, digest, progress. */
#include "chaos.h"

#define SHOWN 40u    /* requests shown in full at the start */
#define EVERY 10000u /* requests between two digests */
#define PHASE 2500u  /* requests between two fresh starts */

static uint64_t state, digest, steps, requests, refused;
static uint64_t trace_from, trace_to;

/* xorshift64*, G. Marsaglia and S. Vigna */
uint64_t random64(void)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dull;
}

/* What a request says of itself goes out in one piece, lest the hypervisor's log comes between. */
static struct {
    char text[1500];
    size_t n;
} line;

static void put(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void put(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    line.n = append(line.text, sizeof(line.text), line.n, fmt, args);
    va_end(args);
}

static void put_end(void)
{
    put("\n");
    pvg_write(guest, line.text, line.n);
    line.n = 0;
}

void chaos_seed(uint64_t seed)
{
    state = (seed + 1) * 0x9e3779b97f4a7c15ull;
}

static void fold(uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        digest = (digest ^ (v >> 8 * i & 0xff)) * 0x100000001b3ull;
}

static bool traced(void)
{
    return steps < SHOWN || (steps >= trace_from && steps < trace_to);
}

void note(const char *what, uint64_t value)
{
    fold(value);
    if (traced())
        put(" %s %lx", what, value);
}

void note_request(const char *what, unsigned page, uint64_t value)
{
    fold(page);
    fold(value);
    if (traced())
        put(" [%s P%u %lx]", what, page, value);
}

void note_result(int64_t rc)
{
    requests++;
    refused += rc < 0;
    fold((uint64_t)rc);
    if (traced())
        put(" = %ld", rc);
}

uint64_t entry_norm(uint64_t entry)
{
    uint64_t mfn = (entry & ADDRESS) >> 12, flags = entry & ~ADDRESS;
    int n = pool_number(mfn);
    if (n >= 0)
        return flags | (0x10000ull + (unsigned)n) << 12;
    if (!(entry & P_))
        return entry;
    if (mfn == start_info->shared_info >> 12)
        return flags | 0x20000ull << 12;
    return flags | (mfn < 1ull << 30 ? 0x30000ull : 0x40000ull) << 12;
}

void chaos(uint64_t seed, uint64_t count)
{
    chaos_seed(seed);
    digest = 0xcbf29ce484222325ull;
    trace_from = option("from", ~0ull);
    trace_to = option("to", 0);
    uint64_t every = option("every", EVERY);
    call2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    plan_reset();
    for (steps = 0; steps < count; steps++) {
        if (traced())
            put("%lu", steps);
        if (steps && steps % PHASE == 0)
            chaos_reset();
        else
            chaos_step();
        if (traced())
            put_end();
        if ((steps + 1) % every == 0)
            say("chaos seed %lu step %lu digest %016lx\n", seed, steps + 1, digest);
    }
    chaos_reset();
    say("chaos seed %lu end: %lu requests, %lu refused, %lu traps, digest %016lx\n", seed, requests,
        refused, traps_seen, digest);
}
