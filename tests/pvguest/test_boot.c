/* SPDX-License-Identifier: MIT */
/* pvg_boot() in machines of many kinds, and with everything failing that can. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

#include <cmocka.h>

#define MIB       (1ull << 20)
#define PAGES(mb) ((mb)*MIB / PVG_PAGE_BYTES)
#define RAM       1
#define RESERVED  2
#define ACPI      3
#define NVS       4

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- kinds of machines */

static const struct machine_e820 pc[] = {
    {0, 0x9fc00, RAM},          {0x9fc00, 0x400, RESERVED},      {0xf0000, 0x10000, RESERVED},
    {MIB, 10 * MIB, RAM},       {11 * MIB, 0x3000, ACPI},        {11 * MIB + 0x3000, 0x1d000, NVS},
    {12 * MIB, 300 * MIB, RAM}, {0xfffc0000, 0x40000, RESERVED},
};
/* Nothing above the holes: what lies in them has to go back. */
static const struct machine_e820 tight[] = {
    {0, 0xa0000, RAM},
    {MIB, 9 * MIB, RAM},
    {10 * MIB, 2 * MIB, RESERVED},
    {12 * MIB, 4 * MIB, RAM},
};
/* Out of order, overlapping, and room above for half of what has to move. */
static const struct machine_e820 untidy[] = {
    {15 * MIB, 2 * MIB, RAM}, {0, 8 * MIB, RAM},
    {7 * MIB, MIB, RESERVED}, {10 * MIB + 0x800, 5 * MIB - 0x800, RAM},
    {13 * MIB, 0x1800, NVS},  {64 * MIB, 0, RAM},
    {20 * MIB, MIB, RAM},
};
/* A page at a time. */
static struct machine_e820 comb[200];

static struct kind {
    const char *name;
    struct machine_params p;
    struct pvg_options o;
} kinds[] = {
    {.name = "16 MiB", .p = {.nr_pages = PAGES(16)}},
    {.name = "16 MiB, tree", .p = {.nr_pages = PAGES(16)}, .o = {.p2m = PVG_P2M_TREE}},
    {.name = "no map", .p = {.nr_pages = PAGES(16), .no_memory_map = true}},
    {.name = "a page more",
     .p = {.nr_pages = PAGES(18) + 1, .features_minimal = true, .no_virt_p2m = true}},
    {.name = "64 MiB, pausing", .p = {.nr_pages = PAGES(64), .pause_one_in = 2}},
    {.name = "256 MiB", .p = {.nr_pages = PAGES(256)}},
    {.name = "256 MiB, tree", .p = {.nr_pages = PAGES(256)}, .o = {.p2m = PVG_P2M_TREE}},
    {.name = "room for more", .p = {.nr_pages = PAGES(20), .max_pages = PAGES(40)}},
    {.name = "P2M apart",
     .p = {.nr_pages = PAGES(32), .init_p2m = 0xffffc98000000000, .module_pages = 300}},
    {.name = "P2M apart, tree",
     .p = {.nr_pages = PAGES(32),
           .init_p2m = 0xffffc98000000000,
           .module_pages = 300,
           .module_by_pfn = true},
     .o = {.p2m = PVG_P2M_TREE}},
    {.name = "a module in the region", .p = {.nr_pages = PAGES(32), .module_pages = 1000}},
    {.name = "a large image", .p = {.nr_pages = PAGES(32), .image_pages = 1500}},
    {.name = "limited", .p = {.nr_pages = PAGES(32)}, .o = {.memory_limit = PAGES(20)}},
    {.name = "limited, tree",
     .p = {.nr_pages = PAGES(32)},
     .o = {.memory_limit = PAGES(20) + 7, .p2m = PVG_P2M_TREE}},
    {.name = "pc",
     .p = {.nr_pages = PAGES(32), .initial_domain = true, .e820 = pc, .nr_e820 = COUNT(pc)}},
    {.name = "pc, tree",
     .p = {.nr_pages = PAGES(32), .initial_domain = true, .e820 = pc, .nr_e820 = COUNT(pc)},
     .o = {.p2m = PVG_P2M_TREE}},
    {.name = "pc, 256 MiB",
     .p = {.nr_pages = PAGES(256), .initial_domain = true, .e820 = pc, .nr_e820 = COUNT(pc)}},
    {.name = "pc, as an ordinary domain",
     .p = {.nr_pages = PAGES(24), .e820 = pc, .nr_e820 = COUNT(pc)}},
    {.name = "pc, limited",
     .p = {.nr_pages = PAGES(32), .initial_domain = true, .e820 = pc, .nr_e820 = COUNT(pc)},
     .o = {.memory_limit = PAGES(24)}},
    {.name = "tight",
     .p = {.nr_pages = PAGES(16), .initial_domain = true, .e820 = tight, .nr_e820 = COUNT(tight)}},
    {.name = "untidy",
     .p =
         {.nr_pages = PAGES(17), .initial_domain = true, .e820 = untidy, .nr_e820 = COUNT(untidy)}},
    {.name = "comb", .p = {.nr_pages = PAGES(16), .e820 = comb, .nr_e820 = COUNT(comb)}},
};

