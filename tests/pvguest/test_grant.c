/* SPDX-License-Identifier: MIT */
/* The grant table: what another domain sees of it, its pages, and every request refused in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <xen/grant_table.h>
#include <xen/memory.h>

#include <cmocka.h>

#define NR_PAGES 2048u
#define WINDOW   0xffffcd0000000000ull
#define GIB      (1ull << 30)

static struct machine *m;
static struct pvguest *g;

static int start_with(const struct machine_params *p)
{
    struct pvg_options o;
    pvg_options_default(&o);
    m = machine_make(p);
    g = guest_start(m);
    return g == NULL || pvg_boot(g, &o);
}

static int setup(void **state)
{
    (void)state;
    return start_with(&(struct machine_params){
        .seed = 11, .nr_pages = NR_PAGES, .max_pages = NR_PAGES + 100, .pause_one_in = 3});
}

static int setup_table(void **state)
{
    return setup(state) || pvg_grant_init(g, 1);
}

static int teardown(void **state)
{
    (void)state;
    machine_fail_call(m, 0, 0);
    machine_fail_element(m, 0, 0);
    guest_fail_search(0);
    const char *wrong = guest_check(m, g);
    if (!wrong)
        wrong = guest_check_lists(m, g);
    if (wrong)
        print_error("%s\n", wrong);
    machine_end(m);
    return wrong ? -1 : 0;
}

#define assert_reason(part) assert_non_null(strstr(pvg_reason(g), part))

static void assert_sound(void)
{
    const char *wrong = guest_check(m, g);
    if (!wrong)
        wrong = guest_check_lists(m, g);
    if (wrong)
        fail_msg("%s", wrong);
}

static pvg_pfn_t take(void)
{
    pvg_pfn_t page;
    assert_int_equal(pvg_pages_take(g, 1, 1, &page), 0);
    return page;
}

static uint64_t *page_words(pvg_pfn_t page)
{
    return machine_frame(m, pvg_p2m_mfn(g, page).n);
}

static void assert_entry(uint32_t ref, uint16_t flags, domid_t to, pvg_pfn_t page)
{
    const grant_entry_v1_t *e = machine_grant_entry(m, ref);
    assert_int_equal(e->flags, flags);
    assert_int_equal(e->domid, to);
    assert_int_equal(e->frame, pvg_p2m_mfn(g, page).n);
}

static bool is_mapped(uint64_t va)
{
    uint64_t entry, at;
    return machine_walk(m, va, &entry, &at) == 1 && (entry & PVG_PTE_PRESENT);
}

/* ---- set-up */

static void test_no_table_before_the_boot(void **state)
{
    (void)state;
    uint32_t ref;
    struct pvg_grant_mapping b;
    m = machine_make(&(struct machine_params){.seed = 11, .nr_pages = NR_PAGES});
    g = guest_start(m);
    assert_non_null(g);
    assert_int_equal(pvg_grant_init(g, 1), -XEN_EINVAL);
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, pvg_pfn(1), false, &ref), -XEN_EINVAL);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, 8, WINDOW, false, &b), -XEN_EINVAL);
    assert_int_equal(pvg_grant_end(g, PVG_GRANT_RESERVED), -XEN_EINVAL);
    machine_end(m);
}

static void test_sizes(void **state)
{
    (void)state;
    uint64_t free = pvg_pages_free(g);
    assert_int_equal(pvg_grant_init(g, 0), -XEN_EINVAL);
    assert_int_equal(pvg_grant_init(g, PVG_GRANT_FRAMES_MAX + 1), -XEN_EINVAL);
    assert_int_equal(pvg_pages_free(g), free);
    assert_int_equal(pvg_grant_init(g, PVG_GRANT_FRAMES_MAX), 0);
    assert_int_equal(machine_grant_frames(m), PVG_GRANT_FRAMES_MAX);
    assert_int_equal(pvg_pages_free(g), free - PVG_GRANT_FRAMES_MAX);
    uint64_t calls = machine_calls(m);
    assert_int_equal(pvg_grant_init(g, 1), 0);
    assert_int_equal(machine_calls(m), calls);
}

