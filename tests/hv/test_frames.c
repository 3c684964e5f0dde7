/* SPDX-License-Identifier: MIT */
/*
 * The free list: what is handed out, in which order, in runs. The machine has 64 MiB with a hole,
 * the image and two modules in it.
 */
#include <stdlib.h>
#include <string.h>

#include "hosted.h"
#include "hosted_machine.h"

#include "frames.h"

#define FRAMES     0x4000u
#define HOLE_FIRST 0x2000u
#define HOLE_END   0x2100u
#define BLANK_FROM 0x3000u /* from here on, RAM is said to hold zeroes */
#define RUN_ORDER  4u
#define STAMP      0x5a5au /* of frame m: m ^ STAMP */
#define MARK_AT    0x123u  /* in a page */
#define MARK       0x77

uint8_t image_end[1];

static struct core machine;
static unsigned ram_frames, flushes;
static uint16_t last_stamp;
static uint8_t is_ram[FRAMES];
static uint32_t order[FRAMES]; /* in which frames go out */

struct core *the_core(void)
{
    return &machine;
}

void core_init(struct core *c, struct frame *frames, uint64_t *m2p, uint64_t nr_frames, void *e)
{
    (void)e;
    c->frames = frames;
    c->m2p = m2p;
    c->nr_frames = nr_frames;
}

void core_frame_is_ram(struct core *c, mfn_t m)
{
    assert_true(m.n < c->nr_frames);
    is_ram[m.n] = 1;
    ram_frames++;
}

uint16_t core_frame_stamp(const struct core *c, mfn_t m)
{
    (void)c;
    return (uint16_t)(m.n ^ STAMP);
}

void tlb_flush_since(uint16_t stamp)
{
    last_stamp = stamp;
    flushes++;
}

static struct boot_loader_info loader = {
    .nr_ram = 4,
    .ram = {{0, 0x9fc00},
            {0x100000, (uint64_t)HOLE_FIRST << 12},
            {((uint64_t)HOLE_END << 12) - 0x800, (uint64_t)FRAMES << 12},
            {0x3f00000, 0x3f80000}}, /* said twice */
    .nr_modules = 2,
    .module = {{.range = {0x300010, 0x310001}}, {.range = {0x320000, 0x320000}}},
};

static bool reserved(uint64_t m)
{
    return m < 0x100 || (m >= 0x200 && m < 0x2a1) || (m >= 0x300 && m <= 0x310) ||
           (m >= HOLE_FIRST && m < HOLE_END) || m >= FRAMES;
}

/* The arrays lie at the end of the machine, and nothing is below them for long. */
static bool in_use(uint64_t m)
{
    return reserved(m) || m >= FRAMES - 0x800;
}

/* Each program sets the pool up once, as a boot does. */
static int boot(void **state)
{
    (void)state;
    hosted_machine_init();
    frames_init(&loader);
    frames_fill(42, (uint64_t)BLANK_FROM << 12);
    frames_release_ram(&loader);
    for (uint64_t m = 0x200; m < FRAMES; m++) /* what an earlier user left, wherever it is free */
        if (!in_use(m))
            hosted_ram[(m << 12) + MARK_AT] = MARK;
    return 0;
}

static void check_content(uint64_t m)
{
    const uint8_t *page = hosted_ram + (m << 12);

    for (unsigned k = 0; k < 4096; k += 512)
        assert_int_equal(page[k], 0);
    assert_int_equal(page[MARK_AT], m >= BLANK_FROM && !in_use(m) ? MARK : 0);
}

