/* SPDX-License-Identifier: MIT */
/*
 * Spaces: what each operation does, what it refuses, and that it is made or not made, whichever
 * hypercall, element or search for pages fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <cmocka.h>

#define NR_PAGES 6000u
#define MIB      (1ull << 20)
#define GIB      (1ull << 30)
#define LOW      0x400000ull
#define BORDER   (0x8000000000ull - PVG_PAGE_BYTES) /* of two L3 tables */
#define UPPER    0xffffd00000000000ull              /* a slot of the kernel half that is empty */
#define MANY     1500u
#define USER_RW  (PVG_PTE_DATA | PVG_PTE_USER)
#define USER_RO  (PVG_PTE_RO_DATA | PVG_PTE_USER)

static struct machine *m;
static struct pvguest *g;
static struct pvg_space a, b;
static pvg_pfn_t page; /* the first of MANY */
static pvg_pfn_t tables[3];

static int setup(void **state)
{
    struct pvg_options o;
    (void)state;
    pvg_options_default(&o);
    m = machine_make(&(struct machine_params){
        .seed = 7, .nr_pages = NR_PAGES, .max_pages = NR_PAGES, .pause_one_in = 3});
    g = guest_start(m);
    if (g == NULL || pvg_boot(g, &o) || pvg_pages_take(g, MANY, 1, &page))
        return -1;
    return pvg_space_make(g, &a) || pvg_space_make(g, &b);
}

static void heal(void)
{
    machine_fail_call(m, 0, 0);
    machine_fail_element(m, 0, 0);
    guest_fail_search(0);
}

static const char *anything_wrong(void)
{
    const char *text = guest_check(m, g);
    return text ? text : guest_check_lists(m, g);
}

static void assert_sound(const char *what)
{
    const char *text = anything_wrong();
    if (text)
        fail_msg("%s: %s", what, text);
}

static int teardown(void **state)
{
    (void)state;
    heal();
    pvg_space_load(g, NULL);
    int rc = 0;
    for (struct pvg_space *s; (s = g->spaces.first) && rc == 0;)
        rc = pvg_space_end(g, s);
    const char *text = anything_wrong();
    if (rc || text)
        print_error("%d, %s; %s\n", rc, text ? text : "", pvg_reason(g));
    machine_end(m);
    return rc || text ? -1 : 0;
}

#define assert_reason(part) assert_non_null(strstr(pvg_reason(g), part))
#define assert_made(call)                                                                          \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, pvg_reason(g));                                              \
    } while (0)

/* ---- looking, without the library's help */

static uint64_t entry_from(uint64_t root, uint64_t va, unsigned *level)
{
    uint64_t e = 0, table = root;
    for (*level = 4; *level > 0; --*level) {
        e = machine_frame(m, table)[slot_of(va, *level)];
        table = pte_mfn(e).n;
        if (!(e & PVG_PTE_PRESENT))
            return 0;
    }
    *level = 1;
    return e;
}

static uint64_t mfn_of(pvg_pfn_t pfn)
{
    return pvg_p2m_mfn(g, pfn).n;
}

static uint64_t root_of(const struct pvg_space *s)
{
    return s ? mfn_of(s->root) : image_table_mfn(g, OWN_L4).n;
}

static uint64_t seen(const struct pvg_space *s, uint64_t va)
{
    unsigned level;
    return entry_from(root_of(s), va, &level) & (PVG_PTE_FRAME | PVG_PTE_PRESENT | PVG_PTE_RW);
}

static uint64_t seen_by_user(const struct pvg_space *s, uint64_t va)
{
    unsigned level;
    return entry_from(mfn_of(s->user_root), va, &level) &
           (PVG_PTE_FRAME | PVG_PTE_PRESENT | PVG_PTE_RW);
}

static uint64_t wanted(uint64_t i, bool writable)
{
    return pvg_pte(pvg_mfn(mfn_of(pvg_pfn(page.n + i))),
                   PVG_PTE_PRESENT | (writable ? PVG_PTE_RW : 0));
}

/* ---- what must be the same after a failure */

#define WATCHED 12u
struct snapshot {
    uint64_t free, pins, typed[5], spaces, tables, reserved, entry[WATCHED], own[4], loaded;
};

