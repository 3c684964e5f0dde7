/* SPDX-License-Identifier: MIT */
/* Guests made to keep their readers busy for ever: tables and lists that lead to themselves, counts
 * of 2^63. Everything is asked of each, of the machine and of a dump-core of it, within seconds. */
#include "made.h"

#include <stdio.h>
#include <unistd.h>

#define SECONDS 20u
#define EVIL    (1ull << 63)

static void ask_in_time(const struct pv_view *v)
{
    alarm(SECONDS); /* it ends the test */
    ask_everything(v);
    alarm(0);
}

static void ask_both(struct made *m)
{
    struct pv_view *live = made_open(m), *dump = NULL;
    struct pv_error e;
    int fd = scratch_file();
    ask_in_time(live);
    assert_int_equal(pv_dumpcore_write(live, fd, NULL, &e), 0);
    if (pv_open(&dump, scratch_path(fd), &(struct pv_open_options){.domain = -1}, &e))
        fail_msg("%s", e.text);
    ask_in_time(dump);
    struct pv_publication p;
    assert_int_equal(pv_publication(dump, &p, &e), 0);
    assert_true(p.covered <= p.populated && p.populated <= dump->nr_pages);
    pv_close(dump);
    pv_close(live);
    close(fd);
    made_free(m);
}

/* 512 to the power of 4 ways lead through it. */
static void a_table_that_is_all_its_own(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    made_publish_tree(m);
    for (unsigned i = 0; i < 512; i++)
        made_words(m, m->root)[i] = pte_make(m->root, PTE_PRESENT | PTE_RW | PTE_USER);
    ask_both(m);
}

/* One table of each level, every entry of which leads to the next. */
static void tables_that_share_all_below(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    mfn_t table[4] = {m->root, made_page(m), made_page(m), made_page(m)};
    for (unsigned level = 0; level < 4; level++)
        for (unsigned i = 0; i < 512; i++)
            made_words(m, table[level])[i] =
                pte_make(table[level < 3 ? level + 1 : 3], PTE_PRESENT | PTE_RW);
    ask_both(m);
}

static void a_tree_that_is_its_own_leaf(void **state)
{
    (void)state;
    const uint64_t counts[] = {1, 513, 1ull << 32, EVIL, EVIL - 1, ~0ull};
    for (unsigned c = 0; c < sizeof(counts) / sizeof(*counts); c++) {
        struct made *m = made_new(8, 0);
        made_publish_tree(m);
        for (unsigned i = 0; i < 512; i++)
            made_words(m, m->list_top)[i] = m->list_top.n;
        made_shared(m)->arch.max_pfn = counts[c];
        ask_both(m);
    }
}

static void a_linear_list_without_end(void **state)
{
    (void)state;
    const uint64_t places[] = {LIST_VA, 0, ~0ull, ~0ull - 4095, EVIL, LIST_VA + 1, KERNEL_VA};
    for (unsigned p = 0; p < sizeof(places) / sizeof(*places); p++) {
        struct made *m = made_new(8, 0);
        made_publish_linear(m);
        made_shared(m)->arch.max_pfn = p % 2 ? EVIL : ~0ull;
        made_shared(m)->arch.p2m_vaddr = places[p];
        ask_both(m);
    }
}

/* The list is reached through tables that lead to themselves, and holds them. */
static void a_list_of_its_own_tables(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    made_publish_linear(m);
    uint64_t root = xen_cr3_to_pfn(made_shared(m)->arch.p2m_cr3);
    for (unsigned i = 0; i < 512; i++)
        made_words(m, mfn(root))[i] = pte_make(mfn(root), PTE_PRESENT | PTE_RW);
    made_shared(m)->arch.max_pfn = EVIL;
    ask_both(m);
}

/* m2p is the guest's to write: every frame at one pfn, or at the highest there are. */
static void an_m2p_that_lies(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        struct made *m = made_new(8, 0);
        made_publish_tree(m);
        for (uint64_t n = 0; n < m->core.nr_frames; n++)
            m->core.m2p[n] = how == 0 ? 5 : how == 1 ? EVIL + n : ~0ull - 1 - n;
        struct pv_view *v = made_open(m);
        ask_in_time(v);
        pv_close(v);
        made_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_that_is_all_its_own),
        cmocka_unit_test(tables_that_share_all_below),
        cmocka_unit_test(a_tree_that_is_its_own_leaf),
        cmocka_unit_test(a_linear_list_without_end),
        cmocka_unit_test(a_list_of_its_own_tables),
        cmocka_unit_test(an_m2p_that_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
