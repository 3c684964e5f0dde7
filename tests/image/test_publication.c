/* SPDX-License-Identifier: MIT */
/* What a guest publishes for tools against m2p: each kind of gap, in both forms of the list. */
#include "made.h"

static struct pv_publication publication(struct made *m)
{
    struct pv_view *v = made_open(m);
    struct pv_publication p;
    struct pv_error e;
    if (pv_publication(v, &p, &e))
        fail_msg("%s", e.text);
    pv_close(v);
    return p;
}

static void assert_clean(const struct pv_publication *p, bool linear)
{
    assert_true(p->published);
    assert_int_equal(p->linear, linear);
    assert_true(p->populated >= PAGES);
    assert_int_equal(p->covered, p->populated);
    assert_int_equal(p->gaps, 0);
    assert_int_equal(p->nameless, 0);
    assert_int_equal(p->doubled, 0);
}

static void assert_gap(const struct pv_publication *p, unsigned i, enum pv_gap_kind kind,
                       uint64_t first, uint64_t last)
{
    assert_true(p->gaps > i);
    assert_int_equal(p->gap[i].kind, kind);
    assert_int_equal(p->gap[i].first.n, first);
    assert_int_equal(p->gap[i].last.n, last);
}

/* One gap of `pages` pfns from `first` on, and all else is covered. */
static void assert_one_gap(const struct pv_publication *p, enum pv_gap_kind kind, uint64_t first,
                           uint64_t pages)
{
    assert_int_equal(p->gaps, 1);
    assert_gap(p, 0, kind, first, first + pages - 1);
    assert_int_equal(p->covered, p->populated - pages);
}

static struct made *published(bool linear)
{
    struct made *m = made_new(8, 0);
    if (linear)
        made_publish_linear(m);
    else
        made_publish_tree(m);
    return m;
}

static void both(void (*check)(struct made *m, bool linear))
{
    for (unsigned linear = 0; linear < 2; linear++) {
        struct made *m = published(linear);
        check(m, linear);
        made_free(m);
    }
}

static void check_complete(struct made *m, bool linear)
{
    struct pv_publication p = publication(m);
    assert_clean(&p, linear);
    assert_int_equal(p.max_pfn, m->next_table.n);
}

static void a_complete_list_is_clean(void **state)
{
    (void)state;
    both(check_complete);
}

/* An own mark of the kernel's does not make it another frame. */
static void check_marks(struct made *m, bool linear)
{
    made_words(m, m->list_leaf)[3] |= 1ull << 62;
    made_words(m, m->list_leaf)[4] |= 1ull << 63;
    struct pv_publication p = publication(m);
    assert_clean(&p, linear);
}

static void marks_are_masked(void **state)
{
    (void)state;
    both(check_marks);
}

/* What is ballooned out is no page: a list may have anything there. */
static void check_ballooned(struct made *m, bool linear)
{
    m->core.m2p[made_mfn(m, pfn(12)).n] = 300;
    made_words(m, m->list_leaf)[300] = made_words(m, m->list_leaf)[12];
    made_words(m, m->list_leaf)[12] = ~0ull;
    made_shared(m)->arch.max_pfn = 301;
    struct pv_publication p = publication(m);
    assert_clean(&p, linear);
}

static void what_is_ballooned_out_is_no_gap(void **state)
{
    (void)state;
    both(check_ballooned);
}

static void check_beyond(struct made *m, bool linear)
{
    (void)linear;
    made_shared(m)->arch.max_pfn = 50;
    struct pv_publication p = publication(m);
    assert_one_gap(&p, PV_GAP_BEYOND, 50, m->next_table.n - 50);
    assert_int_equal(p.gap[0].is.n, made_mfn(m, pfn(50)).n);
    assert_int_equal(p.gap[0].listed.n, ~0ull);
}

static void pages_above_max_pfn_are_told(void **state)
{
    (void)state;
    both(check_beyond);
}