static void test_the_hypervisor_has_none(void **state)
{
    (void)state;
    struct pvg_grant_mapping b;
    assert_int_equal(
        start_with(&(struct machine_params){.seed = 12, .nr_pages = NR_PAGES, .no_grants = true}),
        0);
    uint64_t free = pvg_pages_free(g);
    assert_int_equal(pvg_grant_init(g, 1), -XEN_ENOSYS);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, 8, WINDOW, false, &b), -XEN_ENOSYS);
    assert_int_equal(pvg_pages_free(g), free);
    assert_int_equal(grants_suspend(g), 0);
    assert_int_equal(grants_resume(g, true), 0);
}

static void test_the_hypervisor_allows_few(void **state)
{
    (void)state;
    assert_int_equal(
        start_with(&(struct machine_params){.seed = 13, .nr_pages = NR_PAGES, .grant_frames = 2}),
        0);
    assert_int_equal(pvg_grant_init(g, 3), -XEN_ENOSPC);
    assert_reason("allows 2");
    assert_int_equal(pvg_grant_init(g, 2), 0);
    assert_int_equal(pvg_grant_init(g, 3), -XEN_ENOSPC);
    assert_int_equal(machine_grant_frames(m), 2);
}

/* ---- lending */

static void test_entries(void **state)
{
    (void)state;
    pvg_pfn_t page = take(), other = take();
    uint32_t ref, second;
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, page, false, &ref), 0);
    assert_int_equal(pvg_grant_access(g, 77, other, true, &second), 0);
    assert_true(ref >= PVG_GRANT_RESERVED && second >= PVG_GRANT_RESERVED && ref != second);
    assert_entry(ref, GTF_permit_access, MACHINE_PEER, page);
    assert_entry(second, GTF_permit_access | GTF_readonly, 77, other);
    assert_int_equal(pvg_grants(g), 2);
    assert_int_equal(pvg_grant_end(g, ref), 0);
    assert_entry(ref, GTF_invalid, MACHINE_PEER, page);
    assert_entry(second, GTF_permit_access | GTF_readonly, 77, other);
    assert_int_equal(pvg_grant_end(g, ref), -XEN_EINVAL);
    assert_int_equal(pvg_grant_end(g, second), 0);
    assert_int_equal(pvg_grants(g), 0);
}

static void test_all_entries(void **state)
{
    (void)state;
    enum { ALL = 2 * 512 };
    static bool seen[ALL];
    pvg_pfn_t page = take();
    uint32_t ref;
    memset(seen, 0, sizeof(seen));
    for (unsigned i = PVG_GRANT_RESERVED; i < ALL; i++) {
        if (i == 512)
            assert_int_equal(pvg_grant_access(g, MACHINE_PEER, page, true, &ref), -XEN_ENOSPC);
        if (i == 512)
            assert_int_equal(pvg_grant_init(g, 2), 0);
        assert_int_equal(pvg_grant_access(g, MACHINE_PEER, page, true, &ref), 0);
        assert_true(ref >= PVG_GRANT_RESERVED && ref < ALL && !seen[ref]);
        seen[ref] = true;
        assert_entry(ref, GTF_permit_access | GTF_readonly, MACHINE_PEER, page);
    }
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, page, true, &ref), -XEN_ENOSPC);
    assert_int_equal(pvg_grants(g), ALL - PVG_GRANT_RESERVED);
    for (unsigned i = PVG_GRANT_RESERVED; i < ALL; i++)
        assert_int_equal(pvg_grant_end(g, i), 0);
    assert_int_equal(pvg_grants(g), 0);
}

