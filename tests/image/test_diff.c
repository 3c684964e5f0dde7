/* SPDX-License-Identifier: MIT */
/* Two images compared: views of a few pages that are made up, each kind of difference alone; and a
 * machine's memory against a dump and a stream of it. */
#include "checked.h"

#include <stdio.h>
#include <unistd.h>

#include "diff.h"
#include "parallel.h"
#include "suspended.h"

#define BOOK  64u /* frames of a made-up view */
#define NOPFN (~0ull)

/* A guest in an array: which pfn each frame has, its content, its type. */
struct book {
    struct pv_view view;
    uint64_t pfn[BOOK];
    uint64_t word[BOOK][512];
    bool absent[BOOK];
    struct pv_told told[BOOK];
};

static struct book *book_of(const struct pv_view *v)
{
    return v->image;
}

static bool book_owned(const struct pv_view *v, mfn_t m)
{
    return m.n < BOOK && book_of(v)->pfn[m.n] != NOPFN;
}

static bool book_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    if (!book_owned(v, m) || book_of(v)->absent[m.n])
        return false;
    memcpy(to, (const uint8_t *)book_of(v)->word[m.n] + offset, n);
    return true;
}

static pfn_t book_pfn_of(const struct pv_view *v, mfn_t m)
{
    return book_owned(v, m) ? pfn(book_of(v)->pfn[m.n]) : NO_PFN;
}

static mfn_t book_mfn_of(const struct pv_view *v, pfn_t p)
{
    for (unsigned i = 0; i < BOOK; i++)
        if (book_of(v)->pfn[i] == p.n)
            return mfn(i);
    return NO_MFN;
}

static mfn_t book_next_pinned_root(const struct pv_view *v, mfn_t from)
{
    for (; from.n < BOOK; from.n++)
        if (book_of(v)->told[from.n].level == 4 && book_of(v)->told[from.n].pinned)
            return from;
    return NO_MFN;
}

static mfn_t book_next_owned(const struct pv_view *v, mfn_t from)
{
    for (; from.n < BOOK; from.n++)
        if (book_owned(v, from))
            return from;
    return NO_MFN;
}

static pfn_t book_next_pfn(const struct pv_view *v, pfn_t from)
{
    pfn_t next = NO_PFN;
    for (unsigned i = 0; i < BOOK; i++)
        if (book_of(v)->pfn[i] >= from.n && book_of(v)->pfn[i] < next.n)
            next = pfn(book_of(v)->pfn[i]);
    return next;
}

static bool book_told(const struct pv_view *v, mfn_t m, struct pv_told *out)
{
    *out = book_of(v)->told[m.n];
    return book_owned(v, m);
}

static const struct pv_backend book_backend = {
    .read = book_read,
    .owned = book_owned,
    .pfn_of = book_pfn_of,
    .mfn_of = book_mfn_of,
    .next_pinned_root = book_next_pinned_root,
    .next_owned = book_next_owned,
    .next_pfn = book_next_pfn,
    .told = book_told,
};

/* Frames stand at pfns first, first + 1, ...: from frame `turn` on, round and round. */
static struct book *book_new(uint64_t first, unsigned pages, unsigned turn)
{
    struct book *b = calloc(1, sizeof(*b));
    b->view = (struct pv_view){.backend = &book_backend,
                               .image = b,
                               .kind = "made up",
                               .width = 8,
                               .nr_frames = BOOK + 1,
                               .nr_pages = pages,
                               .shared_info = mfn(BOOK),
                               .start_info = NO_MFN,
                               .initial_root = NO_MFN,
                               .kernel_root = NO_MFN};
    memset(b->pfn, 0xff, sizeof(b->pfn));
    for (unsigned i = 0; i < pages; i++) {
        b->pfn[(i + turn) % BOOK] = first + i;
        for (unsigned w = 0; w < 512; w++)
            b->word[(i + turn) % BOOK][w] = (first + i) << 20 | w << 1;
    }
    return b;
}

static uint64_t *words_at(struct book *b, uint64_t p)
{
    return b->word[book_mfn_of(&b->view, pfn(p)).n];
}