static void check_missing(struct made *m, bool linear)
{
    (void)linear;
    made_words(m, m->list_leaf)[20] = ~0ull;
    made_words(m, m->list_leaf)[21] = ~0ull;
    struct pv_publication p = publication(m);
    assert_one_gap(&p, PV_GAP_MISSING, 20, 2);
}

static void missing_pages_are_told(void **state)
{
    (void)state;
    both(check_missing);
}

static void check_differing(struct made *m, bool linear)
{
    (void)linear;
    uint64_t *list = made_words(m, m->list_leaf);
    list[30] = list[31];
    list[31] = 1; /* not the guest's */
    list[33] = 1ull << 50;
    struct pv_publication p = publication(m);
    assert_int_equal(p.gaps, 2);
    assert_int_equal(p.covered, p.populated - 3);
    assert_gap(&p, 0, PV_GAP_DIFFERS, 30, 31);
    assert_gap(&p, 1, PV_GAP_DIFFERS, 33, 33);
    assert_int_equal(p.gap[0].is.n, made_mfn(m, pfn(30)).n);
    assert_int_equal(p.gap[0].listed.n, made_mfn(m, pfn(31)).n);
    assert_int_equal(p.gap[1].listed.n, 1ull << 50);
}

static void pages_listed_as_others_are_told(void **state)
{
    (void)state;
    both(check_differing);
}

/* Neighbours of different kinds are two runs. */
static void check_neighbours(struct made *m, bool linear)
{
    (void)linear;
    made_words(m, m->list_leaf)[20] = ~0ull;
    made_words(m, m->list_leaf)[21] = 1;
    struct pv_publication p = publication(m);
    assert_int_equal(p.gaps, 2);
    assert_gap(&p, 0, PV_GAP_MISSING, 20, 20);
    assert_gap(&p, 1, PV_GAP_DIFFERS, 21, 21);
}

static void kinds_are_not_mixed(void **state)
{
    (void)state;
    both(check_neighbours);
}

static void check_many(struct made *m, bool linear)
{
    (void)linear;
    for (unsigned i = 0; i < 40; i += 2)
        made_words(m, m->list_leaf)[i] = ~0ull;
    made_words(m, m->list_leaf)[37] = ~0ull; /* joins runs 19 and 20, which are not kept */
    struct pv_publication p = publication(m);
    assert_int_equal(p.gaps, 19);
    assert_int_equal(p.covered, p.populated - 21);
    assert_gap(&p, PV_GAPS - 1, PV_GAP_MISSING, 30, 30);
}

static void all_gaps_are_counted_though_few_are_kept(void **state)
{
    (void)state;
    both(check_many);
}

/* ---- the list's own frames */

static void a_leaf_of_another_owner_is_unreadable(void **state)
{
    (void)state;
    struct made *m = published(false);
    made_words(m, m->list_middle)[0] = 1;
    struct pv_publication p = publication(m);
    assert_one_gap(&p, PV_GAP_UNREADABLE, 0, p.populated);
    made_words(m, m->list_top)[0] = m->is.shared_mfn;
    p = publication(m);
    assert_one_gap(&p, PV_GAP_UNREADABLE, 0, p.populated);
    made_shared(m)->arch.pfn_to_mfn_frame_list_list = 1ull << 45;
    p = publication(m);
    assert_one_gap(&p, PV_GAP_UNREADABLE, 0, p.populated);
    made_free(m);
}

static void absent_parts_of_the_tree_are_missing(void **state)
{
    (void)state;
    const uint64_t none[] = {0, ~0ull};
    struct made *m = published(false);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t was = made_words(m, m->list_middle)[0];
        made_words(m, m->list_middle)[0] = none[i];
        struct pv_publication p = publication(m);
        assert_one_gap(&p, PV_GAP_MISSING, 0, p.populated);
        made_words(m, m->list_middle)[0] = was;
    }
    made_free(m);
}

