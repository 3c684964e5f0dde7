/* SPDX-License-Identifier: MIT */
/*
 * Suspends that are resumed in another machine's frames, called off, and refused, in guests whose
 * p2m has what tools lose: identity in leaves of their own, pages that are ballooned out, shared
 * tables that hang nowhere. The machine plays the tools, and refuses what they would
 * (hc_suspend.c).
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "internal.h"

#include <cmocka.h>

#include <xen/memory.h>
#include <xen/sched.h>

#define NR_PAGES 4096u
#define PAGES    8192u /* that are looked at */
#define WINDOW   0xffffcd0000000000ull
#define FAR      (1ull << 30)

static struct machine *m;
static struct pvguest *g;

static const struct machine_e820 holes[] = {
    {0, 0x9f000, 1}, {0x100000, 0x700000, 1}, {0x800000, 0x40000, 2}, {0x840000, 0x2000000, 1}};

/* ---- the guest */

static void boot(void *layout)
{
    struct pvg_options o = {.p2m = *(enum pvg_p2m_layout *)layout};
    assert_int_equal(pvg_boot(g, &o), 0);
}

static void begin(enum pvg_p2m_layout layout, bool old_tools)
{
    m = machine_make(&(struct machine_params){.seed = 7,
                                              .nr_pages = NR_PAGES,
                                              .max_pages = 9000,
                                              .e820 = holes,
                                              .nr_e820 = 4,
                                              .no_virt_p2m = old_tools,
                                              .pause_one_in = 3});
    g = guest_start(m);
    assert_non_null(g);
    assert_int_equal(machine_run(boot, &layout), MACHINE_RETURNED);
}

static void end(void)
{
    machine_fail_call(m, 0, 0);
    machine_fail_element(m, 0, 0);
    guest_fail_search(0);
    machine_end(m);
}

static void check(const char *wrong)
{
    if (wrong)
        fail_msg("%s", wrong);
}

static pvg_pfn_t take(uint64_t count)
{
    pvg_pfn_t first;
    assert_int_equal(pvg_pages_take(g, count, 1, &first), 0);
    return first;
}

static void balloon_out(pvg_pfn_t page)
{
    xen_pfn_t frame = pvg_p2m_mfn(g, page).n;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, &frame);
    assert_int_equal(pvg_p2m_set(g, page, PVG_P2M_MISSING), 0);
    assert_int_equal(pvg_hypercall(g, __HYPERVISOR_memory_op, XENMEM_decrease_reservation,
                                   (uint64_t)&r, 0, 0, 0),
                     1);
}

static void populate(uint64_t pfn)
{
    xen_pfn_t number = pfn;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, &number);
    assert_int_equal(
        pvg_hypercall(g, __HYPERVISOR_memory_op, XENMEM_populate_physmap, (uint64_t)&r, 0, 0, 0),
        1);
    assert_int_equal(pvg_p2m_set(g, pvg_pfn(pfn), number), 0);
}

/* Each page of its own content. */
static void fill(uint64_t from, uint64_t to)
{
    for (uint64_t pfn = from; pfn < to; pfn++) {
        uint64_t e = pvg_p2m_entry(g, pvg_pfn(pfn));
        for (unsigned i = 0; e != PVG_P2M_MISSING && i < ENTRIES; i++)
            machine_frame(m, e)[i] = pfn << 32 | i;
    }
}

/* Above the builder's memory, where nothing is in the direct map: a hole inside, pages of marks of
 * every other page, whole leaves of identity, and identity far above all frames. */
