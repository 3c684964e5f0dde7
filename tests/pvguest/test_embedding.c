/* SPDX-License-Identifier: MIT */
/* The machine itself: that it starts as a guest may expect, and that it catches what it is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sanitizer/asan_interface.h>

#include <pvguest/types.h>
#include <xen/memory.h>
#include <xen/sched.h>

#include "port.h"

#define NR_PAGES 4096u
#define RW_DATA  0x63ull
#define RO_DATA  0x61ull

static struct machine *m;

static int setup(void **state)
{
    (void)state;
    m = machine_make(&(struct machine_params){
        .seed = 7, .nr_pages = NR_PAGES, .max_pages = 4200, .pause_one_in = 3});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    const char *wrong = machine_audit(m);
    if (wrong)
        print_error("%s\n", wrong);
    machine_end(m);
    return wrong ? -1 : 0;
}

/* ---- what is expected to fail */

static jmp_buf on_failure;
static char failure[1024];

static void keep_failure(const char *text)
{
    strcpy(failure, text);
    longjmp(on_failure, 1);
}

/* The message of the failure that the access comes to; "" when it succeeds. */
static const char *access_fails(uint64_t va, bool write)
{
    failure[0] = 0;
    machine_on_failure = keep_failure;
    if (setjmp(on_failure) == 0)
        machine_at(va, write);
    machine_on_failure = NULL;
    return failure;
}

#define assert_says(text, part) assert_non_null(strstr(text, part))

/* ---- hypercalls */

static int64_t call(unsigned number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return port_hypercall(number, a, b, c, d, 0);
}

static int64_t update(uint64_t ptr, uint64_t val)
{
    struct mmu_update u = {ptr, val};
    return call(__HYPERVISOR_mmu_update, (uint64_t)&u, 1, 0, DOMID_SELF);
}

static int64_t ext(unsigned command, uint64_t arg1)
{
    struct mmuext_op op = {.cmd = command, .arg1.mfn = arg1};
    return call(__HYPERVISOR_mmuext_op, (uint64_t)&op, 1, 0, DOMID_SELF);
}

static int64_t reserve(unsigned command, xen_pfn_t *list, uint64_t count)
{
    struct xen_memory_reservation r = {.nr_extents = count, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, list);
    return call(__HYPERVISOR_memory_op, command, (uint64_t)&r, 0, 0);
}

static uint64_t boot_va(uint64_t pfn)
{
    return machine_layout(m)->virt_base + pfn * MACHINE_PAGE;
}

static uint64_t place_of(uint64_t va)
{
    uint64_t entry, at;
    assert_int_equal(machine_walk(m, va, &entry, &at), 1);
    return at;
}

/* ---- as the builder leaves it */

static void test_start_info_is_where_it_says(void **state)
{
    (void)state;
    const start_info_t *si = machine_at(machine_start_info(m), false);
    assert_string_equal(si->magic, "xen-3.0-x86_64");
    assert_int_equal(si->nr_pages, NR_PAGES);
    assert_int_equal(machine_owned(m), NR_PAGES);
    assert_int_equal(port_cr3() >> 12, machine_built_p2m(m, machine_layout(m)->tables));
    assert_true(machine_pinned(m, port_cr3() >> 12));
}

static void test_list_and_m2p_agree(void **state)
{
    (void)state;
    const start_info_t *si = machine_at(machine_start_info(m), false);
    for (uint64_t p = 0; p < NR_PAGES; p++) {
        uint64_t n = *(uint64_t *)machine_at(si->mfn_list + p * 8, false);
        assert_int_equal(n, machine_built_p2m(m, p));
        assert_int_equal(port_m2p(0xffff800000000000, n), p);
        assert_int_equal(machine_owner(m, n), MACHINE_GUEST);
    }
}