static void test_what_cannot_be_lent(void **state)
{
    (void)state;
    uint32_t ref = 5;
    pvg_pfn_t none = pvg_pfn(NR_PAGES + 50);
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, none, false, &ref), -XEN_EINVAL);
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, PVG_NO_PFN, false, &ref), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set(g, none, PVG_P2M_IDENTITY | none.n), 0);
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, none, false, &ref), -XEN_EINVAL);
    assert_reason("frame of the guest's own");
    assert_int_equal(pvg_p2m_set(g, none, PVG_P2M_FOREIGN | machine_other_frame(m)), 0);
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, none, false, &ref), -XEN_EINVAL);
    assert_int_equal(pvg_p2m_set(g, none, PVG_P2M_MISSING), 0);
    assert_int_equal(ref, 5);
    assert_int_equal(pvg_grants(g), 0);
    for (ref = 0; ref <= PVG_GRANT_RESERVED; ref++)
        assert_int_equal(pvg_grant_end(g, ref), -XEN_EINVAL);
    assert_int_equal(pvg_grant_end(g, 512), -XEN_EINVAL);
    assert_int_equal(pvg_grant_end(g, ~0u), -XEN_EINVAL);
}

static void test_the_other_maps_ours(void **state)
{
    (void)state;
    pvg_pfn_t page = take();
    uint32_t ref, ro;
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, page, false, &ref), 0);
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, page, true, &ro), 0);
    assert_int_equal(machine_peer_map(m, ro, true), GNTST_general_error);
    assert_int_equal(machine_peer_map(m, ro, false), GNTST_okay);
    assert_int_equal(machine_peer_map(m, ref, true), GNTST_okay);
    assert_entry(ref, GTF_permit_access | GTF_reading | GTF_writing, MACHINE_PEER, page);
    assert_int_equal(pvg_grant_end(g, ref), -XEN_EBUSY);
    assert_reason("domain 2 has pfn");
    assert_int_equal(pvg_grant_end(g, ro), -XEN_EBUSY);
    assert_int_equal(pvg_grants(g), 2);
    assert_sound();
    machine_peer_unmap(m, ref);
    assert_int_equal(pvg_grant_end(g, ref), 0);
    assert_int_equal(machine_peer_map(m, ref, false), GNTST_general_error);
    assert_int_equal(pvg_grant_end(g, ro), -XEN_EBUSY);
    machine_peer_unmap(m, ro);
    assert_int_equal(pvg_grant_end(g, ro), 0);
}

/* ---- borrowing */

static void test_mapping(void **state)
{
    (void)state;
    struct pvg_grant_mapping rw, ro;
    uint32_t ref = machine_peer_lend(m, 3, false);
    uint64_t *page = machine_frame(m, machine_peer_frame(m, 3)), entry, at;
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, WINDOW, false, &rw), 0);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, WINDOW + 4096, true, &ro), 0);
    assert_int_equal(pvg_grant_mappings(g), 2);
    assert_int_equal(machine_grant_handles(m), 2);
    *(uint64_t *)machine_at(WINDOW + 8, true) = 0x1234;
    assert_int_equal(page[1], 0x1234);
    page[1] = 0x5678;
    assert_int_equal(*(uint64_t *)machine_at(WINDOW + 4096 + 8, false), 0x5678);
    assert_int_equal(machine_walk(m, WINDOW + 4096, &entry, &at), 1);
    assert_int_equal(entry & PVG_PTE_RW, 0);
    assert_false(machine_peer_end(m, ref));
    assert_sound();
    assert_int_equal(pvg_grant_unmap(g, &rw), 0);
    assert_false(is_mapped(WINDOW));
    assert_true(is_mapped(WINDOW + 4096));
    assert_int_equal(pvg_grant_unmap(g, &rw), -XEN_EINVAL);
    assert_int_equal(pvg_grant_unmap(g, &ro), 0);
    assert_int_equal(pvg_grant_mappings(g), 0);
    assert_true(machine_peer_end(m, ref));
}