static void make_p2m(void)
{
    for (uint64_t pfn = 5200; pfn < 5300; pfn++)
        populate(pfn);
    for (uint64_t pfn = 5210; pfn < 5220; pfn++)
        balloon_out(pvg_pfn(pfn));
    for (uint64_t pfn = 5400; pfn < 6200; pfn += 2)
        assert_int_equal(pvg_p2m_set(g, pvg_pfn(pfn), PVG_P2M_IDENTITY | pfn), 0);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){6300, 7680}), 0);
    populate(7700);
    assert_int_equal(pvg_p2m_set_identity(g, (struct pvg_range){FAR + 5, FAR + (1 << 19)}), 0);
    fill(5200, 5300);
    pvg_pfn_t block = take(400);
    fill(block.n, block.n + 400);
    check(guest_check(m, g));
    check(guest_check_lists(m, g));
}

/* ---- what must come back */

enum kind { MISSING, IDENTITY, FRAME };

struct state {
    uint8_t kind[PAGES];
    uint64_t sum[PAGES];
    uint64_t free, pins, owned, tables[5];
    struct pvg_p2m_info p2m;
};

static enum kind kind_of(uint64_t entry)
{
    return entry == PVG_P2M_MISSING ? MISSING : entry & PVG_P2M_IDENTITY ? IDENTITY : FRAME;
}

static bool same_shared(const struct p2m_shared *s, pvg_pfn_t page)
{
    bool is = false;
    for (unsigned level = 1; level < 4; level++)
        is = is || same_pfn(s->table[level], page);
    return is;
}

/* What is in a free page is nobody's. */
static bool is_free(uint64_t p)
{
    return pvg_regions_holds(&g->memblock.memory, p) &&
           !pvg_regions_holds(&g->memblock.reserved, p);
}

/* What names machine frames: compared by guest_check() and the like. */
static bool names_frames(pvg_pfn_t page, uint64_t mfn)
{
    const struct mfn_list *l = &g->mfn_list;
    bool is = machine_type(m, mfn) >= 1 && machine_type(m, mfn) <= 4;
    is = is || same_shared(&g->p2m.missing, page) || same_shared(&g->p2m.identity, page);
    is = is || same_pfn(page, l->top) || same_pfn(page, l->missing_mid) ||
         page.n == (g->si_va - PVG_DIRECT_BASE) / PVG_PAGE_BYTES;
    for (uint64_t pfn = 0; pfn < PAGES && !is; pfn += ENTRIES)
        is = same_pfn(p2m_leaf(g, pfn), page);
    return is || same_pfn(l->mid[0], page);
}

static uint64_t sum_of(uint64_t mfn)
{
    const uint64_t *word = machine_frame(m, mfn);
    uint64_t sum = 0xcbf29ce484222325ull;
    for (unsigned i = 0; i < ENTRIES; i++)
        sum = (sum ^ word[i]) * 0x100000001b3ull;
    return sum;
}

static struct state *look(void)
{
    struct state *s = calloc(1, sizeof(*s));
    for (uint64_t p = 0; p < PAGES; p++) {
        uint64_t e = pvg_p2m_entry(g, pvg_pfn(p));
        s->kind[p] = (uint8_t)kind_of(e);
        if (s->kind[p] == FRAME && !is_free(p) && !names_frames(pvg_pfn(p), e))
            s->sum[p] = sum_of(e);
    }
    s->free = pvg_pages_free(g);
    s->pins = machine_pins(m);
    s->owned = machine_owned(m);
    for (unsigned level = 1; level <= 4; level++)
        s->tables[level] = machine_tables(m, level);
    pvg_p2m_info(g, &s->p2m);
    return s;
}

static void check_same(struct state *before)
{
    struct state *now = look();
    for (uint64_t p = 0; p < PAGES; p++)
        if (now->kind[p] != before->kind[p] || now->sum[p] != before->sum[p])
            fail_msg("page %" PRIx64 " is another: kind %u, was %u; sum %" PRIx64 ", was %" PRIx64,
                     p, now->kind[p], before->kind[p], now->sum[p], before->sum[p]);
    assert_memory_equal(now->tables, before->tables, sizeof(now->tables));
    assert_int_equal(now->free, before->free);
    assert_int_equal(now->pins, before->pins);
    assert_int_equal(now->owned, before->owned);
    assert_memory_equal(&now->p2m, &before->p2m, sizeof(now->p2m));
    for (uint64_t pfn = FAR; pfn < FAR + 10; pfn++)
        assert_int_equal(pvg_p2m_entry(g, pvg_pfn(pfn)),
                         pfn < FAR + 5 ? PVG_P2M_MISSING : PVG_P2M_IDENTITY | pfn);
    assert_int_equal(g->p2m.lost, 0);
    check(guest_check(m, g));
    check(guest_check_lists(m, g));
    free(now);
    free(before);
}