static struct snapshot look(void)
{
    static const uint64_t at[4] = {LOW, LOW + (MANY - 1) * PVG_PAGE_BYTES, BORDER, UPPER};
    struct snapshot s = {.free = pvg_pages_free(g), .pins = machine_pins(m)};
    struct pvg_space *one[2] = {&a, &b};
    for (unsigned level = 1; level < 5; level++)
        s.typed[level] = machine_tables(m, level);
    for (struct pvg_space *k = g->spaces.first; k; k = k->next)
        s.spaces += 1 + (k->pinned << 8) + (k->tables << 16);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 4 && (g->spaces.first == one[i] ||
                                       (g->spaces.first && g->spaces.first->next == one[i]));
             k++) {
            s.entry[i * 4 + k] = seen(one[i], at[k]);
            if (k < 3 && one[i]->pinned)
                assert_int_equal(seen_by_user(one[i], at[k]), seen(one[i], at[k]));
        }
    for (unsigned k = 0; k < 4; k++)
        s.own[k] = seen(NULL, at[k]);
    s.tables = pvg_regions_pages(&g->tables);
    s.reserved = pvg_regions_pages(&g->memblock.reserved);
    s.loaded = machine_cr3() << 20 ^ machine_user_root(m);
    return s;
}

/* Fails the n-th of each kind; true: it was made all the same, as there is no n-th. */
static bool made_with(int (*run)(void), unsigned kind, uint64_t n, const char *name)
{
    static const int errors[] = {-XEN_ENOMEM, -XEN_EINVAL, -XEN_EBUSY};
    struct snapshot before = look();
    if (kind == 0)
        machine_fail_call(m, n, errors[n % 3]);
    else if (kind == 1)
        machine_fail_element(m, n, errors[n % 3]);
    else
        guest_fail_search(n);
    int rc = run();
    heal();
    assert_sound(name);
    if (rc == 0)
        return true;
    struct snapshot after = look();
    if (memcmp(&before, &after, sizeof(before)))
        fail_msg("%s: with failure %u of kind %u something is not as it was: %s", name, (unsigned)n,
                 kind, pvg_reason(g));
    assert_true(pvg_reason(g)[0]);
    return false;
}

/* Each of all kinds in turn; between two rounds `back` undoes it. `run` is left made. Returns how
 * many failures there were. */
static unsigned each_failure(int (*run)(void), int (*back)(void), const char *name)
{
    unsigned failures = 0;
    struct snapshot before = look();
    for (unsigned kind = 0; kind < 3; kind++) {
        for (uint64_t n = 1; !made_with(run, kind, n, name); n++)
            failures++;
        assert_made(back());
        struct snapshot after = look();
        if (memcmp(&before, &after, sizeof(before)))
            fail_msg("%s: something stays when it is undone", name);
    }
    assert_made(run());
    return failures;
}

/* Both ways, and back. */
static void both_ways(int (*run)(void), int (*back)(void), const char *name)
{
    unsigned there = each_failure(run, back, name), again = each_failure(back, run, name);
    if (there == 0 && again == 0)
        fail_msg("%s: nothing ever failed", name);
}

/* ---- the operations, on `s` */

static struct pvg_space *s = &a;
static struct pvg_space third;

static int make_third(void)
{
    return pvg_space_make(g, &third);
}

static int end_third(void)
{
    return pvg_space_end(g, &third);
}

static int load_a(void)
{
    return pvg_space_load(g, &a);
}

static int load_b(void)
{
    return pvg_space_load(g, &b);
}

static int load_own(void)
{
    return pvg_space_load(g, NULL);
}

static int pin_a(void)
{
    return pvg_space_pin(g, &a);
}

static int unpin_a(void)
{
    return pvg_space_unpin(g, &a);
}

static int map_low(void)
{
    return pvg_space_map(g, s, LOW, page, 3, USER_RW);
}

static int unmap_low(void)
{
    return pvg_space_unmap(g, s, LOW, 3);
}

static int map_many(void)
{
    return pvg_space_map(g, s, LOW, page, MANY, USER_RW);
}

static int unmap_many(void)
{
    return pvg_space_unmap(g, s, LOW, MANY);
}

static int map_border(void)
{
    return pvg_space_map(g, s, BORDER, page, 2, USER_RW);
}