static void make_comb(void)
{
    comb[0] = (struct machine_e820){0, 8 * MIB, RAM};
    for (unsigned i = 1; i < COUNT(comb) - 1; i++)
        comb[i] = (struct machine_e820){8 * MIB + i * 5 * 4096, 4096 * (1 + i % 4), RAM};
    comb[COUNT(comb) - 1] = (struct machine_e820){16 * MIB, 32 * MIB, RAM};
}

/* ---- booting */

struct boot {
    struct machine *m;
    struct pvguest *g;
    struct pvg_options o;
    int rc;
};

static void run_boot(void *arg)
{
    struct boot *b = arg;
    b->rc = pvg_boot(b->g, &b->o);
}

static void boot_make(struct boot *b, const struct kind *k, uint64_t seed)
{
    struct machine_params p = k->p;
    p.seed = seed;
    *b = (struct boot){.m = machine_make(&p), .o = k->o};
    b->o.p2m = k->o.p2m == PVG_P2M_TREE ? PVG_P2M_TREE : PVG_P2M_LINEAR;
    b->g = guest_start(b->m);
    if (!b->g)
        fail_msg("%s: the start is refused: %s", k->name, guest_reason());
}

static void boot_run(struct boot *b, const struct kind *k)
{
    int how = machine_run(run_boot, b);
    if (how != MACHINE_RETURNED)
        fail_msg("%s: the guest ended itself (%d):\n%s", k->name, how, machine_console(b->m));
}

/* ---- what a boot leaves */

static bool is_whole_ram(const struct pvg_e820 *map, uint64_t pfn)
{
    for (unsigned i = 0; i < map->count; i++)
        if (map->at[i].type == PVG_E820_RAM && map->at[i].address <= pfn * PVG_PAGE_BYTES &&
            map->at[i].address + map->at[i].bytes >= (pfn + 1) * PVG_PAGE_BYTES)
            return true;
    return false;
}

/* Below nr_pages what is not RAM is the machine's own; RAM is there but for the limit. */
static void check_holes(const struct boot *b, const struct kind *k)
{
    const struct pvg_e820 *map = pvg_memory_map(b->g);
    for (uint64_t pfn = 0; pfn < k->p.nr_pages; pfn++) {
        uint64_t e = pvg_p2m_entry(b->g, pvg_pfn(pfn));
        bool limited = k->o.memory_limit && pfn >= k->o.memory_limit;
        uint64_t want = is_whole_ram(map, pfn) ? PVG_P2M_MISSING : PVG_P2M_IDENTITY | pfn;
        bool populated = e != PVG_P2M_MISSING && !(e & PVG_P2M_MARKS);
        if (is_whole_ram(map, pfn) && !limited ? !populated : e != want)
            fail_msg("%s: page %" PRIx64 " has entry %" PRIx64, k->name, pfn, e);
    }
}

static void check_words(const struct boot *b, const struct kind *k)
{
    const start_info_t *si = pvg_start_info(b->g);
    assert_int_equal(si->nr_pages, k->p.nr_pages);
    assert_non_null(pvg_shared_info(b->g));
    machine_console_clear(b->m);
    pvg_print(b->g, "still %s\n", "here");
    assert_string_equal(machine_console(b->m), "still here\n");
}

static void check_booted(const struct boot *b, const struct kind *k)
{
    const char *wrong = guest_check_booted(b->m, b->g);
    if (wrong)
        fail_msg("%s: %s", k->name, wrong);
    check_holes(b, k);
    check_words(b, k);
}

static void test_boots(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT(kinds); i++) {
        struct boot b;
        boot_make(&b, &kinds[i], i);
        boot_run(&b, &kinds[i]);
        if (b.rc)
            fail_msg("%s: %d: %s", kinds[i].name, b.rc, pvg_reason(b.g));
        check_booted(&b, &kinds[i]);
        print_message("  %-28s %5" PRIu64 " calls, %6" PRIu64 " elements\n", kinds[i].name,
                      machine_calls(b.m), machine_elements(b.m));
        machine_end(b.m);
    }
}

/* The content of what the guest did not take stays. */
static void test_module_is_kept(void **state)
{
    (void)state;
    struct boot b;
    const struct kind *k = &kinds[10];
    boot_make(&b, k, 3);
    boot_run(&b, k);
    assert_int_equal(b.rc, 0);
    const struct machine_layout *l = machine_layout(b.m);
    for (uint64_t i = 0; i < l->module_pages; i++) {
        uint64_t n = pvg_p2m_mfn(b.g, pvg_pfn(l->module + i)).n;
        assert_int_equal(*(uint8_t *)machine_frame(b.m, n), 0x30 + i % 10);
    }
    machine_end(b.m);
}

/* ---- mistakes on purpose: the comparison notices each of them */

static const struct kind *const moving = &kinds[14]; /* "pc": pages move above nr_pages */
static jmp_buf on_notice;
static char notice[256];