/* The guest lives: console, memory, mappings, p2m in both directions. */
static void use(void)
{
    machine_console_clear(m);
    pvg_print(g, "still here\n");
    assert_string_equal(machine_console(m), "still here\n");
    pvg_pfn_t page = take(3);
    assert_int_equal(pvg_map(g, WINDOW, page, 3, PVG_PTE_DATA), 0);
    assert_int_equal(pvg_unmap(g, WINDOW, 3), 0);
    assert_int_equal(pvg_pages_give(g, page, 3), 0);
    const struct pvg_range range = {FAR * 2, FAR * 2 + (1 << 20)};
    assert_int_equal(pvg_p2m_set_identity(g, range), 0);
    assert_int_equal(pvg_p2m_entry(g, pvg_pfn(FAR * 2 + 5)), PVG_P2M_IDENTITY | (FAR * 2 + 5));
    assert_int_equal(p2m_set_missing(g, range), 0);
    populate(9100);
    check(guest_check_lists(m, g));
    balloon_out(pvg_pfn(9100));
    check(guest_check(m, g));
}

/* ---- suspends */

struct attempt {
    int rc;
    enum pvg_resumed how;
};

static void suspend(void *arg)
{
    struct attempt *a = arg;
    a->rc = pvg_suspend(g, &a->how);
}

static int attempt(int what, struct attempt *a)
{
    *a = (struct attempt){.rc = 1, .how = 77};
    machine_on_suspend(m, what);
    return machine_run(suspend, a);
}

static void suspend_well(int what)
{
    struct attempt a;
    struct state *before = look();
    uint64_t shared = machine_shared_frame(m), root = machine_cr3();
    uint8_t masked = !pvg_shared_info(g)->vcpu_info[0].evtchn_upcall_mask; /* each in turn */
    pvg_shared_info(g)->vcpu_info[0].evtchn_upcall_mask = masked;
    uint64_t frame = pvg_p2m_mfn(g, pvg_pfn(g->image.from)).n;
    assert_int_equal(attempt(what, &a), MACHINE_RETURNED);
    if (a.rc)
        fail_msg("%s", pvg_reason(g));
    bool elsewhere = what == MACHINE_RELOCATES;
    assert_int_equal(a.how, elsewhere ? PVG_RESUMED : PVG_CANCELLED);
    assert_int_equal(machine_shared_frame(m) != shared, elsewhere);
    assert_int_equal(machine_cr3() != root, elsewhere);
    assert_int_equal(pvg_p2m_mfn(g, pvg_pfn(g->image.from)).n != frame, elsewhere);
    check_same(before);
    assert_int_equal(pvg_shared_info(g)->vcpu_info[0].evtchn_upcall_mask, masked);
    use();
}

static void come_and_go(enum pvg_p2m_layout layout, bool old_tools)
{
    begin(layout, old_tools);
    make_p2m();
    use();
    suspend_well(MACHINE_CANCELS);
    suspend_well(MACHINE_CANCELS);
    suspend_well(MACHINE_RELOCATES);
    suspend_well(MACHINE_RELOCATES);
    suspend_well(MACHINE_CANCELS);
    suspend_well(MACHINE_RELOCATES);
    assert_int_equal(machine_suspends(m), 6);
    end();
}