static struct pv_told *told_at(struct book *b, uint64_t p)
{
    return &b->told[book_mfn_of(&b->view, pfn(p)).n];
}

/* An entry that names the page at a pfn. */
static uint64_t entry_to(struct book *b, uint64_t p)
{
    return pte_make(book_mfn_of(&b->view, pfn(p)), PTE_PRESENT | PTE_RW);
}

/* ---- what is told of */

#define RANGES 16u
struct listed {
    struct pv_diff_summary sum;
    struct pv_diff_range range[RANGES];
    unsigned n, most;
};

static bool list_range(void *context, const struct pv_diff_range *r)
{
    struct listed *l = context;
    assert_true(l->n < RANGES);
    l->range[l->n++] = *r;
    return l->n != l->most;
}

static struct listed diff_how(const struct pv_view *a, const struct pv_view *b, bool apart,
                              unsigned most)
{
    struct listed l = {.most = most};
    struct pv_error e;
    const struct pv_diff_options o = {.apart = apart, .threads = 3};
    if (pv_diff(a, b, &o, list_range, &l, &l.sum, &e))
        fail_msg("%s", e.text);
    return l;
}

static struct listed diff(const struct pv_view *a, const struct pv_view *b)
{
    struct listed l = diff_how(a, b, false, 0);
    assert_int_equal(l.sum.ranges, l.n);
    return l;
}

static void assert_range(const struct listed *l, unsigned i, uint64_t first, uint64_t last,
                         unsigned kinds)
{
    assert_true(i < l->n);
    assert_int_equal(l->range[i].first.n, first);
    assert_int_equal(l->range[i].last.n, last);
    assert_int_equal(l->range[i].kinds, kinds);
}

#define CONTENTS (1u << PV_DIFF_CONTENTS)
#define TYPE     (1u << PV_DIFF_TYPE)
#define P2M      (1u << PV_DIFF_P2M)
#define ONLY_A   (1u << PV_DIFF_ONLY_A)
#define ONLY_B   (1u << PV_DIFF_ONLY_B)

static void the_same(void **state)
{
    (void)state;
    struct book *a = book_new(5, 40, 0), *b = book_new(5, 40, 0);
    struct listed l = diff(&a->view, &b->view);
    assert_int_equal(l.sum.pages, 40);
    assert_int_equal(l.sum.same, 40);
    assert_int_equal(l.sum.translated, 0);
    assert_int_equal(l.n, 0);
    assert_true(l.sum.p2m && l.sum.pins && l.sum.types[0] && l.sum.types[1]);
    free(a);
    free(b);
}

/* The first and the last byte of a page count. Neighbours are one range, unless they are to stand
 * apart. */
static void contents(void **state)
{
    (void)state;
    struct book *a = book_new(0, 40, 0), *b = book_new(0, 40, 0);
    words_at(b, 3)[0] ^= 1;
    words_at(b, 4)[511] ^= 1ull << 63;
    words_at(b, 39)[7]++;
    struct listed l = diff(&a->view, &b->view);
    assert_int_equal(l.n, 2);
    assert_range(&l, 0, 3, 4, CONTENTS);
    assert_range(&l, 1, 39, 39, CONTENTS);
    assert_int_equal(l.sum.of[PV_DIFF_CONTENTS], 3);
    assert_int_equal(l.sum.same, 37);
    l = diff_how(&a->view, &b->view, true, 0);
    assert_int_equal(l.n, 3);
    l = diff_how(&a->view, &b->view, false, 1);
    assert_int_equal(l.n, 1);
    free(a);
    free(b);
}

static void only_in_one(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(4, 30, 4);
    struct listed l = diff(&a->view, &b->view);
    assert_int_equal(l.n, 2);
    assert_range(&l, 0, 0, 3, ONLY_A);
    assert_range(&l, 1, 20, 33, ONLY_B);
    assert_int_equal(l.sum.pages, 34);
    assert_true(mfn_eq(l.range[0].page[1].mfn, NO_MFN) && mfn_eq(l.range[1].page[0].mfn, NO_MFN));
    free(a);
    free(b);
}