static int unmap_border(void)
{
    return pvg_space_unmap(g, s, BORDER, 2);
}

static int map_more(void)
{
    return pvg_space_map(g, s, LOW + 3 * PVG_PAGE_BYTES, page, 600, USER_RO);
}

static int unmap_more(void)
{
    return pvg_space_unmap(g, s, LOW + 3 * PVG_PAGE_BYTES, 600);
}

static int change_there(void)
{
    return pvg_space_change(g, s, LOW, pvg_pfn(page.n + 1), MANY - 1, USER_RO);
}

static int change_back(void)
{
    return pvg_space_change(g, s, LOW, page, MANY - 1, USER_RW);
}

static int protect_there(void)
{
    return pvg_space_protect(g, s, LOW, MANY, USER_RO);
}

static int protect_back(void)
{
    return pvg_space_protect(g, s, LOW, MANY, USER_RW);
}

static int map_upper(void)
{
    return pvg_map(g, UPPER, page, 2, PVG_PTE_DATA);
}

/* Tables of the kernel half stay: they are taken out by hand. */
static int unmap_upper(void)
{
    struct pvg_walk w;
    pvg_walk(g, UPPER, &w);
    int rc = w.mapped ? root_set_slot(g, slot_of(UPPER, 4), 0) : 0;
    for (unsigned level = 4; rc == 0 && level > 1; level--) {
        pvg_pfn_t table = pvg_m2p(g, pte_mfn(w.at[level].entry));
        rc = page_protect(g, table, true);
        tables_put(g, table, 1);
    }
    return rc ? rc : pvg_space_load(g, pvg_space_loaded(g));
}

static int alloc_table(void)
{
    return pvg_table_alloc(g, &tables[0]);
}

static int free_table(void)
{
    return pvg_table_free(g, tables[0]);
}

static unsigned attach_level;

static int attach(void)
{
    return pvg_table_attach(g, s, BORDER, attach_level, tables[attach_level - 1]);
}

static int detach(void)
{
    pvg_pfn_t table;
    int rc = pvg_table_detach(g, s, BORDER, attach_level, &table);
    if (rc == 0)
        assert_int_equal(table.n, tables[attach_level - 1].n);
    return rc;
}

static int suspend(void)
{
    return spaces_suspend(g);
}

static int resume(void)
{
    return spaces_resume(g, false);
}

/* ---- each failure, of each operation */

static void test_make_fails(void **state)
{
    (void)state;
    both_ways(make_third, end_third, "make and end");
    assert_made(end_third());
}

static void test_end_fails(void **state)
{
    (void)state;
    for (unsigned pinned = 0; pinned < 2; pinned++) {
        uint64_t free = pvg_pages_free(g);
        assert_made(make_third());
        assert_made(pvg_space_map(g, &third, BORDER, page, 2, USER_RW));
        assert_made(pinned ? 0 : pvg_space_unpin(g, &third));
        assert_int_equal(third.tables, 6);
        uint64_t n = 1;
        while (!made_with(end_third, 0, n, "end"))
            n++;
        assert_true(pinned ? n > 10 : n == 1);
        assert_int_equal(pvg_pages_free(g), free);
    }
}

static void test_load_fails(void **state)
{
    (void)state;
    both_ways(load_a, load_own, "load and the kernel's own");
    assert_made(load_a());
    both_ways(load_b, load_a, "load of another");
}

static void test_pin_fails(void **state)
{
    (void)state;
    assert_made(map_many());
    assert_made(map_border());
    both_ways(unpin_a, pin_a, "unpin and pin");
    assert_made(pin_a());
}

static void in_each(void (*f)(void))
{
    s = &a;
    f();
    assert_made(load_a());
    f();
    assert_made(load_b());
    assert_made(unpin_a());
    f();
    assert_made(pin_a());
    s = NULL;
    f();
    assert_made(load_own());
    f();
    s = &a;
}

static unsigned any_failure(int (*run)(void), int (*back)(void), const char *name)
{
    return each_failure(run, back, name) + each_failure(back, run, name);
}

static void map_fails(void)
{
    unsigned n = any_failure(map_low, unmap_low, "map");
    assert_true(n >= (space_is_plain(s) ? 1 : 10));
    assert_made(map_low());
    any_failure(map_more, unmap_more, "map in a table");
    assert_made(unmap_low());
    any_failure(map_border, unmap_border, "map across L3 tables");
}