/* Takes everything: each frame once, none that is in use, each one cleared unless it is blank. */
static void test_all_frames_once(void **state)
{
    static uint8_t seen[FRAMES];
    uint64_t n = frames_free(), blank = 0;
    mfn_t m;

    (void)state;
    assert_in_range(n, FRAMES - 0x900, FRAMES - 0x400);
    for (uint64_t i = 0; i < n; i++) {
        assert_true(frames_take(0, ~0ull, &m));
        assert_false(reserved(m.n) || seen[m.n]);
        assert_true(is_ram[m.n]);
        if (m.n < BLANK_FROM)
            assert_int_equal(last_stamp, (uint16_t)(m.n ^ STAMP));
        blank += m.n >= BLANK_FROM;
        seen[m.n] = 1;
        order[i] = (uint32_t)m.n;
        check_content(m.n);
        memset(direct_frame(m), 0xee, 4096);
    }
    assert_false(frames_take(0, ~0ull, &m));
    ASSERT_ENDS(hv_frame(), PVMM_OUTCOME_PANIC, "no free frame left");
    for (uint64_t i = n; i-- > 0;)
        frames_give(mfn(order[i]));
    assert_int_equal(frames_free(), n);
    assert_int_equal(flushes, n - blank);
    assert_in_range(blank, 0x500, 0x1000);
}

/* What was in use is not blank any more, wherever it lies. */
static void test_cleared_the_second_time(void **state)
{
    static uint32_t taken[FRAMES];
    uint64_t n = frames_free();
    mfn_t m;

    (void)state;
    for (uint64_t i = 0; i < n; i++) {
        assert_true(frames_take(0, ~0ull, &m));
        taken[i] = (uint32_t)m.n;
        for (unsigned k = 0; k < 4096; k += 64)
            assert_int_equal(((uint8_t *)direct_frame(m))[k], 0);
        assert_int_equal(((uint8_t *)direct_frame(m))[MARK_AT], 0);
    }
    for (uint64_t i = n; i-- > 0;)
        frames_give(mfn(taken[i]));
}

/* A frame for somebody who writes all of it is not cleared, and is as much one's own (R9); the next
 * one who takes it has it cleared. */
static void test_taken_as_it_is(void **state)
{
    uint64_t n = frames_free(), before;
    mfn_t m, again;

    (void)state;
    assert_true(frames_take(0, ~0ull, &m));
    memset(direct_frame(m), 0xee, 4096);
    frames_give(m);
    before = flushes;
    assert_true(frames_take_as_it_is(&again));
    assert_int_equal(again.n, m.n);
    assert_int_equal(frames_free(), n - 1);
    assert_int_equal(flushes, before + 1);
    assert_int_equal(*(uint8_t *)direct_frame(m), 0xee);
    frames_give(m);
    assert_true(frames_take(0, ~0ull, &again));
    assert_int_equal(again.n, m.n);
    assert_int_equal(*(uint8_t *)direct_frame(m), 0);
    frames_give(m);
    assert_int_equal(frames_free(), n);
}

/* The permanent arrays are in none of them, and the m2p has its 2 MiB pages for itself. */
static void test_permanent_arrays(void **state)
{
    uint64_t m2p = direct_address(machine.m2p).a;

    (void)state;
    assert_int_equal(m2p % M2P_PAGE_BYTES, 0);
    assert_int_equal(machine.nr_frames, FRAMES);
    assert_int_equal(m2p_bytes(), M2P_PAGE_BYTES);
    for (uint64_t i = 0; i < frames_free(); i++)
        assert_true((uint64_t)order[i] << 12 < m2p ||
                    (uint64_t)order[i] << 12 >= m2p + m2p_bytes());
}

/* Hardly any two neighbours go out one after the other, and a seed makes the same order again. */
static void test_shuffled(void **state)
{
    uint64_t n = frames_free(), neighbours = 0, sum = 0;

    (void)state;
    for (uint64_t i = 1; i < n; i++) {
        neighbours += order[i] - order[i - 1] + 1 <= 2;
        sum += (uint64_t)llabs((long long)order[i] - (long long)order[i - 1]);
    }
    assert_true(neighbours < 20);
    assert_in_range(sum / n, FRAMES / 8, FRAMES / 2); /* a third of a window of 32 MiB */
}