static void test_linear(void **state)
{
    (void)state;
    come_and_go(PVG_P2M_LINEAR, false);
}

static void test_linear_by_list(void **state)
{
    (void)state;
    come_and_go(PVG_P2M_LINEAR, true);
}

static void test_tree(void **state)
{
    (void)state;
    come_and_go(PVG_P2M_TREE, false);
}

static void test_as_booted(void **state)
{
    (void)state;
    begin(PVG_P2M_LINEAR, false);
    check(guest_check_booted(m, g));
    assert_string_equal(machine_console(m), "");
    struct attempt a;
    assert_int_equal(attempt(MACHINE_RELOCATES, &a), MACHINE_RETURNED);
    assert_int_equal(a.rc, 0);
    check(guest_check_booted(m, g));
    end();
}

/* ---- refusals */

static void refused(int what, int rc, const char *reason)
{
    struct attempt a;
    struct state *before = look();
    uint64_t suspends = machine_suspends(m), calls = machine_calls(m);
    assert_int_equal(attempt(what, &a), MACHINE_RETURNED);
    assert_int_equal(a.rc, rc);
    assert_int_equal(a.how, 77);
    assert_non_null(strstr(pvg_reason(g), reason));
    if (what > 0) {
        assert_int_equal(machine_suspends(m), suspends);
        assert_int_equal(machine_calls(m), calls);
    }
    check_same(before);
}

static void test_refused(void **state)
{
    (void)state;
    begin(PVG_P2M_LINEAR, false);
    make_p2m();
    refused(-XEN_EPERM, -XEN_EPERM, "suspend: SCHEDOP_shutdown: EPERM");
    use();
    pvg_lazy_enter(g);
    refused(MACHINE_RELOCATES, -XEN_EBUSY, "suspend: in lazy mode");
    assert_int_equal(pvg_lazy_leave(g), 0);
    pvg_pfn_t page = take(1);
    void *va = pvg_early_ioremap(g, (pvg_maddr_t){pvg_p2m_mfn(g, page).n << 12}, 8, 0);
    assert_non_null(va);
    refused(MACHINE_RELOCATES, -XEN_EBUSY, "ioremap");
    assert_int_equal(pvg_early_iounmap(g, va), 0);
    const uint64_t foreign[] = {5301, 8000, FAR + 3};
    for (unsigned i = 0; i < 3; i++) {
        uint64_t was = pvg_p2m_entry(g, pvg_pfn(foreign[i]));
        assert_int_equal(
            pvg_p2m_set(g, pvg_pfn(foreign[i]), machine_other_frame(m) | PVG_P2M_FOREIGN), 0);
        struct attempt a;
        assert_int_equal(attempt(MACHINE_RELOCATES, &a), MACHINE_RETURNED);
        assert_int_equal(a.rc, -XEN_EBUSY);
        assert_non_null(strstr(pvg_reason(g), "another domain's"));
        assert_int_equal(pvg_p2m_set(g, pvg_pfn(foreign[i]), was), 0);
    }
    suspend_well(MACHINE_RELOCATES);
    end();
}

static void test_refused_early(void **state)
{
    (void)state;
    m = machine_make(&(struct machine_params){.seed = 7, .nr_pages = NR_PAGES});
    g = guest_start(m);
    struct attempt a;
    assert_int_equal(attempt(MACHINE_RELOCATES, &a), MACHINE_RETURNED);
    assert_int_equal(a.rc, -XEN_EINVAL);
    assert_non_null(strstr(pvg_reason(g), "before pvg_boot()"));
    end();
}

static void test_refused_initial(void **state)
{
    (void)state;
    enum pvg_p2m_layout layout = PVG_P2M_LINEAR;
    m = machine_make(
        &(struct machine_params){.seed = 7, .nr_pages = NR_PAGES, .initial_domain = true});
    g = guest_start(m);
    assert_int_equal(machine_run(boot, &layout), MACHINE_RETURNED);
    struct attempt a;
    assert_int_equal(attempt(MACHINE_RELOCATES, &a), MACHINE_RETURNED);
    assert_int_equal(a.rc, -XEN_EOPNOTSUPP);
    check(guest_check_booted(m, g));
    end();
}