static void test_map_fails(void **state)
{
    (void)state;
    in_each(map_fails);
}

static int (*fail_there)(void), (*fail_back)(void);

/* What needs pages to remember entries in fails for want of them. */
static void many_fail(void)
{
    assert_made(map_many());
    uint64_t free = pvg_pages_free(g);
    guest_fail_search(1);
    assert_int_equal(fail_there(), -XEN_ENOMEM);
    heal();
    for (unsigned kind = 0; kind < 2; kind++)
        for (uint64_t n = 1; !made_with(fail_there, kind, n, "there"); n += 1 + n / 8)
            ;
    assert_made(fail_back());
    for (uint64_t n = 1; !made_with(fail_back, 0, n, "back"); n++)
        ;
    assert_int_equal(pvg_pages_free(g), free);
    assert_made(unmap_many());
}

static void test_change_fails(void **state)
{
    (void)state;
    fail_there = change_there;
    fail_back = change_back;
    in_each(many_fail);
}

static void test_protect_fails(void **state)
{
    (void)state;
    fail_there = protect_there;
    fail_back = protect_back;
    in_each(many_fail);
}

static void test_upper_fails(void **state)
{
    (void)state;
    assert_made(unpin_a());
    unsigned n = each_failure(map_upper, unmap_upper, "a new slot of the kernel half");
    assert_true(n > 6);
    assert_int_equal(seen(NULL, UPPER), wanted(0, true));
    assert_int_equal(seen(&a, UPPER), wanted(0, true));
    assert_int_equal(seen(&b, UPPER), wanted(0, true));
}

static void test_table_fails(void **state)
{
    (void)state;
    both_ways(alloc_table, free_table, "alloc and free");
}

static void attach_fails(void)
{
    for (attach_level = 3; attach_level > 0; attach_level--) {
        unsigned n = any_failure(attach, detach, "attach and detach");
        assert_true(n >= (space_is_plain(s) ? 0 : 4));
        assert_made(attach());
    }
    for (attach_level = 1; attach_level < 4; attach_level++)
        assert_made(detach());
}

static void test_attach_fails(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_alloc(g, &tables[i]));
    in_each(attach_fails);
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_free(g, tables[i]));
}

/* A space that is unpinned and pinned again has what is attached unpinned and pinned, too. */
static void test_pin_of_attached_fails(void **state)
{
    (void)state;
    uint64_t pins = machine_pins(m);
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_alloc(g, &tables[i]));
    for (attach_level = 3; attach_level > 0; attach_level--)
        assert_made(attach());
    assert_int_equal(machine_pins(m), pins + 3);
    assert_int_equal(a.tables, 3);
    both_ways(unpin_a, pin_a, "unpin and pin with tables attached");
    assert_int_equal(machine_pins(m), pins + 3);
    assert_made(unpin_a());
    assert_int_equal(machine_pins(m), pins - 2);
    assert_made(pvg_space_end(g, &a));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pvg_table_free(g, tables[i]), -XEN_EBUSY);
    assert_int_equal(pvg_table_free(g, tables[2]), -XEN_EBUSY);
    assert_reason("a table is attached to it");
    assert_int_equal(pvg_table_attach(g, NULL, BORDER, 3, tables[2]), -XEN_EBUSY);
    assert_made(pvg_space_unpin(g, &b));
    assert_made(pvg_table_attach(g, &b, BORDER, 3, tables[2]));
    assert_int_equal(b.tables, 3);
    s = &b;
    for (attach_level = 1; attach_level < 4; attach_level++)
        assert_made(detach());
    s = &a;
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_free(g, tables[i]));
}

static void test_suspend_fails(void **state)
{
    (void)state;
    assert_made(map_border());
    assert_made(unpin_a());
    assert_made(pvg_space_unpin(g, &b));
    both_ways(suspend, resume, "suspend and resume");
    assert_made(suspend());
    assert_true(a.pinned && b.pinned);
    assert_made(resume());
    assert_true(!a.pinned && !b.pinned);
    assert_made(alloc_table());
    assert_made(suspend());
    assert_made(resume());
    *(uint64_t *)machine_at((uint64_t)pvg_page(g, tables[0]) + 800, true) = 1;
    assert_int_equal(suspend(), -XEN_EBUSY);
    assert_true(!a.pinned && !b.pinned);
    assert_made(free_table());
}