static void test_region_is_mapped_tables_read_only(void **state)
{
    (void)state;
    const struct machine_layout *l = machine_layout(m);
    for (uint64_t p = 0; p < l->region_pages; p++) {
        bool table = p >= l->tables && p - l->tables < l->nr_tables;
        assert_int_equal(access_fails(boot_va(p), true)[0] != 0, table);
        assert_int_equal(machine_type(m, machine_built_p2m(m, p)) <= 4, table);
    }
    assert_says(access_fails(boot_va(l->tables), true), "read-only");
    for (unsigned t = 0; t < IMAGE_TABLES; t++)
        assert_int_equal(*(uint64_t *)machine_at(port_image_table(t), true), 0);
}

static void test_init_p2m_has_its_own_tables(void **state)
{
    (void)state;
    machine_end(m);
    m = machine_make(&(struct machine_params){.seed = 8,
                                              .nr_pages = NR_PAGES,
                                              .init_p2m = 0xffffc98000000000,
                                              .module_pages = 10,
                                              .module_by_pfn = true});
    const start_info_t *si = machine_at(machine_start_info(m), false);
    assert_int_equal(si->mfn_list, 0xffffc98000000000);
    assert_int_equal(si->nr_p2m_frames, NR_PAGES / 512 + 3);
    assert_int_equal(*(uint64_t *)machine_at(si->mfn_list + 5 * 8, true), machine_built_p2m(m, 5));
    assert_int_equal(si->mod_start, machine_layout(m)->module);
    assert_int_equal(machine_tables(m, 1), 2 + 1); /* 4 MiB, and the list */
    assert_int_equal(machine_tables(m, 2), 1 + 1);
}

/* ---- accesses that a processor would refuse */

static void test_refuses_what_is_not_mapped(void **state)
{
    (void)state;
    assert_says(access_fails(0xffff888000000000, false), "not mapped: level 4");
    assert_says(access_fails(boot_va(machine_layout(m)->region_pages + 1), false), "not mapped");
    assert_says(access_fails(0x0000900000000000, false), "not canonical");
    assert_says(access_fails(0xffff800000000000, false), "hypervisor");
    assert_string_equal(access_fails(boot_va(0), true), "");
}

/* Behind a page lies another frame than the next page's. Here none does: frames lie apart, and the
 * sanitizer ends a test in which an access runs over the end of a page. */
static void test_refuses_what_runs_over_a_page(void **state)
{
    (void)state;
    for (uint64_t p = 0; p < machine_layout(m)->region_pages; p++) {
        uint8_t *page = machine_at(boot_va(p), false);
        assert_null(__asan_region_is_poisoned(page, MACHINE_PAGE));
        assert_ptr_equal(__asan_region_is_poisoned(page + 1, MACHINE_PAGE), page + MACHINE_PAGE);
        assert_ptr_equal(__asan_region_is_poisoned(page + MACHINE_PAGE - 4, sizeof(uint64_t)),
                         page + MACHINE_PAGE);
    }
}

static void test_sees_a_stale_translation(void **state)
{
    (void)state;
    uint64_t va = boot_va(1), other = machine_built_p2m(m, 2);
    *(uint64_t *)machine_at(va, true) = 1;
    assert_int_equal(update(place_of(va), other << 12 | RW_DATA), 0);
    assert_says(access_fails(va, false), "stale");
    assert_int_equal(ext(MMUEXT_INVLPG_LOCAL, va), 0);
    assert_string_equal(access_fails(va, true), "");
    /* read-only without a flush: reads are as before, a write is not */
    assert_int_equal(update(place_of(va), other << 12 | RO_DATA), 0);
    assert_string_equal(access_fails(va, false), "");
    assert_says(access_fails(va, true), "stale");
    assert_int_equal(ext(MMUEXT_TLB_FLUSH_LOCAL, 0), 0);
    assert_says(access_fails(va, true), "read-only");
    assert_string_equal(access_fails(va, false), "");
    assert_int_equal(update(place_of(va), 0), 0);
    assert_says(access_fails(va, false), "stale");
    assert_int_equal(call(__HYPERVISOR_update_va_mapping, va, 0, UVMF_INVLPG | UVMF_ALL, 0), 0);
    assert_says(access_fails(va, false), "not mapped: level 1");
}

