/* SPDX-License-Identifier: MIT */
/* Every source of a p2m, on machines made up for it, and what comes of comparing them. */
#include "asked.h"

/* ---- what is published */

static void m2p_and_lists_agree(void **state)
{
    (void)state;
    for (unsigned linear = 0; linear < 2; linear++) {
        struct made *m = made_new(8, 0);
        struct asked a;
        if (linear)
            made_publish_linear(m);
        else
            made_publish_tree(m);
        ask(&a, m, NULL);
        const enum pv_p2m_kind k = linear ? PV_P2M_LINEAR : PV_P2M_TREE;
        assert_says(&a, k, 0);
        assert_says(&a, PV_P2M_M2P, 0);
        assert_false(source(&a, k)->stale);
        assert_int_equal(source(&a, k)->end, m->next_table.n);
        assert_false(source(&a, PV_P2M_CONTAINER)->there);
        assert_false(source(&a, linear ? PV_P2M_TREE : PV_P2M_LINEAR)->there);
        assert_int_equal(a.sum.pfns, m->next_table.n);
        assert_int_equal(a.sum.has[k], m->next_table.n);
        assert_int_equal(a.sum.disagreed + a.sum.recovered + a.sum.ranges, 0);
        assert_int_equal(pv_p2m_end(a.p).n, m->next_table.n);
        const struct pv_p2m_entry e = pv_p2m_get(a.p, k, pfn(7));
        assert_int_equal(e.at.a, (m->list_leaf.n << 12) + 7 * 8);
        done(&a);
        made_free(m);
    }
}

static void nothing_published_is_no_gap(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    enum pv_p2m_kind k;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_LINEAR, false, "publishes none");
    assert_how(&a, PV_P2M_TREE, false, "publishes none");
    assert_how(&a, PV_P2M_SYMBOLS, false, "no symbols");
    assert_false(pv_p2m_publishes(a.p, &k));
    assert_int_equal(a.sum.recovered + a.sum.disagreed, 0);
    done(&a);
    made_free(m);
}

/* The tree ends early: m2p has the rest. */
static void what_a_short_list_lacks_is_recovered(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    enum pv_p2m_kind from;
    made_publish_tree(m);
    made_shared(m)->arch.max_pfn = 40;
    made_words(m, m->list_leaf)[20] = made_words(m, m->list_leaf)[21] = ~0ull;
    made_words(m, m->list_leaf)[30] = made_words(m, m->list_leaf)[31];
    ask(&a, m, NULL);
    assert_int_equal(a.ranges, 3);
    assert_range(&a, 0, 20, 21, BIT(TREE), true);
    assert_range(&a, 1, 30, 30, BIT(TREE), true);
    assert_range(&a, 2, 40, m->next_table.n - 1, BIT(TREE), true);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(a.range[i].from, PV_P2M_M2P);
    assert_int_equal(a.sum.recovered, 3 + m->next_table.n - 40);
    assert_int_equal(a.sum.disagreed, a.sum.recovered);
    assert_int_equal(pv_p2m_best(a.p, pfn(20), &from).mfn.n, made_mfn(m, pfn(20)).n);
    assert_int_equal(from, PV_P2M_M2P);
    assert_state(&a, PV_P2M_TREE, 20, PV_P2M_MISSING);
    assert_state(&a, PV_P2M_TREE, 45, PV_P2M_BEYOND);
    done(&a);
    made_free(m);
}

/* No page of it can be read: all of it is recovered. */
static void a_list_that_is_not_there_is_recovered_in_full(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_tree(m);
    made_words(m, m->list_top)[0] = 0;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TREE, false, "nothing in it has a frame");
    assert_int_equal(a.sum.recovered, m->next_table.n);
    assert_int_equal(a.ranges, 1);
    assert_range(&a, 0, 0, m->next_table.n - 1, 0, true);
    done(&a);
    made_free(m);
}

static void marks_are_told_apart(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_linear(m);
    uint64_t *list = made_words(m, m->list_leaf);
    list[3] |= 1ull << 62;          /* the frame itself, marked */
    list[200] = 1ull << 62 | 200;   /* no memory */
    list[201] = 1ull << 63 | 0x123; /* another domain's */
    list[202] = 0;
    made_shared(m)->arch.max_pfn = 300;
    ask(&a, m, NULL);
    assert_state(&a, PV_P2M_LINEAR, 3, PV_P2M_IDENTITY);
    assert_state(&a, PV_P2M_LINEAR, 200, PV_P2M_IDENTITY);
    assert_state(&a, PV_P2M_LINEAR, 201, PV_P2M_FOREIGN);
    assert_state(&a, PV_P2M_LINEAR, 202, PV_P2M_MISSING);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_LINEAR, pfn(201)).mfn.n, 0x123);
    assert_int_equal(a.sum.disagreed, 0);
    done(&a);
    made_free(m);
}

