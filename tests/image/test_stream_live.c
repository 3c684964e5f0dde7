/* SPDX-License-Identifier: MIT */
/* Streams of a guest that runs: whatever it does between the rounds, what is read back is the guest
 * as it stood in the end. What was written is told by the test, as the hypervisor tells it. */
#include "suspended.h"

#include <stdio.h>
#include <unistd.h>

#define FAR_PAGES 900u
#define ROUNDS    6u
#define ACTS      60u /* of the guest, in a round */
#define FRAMES    (((1ull << 32) + 64 * MIB) / 4096)

struct running {
    struct suspended s;
    struct pv_view *view;
    struct pv_live *live;
    uint64_t written[(FRAMES + 63) / 64];
    uint64_t random;
    mfn_t gone[ACTS * (ROUNDS + 1)];         /* frames at no pfn, */
    uint64_t gone_from[ACTS * (ROUNDS + 1)]; /* and the pfns that they were at */
    unsigned nr_gone;
    int fd;
};

static uint64_t draw(struct running *r, uint64_t below)
{
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return (r->random * 0x2545f4914f6cdd1dull >> 33) % below;
}

static void mark(struct running *r, mfn_t m)
{
    assert_true(m.n < FRAMES);
    r->written[m.n / 64] |= 1ull << m.n % 64;
}

static struct pv_frame_set told(const struct running *r)
{
    return (struct pv_frame_set){r->written, FRAMES};
}

/* ---- what the guest does */

/* The list is the guest's own: its pages are written to. */
static void list_has(struct running *r, uint64_t p, uint64_t word)
{
    *suspended_word(&r->s, p) = word;
    mark(r, r->s.leaf[p / 512]);
}

static void is_at(struct running *r, mfn_t m, uint64_t p)
{
    r->s.m->core.m2p[m.n] = p;
    list_has(r, p, m.n);
    mark(r, m);
}

/* A page that has one use, or none; false: that is no such pfn. */
static bool draw_page(struct running *r, uint64_t *p, mfn_t *m)
{
    *p = SUSPENDED_FAR + draw(r, FAR_PAGES);
    *m = mfn(*suspended_word(&r->s, *p));
    return m->n != ~0ull;
}

static bool is_table(const struct running *r, mfn_t m)
{
    return core_frame_validated(&r->s.m->core, m);
}

static void writes(struct running *r, mfn_t m)
{
    uint64_t *word = &made_words(r->s.m, m)[draw(r, 512)];
    if (is_table(r, m)) {
        *word = draw(r, 1u << 30) << 1; /* not present; and nobody tells */
        return;
    }
    mark(r, m);
    *word = r->random;
}

static void becomes_table(struct running *r, mfn_t m)
{
    struct made *g = r->s.m;
    if (is_table(r, m))
        return;
    memset(made_words(g, m), 0, 4096);
    made_words(g, m)[draw(r, 512)] = pte_make(made_mfn(g, pfn(20)), PTE_PRESENT | PTE_USER);
    mark(r, m);
    assert_int_equal(core_pin(&g->core, &g->vcpu, &g->domain, m, 1), 0);
    assert_int_equal(core_end(&g->core, &g->vcpu), 0);
}

static void is_table_no_more(struct running *r, mfn_t m)
{
    struct made *g = r->s.m;
    if (!is_table(r, m))
        return;
    assert_int_equal(core_unpin(&g->core, &g->vcpu, &g->domain, m), 0);
    assert_int_equal(core_end(&g->core, &g->vcpu), 0);
    mark(r, m);
}

static void goes(struct running *r, uint64_t p, mfn_t m)
{
    if (is_table(r, m))
        return;
    r->s.m->core.m2p[m.n] = NO_PFN.n;
    list_has(r, p, ~0ull);
    r->gone_from[r->nr_gone] = p;
    r->gone[r->nr_gone++] = m;
}