static void test_a_new_root_forgets_all(void **state)
{
    (void)state;
    uint64_t va = boot_va(1);
    machine_at(va, true);
    assert_int_equal(update(place_of(va), machine_built_p2m(m, 2) << 12 | RW_DATA), 0);
    assert_int_equal(ext(MMUEXT_NEW_BASEPTR, port_cr3() >> 12), 0);
    assert_string_equal(access_fails(va, true), "");
}

/* R9: the core itself flushes before a page that was writable becomes a table. */
static void test_the_core_flushes_before_a_page_is_a_table(void **state)
{
    (void)state;
    uint64_t va = boot_va(1), n = machine_built_p2m(m, 1);
    memset(machine_at(va, true), 0, MACHINE_PAGE);
    assert_int_equal(update(place_of(va), n << 12 | RO_DATA), 0);
    assert_int_equal(ext(MMUEXT_PIN_L1_TABLE, n), 0);
    assert_int_equal(machine_type(m, n), 1);
    assert_says(access_fails(va, true), "read-only");
    assert_int_equal(ext(MMUEXT_UNPIN_TABLE, n), 0);
}

static void test_m2p_has_an_end(void **state)
{
    (void)state;
    assert_int_equal(machine_m2p_word(0xffff800000000000, machine_frames(m)), MACHINE_NONE);
    machine_on_failure = keep_failure;
    failure[0] = 0;
    if (setjmp(on_failure) == 0)
        machine_m2p_word(0xffff800000001000, 0);
    machine_on_failure = NULL;
    assert_says(failure, "m2p");
}

/* ---- hypercalls */

static void test_batches_stop_at_a_refused_element(void **state)
{
    (void)state;
    uint64_t at = place_of(boot_va(1)), table = machine_built_p2m(m, machine_layout(m)->tables);
    struct mmu_update u[3] = {{at, 0}, {at + 8, table << 12 | RW_DATA}, {at + 16, 0}};
    unsigned done = 9;
    assert_int_equal(call(__HYPERVISOR_mmu_update, (uint64_t)u, 3, (uint64_t)&done, DOMID_SELF),
                     -XEN_EBUSY);
    assert_int_equal(done, 1);
    assert_says(access_fails(boot_va(1), false), "level 1");
    assert_string_equal(access_fails(boot_va(2), true), "");
}

static void test_multicalls_go_on(void **state)
{
    (void)state;
    struct multicall_entry e[2] = {
        {.op = __HYPERVISOR_update_va_mapping, .args = {0x1000, 0, 0}},
        {.op = __HYPERVISOR_update_va_mapping, .args = {boot_va(1), 0, UVMF_INVLPG}},
    };
    assert_int_equal(call(__HYPERVISOR_multicall, (uint64_t)e, 2, 0, 0), 0);
    assert_int_equal((int64_t)e[0].result, -XEN_EINVAL);
    assert_int_equal(e[1].result, 0);
}

static void test_memory_comes_and_goes(void **state)
{
    (void)state;
    xen_pfn_t list[200];
    for (unsigned i = 0; i < 200; i++)
        list[i] = NR_PAGES + i;
    assert_int_equal(reserve(XENMEM_populate_physmap, list, 200), 104);
    assert_int_equal(machine_m2p(m, list[103]), NR_PAGES + 103);
    assert_int_equal(machine_owned(m), 4200);
    assert_int_equal(reserve(XENMEM_decrease_reservation, list, 50), 50);
    assert_int_equal(machine_owned(m), 4150);
    assert_null(machine_audit(m));
    /* a page that is mapped stays, and the count shows it */
    list[0] = machine_built_p2m(m, 3);
    assert_int_equal(reserve(XENMEM_decrease_reservation, list, 1), 1);
    assert_non_null(machine_audit(m));
    assert_int_equal(call(__HYPERVISOR_update_va_mapping, boot_va(3), 0, UVMF_INVLPG, 0), 0);
}