static void keep_notice(const char *text)
{
    snprintf(notice, sizeof(notice), "%s", text);
    longjmp(on_notice, 1);
}

/* What the boot comes to: refused, ended by the machine, or found wrong afterwards; NULL: nothing.
 */
static const char *boot_mistaken(struct boot *b)
{
    machine_on_failure = keep_notice;
    if (setjmp(on_notice)) {
        machine_on_failure = NULL;
        return notice;
    }
    boot_run(b, moving);
    machine_on_failure = NULL;
    return b->rc ? pvg_reason(b->g) : guest_check_booted(b->m, b->g);
}

static void test_mistakes_are_noticed(void **state)
{
    (void)state;
    static const unsigned faults[] = {PVG_FAULT_HIGH_TABLES_RW, PVG_FAULT_HIGH_TAIL_RO,
                                      PVG_FAULT_IOREMAP_SWAPPER, PVG_FAULT_INITIAL_PINNED,
                                      PVG_FAULT_SHORT_MFN_LIST};
    for (unsigned i = 0; i < COUNT(faults); i++) {
        struct boot b;
        boot_make(&b, moving, i);
        b.o.faults = faults[i];
        const char *wrong = boot_mistaken(&b);
        if (!wrong)
            fail_msg("fault %x goes unnoticed", faults[i]);
        print_message("  fault %2x: %s\n", faults[i], wrong);
        machine_end(b.m);
    }
}

/* ---- failures: the state is that before a step or that after it, and there is a reason */

/* A level that says its name twice: "p2m: p2m: ...". */
static bool stutters(const char *reason)
{
    for (const char *next; (next = strstr(reason, ": ")); reason = next + 2) {
        size_t n = (size_t)(next + 2 - reason);
        if (strncmp(reason, next + 2, n) == 0)
            return true;
    }
    return false;
}

static void check_failed(const struct boot *b, const struct kind *k, uint64_t n)
{
    const char *wrong = b->rc ? guest_check(b->m, b->g) : guest_check_booted(b->m, b->g);
    if (wrong)
        fail_msg("%s: after failure %" PRIu64 " (call %d): %s; reason: %s", k->name, n,
                 machine_failed_at(b->m), wrong, pvg_reason(b->g));
    if (b->rc && !pvg_reason(b->g)[0])
        fail_msg("%s: after failure %" PRIu64 " there is no reason", k->name, n);
    if (stutters(pvg_reason(b->g)))
        fail_msg("%s: after failure %" PRIu64 ": %s", k->name, n, pvg_reason(b->g));
}

/* true: the boot was over before anything failed. */
typedef bool try_failure(struct boot *b, uint64_t n);

static bool fail_call(struct boot *b, uint64_t n)
{
    if (n)
        machine_fail_call(b->m, n, n % 2 ? -XEN_ENOMEM : -XEN_EINVAL);
    return machine_failed_at(b->m) < 0;
}

static bool fail_element(struct boot *b, uint64_t n)
{
    if (n)
        machine_fail_element(b->m, n, n % 2 ? -XEN_EBUSY : -XEN_EINVAL);
    return machine_failed_at(b->m) < 0;
}

static bool fail_search(struct boot *b, uint64_t n)
{
    (void)b;
    if (n)
        guest_fail_search(n);
    return !guest_search_failed();
}

/* All of the first ones, then ever fewer: a boot makes thousands of like calls. */
static uint64_t next_failure(uint64_t n)
{
    return n + 1 + n / 64 * (1 + n / 512);
}

static void fail_each(const struct kind *k, try_failure *try)
{
    unsigned tried = 0, survived = 0;
    for (uint64_t n = 1;; n = next_failure(n)) {
        struct boot b;
        boot_make(&b, k, n);
        try(&b, n);
        boot_run(&b, k);
        if (try(&b, 0)) {
            machine_end(b.m);
            break;
        }
        machine_fail_call(b.m, 0, 0);
        machine_fail_element(b.m, 0, 0);
        guest_fail_search(0);
        check_failed(&b, k, n);
        tried++;
        survived += b.rc == 0;
        machine_end(b.m);
    }
    print_message("  %-28s %4u failures, of which %u did no harm\n", k->name, tried, survived);
    assert_true(tried > survived);
}

static const unsigned failing[] = {0, 1, 9, 12, 14, 19};

static void test_every_call_fails(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT(failing); i++)
        fail_each(&kinds[failing[i]], fail_call);
}

static void test_every_element_fails(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT(failing); i++)
        fail_each(&kinds[failing[i]], fail_element);
}

static void test_every_search_fails(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT(failing); i++)
        fail_each(&kinds[failing[i]], fail_search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boots),
        cmocka_unit_test(test_module_is_kept),
        cmocka_unit_test(test_mistakes_are_noticed),
        cmocka_unit_test(test_every_call_fails),
        cmocka_unit_test(test_every_element_fails),
        cmocka_unit_test(test_every_search_fails),
    };
    make_comb();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