/* Kernels of old publish the last pfn where a count is due. */
static void max_pfn_may_be_the_last_pfn(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_tree(m);
    made_shared(m)->arch.max_pfn--;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TREE, true, "is the last pfn, not a count");
    assert_says(&a, PV_P2M_TREE, 0);
    assert_int_equal(a.sum.ranges, 0);
    done(&a);
    made_shared(m)->arch.max_pfn--; /* two less: it is just short */
    ask(&a, m, NULL);
    assert_int_equal(source(&a, PV_P2M_TREE)->end, m->next_table.n - 2);
    assert_int_equal(a.sum.recovered, 2);
    done(&a);
    made_free(m);
}

/* Before it is published anew after a restore, all frames are those of another machine. */
static void frames_of_before_are_stale(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    enum pv_p2m_kind from;
    made_publish_linear(m);
    uint64_t *list = made_words(m, m->list_leaf);
    for (unsigned i = 0; i < m->next_table.n; i++)
        list[i] = 0x100000 + i;
    list[9] = ~0ull;
    ask(&a, m, NULL);
    assert_true(source(&a, PV_P2M_LINEAR)->stale);
    assert_int_equal(a.sum.disagreed, 1); /* that it lacks one is said all the same */
    assert_range(&a, 1, 9, 9, BIT(LINEAR), true);
    assert_int_equal(a.sum.recovered, m->next_table.n);
    assert_int_equal(pv_p2m_best(a.p, pfn(5), &from).mfn.n, made_mfn(m, pfn(5)).n);
    assert_int_equal(pv_p2m_reverse(a.p, mfn(0x100005), &from).n, 5);
    assert_int_equal(from, PV_P2M_LINEAR);
    assert_int_equal(pv_p2m_reverse(a.p, made_mfn(m, pfn(5)), &from).n, 5);
    assert_int_equal(from, PV_P2M_M2P);
    assert_int_equal(pv_p2m_reverse(a.p, mfn(0x900005), &from).n, NO_PFN.n);
    done(&a);
    made_free(m);
}

/* ---- images whose tables hold pfns: a save stream's view, made of a machine's */

struct portable {
    struct pv_view *v;
    struct pv_backend backend;
    const struct pv_backend *is;
};
static struct portable saved;

static bool saved_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    if (mfn_eq(m, v->shared_info))
        return saved.is->read(v, m, offset, to, n);
    const mfn_t now = saved.is->mfn_of(v, pfn(m.n));
    return !mfn_eq(now, NO_MFN) && saved.is->read(v, now, offset, to, n);
}

static bool saved_owned(const struct pv_view *v, mfn_t m)
{
    return !mfn_eq(saved.is->mfn_of(v, pfn(m.n)), NO_MFN);
}

static pfn_t saved_pfn_of(const struct pv_view *v, mfn_t m)
{
    return saved_owned(v, m) ? pfn(m.n) : NO_PFN;
}

static mfn_t saved_mfn_of(const struct pv_view *v, pfn_t p)
{
    return saved_owned(v, mfn(p.n)) ? mfn(p.n) : NO_MFN;
}

static mfn_t saved_no_root(const struct pv_view *v, mfn_t from)
{
    (void)v;
    (void)from;
    return NO_MFN;
}