/* A hole in the middle, and pfns that lie far apart. */
static void holes(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(0, 20, 0);
    a->pfn[9] = a->pfn[19] = NOPFN;
    b->pfn[19] = 1ull << 31;
    struct listed l = diff(&a->view, &b->view);
    assert_int_equal(l.n, 2);
    assert_range(&l, 0, 9, 9, ONLY_B);
    assert_range(&l, 1, 1ull << 31, 1ull << 31, ONLY_B);
    free(a);
    free(b);
}

static void frames_moved(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(0, 20, 7);
    struct listed l = diff(&a->view, &b->view);
    assert_int_equal(l.n, 1);
    assert_range(&l, 0, 0, 19, P2M);
    assert_int_equal(l.range[0].page[0].mfn.n, 0);
    assert_int_equal(l.range[0].page[1].mfn.n, 7);
    b->view.portable = true; /* then its numbers are no frames */
    l = diff(&a->view, &b->view);
    assert_int_equal(l.n, 0);
    assert_false(l.sum.p2m);
    free(a);
    free(b);
}

static void content_in_one_alone(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(0, 20, 0);
    a->absent[3] = b->absent[3] = b->absent[5] = true;
    struct listed l = diff(&a->view, &b->view);
    assert_int_equal(l.n, 1);
    assert_range(&l, 0, 5, 5, CONTENTS);
    free(a);
    free(b);
}

/* ---- tables */