/* By its own id: DOMID_SELF is nobody's there. */
static void test_ones_own(void **state)
{
    (void)state;
    struct pvg_grant_mapping b;
    pvg_pfn_t page = take();
    uint32_t ref;
    assert_int_equal(pvg_grant_access(g, MACHINE_SELF, page, false, &ref), 0);
    assert_int_equal(pvg_grant_map(g, DOMID_SELF, ref, WINDOW, false, &b), -XEN_ESRCH);
    assert_int_equal(pvg_grant_map(g, MACHINE_SELF, ref, WINDOW, false, &b), 0);
    *(uint64_t *)machine_at(WINDOW, true) = 99;
    assert_int_equal(page_words(page)[0], 99);
    assert_int_equal(pvg_grant_end(g, ref), -XEN_EBUSY);
    assert_int_equal(pvg_grant_unmap(g, &b), 0);
    assert_int_equal(pvg_grant_end(g, ref), 0);
}

static void refused(int want, domid_t from, uint32_t ref, uint64_t va, bool read_only)
{
    struct pvg_grant_mapping b = {.va = 1, .handle = 2};
    uint64_t free = pvg_pages_free(g), tables = machine_tables(m, 1);
    assert_int_equal(pvg_grant_map(g, from, ref, va, read_only, &b), want);
    assert_reason("mapping grant");
    assert_int_equal(b.va, 1);
    assert_int_equal(b.handle, 2);
    assert_int_equal(pvg_grant_mappings(g), 0);
    assert_int_equal(pvg_pages_free(g), free);
    assert_int_equal(machine_tables(m, 1), tables);
    assert_int_equal(machine_grant_handles(m), 0);
    assert_sound();
}

static void test_what_cannot_be_mapped(void **state)
{
    (void)state;
    uint32_t ro = machine_peer_lend(m, 0, true), none = ro + 1;
    refused(-XEN_ESRCH, 77, ro, WINDOW, true);
    refused(-XEN_ENOENT, MACHINE_PEER, 1u << 30, WINDOW, true);
    refused(-XEN_EIO, MACHINE_PEER, none, WINDOW, true);
    refused(-XEN_EIO, MACHINE_PEER, ro, WINDOW, false);
    refused(-XEN_EINVAL, MACHINE_PEER, ro, WINDOW + 8, true);
    refused(-XEN_EINVAL, MACHINE_PEER, ro, 0xffff800000000000ull, true);
    refused(-XEN_EINVAL, MACHINE_PEER, ro, 0x800000000000ull, true);
    refused(-XEN_EEXIST, MACHINE_PEER, ro, PVG_DIRECT_BASE + 4096, true);
    refused(-XEN_EEXIST, MACHINE_PEER, ro, fixmap_va(FIX_GRANT), true);
}

static void test_what_cannot_be_unmapped(void **state)
{
    (void)state;
    struct pvg_grant_mapping b, wrong;
    uint32_t ref = machine_peer_lend(m, 0, true);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, WINDOW, true, &b), 0);
    wrong = b, wrong.handle++;
    assert_int_equal(pvg_grant_unmap(g, &wrong), -XEN_EINVAL);
    wrong = b, wrong.va += 4096;
    assert_int_equal(pvg_grant_unmap(g, &wrong), -XEN_EINVAL);
    wrong = b, wrong.from = MACHINE_SELF;
    assert_int_equal(pvg_grant_unmap(g, &wrong), -XEN_EINVAL);
    wrong = b, wrong.read_only = false;
    assert_int_equal(pvg_grant_unmap(g, &wrong), -XEN_EINVAL);
    assert_int_equal(pvg_grant_mappings(g), 1);
    assert_true(is_mapped(WINDOW));
    assert_int_equal(pvg_grant_unmap(g, &b), 0);
}

/* Whoever clears the entry himself keeps the handle, and no way back (R10). */
static void test_cleared_behind_the_back(void **state)
{
    (void)state;
    struct pvg_grant_mapping b;
    uint32_t ref = machine_peer_lend(m, 0, false);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, WINDOW, false, &b), 0);
    pvg_set_va(g, WINDOW, 0);
    assert_int_equal(pvg_grant_unmap(g, &b), -XEN_EIO);
    assert_int_equal(pvg_grant_mappings(g), 1);
    assert_sound();
}

