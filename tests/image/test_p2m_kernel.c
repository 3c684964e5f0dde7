/* SPDX-License-Identifier: MIT */
/* What kernels keep of their p2m, found by symbols, start_info and page tables. */
#include "asked.h"

#define HEAP_VA 0xffff888000000000ull /* where pages that are made for a test are mapped */

/* A page of the guest's, which its kernel has mapped. */
static mfn_t mapped_page(struct made *m, uint64_t va)
{
    const mfn_t page = made_page(m);
    made_map(m, m->root, va, page, FLAGS);
    memset(made_words(m, page), 0, 4096);
    return page;
}

/* ---- what the kernel keeps */

static void the_kernels_linear_list_is_found_by_its_symbol(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    struct asked a;
    const mfn_t data = mapped_page(m, HEAP_VA), list = mapped_page(m, LIST_VA);
    made_words(m, data)[0] = LIST_VA;
    made_words(m, data)[1] = 1ull << 63; /* more than there can be */
    name(&s, "xen_p2m_addr", HEAP_VA);
    name(&s, "xen_max_p2m_pfn", HEAP_VA + 8);
    fill(m, list, 0);
    ask(&a, m, &s);
    assert_how(&a, PV_P2M_SYMBOLS, true, "symbol xen_p2m_addr");
    assert_how(&a, PV_P2M_SYMBOLS, true, "said to have 8000000000000000 pfns");
    assert_says(&a, PV_P2M_SYMBOLS, 0);
    assert_int_equal(source(&a, PV_P2M_SYMBOLS)->end, m->next_table.n);
    assert_int_equal(a.sum.disagreed, 0);
    done(&a);
    made_words(m, data)[0] = 0x123; /* a lie */
    ask(&a, m, &s);
    assert_how(&a, PV_P2M_SYMBOLS, false, "nothing there has a frame");
    done(&a);
    made_free(m);
}

/* One page of missing elements, mapped by one table that maps nothing else, for most of 2^27 pfns:
 * it is not gone through page by page. */
static void a_page_that_stands_for_nothing_is_skipped(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    struct asked a;
    const mfn_t data = mapped_page(m, HEAP_VA), list = mapped_page(m, LIST_VA);
    const mfn_t missing = made_page(m), table = made_page(m), far = made_page(m);
    mfn_t l3 = pte_frame(made_words(m, m->root)[LIST_VA >> 39 & 511]);
    uint64_t *l2 = made_words(m, pte_frame(made_words(m, l3)[0]));
    memset(made_words(m, missing), 0xff, 4096);
    for (unsigned i = 0; i < 512; i++)
        made_words(m, table)[i] = pte_make(missing, FLAGS);
    for (unsigned i = 1; i < 511; i++)
        l2[i] = pte_make(table, FLAGS);
    for (unsigned i = 1; i < 512; i++)
        made_map(m, m->root, LIST_VA + i * 4096ull, missing, FLAGS);
    made_map(m, m->root, LIST_VA + (511ull << 21), far, FLAGS);
    memset(made_words(m, far), 0xff, 4096);
    made_words(m, far)[5] = made_mfn(m, pfn(3)).n;
    made_words(m, data)[0] = LIST_VA;
    made_words(m, data)[1] = 0x8000000;
    name(&s, "xen_p2m_addr", HEAP_VA);
    name(&s, "xen_max_p2m_pfn", HEAP_VA + 8);
    fill(m, list, 0);
    ask(&a, m, &s);
    assert_says(&a, PV_P2M_SYMBOLS, 0);
    const uint64_t last = (511ull << 21) / 8 + 5;
    assert_int_equal(source(&a, PV_P2M_SYMBOLS)->end, last + 1);
    assert_int_equal(a.ranges, 1); /* of a frame that m2p has elsewhere */
    assert_range(&a, 0, last, last, BIT(SYMBOLS), false);
    done(&a);
    made_free(m);
}