/* One page in each part of the tree that has its own path. */
static void the_tree_is_followed_by_level(void **state)
{
    (void)state;
    struct made *m = published(false);
    const uint64_t far[] = {512 + 7, 512 * 512 + 9, 512ull * 512 * 511 + 1};
    for (unsigned i = 0; i < 3; i++) {
        mfn_t page = made_give(m, pfn(far[i])), leaf = made_give(m, NO_PFN),
              middle = m->list_middle;
        if (far[i] >= 512 * 512) {
            middle = made_give(m, NO_PFN);
            made_words(m, m->list_top)[far[i] / 512 / 512] = middle.n;
        }
        made_words(m, middle)[far[i] / 512 % 512] = leaf.n;
        made_words(m, leaf)[far[i] % 512] = page.n;
    }
    made_shared(m)->arch.max_pfn = 1ull << 30;
    struct pv_publication p = publication(m);
    assert_int_equal(p.gaps, 0);
    assert_int_equal(p.covered, p.populated);
    assert_int_equal(p.nameless, 5);
    made_give(m, pfn(512ull * 512 * 512)); /* the tree reaches no further */
    p = publication(m);
    assert_one_gap(&p, PV_GAP_MISSING, 512ull * 512 * 512, 1);
    made_free(m);
}

static void a_list_behind_another_owners_table_is_unreadable(void **state)
{
    (void)state;
    struct made *m = published(true);
    uint64_t *root = made_words(m, mfn(xen_cr3_to_pfn(made_shared(m)->arch.p2m_cr3)));
    uint64_t *third = made_words(m, pte_frame(root[LIST_VA >> 39 & 511]));
    uint64_t was = third[LIST_VA >> 30 & 511];
    memcpy(made_words(m, mfn(1)), made_words(m, pte_frame(was)), 4096);
    third[LIST_VA >> 30 & 511] = pte_make(mfn(1), PTE_PRESENT);
    struct pv_publication p = publication(m);
    assert_one_gap(&p, PV_GAP_UNREADABLE, 0, p.populated);
    third[LIST_VA >> 30 & 511] = was;
    p = publication(m);
    assert_clean(&p, true);
    made_free(m);
}

static void a_list_that_is_not_mapped_is_unreadable(void **state)
{
    (void)state;
    const uint64_t at[] = {0, LIST_VA + 4096, LIST_VA + 4, 0x0000800000000000ull, ~7ull};
    struct made *m = published(true);
    for (unsigned i = 0; i < sizeof(at) / sizeof(*at); i++) {
        made_shared(m)->arch.p2m_vaddr = at[i];
        struct pv_publication p = publication(m);
        assert_one_gap(&p, PV_GAP_UNREADABLE, 0, p.populated);
    }
    made_shared(m)->arch.p2m_vaddr = LIST_VA;
    made_shared(m)->arch.p2m_cr3 = ~0ull;
    struct pv_publication p = publication(m);
    assert_one_gap(&p, PV_GAP_UNREADABLE, 0, p.populated);
    made_free(m);
}

/* Where the address of an element would wrap, there is none, though what it wraps to is mapped. */
static void a_list_ends_with_the_address_space(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    mfn_t root = made_page(m);
    m->list_leaf = made_page(m);
    made_map(m, root, LIST_VA, m->list_leaf, PTE_PRESENT);
    made_map(m, root, 0, m->list_leaf, PTE_PRESENT);
    made_shared(m)->arch.p2m_cr3 = xen_pfn_to_cr3(root.n);
    made_shared(m)->arch.p2m_vaddr = LIST_VA;
    made_shared(m)->arch.max_pfn = ~0ull;
    for (unsigned i = 0; i < m->next_table.n; i++)
        made_words(m, m->list_leaf)[i] = made_mfn(m, pfn(i)).n;
    uint64_t wraps = (0 - LIST_VA) / 8 + 400, wraps_twice = (1ull << 61) + 401;
    made_words(m, m->list_leaf)[400] = made_give(m, pfn(wraps)).n;
    made_words(m, m->list_leaf)[401] = made_give(m, pfn(wraps_twice)).n;
    struct pv_publication p = publication(m);
    assert_int_equal(p.gaps, 2);
    assert_gap(&p, 0, PV_GAP_UNREADABLE, wraps, wraps);
    assert_gap(&p, 1, PV_GAP_UNREADABLE, wraps_twice, wraps_twice);
    made_free(m);
}