/* The library's own operations leave it, and go on with what is beside it. */
static void test_nothing_else_unmaps_it(void **state)
{
    (void)state;
    struct pvg_grant_mapping b;
    pvg_pfn_t page = take();
    uint32_t ref = machine_peer_lend(m, 0, false);
    assert_int_equal(pvg_map(g, WINDOW + 4096, page, 1, PVG_PTE_DATA), 0);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, WINDOW, false, &b), 0);
    assert_int_equal(pvg_unmap(g, WINDOW, 2), -XEN_EBUSY);
    assert_int_equal(pvg_space_unmap(g, NULL, WINDOW - 4096, 3), -XEN_EBUSY);
    assert_int_equal(pvg_space_change(g, NULL, WINDOW, page, 1, PVG_PTE_DATA), -XEN_EBUSY);
    assert_int_equal(pvg_space_protect(g, NULL, WINDOW, 2, PVG_PTE_RO_DATA), -XEN_EBUSY);
    assert_reason("maps grant 8 of domain 2");
    assert_true(is_mapped(WINDOW) && is_mapped(WINDOW + 4096));
    assert_int_equal(pvg_space_unmap(g, NULL, WINDOW + 4096, 1), 0);
    assert_int_equal(pvg_grant_unmap(g, &b), 0);
    assert_int_equal(pvg_unmap(g, WINDOW, 2), 0);
    assert_sound();
}

/* In a space: it keeps it until the space is loaded and the page given back. */
static void test_in_a_space(void **state)
{
    (void)state;
    enum { VA = 0x400000 };
    struct pvg_space a, other;
    struct pvg_grant_mapping b, same;
    pvg_pfn_t table;
    uint32_t ref = machine_peer_lend(m, 0, false);
    assert_int_equal(pvg_space_make(g, &a), 0);
    assert_int_equal(pvg_space_make(g, &other), 0);
    assert_int_equal(pvg_space_map(g, &a, 0x40000000, take(), 1, PVG_PTE_DATA), 0);
    assert_int_equal(pvg_table_alloc(g, &table), 0);
    assert_int_equal(pvg_table_attach(g, &a, VA, 2, table), 0);
    assert_int_equal(pvg_space_load(g, &a), 0);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, VA, false, &b), 0);
    assert_int_equal(pvg_space_load(g, &other), 0);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, VA, false, &same), 0);
    assert_int_equal(pvg_grant_unmap(g, &b), -XEN_EBUSY);
    assert_reason("not loaded");
    assert_int_equal(pvg_grant_unmap(g, &same), 0);
    assert_int_equal(pvg_space_unpin(g, &a), -XEN_EBUSY);
    assert_int_equal(pvg_space_end(g, &a), -XEN_EBUSY);
    assert_int_equal(pvg_space_unmap(g, &a, 0, 1ull << 30), -XEN_EBUSY);
    assert_int_equal(pvg_space_unmap(g, &other, 0, 1ull << 30), 0);
    assert_int_equal(pvg_space_load(g, &a), 0);
    assert_true(is_mapped(VA));
    assert_int_equal(pvg_grant_unmap(g, &b), 0);
    assert_int_equal(pvg_space_unmap(g, &a, VA, 1), 0);
    assert_int_equal(pvg_space_load(g, NULL), 0);
    assert_int_equal(pvg_table_detach(g, &a, VA, 2, &table), 0);
    assert_int_equal(pvg_table_free(g, table), 0);
    assert_int_equal(pvg_space_end(g, &a), 0);
    assert_int_equal(pvg_space_end(g, &other), 0);
    assert_sound();
}

/* By an L1 table that the caller attached. */
static void test_by_a_table_of_the_callers(void **state)
{
    (void)state;
    struct pvg_grant_mapping b;
    pvg_pfn_t page = take(), table;
    uint32_t ref = machine_peer_lend(m, 0, true);
    assert_int_equal(pvg_map(g, WINDOW, page, 1, PVG_PTE_DATA), 0);
    assert_int_equal(pvg_table_alloc(g, &table), 0);
    assert_int_equal(pvg_table_attach(g, NULL, WINDOW + (2 << 20), 1, table), 0);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, WINDOW + (3 << 20), true, &b), 0);
    assert_int_equal(pvg_table_detach(g, NULL, WINDOW + (2 << 20), 1, &table), -XEN_EBUSY);
    assert_int_equal(pvg_grant_unmap(g, &b), 0);
    assert_int_equal(pvg_table_detach(g, NULL, WINDOW + (2 << 20), 1, &table), 0);
    assert_int_equal(pvg_table_free(g, table), 0);
    assert_int_equal(pvg_unmap(g, WINDOW, 1), 0);
    assert_sound();
}