/* Page tables hold pfns from now on; the guest's lists keep the frames they have. */
static void save(struct made *m, struct pv_view *v)
{
    for (uint64_t t = PAGES; t < m->next_table.n; t++) {
        const mfn_t table = made_mfn(m, pfn(t));
        uint64_t *e = made_words(m, table);
        for (unsigned i = 0; i < 512; i++) {
            const mfn_t to = pte_frame(e[i]);
            if ((e[i] & PTE_PRESENT) && (e[i] & PTE_ACCESSED) && to.n < m->core.nr_frames &&
                m->core.m2p[to.n] < m->next_table.n && !mfn_eq(table, m->list_leaf) &&
                !mfn_eq(table, m->list_top) && !mfn_eq(table, m->list_middle))
                e[i] = pte_make(mfn(m->core.m2p[to.n]), e[i] & 0xfff);
        }
    }
    saved.v = v;
    saved.is = v->backend;
    saved.backend = *v->backend;
    saved.backend.read = saved_read;
    saved.backend.owned = saved_owned;
    saved.backend.pfn_of = saved_pfn_of;
    saved.backend.mfn_of = saved_mfn_of;
    saved.backend.next_pinned_root = saved_no_root;
    saved.backend.words = NULL;
    v->backend = &saved.backend;
    v->portable = true;
    v->has_m2p = false;
    v->kernel_root = v->vcpu[0].kernel_root = mfn(m->core.m2p[m->root.n]);
    v->initial_root = NO_MFN;
}

static void a_saved_guests_lists_are_found_again(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    enum pv_p2m_kind from;
    made_publish_tree(m);
    const mfn_t top = m->list_top, middle = m->list_middle, leaf = m->list_leaf;
    made_map(m, m->root, LIST_VA, leaf, FLAGS);
    fill(m, leaf, 0);
    made_words(m, leaf)[11] = ~0ull;               /* it lacks one that the image has */
    made_words(m, leaf)[600 % 512 + 300] = 0x7777; /* and has one that the image lacks */
    made_shared(m)->arch.p2m_cr3 = 0x1234000;
    made_shared(m)->arch.p2m_vaddr = LIST_VA;
    made_shared(m)->arch.max_pfn = 400;
    struct pv_view *v = made_open(m);
    const struct pv_backend *machines = v->backend;
    save(m, v);
    ask_view(&a, v, NULL);
    assert_how(&a, PV_P2M_LINEAR, true, "of before the suspend: seen by pfn");
    assert_how(&a, PV_P2M_TREE, true, "its frames found by \"linear\"");
    assert_true(source(&a, PV_P2M_LINEAR)->stale && source(&a, PV_P2M_TREE)->stale);
    assert_false(source(&a, PV_P2M_CONTAINER)->stale);
    for (enum pv_p2m_kind k = PV_P2M_LINEAR; k <= PV_P2M_TREE; k++) {
        const struct pv_p2m_entry e = pv_p2m_get(a.p, k, pfn(7));
        assert_int_equal(e.mfn.n, made_mfn(m, pfn(7)).n);
        assert_int_equal(e.at.a >> 12, m->core.m2p[leaf.n]);
    }
    assert_int_equal(a.ranges, 2);
    assert_range(&a, 0, 11, 11, BIT(LINEAR) | BIT(TREE), true);
    assert_range(&a, 1, 388, 388, BIT(LINEAR) | BIT(TREE), false);
    assert_int_equal(a.range[1].has, BIT(LINEAR) | BIT(TREE));
    assert_int_equal(pv_p2m_reverse_in(a.p, PV_P2M_TREE, top).n, m->core.m2p[top.n]);
    assert_int_equal(pv_p2m_reverse_in(a.p, PV_P2M_LINEAR, middle).n, m->core.m2p[middle.n]);
    assert_int_equal(pv_p2m_best(a.p, pfn(7), &from).mfn.n, 7);
    assert_int_equal(from, PV_P2M_CONTAINER);
    pv_p2m_close(a.p);
    v->backend = machines;
    pv_close(v);
    made_free(m);
}

/* ---- nothing is trusted */

static void a_tree_that_names_itself_ends(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_tree(m);
    for (unsigned i = 0; i < 512; i++) {
        made_words(m, m->list_top)[i] = m->list_top.n;
        made_words(m, m->list_middle)[i] = m->list_top.n;
    }
    made_shared(m)->arch.max_pfn = ~0ull;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TREE, true, "more pages than the guest can have");
    assert_true(source(&a, PV_P2M_TREE)->end < 1u << 21);
    /* all but the page that happens to say what is true of itself */
    assert_int_equal(a.sum.recovered, m->next_table.n - 1);
    done(&a);
    made_free(m);
}