/* A ring in a frame that is nobody's page cannot be told. */
static void test_refused_ring(void **state)
{
    (void)state;
    begin(PVG_P2M_LINEAR, false);
    make_p2m();
    start_info_t *si = (void *)machine_at(g->si_va, true);
    uint64_t store = si->store_mfn;
    si->store_mfn = machine_other_frame(m);
    struct attempt a;
    assert_int_equal(attempt(MACHINE_RELOCATES, &a), MACHINE_RETURNED);
    assert_int_equal(a.rc, -XEN_EINVAL);
    assert_non_null(strstr(pvg_reason(g), "the xenstore ring"));
    si->store_mfn = store;
    suspend_well(MACHINE_RELOCATES);
    end();
}

/* ---- everything fails in turn */

enum { CALLS, ELEMENTS, SEARCHES };

static void arm(unsigned what, uint64_t n)
{
    if (what == CALLS)
        machine_fail_call(m, n, -XEN_ENOMEM);
    else if (what == ELEMENTS)
        machine_fail_element(m, n, -XEN_ENOMEM);
    else
        guest_fail_search(n);
}

static bool disarm(unsigned what)
{
    bool reached = what == SEARCHES ? guest_search_failed() : machine_failed_at(m) >= 0;
    machine_fail_call(m, 0, 0);
    machine_fail_element(m, 0, 0);
    guest_fail_search(0);
    return reached;
}

/* Before the suspend: the old state, and the next attempt succeeds. After it: the end, by a crash.
 */
static bool fails(unsigned what, uint64_t n, int suspend_how, unsigned count[3])
{
    struct attempt a;
    begin(PVG_P2M_LINEAR, false);
    make_p2m();
    struct state *before = look();
    arm(what, n);
    int end_of_it = attempt(suspend_how, &a);
    bool reached = disarm(what);
    if (end_of_it != MACHINE_RETURNED) {
        assert_int_equal(end_of_it, SHUTDOWN_crash);
        assert_true(reached);
        assert_int_equal(machine_suspends(m), 1);
        assert_true(g->ends > 0);
        free(before);
        count[2]++;
    } else if (a.rc) {
        assert_true(reached);
        assert_int_equal(a.rc, -XEN_ENOMEM);
        assert_int_equal(machine_suspends(m), 0);
        check_same(before);
        use();
        suspend_well(suspend_how);
        count[1]++;
    } else {
        check_same(before);
        use();
        count[0]++;
    }
    end();
    return reached;
}

static void fail_all(const char *name, unsigned what, int suspend_how)
{
    unsigned count[3] = {0};
    for (uint64_t n = 1; fails(what, n, suspend_how, count); n++)
        ;
    print_message("  %-28s %u refused, %u fatal, %u did no harm\n", name, count[1], count[2],
                  count[0] - 1);
    assert_true(count[1] > 0);
    assert_true(count[0] <= 2);
}

static void test_all_fail(void **state)
{
    (void)state;
    fail_all("calls, resumed", CALLS, MACHINE_RELOCATES);
    fail_all("calls, cancelled", CALLS, MACHINE_CANCELS);
    fail_all("elements, resumed", ELEMENTS, MACHINE_RELOCATES);
    fail_all("elements, cancelled", ELEMENTS, MACHINE_CANCELS);
    fail_all("searches", SEARCHES, MACHINE_RELOCATES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_booted),       cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear_by_list),  cmocka_unit_test(test_tree),
        cmocka_unit_test(test_refused),         cmocka_unit_test(test_refused_early),
        cmocka_unit_test(test_refused_initial), cmocka_unit_test(test_refused_ring),
        cmocka_unit_test(test_all_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