/* ---- what they do */

static uint64_t *at(uint64_t va, bool write)
{
    return machine_at(va, write);
}

static void test_spaces_differ(void **state)
{
    (void)state;
    assert_made(pvg_space_map(g, &a, LOW, page, 1, USER_RW));
    assert_made(pvg_space_map(g, &b, LOW, pvg_pfn(page.n + 1), 1, USER_RW));
    assert_made(load_a());
    *at(LOW, true) = 1;
    assert_made(load_b());
    *at(LOW, true) = 2;
    assert_int_equal(*at(PVG_DIRECT_BASE + page.n * PVG_PAGE_BYTES, false), 1);
    assert_int_equal(seen_by_user(&a, LOW), wanted(0, true));
    assert_int_equal(seen_by_user(&b, LOW), wanted(1, true));
    assert_int_equal(seen(NULL, LOW), 0);
    assert_ptr_equal(pvg_space_loaded(g), &b);
    assert_made(load_own());
    assert_null(pvg_space_loaded(g));
    assert_int_equal(machine_user_root(m), MACHINE_NONE);
}

/* The hypervisor's own slots are in both; beside them the user root has the lower half alone. */
static void test_user_root_has_no_kernel(void **state)
{
    (void)state;
    assert_made(map_low());
    const uint64_t *root = machine_frame(m, mfn_of(a.root));
    const uint64_t *user = machine_frame(m, mfn_of(a.user_root));
    const uint64_t *own = machine_frame(m, root_of(NULL));
    for (unsigned slot = SLOT_KERNEL; slot < ENTRIES; slot++) {
        assert_int_equal(user[slot], 0);
        assert_int_equal(pte_mfn(root[slot]).n, pte_mfn(own[slot]).n);
    }
    for (unsigned slot = 0; slot < ENTRIES / 2; slot++)
        assert_int_equal(pte_mfn(user[slot]).n, pte_mfn(root[slot]).n);
}

/* By the old interface, and while a space is loaded. */
static void test_map_works_on_what_is_loaded(void **state)
{
    (void)state;
    assert_made(load_a());
    assert_made(pvg_map(g, BORDER, page, 2, USER_RW));
    assert_int_equal(seen(&a, BORDER), wanted(0, true));
    assert_int_equal(seen_by_user(&a, BORDER + PVG_PAGE_BYTES), wanted(1, true));
    assert_int_equal(seen(NULL, BORDER), 0);
    assert_int_equal(a.tables, 6);
    assert_made(pvg_unmap(g, BORDER, 2));
    assert_int_equal(a.tables, 6);
    assert_made(unmap_border());
    assert_int_equal(a.tables, 0);
    assert_int_equal(*(uint64_t *)machine_at(PVG_DIRECT_BASE, false),
                     *(uint64_t *)machine_at(PVG_DIRECT_BASE, false));
}

/* A p2m that grows by a top entry, and what is published, while a space is loaded. */
static void test_p2m_while_loaded(void **state)
{
    (void)state;
    assert_made(load_a());
    assert_made(pvg_p2m_set_identity(g, (struct pvg_range){1ull << 30, (1ull << 30) + 5000}));
    assert_sound("p2m");
    assert_made(load_b());
    assert_int_equal(pvg_p2m_entry(g, pvg_pfn((1ull << 30) + 7)),
                     ((1ull << 30) + 7) | PVG_P2M_IDENTITY);
}

static void test_unpinned_is_plain(void **state)
{
    (void)state;
    assert_made(unpin_a());
    uint64_t calls = machine_calls(m);
    assert_made(map_many());
    assert_made(protect_there());
    assert_int_equal(machine_calls(m), calls);
    assert_int_equal(seen(&a, LOW), wanted(0, false));
    assert_int_equal(pvg_space_load(g, &a), -XEN_EBUSY);
    assert_made(pin_a());
    assert_made(load_a());
    assert_int_equal(*at(LOW, false), *at(PVG_DIRECT_BASE + page.n * PVG_PAGE_BYTES, false));
    assert_int_equal(pvg_space_unpin(g, &a), -XEN_EBUSY);
    assert_int_equal(pvg_space_end(g, &a), -XEN_EBUSY);
}