static void a_map_that_maps_itself_ends(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    const mfn_t root = made_page(m);
    for (unsigned i = 0; i < 512; i++)
        made_words(m, root)[i] = pte_make(root, FLAGS);
    made_shared(m)->arch.p2m_cr3 = xen_pfn_to_cr3(root.n);
    made_shared(m)->arch.p2m_vaddr = 0xffff800000000000ull;
    made_shared(m)->arch.max_pfn = 1ull << 63;
    ask(&a, m, NULL);
    assert_true(pv_p2m_end(a.p).n < 1u << 21);
    assert_true(!source(&a, PV_P2M_LINEAR)->there || source(&a, PV_P2M_LINEAR)->end < 1u << 21);
    done(&a);
    made_free(m);
}

static void counts_beyond_all_measure_end_with_what_is_there(void **state)
{
    (void)state;
    const uint64_t counts[] = {1ull << 63, ~0ull, 1ull << 40, (1ull << 61) + 5};
    struct made *m = made_new(8, 0);
    struct asked a;
    made_publish_linear(m);
    for (unsigned i = 0; i < 4; i++) {
        made_shared(m)->arch.max_pfn = counts[i];
        ask(&a, m, NULL);
        assert_says(&a, PV_P2M_LINEAR, 0);
        assert_int_equal(source(&a, PV_P2M_LINEAR)->end, m->next_table.n);
        assert_int_equal(a.sum.ranges, 0);
        done(&a);
    }
    made_free(m);
}

/* Random words in every page of the lists, and in shared_info. */
static void damage_ends(void **state)
{
    (void)state;
    uint64_t seed = 12345;
    for (unsigned round = 0; round < 200; round++) {
        struct made *m = made_new(8, 0);
        struct asked a;
        enum pv_p2m_kind from;
        if (round & 1)
            made_publish_linear(m);
        else
            made_publish_tree(m);
        write_start_info(m, 20, round & 2 ? LIST_VA : KERNEL_VA);
        for (unsigned i = 0; i < 40; i++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            const uint64_t where = seed >> 33, what = seed >> (seed >> 59);
            const uint64_t page = PAGES + where % (m->next_table.n - PAGES);
            uint64_t *words =
                i % 8 ? made_words(m, made_mfn(m, pfn(page))) : (uint64_t *)&made_shared(m)->arch;
            words[i % 8 ? where / 64 % 512 : where % 6] =
                i % 3 ? what : pte_make(made_mfn(m, pfn(where / 8 % m->next_table.n)), FLAGS);
        }
        ask(&a, m, NULL);
        pv_p2m_reverse(a.p, mfn(seed >> 40), &from);
        pv_p2m_best(a.p, pfn(seed >> 50), &from);
        done(&a);
        made_free(m);
    }
}

static bool count_one(void *context, const struct pv_p2m_range *r)
{
    uint64_t *n = context;
    n[0] += r->last.n - r->first.n + 1;
    n[1]++;
    return true;
}

static void each_pfn_is_told_once(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    struct pv_error e;
    uint64_t n[2] = {0};
    made_publish_linear(m);
    made_give(m, pfn(1000000));
    ask(&a, m, NULL);
    assert_int_equal(pv_p2m_each(a.p, pfn(0), NO_PFN, count_one, n, NULL, &e), 0);
    assert_int_equal(n[0], 1000001);
    assert_true(n[1] < 5000); /* what is empty comes in pieces */
    n[0] = 0;
    assert_int_equal(pv_p2m_each(a.p, pfn(10), pfn(19), count_one, n, NULL, &e), 0);
    assert_int_equal(n[0], 10);
    n[0] = 0;
    assert_int_equal(pv_p2m_each(a.p, pfn(2000000), NO_PFN, count_one, n, NULL, &e), 0);
    assert_int_equal(n[0], 0);
    done(&a);
    made_free(m);
}

/* ---- a 32-bit guest: pfn p has frame p + 100; pfns from 1024 on are in the list's second page */

#define SMALL 1100u
#define OTHER 100u
static uint32_t small[SMALL + 1][1024]; /* the last page is shared_info */

static bool small_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    const uint64_t page = mfn_eq(m, v->shared_info) ? SMALL : m.n - OTHER;
    if (page > SMALL || offset + n > 4096)
        return false;
    memcpy(to, (uint8_t *)small[page] + offset, n);
    return true;
}

static bool small_owned(const struct pv_view *v, mfn_t m)
{
    (void)v;
    return m.n >= OTHER && m.n < OTHER + SMALL;
}

static pfn_t small_pfn_of(const struct pv_view *v, mfn_t m)
{
    return small_owned(v, m) ? pfn(m.n - OTHER) : NO_PFN;
}