static void assert_levels(struct made *m, const struct pv_symbols *s, const char *words)
{
    struct asked a;
    ask(&a, m, s);
    assert_how(&a, PV_P2M_SYMBOLS, true, words);
    assert_says(&a, PV_P2M_SYMBOLS, 0);
    assert_state(&a, PV_P2M_SYMBOLS, 512, PV_P2M_MISSING);
    assert_int_equal(a.sum.disagreed, 0);
    done(&a);
}

/* Linux 2.6.37 to 3.18: p2m_top points to pointers to pointers to pages. */
static void three_levels_of_pointers_are_followed(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    struct asked a;
    const uint64_t top = HEAP_VA + 0x1000, middle = HEAP_VA + 0x2000, leaf = HEAP_VA + 0x3000,
                   missing = HEAP_VA + 0x4000, mid_missing = HEAP_VA + 0x5000,
                   identity = HEAP_VA + 0x6000;
    uint64_t *data = made_words(m, mapped_page(m, HEAP_VA));
    uint64_t *tops = made_words(m, mapped_page(m, top));
    uint64_t *middles = made_words(m, mapped_page(m, middle));
    const mfn_t list = mapped_page(m, leaf), sparse = mapped_page(m, HEAP_VA + 0x7000);
    name(&s, "p2m_top", HEAP_VA);
    name(&s, "p2m_missing", HEAP_VA + 8);
    name(&s, "p2m_mid_missing", HEAP_VA + 16);
    name(&s, "p2m_identity", HEAP_VA + 24);
    name(&s, "xen_max_p2m_pfn", HEAP_VA + 32);
    data[0] = top;
    data[1] = missing;
    data[2] = mid_missing;
    data[3] = identity;
    data[4] = 512 * 600;
    for (unsigned i = 0; i < 512; i++) {
        tops[i] = i == 0 ? middle : mid_missing;
        middles[i] = i == 0 ? leaf : i == 1 ? missing : i == 2 ? identity : HEAP_VA + 0x7000;
    }
    fill(m, sparse, 512ull * 700);
    fill(m, list, 0);
    assert_levels(m, &s, "three levels, Linux 2.6.37 to 3.18");
    middles[3] = 0x1234;                              /* no page's address */
    made_words(m, sparse)[2] = made_mfn(m, pfn(1)).n; /* so that the list reaches there */
    ask(&a, m, &s);
    assert_state(&a, PV_P2M_SYMBOLS, 512 * 2 + 7, PV_P2M_IDENTITY);
    assert_state(&a, PV_P2M_SYMBOLS, 512 * 3, PV_P2M_UNREADABLE);
    assert_state(&a, PV_P2M_SYMBOLS, 512 * 511, PV_P2M_MISSING);
    assert_state(&a, PV_P2M_SYMBOLS, 512 * 600, PV_P2M_BEYOND);
    assert_int_equal(a.sum.has[PV_P2M_SYMBOLS], m->next_table.n + 508);
    done(&a);
    made_free(m);
}

/* Linux 2.6.26 to 2.6.36: p2m_top is an array of pointers to pages. */
static void two_levels_of_pointers_are_followed(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    uint64_t *tops = made_words(m, mapped_page(m, HEAP_VA));
    const mfn_t list = mapped_page(m, HEAP_VA + 0x1000);
    const mfn_t last = mapped_page(m, HEAP_VA + 0x3000);
    name(&s, "p2m_top", HEAP_VA);
    name(&s, "p2m_missing", HEAP_VA + 0x2000);
    for (unsigned i = 0; i < 512; i++)
        tops[i] = i == 0 ? HEAP_VA + 0x1000 : HEAP_VA + 0x2000;
    tops[2] = HEAP_VA + 0x3000;
    made_shared(m)->arch.max_pfn = 512 * 3;
    fill(m, last, 512ull * 900);
    made_give(m, pfn(512 * 2 + 1));
    fill(m, last, 512 * 2);
    fill(m, list, 0);
    assert_levels(m, &s, "two levels, Linux 2.6.26 to 2.6.36");
    made_free(m);
}