/* One mmu_update of up to 128 entries a time, and one flush; of what is not loaded none. */
static void test_ranges_are_batched(void **state)
{
    (void)state;
    assert_made(map_many());
    uint64_t calls = machine_calls(m);
    assert_made(protect_there());
    assert_int_equal(machine_calls(m) - calls, (MANY + 127) / 128);
    assert_made(load_a());
    assert_int_equal(*at(LOW, false), *at(LOW, false));
    calls = machine_calls(m);
    assert_made(protect_back());
    assert_int_equal(machine_calls(m) - calls, (MANY + 127) / 128 + 1);
    *at(LOW, true) = 5;
    assert_made(protect_there());
    assert_int_equal(*at(LOW, false), 5);
}

static void test_empty_tables_go(void **state)
{
    (void)state;
    uint64_t free = pvg_pages_free(g);
    assert_made(map_border());
    assert_made(map_low());
    assert_int_equal(a.tables, 6 + 2);
    assert_made(pvg_space_unmap(g, &a, BORDER, 1));
    assert_int_equal(a.tables, 5 + 1);
    assert_made(pvg_space_unmap(g, &a, 0, PVG_USER_END / PVG_PAGE_BYTES - 1));
    assert_int_equal(a.tables, 0);
    assert_int_equal(pvg_pages_free(g), free);
    assert_made(pvg_space_unmap(g, &a, LOW, 5));
}

static void test_attached_tables_stay(void **state)
{
    (void)state;
    assert_made(pvg_table_alloc(g, &tables[2]));
    assert_int_equal(pvg_pages_give(g, tables[2], 1), -XEN_EINVAL);
    attach_level = 3;
    assert_made(attach());
    assert_int_equal(pvg_table_free(g, tables[2]), -XEN_EBUSY);
    assert_int_equal(pvg_table_attach(g, &b, BORDER, 3, tables[2]), -XEN_EBUSY);
    assert_made(map_border());
    assert_int_equal(a.tables, 6);
    pvg_pfn_t table;
    assert_int_equal(pvg_table_detach(g, &a, BORDER, 3, &table), -XEN_EBUSY);
    assert_made(unmap_border());
    assert_int_equal(a.tables, 1);
    assert_made(map_border());
    assert_made(pvg_space_end(g, &a));
    const uint64_t *word = machine_at((uint64_t)pvg_page(g, tables[2]), false);
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_int_equal(word[i], 0);
    assert_made(pvg_table_free(g, tables[2]));
}

/* An L1 table whose entries the caller wrote. */
static void test_table_of_the_callers(void **state)
{
    (void)state;
    assert_made(pvg_space_map(g, &a, BORDER - 2 * MIB, page, 1, USER_RW));
    assert_made(pvg_table_alloc(g, &tables[0]));
    for (unsigned i = 0; i < 5; i++)
        at((uint64_t)pvg_page(g, tables[0]), true)[507 + i] =
            pvg_pte(pvg_mfn(mfn_of(pvg_pfn(page.n + i))), USER_RW);
    attach_level = 1;
    assert_made(attach());
    assert_int_equal(seen(&a, BORDER), wanted(4, true));
    assert_int_equal(machine_type(m, mfn_of(tables[0])), 1);
    assert_true(machine_pinned(m, mfn_of(tables[0])));
    assert_made(load_a());
    *at(BORDER, true) = 99;
    assert_made(detach());
    assert_int_equal(machine_type(m, mfn_of(tables[0])) == 1, 0);
    assert_int_equal(at((uint64_t)pvg_page(g, tables[0]), false)[511] & PVG_PTE_FRAME,
                     wanted(4, true) & PVG_PTE_FRAME);
    /* an entry that maps the root writable: refused, and still the caller's to repair */
    at((uint64_t)pvg_page(g, tables[0]), true)[0] = pvg_pte(pvg_root(g), USER_RW);
    assert_int_equal(attach(), -XEN_EBUSY);
    at((uint64_t)pvg_page(g, tables[0]), true)[0] = 0;
    assert_made(attach());
    assert_made(detach());
    assert_made(pvg_table_free(g, tables[0]));
}

