/* SPDX-License-Identifier: MIT */
/*
 * Memory above 4 GiB: pages of few frames, with a hole below them that the map has. And the p2m as
 * tools see it, of which those pages are the part that is lost first.
 */
#include "internal.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "guest.h"
#include "outside.h"

#include <cmocka.h>

#include <xen/memory.h>

#define MIB      (1ull << 20)
#define GIB      (1ull << 30)
#define NR_PAGES (24 * MIB / PVG_PAGE_BYTES)
#define LOW      (8 * MIB / PVG_PAGE_BYTES) /* pages below the hole */
#define MORE     3000u                      /* pages to come, in the last entry of `far` */
#define RAM      1
#define RESERVED 2

/* All that moves has one place. */
static const struct machine_e820 together[] = {
    {0, 8 * MIB, RAM},
    {8 * MIB, 8 * MIB, RESERVED},
    {4 * GIB, 64 * MIB, RAM},
};
/* Several places, none of which has room for all, at the ends of tables and in the middle. */
static const struct machine_e820 apart[] = {
    {0, 8 * MIB, RAM},
    {4 * GIB, 5 * MIB, RAM},
    {4 * GIB + 5 * MIB, MIB, RESERVED},
    {6 * GIB - MIB, 2 * MIB, RAM},
    {9 * GIB, GIB, RAM},
};

/* Behind another L4 slot, beyond what mfn_list_list can speak of. */
static const struct machine_e820 far[] = {
    {0, 8 * MIB, RAM},
    {4 * GIB, 16 * MIB, RAM},
    {600 * GIB, GIB, RAM},
};

static struct kind {
    const char *name;
    const struct machine_e820 *map;
    unsigned entries;
    enum pvg_p2m_layout layout;
    unsigned tables; /* out of the last range: L1s, an L2, far off an L3 */
} kinds[] = {
    {"together, linear", together, 3, PVG_P2M_LINEAR, 8 + 1},
    {"together, tree", together, 3, PVG_P2M_TREE, 8 + 1},
    {"apart, linear", apart, 5, PVG_P2M_LINEAR, 5 + 1},
    {"apart, tree", apart, 5, PVG_P2M_TREE, 5 + 1},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind far_kinds[] = {
    {"far, linear", far, 3, PVG_P2M_LINEAR, 6 + 1 + 1},
    {"far, tree", far, 3, PVG_P2M_TREE, 6 + 1 + 1},
};

static struct machine *m;
static struct pvguest *g;

static void check(const char *name, const char *wrong)
{
    if (wrong)
        fail_msg("%s: %s", name, wrong);
}

static void run_boot(void *arg)
{
    if (pvg_boot(g, arg))
        fail_msg("boot: %s", pvg_reason(g));
}

static void boot(const struct kind *k, unsigned faults, bool no_virt_p2m)
{
    struct pvg_options o = {.p2m = k->layout, .faults = faults};
    m = machine_make(&(struct machine_params){.seed = 11,
                                              .nr_pages = NR_PAGES,
                                              .max_pages = NR_PAGES + MORE,
                                              .e820 = k->map,
                                              .nr_e820 = k->entries,
                                              .no_virt_p2m = no_virt_p2m});
    g = guest_start(m);
    assert_non_null(g);
    assert_int_equal(machine_run(run_boot, &o), MACHINE_RETURNED);
}

/* ---- the direct map */

static bool is_table(uint64_t pfn)
{
    unsigned type = machine_type(m, pvg_p2m_mfn(g, pvg_pfn(pfn)).n);
    return type >= 1 && type <= 4;
}

/* Every page that is mapped anywhere in the direct map's 64 TiB, RAM or not. */
static uint64_t pages_mapped(void)
{
    uint64_t mapped = 0;
    for (uint64_t pfn = 0; pfn < PVG_DIRECT_PFNS; pfn++) {
        uint64_t e = 0, at;
        unsigned level = machine_walk(m, PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES, &e, &at);
        if (level == 1 && (e & PVG_PTE_PRESENT))
            mapped++;
        else if (level > 1)
            pfn |= (1ull << 9 * (level - 1)) - 1;
    }
    return mapped;
}

/* The range's pages that are tables: they must be one run. */
static struct pvg_range tables_in(struct pvg_range r)
{
    struct pvg_range t = {r.to, r.to};
    uint64_t tables = 0;
    for (uint64_t pfn = r.from; pfn < r.to; pfn++) {
        if (!is_table(pfn))
            continue;
        t.from = tables++ ? t.from : pfn;
        t.to = pfn + 1;
    }
    assert_int_equal(t.to - t.from, tables);
    return t;
}

/* The pages at the top that tables come from: of what was set aside there, three are not needed. */
static void check_tables(const char *name, struct pvg_range r, uint64_t tables)
{
    struct pvg_range t = tables_in(r);
    print_message("  %-18s RAM %" PRIx64 "..%" PRIx64 ": tables %" PRIx64 "..%" PRIx64 "\n", name,
                  r.from, r.to, t.from, t.to);
    assert_int_equal(t.to - t.from, tables);
    assert_in_range(r.to - t.to, 1, 6);
}

static struct pvg_range last_ram(void)
{
    const struct pvg_regions *ram = &pvg_memblock_of(g)->memory;
    return ram->at[ram->count - 1];
}

static void test_direct_map(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KINDS; i++) {
        struct pvg_memory_info info;
        boot(&kinds[i], 0, false);
        check(kinds[i].name, guest_check_booted(m, g));
        pvg_memory_info(g, &info);
        assert_int_equal(info.remapped, NR_PAGES - LOW);
        assert_int_equal(info.released, 0);
        assert_int_equal(pages_mapped(), NR_PAGES);
        for (uint64_t pfn = LOW; pfn < NR_PAGES; pfn++)
            assert_int_equal(pvg_p2m_entry(g, pvg_pfn(pfn)), PVG_P2M_IDENTITY | pfn);
        assert_true(last_ram().from >= PFN_4G);
        check_tables(kinds[i].name, last_ram(), kinds[i].tables);
        machine_end(m);
    }
}