static void comes_back(struct running *r)
{
    if (r->nr_gone == 0)
        return;
    r->nr_gone--;
    is_at(r, r->gone[r->nr_gone], r->gone_from[r->nr_gone]);
}

static void change_places(struct running *r, uint64_t p, mfn_t m)
{
    uint64_t q;
    mfn_t n;
    if (!draw_page(r, &q, &n) || q == p)
        return;
    is_at(r, n, p);
    is_at(r, m, q);
}

static void act_on(struct running *r, uint64_t p, mfn_t m)
{
    const uint64_t what = draw(r, 10);
    if (what == 0)
        becomes_table(r, m);
    else if (what == 1)
        is_table_no_more(r, m);
    else if (what == 2)
        goes(r, p, m);
    else if (what == 3)
        change_places(r, p, m);
    else
        writes(r, m);
}

static void act(struct running *r)
{
    uint64_t p;
    mfn_t m;
    if (!draw_page(r, &p, &m) || draw(r, 10) == 0)
        comes_back(r);
    else
        act_on(r, p, m);
}

/* ---- a run */

static struct running *start(bool linear, uint64_t seed, const struct pv_save_options *o)
{
    struct running *r = calloc(1, sizeof(*r));
    struct pv_error e;
    assert_non_null(r);
    r->s = suspended_new(linear, FAR_PAGES);
    r->random = seed * 2654435761u + 1;
    pv_close(suspended_open(&r->s)); /* makes the mailbox */
    if (pv_memory_open_running(&r->view, r->s.m->fd, &e))
        fail_msg("%s", e.text);
    r->fd = scratch_file();
    if (pv_live_begin(&r->live, r->view, r->fd, o, &e))
        fail_msg("%s", e.text);
    return r;
}

static void round_of(struct running *r, bool first)
{
    const struct pv_frame_set what = told(r);
    struct pv_live_told t;
    struct pv_error e;
    if (pv_live_round(r->live, first ? NULL : &what, &t, &e))
        fail_msg("%s", e.text);
    assert_true(first ? t.pages > FAR_PAGES * 9 / 10 : t.pages <= 4 * ACTS + 8);
    assert_true(t.left >= 5);
    memset(r->written, 0, sizeof(r->written));
}

static int try_finish(struct running *r, struct pv_saved *saved, struct pv_error *e)
{
    const struct pv_frame_set what = told(r);
    struct pv_live_told t;
    struct pv_view *standing = suspended_open(&r->s);
    int rc = pv_live_finish(r->live, standing, &what, &t, saved, e);
    pv_close(standing);
    return rc;
}

static struct pv_saved finish(struct running *r)
{
    struct pv_saved saved;
    struct pv_error e;
    if (try_finish(r, &saved, &e))
        fail_msg("%s", e.text);
    return saved;
}

static void stop(struct running *r)
{
    pv_live_free(r->live);
    pv_close(r->view);
    close(r->fd);
    suspended_free(&r->s);
    free(r);
}

static void run(bool linear, uint64_t seed, const struct pv_save_options *o)
{
    struct running *r = start(linear, seed, o);
    struct pv_saved saved;
    for (unsigned i = 0; i < ROUNDS; i++) {
        round_of(r, i == 0);
        for (unsigned a = 0; a < ACTS; a++)
            act(r);
    }
    saved = finish(r);
    assert_same(&r->s, r->fd, &saved);
    stop(r);
}

/* ---- tests */

static void test_whatever_it_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++)
        run(seed % 2, seed, &(struct pv_save_options){.of_xl = seed % 3 == 0});
}

static void test_compressed(void **state)
{
    (void)state;
    for (uint64_t seed = 50; seed <= 54; seed++)
        run(true, seed, &(struct pv_save_options){.of_xl = true, .zstd = 1});
}