/* Of the other's, named by content: none of its business. */
static void test_tables_that_are_named_twice(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_alloc(g, &tables[i]));
    for (attach_level = 3; attach_level > 0; attach_level--)
        assert_made(attach());
    assert_made(pvg_space_map(g, &a, BORDER, page, 1, USER_RW));
    pvg_pfn_t other;
    assert_made(pvg_table_alloc(g, &other));
    at((uint64_t)pvg_page(g, other), true)[slot_of(BORDER, 2)] =
        pvg_pte(pvg_mfn(mfn_of(tables[0])), PVG_PTE_TABLE);
    assert_made(pvg_space_map(g, &b, 0x7f8000000000ull - 2 * GIB, page, 1, USER_RW));
    assert_made(pvg_table_attach(g, &b, 0x7f7fffe00000ull, 2, other));
    assert_int_equal(seen(&b, 0x7f7ffffff000ull), wanted(0, true));
    assert_made(pvg_space_unpin(g, &b));
    assert_int_equal(pvg_space_map(g, &b, 0x7f7fffffe000ull, page, 1, USER_RW), -XEN_EINVAL);
    assert_reason("not the space's");
    assert_made(pvg_space_end(g, &b));
    assert_sound("end of the other");
    assert_made(pvg_table_free(g, other));
    assert_int_equal(seen(&a, BORDER), wanted(0, true));
    for (attach_level = 1; attach_level < 4; attach_level++)
        assert_made(detach());
    for (unsigned i = 0; i < 3; i++)
        assert_made(pvg_table_free(g, tables[i]));
}

/* ---- what they refuse */

static void test_ranges_refused(void **state)
{
    (void)state;
    struct pvg_space none = {0};
    struct pvg_walk w;
    uint64_t free = pvg_pages_free(g);
    assert_int_equal(pvg_space_map(g, &none, LOW, page, 1, USER_RW), -XEN_EINVAL);
    assert_false(pvg_space_walk(g, &none, LOW, &w));
    assert_int_equal(pvg_space_load(g, &none), -XEN_EINVAL);
    assert_int_equal(pvg_space_end(g, &none), -XEN_EINVAL);
    assert_int_equal(pvg_space_end(g, NULL), -XEN_EINVAL);
    assert_int_equal(pvg_space_pin(g, NULL), -XEN_EINVAL);
    assert_int_equal(pvg_space_unpin(g, &none), -XEN_EINVAL);
    assert_int_equal(pvg_space_make(g, &a), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, LOW + 8, page, 1, USER_RW), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, LOW, page, 0, USER_RW), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, LOW, PVG_NO_PFN, 1, USER_RW), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, LOW, page, 1, USER_RW | 0x1000), -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, PVG_USER_END - PVG_PAGE_BYTES, page, 2, USER_RW),
                     -XEN_EINVAL);
    assert_int_equal(pvg_space_map(g, &a, UPPER, page, 1, USER_RW), -XEN_EINVAL);
    assert_int_equal(pvg_space_unmap(g, NULL, 0xffff800000000000ull, 1), -XEN_EINVAL);
    assert_int_equal(pvg_space_change(g, &a, LOW, page, 1, USER_RW), -XEN_ENOENT);
    assert_int_equal(pvg_space_protect(g, &a, LOW, 1, USER_RW), -XEN_ENOENT);
    assert_made(map_low());
    assert_int_equal(pvg_space_protect(g, &a, LOW, 4, USER_RW), -XEN_ENOENT);
    assert_int_equal(pvg_space_map(g, &a, LOW - PVG_PAGE_BYTES, page, 2, USER_RW), -XEN_EEXIST);
    assert_made(unmap_low());
    assert_int_equal(pvg_pages_free(g), free);
}

/* The hypervisor's own refusals: a page that is a table. */
static void test_hypervisor_refuses(void **state)
{
    (void)state;
    struct snapshot before = look();
    assert_int_equal(pvg_space_map(g, &a, LOW, a.root, 1, USER_RW), -XEN_EBUSY);
    assert_int_equal(pvg_space_map(g, &a, LOW, b.user_root, 1, USER_RW), -XEN_EBUSY);
    struct snapshot after = look();
    assert_memory_equal(&before, &after, sizeof(before));
    assert_made(unpin_a());
    before = look();
    assert_made(pvg_space_map(g, &a, LOW, b.root, 1, USER_RW));
    assert_int_equal(pvg_space_pin(g, &a), -XEN_EBUSY);
    assert_sound("a pin that is refused");
    assert_false(a.pinned);
    assert_made(pvg_space_unmap(g, &a, LOW, 1));
    after = look();
    assert_memory_equal(&before, &after, sizeof(before));
    assert_made(pin_a());
}