/* The list need not begin with a page. */
static void a_list_may_begin_within_a_page(void **state)
{
    (void)state;
    struct made *m = published(true);
    uint64_t *list = made_words(m, m->list_leaf);
    memmove(list + 100, list, (512 - 100) * 8);
    made_shared(m)->arch.p2m_vaddr = LIST_VA + 800;
    struct pv_publication p = publication(m);
    assert_clean(&p, true);
    made_free(m);
}

static void nothing_published_is_said(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_publication p = publication(m);
    assert_false(p.published);
    assert_true(p.populated >= PAGES);
    assert_int_equal(p.gaps, 0);
    made_shared(m)->arch.pfn_to_mfn_frame_list_list = ~0ull; /* too large for a tree */
    assert_false(publication(m).published);
    made_free(m);
}

static void frames_without_a_pfn_of_their_own_are_counted(void **state)
{
    (void)state;
    struct made *m = published(true);
    made_give(m, NO_PFN);
    made_give(m, NO_PFN);
    made_give(m, pfn(6));
    struct pv_publication p = publication(m);
    assert_int_equal(p.nameless, 2);
    assert_int_equal(p.doubled, 1);
    assert_int_equal(p.gaps, 0); /* the list may have either */
    made_free(m);
}

static void idle_roots_are_counted(void **state)
{
    (void)state;
    struct made *m = published(true);
    struct pv_publication p = publication(m);
    assert_int_equal(p.idle_roots, 0); /* the builder's is pinned, and loaded */
    assert_false(p.initial_idle);
    mfn_t own = made_root(m);
    made_context(m)->ctrlreg[3] = xen_pfn_to_cr3(own.n);
    p = publication(m);
    assert_int_equal(p.idle_roots, 1);
    assert_true(p.initial_idle);
    made_context(m)->ctrlreg[1] = xen_pfn_to_cr3(m->root.n);
    p = publication(m);
    assert_int_equal(p.idle_roots, 0);
    made_root(m);
    p = publication(m);
    assert_int_equal(p.idle_roots, 1);
    assert_false(p.initial_idle);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complete_list_is_clean),
        cmocka_unit_test(marks_are_masked),
        cmocka_unit_test(what_is_ballooned_out_is_no_gap),
        cmocka_unit_test(pages_above_max_pfn_are_told),
        cmocka_unit_test(missing_pages_are_told),
        cmocka_unit_test(pages_listed_as_others_are_told),
        cmocka_unit_test(kinds_are_not_mixed),
        cmocka_unit_test(all_gaps_are_counted_though_few_are_kept),
        cmocka_unit_test(a_leaf_of_another_owner_is_unreadable),
        cmocka_unit_test(absent_parts_of_the_tree_are_missing),
        cmocka_unit_test(the_tree_is_followed_by_level),
        cmocka_unit_test(a_list_behind_another_owners_table_is_unreadable),
        cmocka_unit_test(a_list_that_is_not_mapped_is_unreadable),
        cmocka_unit_test(a_list_ends_with_the_address_space),
        cmocka_unit_test(a_list_may_begin_within_a_page),
        cmocka_unit_test(nothing_published_is_said),
        cmocka_unit_test(frames_without_a_pfn_of_their_own_are_counted),
        cmocka_unit_test(idle_roots_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
