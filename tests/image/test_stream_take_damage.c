/* SPDX-License-Identifier: MIT */
/* Save streams that end at any byte, and streams damaged at random: they are refused, or they are
 * taken in for what they are then; nothing is written but the frames that were given. */
#include "script.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "damage.h"

#define MUTATIONS 100000u
#define CUT_STEP                                                                                   \
    97u /* of what is compressed; through a pipe and within xl's file, inside of pages */

/* ---- cut short */

/* Where it says that it stood, and how much came from there on, is where it was cut. */
static void assert_cut(const char *text, size_t n)
{
    unsigned long long at = 0, wanted = 0, came = 0;
    const char *offset = strstr(text, " at offset ");
    if (strncmp(text, "cut short in ", 13) || !offset ||
        sscanf(offset, " at offset %llu: it wants %llu bytes, %llu came", &at, &wanted, &came) != 3)
        fail_msg("%zu bytes: %s", n, text);
    if (at + came != n || came >= wanted)
        fail_msg("%zu bytes: %s", n, text);
}

static void take_cut(struct room *r, int fd, size_t n)
{
    struct pv_taken *t;
    struct pv_error e;
    r->given = r->begun = 0;
    assert_int_equal(pv_take(&t, fd, &room_ops, r, SCRIPT_OPTIONS, &e), -1);
    assert_cut(e.text, n);
    pv_taken_free(t);
}

static bool in_pages(const struct script *s, size_t n)
{
    return n > script_content(s, 0) + CUT_STEP &&
           n + CUT_STEP < script_record(s, LIBXC_TSC_INFO, 0);
}

/* Backwards: a file does not get back what it lost. */
static void a_file_may_end_at_any_byte(void **state)
{
    (void)state;
    for (unsigned xl = 0; xl < 2; xl++) {
        struct script *s = script_new(xl ? 2 : 3, xl);
        struct room *r = room_new(false);
        int fd = script_fd(s->bytes, s->n, BY_FILE);
        for (size_t n = s->n; n > 0;) {
            n -= xl && in_pages(s, n) ? CUT_STEP : 1;
            assert_int_equal(ftruncate(fd, (off_t)n), 0);
            assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
            take_cut(r, fd, n);
        }
        close(fd);
        room_free(r);
        script_free(s);
    }
}

static void a_pipe_may_end_at_any_byte(void **state)
{
    (void)state;
    struct script *s = script_new(3, true);
    struct room *r = room_new(true);
    size_t pages = script_content(s, 0), end = script_record(s, LIBXC_TSC_INFO, 0);
    for (size_t n = 0; n<s->n; n += n> pages && n + CUT_STEP < end ? CUT_STEP : 1) {
        int fd = script_fd(s->bytes, n, BY_PIPE);
        take_cut(r, fd, n);
        close(fd);
    }
    room_free(r);
    script_free(s);
}

/* Wherever: also where all of the content is there, and sums are not. */
static void what_is_compressed_may_end_anywhere(void **state)
{
    (void)state;
    static uint8_t packed[SCRIPT_BYTES];
    for (enum script_way way = BY_ZSTD; way <= BY_XZ; way++) {
        struct script *s = script_new(3, true);
        struct room *r = room_new(true);
        int fd = script_fd(s->bytes, s->n, way);
        ssize_t n = pread(fd, packed, sizeof(packed), 0);
        assert_true(n > 0 && n < (ssize_t)sizeof(packed));
        for (ssize_t cut = n - 1; cut >= 0; cut -= cut > n - 64 || cut < 64 ? 1 : CUT_STEP) {
            struct pv_taken *t;
            struct pv_error e;
            r->given = r->begun = 0;
            assert_int_equal(ftruncate(fd, cut), 0);
            assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
            assert_int_equal(pv_take(&t, fd, &room_ops, r, SCRIPT_OPTIONS, &e), -1);
            if (!strstr(e.text, cut < 6 && cut > 0 ? "" : "cut short"))
                fail_msg("%zd of %zd bytes: %s", cut, n, e.text);
            pv_taken_free(t);
        }
        close(fd);
        room_free(r);
        script_free(s);
    }
}

/* ---- damaged */

static const uint64_t telling[] = {
    0,      1,          2,          7,          8,          12,         13,         0xff,
    0x1000, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff, 1ull << 52, 1ull << 63, ~0ull};