/* What is told is what decides: a write that nobody tells of is lost. */
static void test_a_write_that_is_not_told_is_lost(void **state)
{
    (void)state;
    struct running *r = start(true, 1, &(struct pv_save_options){.of_xl = false});
    const mfn_t m = mfn(*suspended_word(&r->s, SUSPENDED_FAR + 1));
    uint64_t words[512];
    round_of(r, true);
    made_words(r->s.m, m)[7] = 0x1234567;
    finish(r);
    struct pv_view *back = read_back(r->fd);
    assert_true(back->backend->read(back, mfn(SUSPENDED_FAR + 1), 0, words, sizeof(words)));
    assert_int_not_equal(words[7], 0x1234567);
    pv_close(back);
    stop(r);
}

static void test_a_list_that_moves_is_refused(void **state)
{
    (void)state;
    struct running *r = start(false, 1, &(struct pv_save_options){.of_xl = false});
    struct made *m = r->s.m;
    struct pv_saved saved;
    struct pv_error e;
    const mfn_t was = r->s.leaf[1], is = mfn(*suspended_word(&r->s, SUSPENDED_FAR + 2));
    round_of(r, true);
    memcpy(made_words(m, is), made_words(m, was), 4096);
    mark(r, is);
    made_words(m, m->list_middle)[1] = is.n;
    mark(r, m->list_middle);
    assert_int_equal(try_finish(r, &saved, &e), -1);
    assert_non_null(strstr(e.text, "cannot finish the save stream"));
    assert_non_null(strstr(e.text, "has put its p2m list elsewhere"));
    stop(r);
}

/* All that is checked of a guest that stands is, before anything of the last round is written. */
static void test_a_guest_that_makes_no_stream_is_refused_in_the_end(void **state)
{
    (void)state;
    struct running *r = start(true, 1, &(struct pv_save_options){.of_xl = false});
    struct pv_saved saved;
    struct pv_error e;
    round_of(r, true);
    const off_t so_far = lseek(r->fd, 0, SEEK_END);
    list_has(r, SUSPENDED_FAR + 3, *suspended_word(&r->s, SUSPENDED_FAR + 4));
    assert_int_equal(try_finish(r, &saved, &e), -1);
    assert_non_null(strstr(e.text, "m2p has it at pfn"));
    assert_int_equal(lseek(r->fd, 0, SEEK_END), so_far);
    stop(r);
}

static void test_only_a_machine_can_run(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 100);
    struct pv_view *v = suspended_open(&s);
    struct pv_saved saved;
    struct pv_live *live = NULL;
    struct pv_error e;
    struct pv_view *stream = read_back(written(v, NULL, &saved));
    assert_int_equal(pv_live_begin(&live, stream, scratch_file(), &(struct pv_save_options){0}, &e),
                     -1);
    assert_non_null(strstr(e.text, "does not change"));
    assert_null(live);
    pv_live_free(live);
    pv_close(stream);
    pv_close(v);
    suspended_free(&s);
}

static void test_a_pipe_that_closes_is_told(void **state)
{
    (void)state;
    struct running *r = start(true, 1, &(struct pv_save_options){.of_xl = false});
    struct pv_live *piped = NULL;
    struct pv_live_told t;
    struct pv_error e;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    if (pv_live_begin(&piped, r->view, ends[1], &(struct pv_save_options){0}, &e))
        fail_msg("%s", e.text);
    close(ends[0]);
    assert_int_equal(pv_live_round(piped, NULL, &t, &e), -1);
    assert_non_null(strstr(e.text, "round 1 of the save stream"));
    pv_live_free(piped);
    close(ends[1]);
    stop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whatever_it_does),
        cmocka_unit_test(test_compressed),
        cmocka_unit_test(test_a_write_that_is_not_told_is_lost),
        cmocka_unit_test(test_a_list_that_moves_is_refused),
        cmocka_unit_test(test_a_guest_that_makes_no_stream_is_refused_in_the_end),
        cmocka_unit_test(test_only_a_machine_can_run),
        cmocka_unit_test(test_a_pipe_that_closes_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