static void test_runs(void **state)
{
    uint64_t before = frames_free(), taken = 0;
    static mfn_t run[FRAMES >> RUN_ORDER];

    (void)state;
    while (taken < FRAMES >> RUN_ORDER && frames_take(RUN_ORDER, ~0ull, &run[taken])) {
        uint64_t first = run[taken].n;

        assert_int_equal(first % (1u << RUN_ORDER), 0);
        for (uint64_t i = 0; i < 1u << RUN_ORDER; i++)
            assert_false(reserved(first + i));
        for (uint64_t i = 0; i < taken; i++)
            assert_true(run[i].n != first);
        taken++;
    }
    assert_true(taken * 16 > before - 300); /* nearly all, for nothing was taken before */
    assert_int_equal(frames_free(), before - taken * 16);
    while (taken--)
        for (unsigned i = 0; i < 1u << RUN_ORDER; i++)
            frames_give(mfn(run[taken].n + i));
    assert_int_equal(frames_free(), before);
}

/* One frame in the middle of each possible run is out: single ones are there, runs are not. */
static void test_no_run_left(void **state)
{
    static mfn_t kept[FRAMES];
    unsigned n = 0;
    mfn_t m;

    (void)state;
    while (frames_take(0, ~0ull, &m))
        kept[n++] = m;
    for (unsigned i = 0; i < n; i++)
        if (kept[i].n % 2)
            frames_give(kept[i]);
    assert_true(frames_free() > FRAMES / 4);
    assert_false(frames_take(1, ~0ull, &m));
    assert_false(frames_take(63, ~0ull, &m));
    for (unsigned i = 0; i < n; i++)
        if (kept[i].n % 2 == 0)
            frames_give(kept[i]);
    assert_true(frames_take(1, ~0ull, &m));
    frames_give(m);
    frames_give(mfn(m.n + 1));
}

static void test_given_twice(void **state)
{
    mfn_t m;

    (void)state;
    assert_true(frames_take(0, ~0ull, &m));
    frames_give(m);
    ASSERT_ENDS(frames_give(m), PVMM_OUTCOME_PANIC, "assertion failed");
    ASSERT_ENDS(frames_give(mfn(FRAMES)), PVMM_OUTCOME_PANIC, "assertion failed");
}

/* Whole frames only: what is beside a module in its first and last page may be another's. */
static void test_modules_become_free(void **state)
{
    uint64_t before = frames_free();

    (void)state;
    frames_release(&loader, loader.module[0].range);
    assert_int_equal(frames_free(), before + 15);
    frames_release(&loader, loader.module[1].range);
    assert_int_equal(frames_free(), before + 15);
    frames_release(&loader, loader.module[0].range); /* another that overlaps it */
    assert_int_equal(frames_free(), before + 15);
}

/* Low memory stays out of use, a hole is none, and beyond the machine there is nothing. */
static void test_modules_out_of_use(void **state)
{
    static const struct boot_range out[] = {
        {0x10000, 0x20000},
        {(uint64_t)HOLE_FIRST << 12, (uint64_t)HOLE_END << 12},
        {(uint64_t)FRAMES << 12, (uint64_t)(FRAMES + 16) << 12}};
    uint64_t before = frames_free();

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        frames_release(&loader, out[i]);
    assert_int_equal(frames_free(), before);
}

static void test_too_little_memory(void **state)
{
    static struct boot_loader_info small = {.nr_ram = 1, .ram = {{0x100000, 0x10000000000}}};

    (void)state;
    frames_init(&small); /* a terabyte of frames, and less than 4 GiB to describe them in */
    ASSERT_ENDS(frames_fill(1, ~0ull), PVMM_OUTCOME_PANIC, "not enough memory below 4 GiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_frames_once),
        cmocka_unit_test(test_cleared_the_second_time),
        cmocka_unit_test(test_taken_as_it_is),
        cmocka_unit_test(test_permanent_arrays),
        cmocka_unit_test(test_shuffled),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_no_run_left),
        cmocka_unit_test(test_given_twice),
        cmocka_unit_test(test_modules_become_free),
        cmocka_unit_test(test_modules_out_of_use),
        cmocka_unit_test(test_too_little_memory),
    };

    return cmocka_run_group_tests(tests, boot, NULL);
}