static void test_all_mappings(void **state)
{
    (void)state;
    static struct pvg_grant_mapping b[PVG_GRANT_MAPPINGS + 1];
    uint32_t ref = machine_peer_lend(m, 0, false);
    for (unsigned i = 0; i < PVG_GRANT_MAPPINGS; i++)
        assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, WINDOW + i * 4096ull, i & 1, &b[i]),
                         0);
    assert_int_equal(
        pvg_grant_map(g, MACHINE_PEER, ref, WINDOW - GIB, false, &b[PVG_GRANT_MAPPINGS]),
        -XEN_ENOSPC);
    for (unsigned i = 0; i < PVG_GRANT_MAPPINGS; i++) {
        unsigned k = i * 37 % PVG_GRANT_MAPPINGS;
        assert_int_equal(pvg_grant_unmap(g, &b[k]), 0);
        assert_int_equal(pvg_grant_unmap(g, &b[k]), -XEN_EINVAL);
        assert_int_equal(pvg_grant_mappings(g), PVG_GRANT_MAPPINGS - 1 - i);
    }
}

/* What is queued goes first, and a refusal of it is told before anything is done. */
static void test_lazy_mode(void **state)
{
    (void)state;
    struct pvg_grant_mapping b;
    uint32_t ref = machine_peer_lend(m, 0, false);
    pvg_lazy_enter(g);
    assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, WINDOW, false, &b), 0);
    assert_true(is_mapped(WINDOW));
    pvg_set_va(g, WINDOW + 4096, pvg_pte(pvg_root(g), PVG_PTE_DATA));
    assert_int_equal(pvg_grant_unmap(g, &b), -XEN_EBUSY);
    assert_reason("updates from before");
    assert_int_equal(pvg_grant_unmap(g, &b), 0);
    assert_int_equal(pvg_lazy_leave(g), 0);
}

/* ---- around a suspend */

static void test_suspend_with_borrowed_pages(void **state)
{
    (void)state;
    struct pvg_grant_mapping b[4];
    uint32_t ref = machine_peer_lend(m, 0, false);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pvg_grant_map(g, MACHINE_PEER, ref, WINDOW + i * 4096, false, &b[i]), 0);
        assert_int_equal(grants_suspend(g), -XEN_EBUSY);
        assert_reason("ffffcd0000000000 (grant 8 of domain 2)");
        assert_true(is_mapped(fixmap_va(FIX_GRANT)));
    }
    assert_reason("4 pages");
    assert_reason(", ...");
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pvg_grant_unmap(g, &b[i]), 0);
    assert_int_equal(grants_suspend(g), 0);
    assert_int_equal(grants_resume(g, false), 0);
}

static void test_suspend_cancelled(void **state)
{
    (void)state;
    pvg_pfn_t page = take();
    uint32_t ref;
    assert_int_equal(pvg_grant_init(g, 3), 0);
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, page, false, &ref), 0);
    assert_int_equal(machine_peer_map(m, ref, true), GNTST_okay);
    assert_int_equal(grants_suspend(g), 0);
    for (unsigned i = 0; i < PVG_GRANT_FRAMES_MAX; i++)
        assert_false(is_mapped(fixmap_va(FIX_GRANT + i)));
    assert_sound();
    assert_int_equal(grants_resume(g, false), 0);
    assert_entry(ref, GTF_permit_access | GTF_reading | GTF_writing, MACHINE_PEER, page);
    assert_int_equal(pvg_grant_end(g, ref), -XEN_EBUSY);
    machine_peer_unmap(m, ref);
    assert_int_equal(pvg_grant_end(g, ref), 0);
}

