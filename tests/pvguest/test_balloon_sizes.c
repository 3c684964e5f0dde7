/* SPDX-License-Identifier: MIT */
/* The balloon at the sizes where something grows, is full, or is used up; and again and again. */
#include "balloon_guest.h"

/* ---- sizes */

/* All but what is kept; and up again, to the maximum and not beyond. */
static void test_down_to_almost_nothing_and_up_to_the_maximum(void **state)
{
    (void)state;
    uint64_t done, now, free;
    boot_small();
    free = pvg_pages_free(g);
    assert_int_equal(pvg_balloon_down(g, NR_PAGES, &done), -XEN_ENOMEM);
    assert_true(done >= free - PVG_BALLOON_KEPT);
    assert_int_equal(pvg_pages_free(g), PVG_BALLOON_KEPT);
    assert_int_equal(machine_owned(m), NR_PAGES - done);
    check_guest();
    check_figures();
    assert_int_equal(pvg_balloon_down(g, 1, &done), -XEN_ENOMEM);
    assert_int_equal(done, 0);
    assert_int_equal(pvg_balloon_to(g, MAX_PAGES + 10, &now), -XEN_ENOMEM);
    assert_int_equal(now, MAX_PAGES);
    assert_int_equal(machine_owned(m), MAX_PAGES);
    check_guest();
    check_figures();
    assert_int_equal(pvg_balloon_to(g, NR_PAGES, &now), 0);
    assert_int_equal(now, NR_PAGES);
    check_guest();
    check_figures();
    end();
}

/* No map, or one of what it was built with: above it all the same. */
static void test_above_the_map(void **state)
{
    (void)state;
    const struct machine_e820 built = {0, NR_PAGES * 4096ull, 1};
    for (unsigned known = 0; known < 2; known++) {
        struct pvg_p2m_info info;
        uint64_t done;
        boot_machine(&(struct machine_params){.seed = 10,
                                              .nr_pages = NR_PAGES,
                                              .max_pages = MAX_PAGES,
                                              .no_memory_map = !known,
                                              .e820 = &built,
                                              .nr_e820 = 1});
        assert_int_equal(g->info.extra, 0);
        assert_int_equal(pvg_balloon_up(g, 2000, &done), 0);
        pvg_p2m_info(g, &info);
        assert_int_equal(info.max_pfn, NR_PAGES + 2000);
        assert_int_equal(g->info.extra, 0);
        assert_int_equal(g->info.pages, NR_PAGES + 2000);
        check_guest();
        /* the lowest of the map's own come first again */
        assert_int_equal(pvg_balloon_down(g, 2300, &done), 0);
        assert_true(g->info.extra > 0);
        assert_int_equal(pvg_balloon_up(g, 1, &done), 0);
        check_guest();
        end();
    }
}

/* The machine's map ends where the machine's devices may be. */
static void test_initial_domain_stays_in_its_map(void **state)
{
    (void)state;
    const struct machine_e820 map[] = {{0, 0x9f000, 1}, {0x100000, 0x1300000, 1}};
    uint64_t done;
    boot_machine(&(struct machine_params){.seed = 11,
                                          .nr_pages = NR_PAGES,
                                          .max_pages = MAX_PAGES,
                                          .initial_domain = true,
                                          .e820 = map,
                                          .nr_e820 = 2});
    uint64_t extra = g->info.extra;
    assert_true(extra > 0);
    assert_int_equal(pvg_balloon_up(g, extra + 1, &done), -XEN_ENOMEM);
    assert_non_null(strstr(pvg_reason(g), "machine's map"));
    assert_int_equal(done, extra);
    assert_int_equal(g->info.extra, 0);
    check_guest();
    end();
}

static void test_memory_limit(void **state)
{
    (void)state;
    struct pvg_options o;
    uint64_t done;
    machine_after_call = NULL;
    m = machine_make(
        &(struct machine_params){.seed = 9, .nr_pages = NR_PAGES, .max_pages = MAX_PAGES});
    g = guest_start(m);
    pvg_options_default(&o);
    o.p2m = layout;
    o.memory_limit = NR_PAGES + 100;
    assert_int_equal(pvg_boot(g, &o), 0);
    machine_after_call = look_from_outside;
    assert_int_equal(pvg_balloon_up(g, 200, &done), -XEN_ENOSPC);
    assert_int_equal(done, 100);
    end();
}

/* Pages on both sides of where the next table of each level begins: a leaf and L1, an L2, an L3
 * table of the direct map's, its L4 slot; and of the p2m's. RAM of the map is nowhere else. */