static void types(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(0, 20, 0);
    memset(words_at(a, 1), 0, 5 * PAGE_BYTES);
    memset(words_at(b, 1), 0, 5 * PAGE_BYTES);
    *told_at(a, 1) = (struct pv_told){.level = 1};
    *told_at(b, 2) = (struct pv_told){.level = 1};
    *told_at(a, 3) = *told_at(b, 3) = (struct pv_told){.level = 3};
    *told_at(a, 4) = (struct pv_told){.level = 4, .pinned = true};
    *told_at(b, 4) = (struct pv_told){.level = 4};
    struct listed l = diff(&a->view, &b->view);
    assert_int_equal(l.n, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(l.range[i].kinds, TYPE);
    assert_int_equal(l.range[2].first.n, 4);
    assert_true(l.range[2].page[0].pinned && !l.range[2].page[1].pinned);
    free(a);
    free(b);
}

/* The same entries by pfn, other frames: the same. Entries of a page that is no table, not. */
static void tables_mean(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(0, 20, 7);
    for (unsigned p = 1; p < 3; p++)
        for (unsigned i = 0; i < 20; i++) {
            words_at(a, p)[i] = entry_to(a, i);
            words_at(b, p)[i] = entry_to(b, i);
        }
    *told_at(a, 1) = *told_at(b, 1) = (struct pv_told){.level = 1};
    struct listed l = diff(&a->view, &b->view);
    assert_int_equal(l.sum.of[PV_DIFF_CONTENTS], 1);
    assert_range(&l, 1, 1, 1, P2M); /* a table: apart from pages before and behind */
    assert_range(&l, 2, 2, 2, P2M | CONTENTS);
    words_at(b, 1)[9] ^= PTE_ACCESSED;
    l = diff(&a->view, &b->view);
    assert_int_equal(l.sum.of[PV_DIFF_CONTENTS], 2);
    assert_int_equal(l.sum.tables, 1);
    assert_range(&l, 1, 1, 1, P2M | CONTENTS);
    uint64_t words[2][512];
    assert_true(pv_diff_words(&a->view, pfn(1), 1, words[0]) &&
                pv_diff_words(&b->view, pfn(1), 1, words[1]));
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(words[0][i] == words[1][i], i != 9);
    free(a);
    free(b);
}

/* The same words, and by each image's frames other pfns. */
static void tables_of_other_pfns(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(0, 20, 0);
    words_at(a, 1)[0] = words_at(b, 1)[0] = entry_to(a, 7);
    b->pfn[7] = 8;
    b->pfn[8] = 7;
    *told_at(a, 1) = *told_at(b, 1) = (struct pv_told){.level = 1};
    struct listed l = diff(&a->view, &b->view);
    assert_true(l.n > 0);
    assert_range(&l, 0, 1, 1, CONTENTS);
    free(a);
    free(b);
}

static void reserved_slots(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(0, 20, 0);
    for (unsigned p = 1; p < 3; p++)
        memset(words_at(a, p), 0, PAGE_BYTES), memset(words_at(b, p), 0, PAGE_BYTES);
    *told_at(a, 1) = *told_at(b, 1) = (struct pv_told){.level = 4};
    *told_at(a, 2) = *told_at(b, 2) = (struct pv_told){.level = 3};
    words_at(a, 1)[256] = words_at(a, 1)[271] = words_at(a, 2)[256] = entry_to(a, 5);
    struct listed l = diff(&a->view, &b->view);
    assert_int_equal(l.n, 1);
    assert_range(&l, 0, 2, 2, CONTENTS); /* an L3 has no such slots */
    assert_int_equal(l.sum.translated, 1);
    words_at(b, 1)[255] = words_at(b, 1)[272] = entry_to(b, 5);
    assert_int_equal(diff(&a->view, &b->view).sum.of[PV_DIFF_CONTENTS], 2);
    free(a);
    free(b);
}

/* Names of what is not the guest's: shared_info is the same by any number. */
static void frames_of_nobody(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(0, 20, 0);
    memset(words_at(a, 1), 0, PAGE_BYTES);
    memset(words_at(b, 1), 0, PAGE_BYTES);
    *told_at(a, 1) = *told_at(b, 1) = (struct pv_told){.level = 1};
    b->view.shared_info = mfn(BOOK + 5);
    words_at(a, 1)[0] = pte_make(mfn(BOOK), PTE_PRESENT);
    words_at(b, 1)[0] = pte_make(mfn(BOOK + 5), PTE_PRESENT);
    assert_int_equal(diff(&a->view, &b->view).n, 0);
    words_at(a, 1)[1] = pte_make(mfn(1 << 20), PTE_PRESENT);
    words_at(b, 1)[1] = pte_make(mfn(1 << 21), PTE_PRESENT);
    assert_int_equal(diff(&a->view, &b->view).sum.of[PV_DIFF_CONTENTS], 1);
    free(a);
    free(b);
}

/* ---- images as they are */

static struct pv_view *reopened(int fd)
{
    const struct pv_open_options o = {.domain = -1};
    struct pv_view *v = NULL;
    struct pv_error e;
    if (pv_open(&v, scratch_path(fd), &o, &e))
        fail_msg("%s", e.text);
    close(fd);
    return v;
}

/* A machine, which tells types, a dump of it, which does not, and a stream, in which tables hold
 * pfns: all the same, each way. */
static void formats_of_one_moment(void **state)
{
    (void)state;
    struct suspended s = suspended_new(true, 100);
    struct pv_view *v[3] = {suspended_open(&s), as_dump(s.m), NULL};
    struct pv_saved saved;
    v[2] = reopened(written(v[0], NULL, &saved));
    for (unsigned a = 0; a < 3; a++)
        for (unsigned b = 0; b < 3; b++) {
            struct listed l = diff(v[a], v[b]);
            if (l.n)
                fail_msg("%s and %s: pfn %llx, kinds %x", v[a]->kind, v[b]->kind,
                         (unsigned long long)l.range[0].first.n, l.range[0].kinds);
            assert_int_equal(l.sum.same, v[2]->nr_pages); /* those that have a pfn */
            assert_int_equal(l.sum.pages, l.sum.same);
            assert_int_equal(l.sum.translated > 0, v[a]->portable != v[b]->portable);
        }
    for (unsigned i = 0; i < 3; i++)
        pv_close(v[i]);
    suspended_free(&s);
}

/* Roots are walked where the image does not tell: a table's entry is one of the differences. */
static void dumps_of_two_moments(void **state)
{
    (void)state;
    struct made *m = whole();
    struct pv_view *a = as_dump(m);
    mfn_t l1 = table_of(m, 1), page = made_mfn(m, pfn(9));
    *entry_of(m, 1, 9) &= ~(uint64_t)PTE_RW;
    made_words(m, page)[1]++;
    struct pv_view *b = as_dump(m);
    struct listed l = diff(a, b);
    assert_int_equal(l.n, 2);
    assert_range(&l, 0, 9, 9, CONTENTS);
    assert_int_equal(l.range[1].page[0].level, 1);
    assert_false(l.range[1].page[0].told);
    assert_int_equal(l.range[1].as[1], 1);
    assert_int_equal(l.sum.tables, 1);
    assert_true(mfn_eq(l.range[1].page[1].mfn, l1));
    assert_false(l.sum.pins);
    struct pv_seen seen[2] = {{.frame = page}, {.frame = mfn(1ull << 30)}};
    struct pv_error e;
    assert_int_equal(pv_where_seen(b, seen, 2, &e), 0);
    assert_int_equal(seen[0].va.a, KERNEL_VA + 9 * 4096);
    assert_true(mfn_eq(seen[1].root, NO_MFN));
    pv_close(a);
    pv_close(b);
    made_free(m);
}

/* ---- what else may be */

static bool stop(void *context, const char *doing, uint64_t done, uint64_t total)
{
    (void)context;
    (void)doing;
    (void)done;
    (void)total;
    return false;
}

static void stopped(void **state)
{
    (void)state;
    struct book *a = book_new(0, 20, 0), *b = book_new(0, 20, 0);
    const struct pv_diff_options o = {.progress = {.tell = stop}};
    struct pv_diff_summary sum;
    struct pv_error e;
    assert_int_equal(pv_diff(&a->view, &b->view, &o, NULL, NULL, &sum, &e), -1);
    assert_non_null(strstr(e.text, "stopped"));
    free(a);
    free(b);
}

/* Tables of nonsense, roots that name themselves, levels that are none. */
static void hostile(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (unsigned turn = 0; turn < 300; turn++) {
        struct book *side[2] = {book_new(turn, 60, turn), book_new(turn / 2, 50, 0)};
        for (unsigned i = 0; i < 2; i++) {
            struct book *b = side[i];
            for (unsigned n = 0; n < 2000; n++) {
                seed = seed * 6364136223846793005ull + 1442695040888963407ull;
                unsigned frame = seed >> 33 & (BOOK - 1), slot = seed >> 40 & 511;
                b->word[frame][slot] = (seed >> 20 & (BOOK - 1)) << 12 | (seed >> 50 & 0xff) | 1;
                b->told[frame] = (struct pv_told){.level = seed >> 60 & 7, .pinned = seed >> 63};
            }
            b->view.kernel_root = mfn(seed >> 50 & (BOOK - 1));
        }
        struct pv_diff_summary sum;
        struct pv_error e;
        struct pv_seen seen[BOOK];
        for (unsigned n = 0; n < BOOK; n++)
            seen[n].frame = mfn(BOOK - n);
        assert_int_equal(pv_diff(&side[0]->view, &side[1]->view, NULL, NULL, NULL, &sum, &e), 0);
        assert_int_equal(pv_where_seen(&side[0]->view, seen, BOOK, &e), 0);
        free(side[0]);
        free(side[1]);
    }
}

static void add_part(void *context, uint64_t from, uint64_t end)
{
    _Atomic uint64_t *sum = context;
    for (uint64_t i = from; i < end; i++)
        *sum += i;
}

static void parts_are_done_once(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 9; threads++)
        for (uint64_t total = 0; total < 70; total++) {
            _Atomic uint64_t sum = 0;
            pv_parallel(threads, total, 7, add_part, &sum);
            assert_int_equal(sum, total ? total * (total - 1) / 2 : 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same),
        cmocka_unit_test(contents),
        cmocka_unit_test(only_in_one),
        cmocka_unit_test(holes),
        cmocka_unit_test(frames_moved),
        cmocka_unit_test(content_in_one_alone),
        cmocka_unit_test(types),
        cmocka_unit_test(tables_mean),
        cmocka_unit_test(tables_of_other_pfns),
        cmocka_unit_test(reserved_slots),
        cmocka_unit_test(frames_of_nobody),
        cmocka_unit_test(formats_of_one_moment),
        cmocka_unit_test(dumps_of_two_moments),
        cmocka_unit_test(stopped),
        cmocka_unit_test(hostile),
        cmocka_unit_test(parts_are_done_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