static void the_first_kernels_array_is_found(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct pv_symbols s = {0};
    struct asked a;
    made_words(m, mapped_page(m, HEAP_VA))[0] = LIST_VA;
    name(&s, "phys_to_machine_mapping", HEAP_VA);
    fill(m, mapped_page(m, LIST_VA), 0);
    ask(&a, m, &s);
    assert_how(&a, PV_P2M_SYMBOLS, true, "phys_to_machine_mapping");
    assert_says(&a, PV_P2M_SYMBOLS, 0);
    done(&a);
    made_free(m);
}

/* ---- start_info, page tables */

static void the_builders_list_is_found_by_start_info(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    const char *why;
    const mfn_t list = mapped_page(m, LIST_VA);
    write_start_info(m, 20, LIST_VA);
    fill(m, list, 0);
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_FLAT, true, "start_info: mfn_list");
    assert_says(&a, PV_P2M_FLAT, 0);
    const struct pv_start_info *is = pv_p2m_start_info(a.p, &why);
    assert_non_null(is);
    assert_int_equal(is->frame.n, made_mfn(m, pfn(20)).n);
    assert_int_equal(is->nr_pages, m->next_table.n);
    assert_string_equal(is->cmd_line, "quiet\033[31m");
    done(&a);
    for (unsigned i = 0; i < 512; i++) /* the kernel has taken the page for something else */
        made_words(m, list)[i] = 0x6c6c6568206f7774ull + i;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_FLAT, false, "no list any more");
    done(&a);
    made_free(m);
}

static void the_kernels_map_of_memory_is_found(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TABLES, true, "at ffffffff80000000");
    assert_int_equal(source(&a, PV_P2M_TABLES)->end, PAGES);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(pv_p2m_get(a.p, PV_P2M_TABLES, pfn(i)).mfn.n, made_mfn(m, pfn(i)).n);
    assert_int_equal(a.sum.has[PV_P2M_TABLES], PAGES);
    assert_int_equal(a.sum.disagreed, 0); /* where the map ends it has nothing to say */
    done(&a);
    made_map(m, m->root, KERNEL_VA + 9 * 4096, made_mfn(m, pfn(12)), FLAGS);
    made_map(m, m->root, KERNEL_VA + 10 * 4096, mfn(m->is.shared_mfn), FLAGS);
    made_map(m, m->root, KERNEL_VA + 11 * 4096, mfn(0), 0);
    ask(&a, m, NULL);
    assert_int_equal(a.sum.disagreed, 3);
    assert_state(&a, PV_P2M_TABLES, 10, PV_P2M_FOREIGN);
    assert_state(&a, PV_P2M_TABLES, 11, PV_P2M_MISSING);
    assert_int_equal(pv_p2m_get(a.p, PV_P2M_TABLES, pfn(9)).mfn.n, made_mfn(m, pfn(12)).n);
    done(&a);
    made_free(m);
}

/* An address of which nothing is known but where the stack lies. */
static void a_map_anywhere_is_found_by_what_is_known(void **state)
{
    (void)state;
    struct made *m = made_new(8, 0);
    struct asked a;
    const mfn_t root = made_page(m);
    for (unsigned i = 0; i < PAGES; i++)
        made_map(m, root, 0x40000000 + i * 4096ull, made_mfn(m, pfn(i)), FLAGS);
    made_context(m)->ctrlreg[3] = xen_pfn_to_cr3(root.n);
    made_context(m)->user_regs.rsp = 0x40000000 + 9 * 4096 + 0x123;
    ask(&a, m, NULL);
    assert_how(&a, PV_P2M_TABLES, true, "at 40000000 (by a vCPU's stack)");
    done(&a);
    made_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernels_linear_list_is_found_by_its_symbol),
        cmocka_unit_test(a_page_that_stands_for_nothing_is_skipped),
        cmocka_unit_test(three_levels_of_pointers_are_followed),
        cmocka_unit_test(two_levels_of_pointers_are_followed),
        cmocka_unit_test(the_first_kernels_array_is_found),
        cmocka_unit_test(the_builders_list_is_found_by_start_info),
        cmocka_unit_test(the_kernels_map_of_memory_is_found),
        cmocka_unit_test(a_map_anywhere_is_found_by_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