static mfn_t small_mfn_of(const struct pv_view *v, pfn_t p)
{
    (void)v;
    return p.n < SMALL ? mfn(p.n + OTHER) : NO_MFN;
}

static pfn_t small_next_pfn(const struct pv_view *v, pfn_t from)
{
    (void)v;
    return from.n < SMALL ? from : NO_PFN;
}

static void elements_of_32_bits_are_read(void **state)
{
    (void)state;
    static const struct pv_backend backend = {.read = small_read,
                                              .owned = small_owned,
                                              .pfn_of = small_pfn_of,
                                              .mfn_of = small_mfn_of,
                                              .next_pfn = small_next_pfn,
                                              .next_pinned_root = saved_no_root};
    struct pv_view v = {.backend = &backend, .width = 4, .nr_pages = SMALL, .end_pfn = {SMALL}};
    const uint32_t arch = 2316 / 4; /* of a 32-bit shared_info: i386 has 12 bytes of clock before */
    struct asked a;
    v.shared_info = mfn(1 << 20);
    v.start_info = v.initial_root = v.kernel_root = NO_MFN;
    memset(small, 0, sizeof(small));
    small[SMALL][arch] = SMALL;
    small[SMALL][arch + 1] = OTHER + 1; /* the tree: pfns 1, 2; 3 and 4 are the list */
    small[1][0] = OTHER + 2;
    small[2][0] = OTHER + 3;
    small[2][1] = OTHER + 4;
    for (unsigned i = 0; i < 2048; i++)
        small[3 + i / 1024][i % 1024] = i < SMALL ? i + OTHER : ~0u;
    small[4][1] = ~0u;
    small[4][2] = 1u << 30 | 1026;
    small[4][3] = 1u << 31 | 0x55;
    ask_view(&a, &v, NULL);
    assert_false(source(&a, PV_P2M_TREE)->stale);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TREE, pfn(7)).mfn.n, 7 + OTHER);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TREE, pfn(1030)).mfn.n, 1030 + OTHER);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TREE, pfn(1030)).at.a, ((OTHER + 4) << 12) + 6 * 4);
    assert_state(&a, PV_P2M_TREE, 1025, PV_P2M_MISSING);
    assert_state(&a, PV_P2M_TREE, 1026, PV_P2M_IDENTITY);
    assert_state(&a, PV_P2M_TREE, 1027, PV_P2M_FOREIGN);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TREE, pfn(1027)).mfn.n, 0x55);
    assert_int_equal(a.sum.recovered, 3);
    assert_range(&a, 0, 1025, 1025, BIT(TREE), true);
    pv_p2m_close(a.p);
}

/* What m2p has at one pfn was not recovered at another, whatever a list says of before. */
static void a_frame_that_moved_is_not_found_where_it_was(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    enum pv_p2m_kind from;
    made_publish_tree(m);
    const uint64_t hole = m->next_table.n + 3;
    made_words(m, m->list_leaf)[hole] = made_mfn(m, pfn(7)).n;
    made_shared(m)->arch.max_pfn = hole + 1;
    ask(&a, m, NULL);
    assert_int_equal(pv_p2m_best(a.p, pfn(hole), &from).state, PV_P2M_BEYOND);
    assert_int_equal(from, PV_P2M_M2P);
    assert_range(&a, 0, hole, hole, BIT(TREE), false);
    assert_int_equal(a.sum.recovered, 0);
    done(&a);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_that_moved_is_not_found_where_it_was),
        cmocka_unit_test(elements_of_32_bits_are_read),
        cmocka_unit_test(m2p_and_lists_agree),
        cmocka_unit_test(nothing_published_is_no_gap),
        cmocka_unit_test(what_a_short_list_lacks_is_recovered),
        cmocka_unit_test(a_list_that_is_not_there_is_recovered_in_full),
        cmocka_unit_test(marks_are_told_apart),
        cmocka_unit_test(max_pfn_may_be_the_last_pfn),
        cmocka_unit_test(frames_of_before_are_stale),
        cmocka_unit_test(a_saved_guests_lists_are_found_again),
        cmocka_unit_test(a_tree_that_names_itself_ends),
        cmocka_unit_test(a_map_that_maps_itself_ends),
        cmocka_unit_test(counts_beyond_all_measure_end_with_what_is_there),
        cmocka_unit_test(damage_ends),
        cmocka_unit_test(each_pfn_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