static void test_made_to_fail(void **state)
{
    (void)state;
    uint64_t calls = machine_calls(m), at = place_of(boot_va(1));
    struct mmu_update u[3] = {{at, 0}, {at + 8, 0}, {at + 16, 0}};
    unsigned done = 9;
    machine_fail_call(m, 2, -XEN_ENOMEM);
    assert_int_equal(update(at, machine_built_p2m(m, 1) << 12 | RW_DATA), 0);
    assert_int_equal(update(at, 0), -XEN_ENOMEM);
    assert_int_equal(machine_failed_at(m), __HYPERVISOR_mmu_update);
    assert_string_equal(access_fails(boot_va(1), true), "");
    machine_fail_element(m, 3, -XEN_EPERM);
    assert_int_equal(call(__HYPERVISOR_mmu_update, (uint64_t)u, 3, (uint64_t)&done, DOMID_SELF),
                     -XEN_EPERM);
    assert_int_equal(done, 2);
    assert_int_equal(machine_calls(m), calls + 3);
}

static void shut_down(void *arg)
{
    struct sched_shutdown s = {.reason = *(unsigned *)arg};
    call(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (uint64_t)&s, 0, 0);
}

static void stop(void *arg)
{
    (void)arg;
    port_stop();
}

static void test_ends(void **state)
{
    (void)state;
    unsigned reason = SHUTDOWN_crash;
    assert_int_equal(machine_run(shut_down, &reason), SHUTDOWN_crash);
    assert_int_equal(machine_run(stop, NULL), MACHINE_STOPPED);
}

/* ---- the initial domain */

static void test_holes_are_the_machines(void **state)
{
    (void)state;
    static const struct machine_e820 map[] = {
        {0, 0x9f000, 1}, {0x100000, 0x700000, 1}, {0x800000, 0x10000, 3}, {0x810000, 0x2000000, 1}};
    machine_end(m);
    m = machine_make(&(struct machine_params){
        .seed = 9, .nr_pages = NR_PAGES, .initial_domain = true, .e820 = map, .nr_e820 = 4});
    struct {
        uint64_t address, bytes;
        uint32_t type;
    } __attribute__((packed)) got[8];
    struct xen_memory_map question = {.nr_entries = 8};
    set_xen_guest_handle(question.buffer, got);
    assert_int_equal(
        call(__HYPERVISOR_memory_op, XENMEM_machine_memory_map, (uint64_t)&question, 0, 0), 0);
    assert_int_equal(question.nr_entries, 4);
    assert_int_equal(got[2].type, 3);
    assert_int_equal(machine_owner(m, 0x800), MACHINE_DEVICE);
    assert_int_equal(machine_owner(m, 0x9f), MACHINE_DEVICE);
    assert_int_not_equal(machine_owner(m, 0x811), MACHINE_DEVICE);
    uint64_t va = boot_va(1);
    assert_int_equal(
        call(__HYPERVISOR_update_va_mapping, va, 0x800ull << 12 | RO_DATA, UVMF_INVLPG, 0), 0);
    assert_int_equal(((uint64_t *)machine_at(va, false))[3], 0x800 << 12 | 24);
    static char text[] = "hello";
    call(__HYPERVISOR_console_io, 0, 5, (uint64_t)text, 0);
    assert_string_equal(machine_console(m), "hello");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_start_info_is_where_it_says),
        TEST(test_list_and_m2p_agree),
        TEST(test_region_is_mapped_tables_read_only),
        TEST(test_init_p2m_has_its_own_tables),
        TEST(test_refuses_what_is_not_mapped),
        TEST(test_refuses_what_runs_over_a_page),
        TEST(test_sees_a_stale_translation),
        TEST(test_a_new_root_forgets_all),
        TEST(test_the_core_flushes_before_a_page_is_a_table),
        TEST(test_m2p_has_an_end),
        TEST(test_batches_stop_at_a_refused_element),
        TEST(test_multicalls_go_on),
        TEST(test_memory_comes_and_goes),
        TEST(test_made_to_fail),
        TEST(test_ends),
        TEST(test_holes_are_the_machines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