static uint64_t populate(uint64_t pfn)
{
    xen_pfn_t number = pfn;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, &number);
    assert_int_equal(
        port_hypercall(__HYPERVISOR_memory_op, XENMEM_populate_physmap, (uint64_t)&r, 0, 0, 0), 1);
    return number;
}

/* A call of its own, above all else: it brings its tables along. It is more than mfn_list_list can
 * speak of, which is said there; the linear list goes on. */
static void test_more_direct_map(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct kind *k = &far_kinds[i];
        uint64_t first = 601 * GIB / PVG_PAGE_BYTES - MORE;
        struct pvg_range r = {first, first + MORE};
        boot(k, 0, false);
        for (uint64_t pfn = r.from; pfn < r.to; pfn++)
            assert_int_equal(pvg_p2m_set(g, pvg_pfn(pfn), populate(pfn)), 0);
        assert_int_equal(pvg_memblock_add(&g->memblock, r.from, MORE), 0);
        assert_int_equal(pvg_direct_map(g, r), 0);
        assert_int_equal(pages_mapped(), NR_PAGES + MORE);
        check_tables(k->name, r, k->tables);
        assert_int_equal(outside_info(m)->pfn_to_mfn_frame_list_list, ~0ul);
        for (uint64_t pfn = r.from; pfn < tables_in(r).from; pfn++)
            store(g, PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES, pfn);
        for (uint64_t pfn = r.from; pfn < r.to && k->layout == PVG_P2M_LINEAR; pfn++)
            assert_int_equal(outside_linear(m, pfn), pvg_p2m_entry(g, pvg_pfn(pfn)));
        check(k->name, machine_audit(m));
        machine_end(m);
    }
}

/* ---- from outside */

typedef uint64_t outside_way(struct machine *m, uint64_t pfn);

/* Each frame of the guest's but those of pages `from`..`to` - 1 is found, as the page that m2p has
 * it for, and nothing else is. */