static void test_edges(void **state)
{
    (void)state;
    const uint64_t edge[] = {1ull << 18, 1ull << 21, 1ull << 27, (1ull << 27) * 3, 1ull << 30};
    for (unsigned i = 0; i < sizeof(edge) / sizeof(edge[0]); i++) {
        const struct machine_e820 map[] = {{0, NR_PAGES * 4096ull, 1},
                                           {(edge[i] - 700) * 4096, 1400 * 4096ull, 1}};
        uint64_t done, free;
        boot_machine(&(struct machine_params){.seed = 12 + i,
                                              .nr_pages = NR_PAGES,
                                              .max_pages = MAX_PAGES,
                                              .e820 = map,
                                              .nr_e820 = 2});
        assert_int_equal(pvg_balloon_up(g, 1400, &done), 0);
        assert_null(machine_audit(m));
        assert_int_equal(machine_owned(m), NR_PAGES + 1400);
        for (uint64_t pfn = edge[i] - 700; pfn < edge[i] + 700; pfn++) {
            uint64_t entry = pvg_p2m_entry(g, pvg_pfn(pfn)), e, at;
            assert_int_equal(machine_m2p(m, entry), pfn);
            assert_int_equal(machine_walk(m, PVG_DIRECT_BASE + pfn * 4096, &e, &at), 1);
            assert_int_equal((e & PVG_PTE_FRAME) >> 12, entry);
            if (pfn < PVG_MFN_LIST_PFNS && outside_info(m)->pfn_to_mfn_frame_list_list != ~0ull)
                assert_int_equal(outside_list(m, pfn), entry);
            if (layout == PVG_P2M_LINEAR)
                assert_int_equal(outside_linear(m, pfn), entry);
        }
        assert_int_equal(outside_info(m)->max_pfn, edge[i] + 700);
        assert_int_equal(outside_info(m)->pfn_to_mfn_frame_list_list == ~0ull,
                         edge[i] + 700 > PVG_MFN_LIST_PFNS);
        /* what became tables of the new pages stays; all else goes, and the list can speak again */
        free = 0;
        for (uint64_t pfn = edge[i] - 700; pfn < edge[i] + 700; pfn++)
            free += !pvg_regions_holds(&g->memblock.reserved, pfn);
        assert_int_equal(pvg_balloon_down(g, free, &done), 0);
        assert_null(machine_audit(m));
        assert_int_equal(pvg_balloon_up(g, free, &done), 0);
        assert_null(machine_audit(m));
        machine_after_call = NULL;
        machine_end(m);
    }
}

/* ---- lists that are full */

/* Single pages far above, which are nothing's. */
static void fill(struct pvg_regions *r)
{
    for (uint64_t page = FAR_PAGE; r->count < PVG_REGIONS_MAX; page += 2)
        assert_int_equal(pvg_regions_add(r, page, page + 1), 0);
}

static void full_list(struct pvg_regions *full)
{
    uint64_t done, owned = machine_owned(m);
    const struct pvg_regions saved = *full;
    assert_int_equal(pvg_memblock_reserve(&g->memblock, FAR_PAGE, 1ull << 20), 0);
    fill(full);
    const struct pvg_regions filled = *full;
    assert_int_equal(pvg_balloon_down(g, 10, &done), -XEN_ENOSPC);
    assert_int_equal(done, 0);
    assert_true(same_regions(full, &filled));
    assert_int_equal(machine_owned(m), owned);
    /* one range fewer is enough, and what joins others needs none to come back */
    full->count--;
    assert_int_equal(pvg_balloon_down(g, 10, &done), 0);
    fill(full);
    assert_int_equal(pvg_balloon_up(g, 10, &done), 0);
    assert_int_equal(done, 10);
    assert_int_equal(machine_owned(m), owned);
    *full = saved;
    assert_int_equal(pvg_memblock_free(&g->memblock, FAR_PAGE, 1ull << 20), 0);
}

static void test_full_lists(void **state)
{
    (void)state;
    boot_small();
    full_list(&g->memblock.memory);
    check_guest();
    full_list(&g->direct);
    end();
}

/* ---- again and again */

static uint64_t random_state = 3;

static uint64_t below(uint64_t n)
{
    uint64_t x = random_state += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return (x ^ (x >> 31)) % n;
}

static void test_a_thousand_times(void **state)
{
    (void)state;
    struct pvg_p2m_info info;
    uint64_t now, used;
    pvg_pfn_t held[20];
    boot_small();
    for (unsigned i = 0; i < 20; i++) { /* pages that lie in between */
        assert_int_equal(pvg_pages_take(g, 1 + below(30), 1, &held[i]), 0);
        *content(pvg_p2m_mfn(g, held[i]).n) = MARK + i;
    }
    assert_int_equal(pvg_balloon_to(g, MAX_PAGES, &now), 0);
    used = MAX_PAGES - pvg_pages_free(g);
    machine_after_call = NULL;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t want = used + PVG_BALLOON_KEPT + 100 + below(MAX_PAGES - used - 200);
        assert_int_equal(pvg_balloon_to(g, want, &now), 0);
        assert_int_equal(now, want);
        assert_int_equal(machine_owned(m), want);
        if (i % 50 == 0) {
            check_guest();
            check_figures();
        }
    }
    assert_int_equal(pvg_balloon_to(g, MAX_PAGES, &now), 0);
    pvg_p2m_info(g, &info);
    assert_int_equal(info.populated, MAX_PAGES);
    /* as many pages are in use as before: nothing was lost */
    assert_int_equal(MAX_PAGES - pvg_pages_free(g), used);
    assert_int_equal(g->p2m.lost, 0);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(*content(pvg_p2m_mfn(g, held[i]).n), MARK + i);
    end();
}

/* Tables are made out of what is there, or not at all: from a guest with nothing to spare. */
static void test_up_from_a_full_guest(void **state)
{
    (void)state;
    uint64_t done;
    pvg_pfn_t page;
    boot_small();
    while (pvg_pages_take(g, 1, 1, &page) == 0)
        ;
    note_state(&before);
    assert_int_equal(pvg_balloon_up(g, 100, &done), -XEN_ENOMEM);
    assert_int_equal(done, 0);
    check_old();
    assert_int_equal(pvg_pages_give(g, page, 1), 0); /* the lowest; one is too few for the leaf */
    int rc = pvg_balloon_up(g, 100, &done);
    assert_true(rc == 0 ? done == 100 : done == 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_down_to_almost_nothing_and_up_to_the_maximum),
        BOTH(test_above_the_map),
        BOTH(test_initial_domain_stays_in_its_map),
        BOTH(test_memory_limit),
        BOTH(test_edges),
        BOTH(test_full_lists),
        BOTH(test_a_thousand_times),
        BOTH(test_up_from_a_full_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