/* Mostly where it tells: not in a page. */
static size_t somewhere(const struct script *s, uint64_t *seed)
{
    size_t at = damage_random(seed) % s->n;
    size_t pages = script_content(s, 0), end = pages + 11 * 4096;
    return at >= pages && at < end && damage_random(seed) % 8 ? at % pages : at;
}

static void spoil(struct script *s, const struct script *whole, uint64_t *seed)
{
    size_t at = somewhere(whole, seed) & ~3ull;
    size_t bytes = 1ull << damage_random(seed) % 4;
    if (at + bytes > s->n)
        return;
    switch (damage_random(seed) % 16) {
    case 0:
        script_cut(s, at, s->n - at < 64 ? s->n - at : damage_random(seed) % 64);
        return;
    case 1:
        script_insert(s, at, whole->bytes + somewhere(whole, seed) / 2, damage_random(seed) % 64);
        return;
    case 2:
    case 3:
    case 4:
        s->bytes[at] ^= (uint8_t)(1u << damage_random(seed) % 8);
        return;
    case 5:
        script_put(s, at, damage_random(seed), bytes);
        return;
    default:
        script_put(s, at, telling[damage_random(seed) % 16], bytes);
        return;
    }
}

static void look_at(struct pv_taken *t, struct room *r)
{
    struct pv_place place;
    uint64_t pages = 0;
    for (uint64_t p = 0; p < t->end_pfn; p++)
        if (pv_taken_place(t, pfn(p), &place)) {
            assert_true(t->page[p].mfn >= ROOM_MFN + ROOM_FRAMES - r->given &&
                        t->page[p].mfn < ROOM_MFN + ROOM_FRAMES);
            pages++;
        }
    assert_int_equal(pages, t->pages);
}

/* 0: refused; 1: taken in; 2: localised too. */
static unsigned try(const struct script *s, struct room *r, uint64_t *seed)
{
    struct pv_taken *t;
    struct pv_error e;
    struct pv_take_start now = {.shared_info = mfn(0x777), .store_port = 1, .console_port = 2};
    struct pv_take_options o = *SCRIPT_OPTIONS;
    o.live = damage_random(seed) % 2;
    unsigned way = damage_random(seed) % 64;
    unsigned is = script_take(s, way < SCRIPT_WAYS ? way : BY_FILE, &o, r, &t, &e) == 0;
    if (is) {
        look_at(t, r);
        is += pv_take_localise(t, room_at, r, &now, &e) == 0;
    }
    pv_taken_free(t);
    return is;
}

static void damage_does_no_harm(void **state)
{
    (void)state;
    unsigned counts[3] = {0}, most = 0;
    struct room *r = room_new(false);
    struct script *whole[4];
    struct script s = {.bytes = malloc(SCRIPT_BYTES)};
    for (unsigned i = 0; i < 4; i++)
        whole[i] = script_new(2 + (i & 1), i & 2);
    for (uint64_t i = 0; i < MUTATIONS; i++) {
        uint64_t seed = i;
        const struct script *from = whole[i % 4];
        memcpy(s.bytes, from->bytes, from->n);
        s.n = from->n;
        for (unsigned n = 1 + damage_random(&seed) % 3; n > 0; n--)
            spoil(&s, from, &seed);
        counts[try(&s, r, &seed)]++;
        most = r->given > most ? r->given : most;
    }
    for (unsigned i = most; i < ROOM_FRAMES; i++) /* none of these was given */
        for (unsigned b = 0; b < 4096; b++)
            assert_int_equal(((uint8_t *)room_at(r, mfn(ROOM_MFN + ROOM_FRAMES - 1 - i)))[b], 0xee);
    print_message("%u refused, %u not localised, %u as if nothing were wrong\n", counts[0],
                  counts[1], counts[2]);
    assert_true(counts[0] > MUTATIONS / 4 && counts[1] > 0 && counts[2] > 0);
    for (unsigned i = 0; i < 4; i++)
        script_free(whole[i]);
    free(s.bytes);
    room_free(r);
}

int main(void)
{
    alarm(580);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_may_end_at_any_byte),
        cmocka_unit_test(a_pipe_may_end_at_any_byte),
        cmocka_unit_test(what_is_compressed_may_end_anywhere),
        cmocka_unit_test(damage_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