static void check_outside(const char *name, outside_way *way, uint64_t from, uint64_t to)
{
    uint64_t found = 0, left_out = 0;
    for (uint64_t pfn = 0; pfn < outside_info(m)->max_pfn; pfn++) {
        uint64_t n = way(m, pfn);
        bool there = n != PVG_P2M_MISSING;
        if (there && (machine_owner(m, n) != MACHINE_GUEST || machine_m2p(m, n) != pfn))
            fail_msg("%s: page %" PRIx64 " is frame %" PRIx64, name, pfn, n);
        if (there && pfn >= from && pfn < to)
            fail_msg("%s: page %" PRIx64 " is there", name, pfn);
        found += there;
    }
    for (uint64_t n = 0; n < machine_frames(m); n++)
        left_out += machine_owner(m, n) == MACHINE_GUEST && n != machine_shared_frame(m) &&
                    machine_m2p(m, n) >= from && machine_m2p(m, n) < to;
    assert_int_equal(found + left_out, NR_PAGES);
    assert_int_equal(left_out, from < to ? NR_PAGES - LOW : 0);
}

static void test_seen_from_outside(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        boot(&kinds[i], 0, false);
        assert_int_equal(outside_info(m)->max_pfn, PFN_4G + NR_PAGES - LOW);
        check_outside(kinds[i].name, outside_list, 0, 0);
        if (kinds[i].layout == PVG_P2M_LINEAR)
            check_outside(kinds[i].name, outside_linear, 0, 0);
        machine_end(m);
    }
}

/* The linear list has all that mfn_list_list lacks: who saves by that does not notice. */
static void test_short_list(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        boot(&kinds[i], PVG_FAULT_SHORT_MFN_LIST, false);
        check_outside(kinds[i].name, outside_list, NR_PAGES, ~0ull);
        if (kinds[i].layout == PVG_P2M_LINEAR)
            check_outside(kinds[i].name, outside_linear, 0, 0);
        machine_end(m);
    }
}

static void test_linear_list_is_published(void **state)
{
    (void)state;
    uint64_t generation;
    boot(&kinds[0], 0, false);
    assert_int_equal(outside_info(m)->p2m_cr3, pvg_root(g).n << PVG_PAGE_SHIFT);
    assert_int_equal(outside_info(m)->p2m_vaddr, PVG_P2M_BASE);
    generation = outside_info(m)->p2m_generation;
    assert_int_equal(generation % 2, 0);
    /* A new leaf, and tables above it: one change. Words of leaves that are there are none. */
    uint64_t pfn = PFN_4G * 16 + 5;
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(pfn), 0x1234567), 0);
    assert_int_equal(outside_info(m)->p2m_generation, generation + 2);
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(pfn + 1), 0x7654321), 0);
    assert_int_equal(outside_info(m)->p2m_generation, generation + 2);
    assert_int_equal(outside_linear(m, pfn), 0x1234567);
    assert_int_equal(outside_linear(m, pfn + 1), 0x7654321);
    assert_int_equal(outside_linear(m, pfn + 2), PVG_P2M_MISSING);
    assert_int_equal(outside_list(m, pfn + 1), 0x7654321);
    assert_int_equal(outside_info(m)->max_pfn, pfn + 2);
    check("published", machine_audit(m));
    machine_end(m);
}

static void test_linear_list_is_not_published(void **state)
{
    (void)state;
    boot(&kinds[0], 0, true); /* nobody asked for it */
    assert_int_equal(outside_info(m)->p2m_cr3, 0);
    check_outside("not wanted", outside_list, 0, 0);
    machine_end(m);
    boot(&kinds[1], 0, false); /* there is none */
    assert_int_equal(outside_info(m)->p2m_cr3, 0);
    machine_end(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_direct_map),
        cmocka_unit_test(test_more_direct_map),
        cmocka_unit_test(test_seen_from_outside),
        cmocka_unit_test(test_short_list),
        cmocka_unit_test(test_linear_list_is_published),
        cmocka_unit_test(test_linear_list_is_not_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