static void test_tables_refused(void **state)
{
    (void)state;
    pvg_pfn_t table;
    assert_int_equal(pvg_table_free(g, page), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, &a, LOW, 3, page), -XEN_EINVAL);
    assert_made(alloc_table());
    assert_int_equal(pvg_table_attach(g, &a, LOW, 4, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, &a, LOW, 0, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, &a, LOW, 1, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, &a, UPPER, 3, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_attach(g, NULL, 0xffff800000000000ull, 3, tables[0]), -XEN_EINVAL);
    assert_int_equal(pvg_table_detach(g, &a, LOW, 3, &table), -XEN_ENOENT);
    assert_made(map_low());
    assert_int_equal(pvg_table_attach(g, &a, LOW, 1, tables[0]), -XEN_EEXIST);
    assert_int_equal(pvg_table_detach(g, &a, LOW, 1, &table), -XEN_EINVAL);
    assert_made(free_table());
}

/* All that the kernel half names is every root's, also by a table of the caller's. */
static void test_attach_in_the_kernel_half(void **state)
{
    (void)state;
    assert_made(unpin_a());
    assert_made(pvg_table_alloc(g, &tables[2]));
    assert_made(pvg_table_attach(g, NULL, UPPER, 3, tables[2]));
    unsigned slot = slot_of(UPPER, 4);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t root = root_of(i == 0 ? NULL : i == 1 ? &a : &b);
        assert_int_equal(pte_mfn(machine_frame(m, root)[slot]).n, mfn_of(tables[2]));
    }
    pvg_pfn_t table;
    assert_made(pvg_table_detach(g, NULL, UPPER, 3, &table));
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(machine_frame(m, root_of(i == 0 ? NULL : i == 1 ? &a : &b))[slot], 0);
    assert_made(pvg_table_free(g, table));
}

/* Lists that are full: nothing is lost, and what could not go back goes when there is room. */
static void test_lists_are_full(void **state)
{
    (void)state;
    uint64_t free = pvg_pages_free(g);
    assert_made(map_low());
    struct pvg_regions *t = &g->tables;
    uint64_t added = 0;
    for (; t->count < PVG_REGIONS_MAX; added += 2)
        assert_made(pvg_regions_add(t, (1ull << 34) + added, (1ull << 34) + added + 1));
    int rc = pvg_space_map(g, &a, BORDER, page, 2, USER_RW);
    if (rc)
        assert_int_equal(rc, -XEN_ENOSPC);
    else
        assert_made(unmap_border());
    assert_made(unmap_low());
    assert_sound("full lists");
    assert_made(pvg_regions_remove(t, 1ull << 34, (1ull << 34) + added));
    assert_made(map_low());
    assert_made(unmap_low());
    assert_int_equal(pvg_pages_free(g), free);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_make_fails),
        TEST(test_end_fails),
        TEST(test_load_fails),
        TEST(test_pin_fails),
        TEST(test_map_fails),
        TEST(test_change_fails),
        TEST(test_protect_fails),
        TEST(test_upper_fails),
        TEST(test_table_fails),
        TEST(test_attach_fails),
        TEST(test_pin_of_attached_fails),
        TEST(test_suspend_fails),
        TEST(test_spaces_differ),
        TEST(test_user_root_has_no_kernel),
        TEST(test_map_works_on_what_is_loaded),
        TEST(test_p2m_while_loaded),
        TEST(test_unpinned_is_plain),
        TEST(test_ranges_are_batched),
        TEST(test_empty_tables_go),
        TEST(test_attached_tables_stay),
        TEST(test_table_of_the_callers),
        TEST(test_tables_that_are_named_twice),
        TEST(test_ranges_refused),
        TEST(test_hypervisor_refuses),
        TEST(test_tables_refused),
        TEST(test_attach_in_the_kernel_half),
        TEST(test_lists_are_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