/* Another frame for the page, as if the domain were another. */
static void renew(pvg_pfn_t page)
{
    uint64_t va = PVG_DIRECT_BASE + page.n * PVG_PAGE_BYTES;
    xen_pfn_t in = pvg_p2m_mfn(g, page).n, out = page.n;
    struct xen_memory_exchange x = {.in = {.nr_extents = 1, .domid = DOMID_SELF},
                                    .out = {.nr_extents = 1, .domid = DOMID_SELF}};
    set_xen_guest_handle(x.in.extent_start, &in);
    set_xen_guest_handle(x.out.extent_start, &out);
    assert_int_equal(pvg_set_va(g, va, 0), 0);
    assert_int_equal(
        pvg_hypercall(g, __HYPERVISOR_memory_op, XENMEM_exchange, (uint64_t)&x, 0, 0, 0), 0);
    assert_true(out != in);
    assert_int_equal(pvg_p2m_set(g, page, out), 0);
    assert_int_equal(pvg_set_va(g, va, pvg_pte(pvg_mfn(out), PVG_PTE_DATA)), 0);
}

static void test_suspend_elsewhere(void **state)
{
    (void)state;
    enum { MANY = 600 };
    uint32_t ref[MANY], again;
    pvg_pfn_t page[4];
    for (unsigned i = 0; i < 4; i++)
        page[i] = take();
    assert_int_equal(pvg_grant_init(g, 2), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(pvg_grant_access(g, 10 + i, page[i % 4], i & 1, &ref[i]), 0);
    for (unsigned i = 0; i < MANY; i += 3)
        assert_int_equal(pvg_grant_end(g, ref[i]), 0);
    assert_int_equal(grants_suspend(g), 0);
    machine_grants_anew(m);
    for (unsigned i = 0; i < 4; i++)
        renew(page[i]);
    assert_int_equal(grants_resume(g, true), 0);
    assert_int_equal(machine_grant_frames(m), 2);
    assert_int_equal(pvg_grants(g), MANY - MANY / 3);
    for (unsigned i = 0; i < MANY; i++) {
        const grant_entry_v1_t *e = machine_grant_entry(m, ref[i]);
        if (i % 3)
            assert_entry(ref[i], GTF_permit_access | (i & 1 ? GTF_readonly : 0), 10 + i,
                         page[i % 4]);
        else
            assert_int_equal(e->flags, GTF_invalid);
    }
    assert_int_equal(pvg_grant_access(g, MACHINE_PEER, page[0], false, &again), 0);
    assert_int_equal(machine_peer_map(m, again, true), GNTST_okay);
    machine_peer_unmap(m, again);
    assert_int_equal(pvg_grant_end(g, again), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(pvg_grant_end(g, ref[i]), i % 3 ? 0 : -XEN_EINVAL);
}

#define PLAIN(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST(f)  cmocka_unit_test_setup_teardown(f, setup_table, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_table_before_the_boot),
        PLAIN(test_sizes),
        cmocka_unit_test_setup_teardown(test_the_hypervisor_has_none, NULL, teardown),
        cmocka_unit_test_setup_teardown(test_the_hypervisor_allows_few, NULL, teardown),
        TEST(test_entries),
        TEST(test_all_entries),
        TEST(test_what_cannot_be_lent),
        TEST(test_the_other_maps_ours),
        PLAIN(test_mapping),
        TEST(test_ones_own),
        TEST(test_what_cannot_be_mapped),
        PLAIN(test_what_cannot_be_unmapped),
        PLAIN(test_cleared_behind_the_back),
        PLAIN(test_nothing_else_unmaps_it),
        PLAIN(test_in_a_space),
        PLAIN(test_by_a_table_of_the_callers),
        PLAIN(test_all_mappings),
        PLAIN(test_lazy_mode),
        TEST(test_suspend_with_borrowed_pages),
        TEST(test_suspend_cancelled),
        TEST(test_suspend_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
