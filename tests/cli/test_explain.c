/* SPDX-License-Identifier: MIT */
/* Explanations of reports that were made up: every code, requests in words, garbage, when the guest
 * may go on, and what the guest publishes. */
#include "made_up.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exitcodes.h"
#include "explainer.h"
#include "reports.h"

/* ---- codes */

static const struct {
    enum core_reason reason;
    const char *code;
} codes[] = {
    {REASON_NONE, "bad-argument"},
    {REASON_FOREIGN_FRAME, "foreign-frame"},
    {REASON_NOT_RAM, "not-ram"},
    {REASON_NO_SUCH_FRAME, "no-such-frame"},
    {REASON_TYPE_IN_USE, "type-in-use"},
    {REASON_COUNT_OVERFLOW, "count-overflow"},
    {REASON_BAD_FLAGS, "bad-flags"},
    {REASON_RESERVED_SLOT, "reserved-slot"},
    {REASON_ALREADY_PINNED, "already-pinned"},
    {REASON_NOT_PINNED, "not-pinned"},
    {REASON_NOT_A_TABLE, "not-a-table"},
    {REASON_NO_L1, "no-l1"},
    {REASON_BAD_ADDRESS, "bad-address"},
    {REASON_BAD_DESCRIPTOR, "bad-descriptor"},
    {REASON_NO_MEMORY, "no-memory"},
    {REASON_NO_RIGHT, "no-right"},
    {REASON_BAD_COMMAND, "bad-command"},
    {REASON_FRAME_HELD, "frame-held"},
    {REASON_ENTRY_CHANGED, "entry-changed"},
};

static void every_reason_has_its_code(void **state)
{
    (void)state;
    assert_int_equal(sizeof(codes) / sizeof(codes[0]), REASON_ENTRY_CHANGED + 1);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        const struct pvmm_report r = refusal(codes[i].reason);
        struct explanation *x = explain(&sources, &r);
        struct json_object *json;
        char *text;

        assert_non_null(x);
        json = print_both(x, &text);
        assert_string_equal(get_text(json, "code"), codes[i].code);
        assert_string_equal(get_text(json, "kind"), "refusal");
        assert_string_equal(get_text(json, "errno"), "EINVAL");
        assert_string_equal(get_text(json, "seconds"), "2.000000000");
        assert_non_null(strstr(text, codes[i].code));
        assert_non_null(strstr(text, "R2: "));
        json_object_put(json);
        free(text);
        free(x);
    }
}

static void ends_and_faults_have_codes(void **state)
{
    struct pvmm_report r = refusal(REASON_NONE);
    struct explanation *x;
    char *text;

    (void)state;
    r.kind = PVMM_REPORT_CRASH;
    r.request = PVMM_REQUEST_NONE;
    strcpy(r.message, "it said so");
    x = explain(&sources, &r);
    json_object_put(print_both(x, &text));
    assert_string_equal(x->code, "crash");
    assert_int_equal(x->weight, EXPLAIN_CRASH);
    assert_non_null(strstr(text, "it said so"));
    free(text);
    free(x);
    r.kind = PVMM_REPORT_WRITE_FAULT;
    r.address = 0xffff888000002010;
    x = explain(&sources, &r);
    assert_string_equal(x->code, "write-fault");
    assert_non_null(strstr(x->headline, "0xffff888000002010"));
    free(x);
    assert_string_equal(explain_reason_code(1000), "unknown-reason");
}

/* ---- requests in words */

static void expect_request(const struct pvmm_report *r, const char *words)
{
    struct explain_request q;

    explain_request(&sources, r, &q);
    if (strcmp(q.text, words) != 0)
        fail_msg("\"%s\" instead of \"%s\"", q.text, words);
}

static void requests_are_told_in_words(void **state)
{
    struct pvmm_report r = refusal(REASON_TYPE_IN_USE);

    (void)state;
    expect_request(&r, "mmuext_op: MMUEXT_PIN_L4_TABLE of mfn 0x1001 (pfn 0x1)");
    r.element[0] = 14; /* none */
    expect_request(&r, "mmuext_op: command 14 (0x1001, 0x0)");
    r.hypercall = __HYPERVISOR_mmu_update;
    r.element[0] = ((FIRST_MFN + 3) << 12) + 16;
    r.element[1] = ((FIRST_MFN + 4ull) << 12) | PTE_PRESENT | PTE_RW | PTE_NX;
    r.batch_index = 2;
    r.batch_count = 16;
    r.multicall_index = 0;
    expect_request(&r, "mmu_update, element 3 of 16, in element 1 of a multicall: entry 2 of mfn "
                       "0x1003 (pfn 0x3) := 0x8000000001004003: mfn 0x1004 (pfn 0x4), PRESENT RW "
                       "NX");
    r.element[0] |= MMU_MACHPHYS_UPDATE;
    r.element[1] = 9;
    r.batch_count = 1;
    expect_request(&r, "mmu_update, element 1 of a multicall: let m2p say pfn 0x9 for mfn 0x1003 "
                       "(pfn 0x3)");
    r.multicall_index = r.batch_index = PVMM_NONE;
    r.hypercall = __HYPERVISOR_update_va_mapping;
    r.args[0] = 0xffff888000002000;
    r.args[1] = 0;
    expect_request(&r, "update_va_mapping: entry for 0xffff888000002000 := 0x0");
    r.hypercall = __HYPERVISOR_memory_op;
    r.args[0] = 1 | 64; /* from extent 1 on */
    expect_request(&r, "memory_op: XENMEM_decrease_reservation");
    r.batch_index = 2;
    r.batch_count = 4;
    r.element[0] = FIRST_MFN + 5;
    expect_request(&r, "memory_op, element 3 of 4: XENMEM_decrease_reservation of mfn 0x1005 (pfn "
                       "0x5)");
    r.args[0] = 6;
    r.element[0] = 0x30;
    expect_request(&r, "memory_op, element 3 of 4: XENMEM_populate_physmap at pfn 0x30");
    r.batch_index = PVMM_NONE;
    r.hypercall = __HYPERVISOR_grant_table_op;
    r.args[0] = 0;
    expect_request(&r, "grant_table_op: GNTTABOP_map_grant_ref");
    r.hypercall = __HYPERVISOR_set_gdt;
    r.args[1] = 32;
    expect_request(&r, "set_gdt: a GDT of 32 entries");
    r.hypercall = __HYPERVISOR_update_descriptor;
    expect_request(&r, "update_descriptor: descriptor at 0x0 := 0x20");
    r.hypercall = 77;
    expect_request(&r, "hypercall 77: arguments 0x0, 0x20, 0x0, 0x0");
    r.request = PVMM_REQUEST_CR3;
    r.value = 0x1002000;
    expect_request(&r, "MOV to CR3 of 0x1002000 (mfn 0x1002 (pfn 0x2))");
    r.request = PVMM_REQUEST_STORE;
    r.address = 0x1000;
    expect_request(&r, "a store to a table at 0x1000: 0x1002000: not present");
}

/* ---- garbage */

static uint64_t noise(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void garbage_is_refused_or_told(void **state)
{
    struct pvmm_mailbox *box = calloc(1, sizeof(*box));
    const struct mailbox m = {.box = box};
    uint64_t seed = 88172645463325252ull;
    static struct pvmm_report r;
    unsigned told = 0;

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        uint8_t *raw = (uint8_t *)&box->reports.report[0];
        struct explanation *x;
        char *text;

        for (size_t i = 0; i < sizeof(r); i += 8) {
            const uint64_t n = noise(&seed);
            memcpy(raw + i, &n, sizeof(r) - i < 8 ? sizeof(r) - i : 8);
        }
        box->reports.version = PVMM_REPORTS_VERSION;
        box->reports.report_bytes = sizeof(r);
        box->reports.filed = round % 2 == 0 ? 1 : ~0u;
        box->reports.report[0].kind = 1 + round % 3;
        box->reports.report[0].request = round % 5;
        if (round % 4 != 0) {
            box->reports.report[0].holders = 0;
            box->reports.report[0].steps = 0;
        }
        if (!reports_copy(&m, 0, &r))
            continue;
        told++;
        x = explain(&sources, &r);
        json_object_put(print_both(x, &text));
        free(text);
        free(x);
    }
    assert_true(told > 1000);
    box->reports.version++;
    assert_int_equal(reports_filed(&m), 0);
    assert_false(reports_copy(&m, 0, &r));
    free(box);
}

/* Of a tree that is not in use, or not whole, nothing is said as if it were. */
static void places_are_named_for_what_they_are(void **state)
{
    static const struct {
        uint32_t level, flags;
        const char *words;
    } places[] = {
        {4, PVMM_FRAME_VALIDATED | PVMM_FRAME_KERNEL_ROOT, "0x2000, seen from the root mfn 0x1000"},
        {4, 0, "0x2000, seen from the L4 table mfn 0x1000"},
        {2, PVMM_FRAME_PINNED, "offset 0x2000 of what the L2 table mfn 0x1000"},
        {2, PVMM_FRAME_PINNED, "is pinned by itself"},
        {2, 0, "hangs from nothing that is in use"},
    };
    struct pvmm_report r = refusal(REASON_TYPE_IN_USE);

    (void)state;
    r.steps = 1;
    r.path[0] = (struct pvmm_report_step){FIRST_MFN + 3, 0, 1, 7};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct explanation *x;

        r.place = (struct pvmm_place){0x2000, FIRST_MFN, places[i].level, places[i].flags};
        x = explain(&sources, &r);
        assert_non_null(strstr(x->place, places[i].words));
        free(x);
    }
}

/* ---- the guest waits until its reports are read */

/*
 * The host rang for all reports that were filed, not for those it had read. One that was filed
 * between the look and the bell was explained when the guest had gone on: with page tables that
 * were gone by then. Now it is only what was looked at that is answered, and each look once.
 */
static void only_what_was_read_is_answered(void **state)
{
    struct pvmm_mailbox *box = calloc(1, sizeof(*box));
    const struct mailbox m = {.box = box};
    struct explainer x = {.ram_fd = -1, .kernel_fd = -1};

    (void)state;
    box->reports.version = PVMM_REPORTS_VERSION;
    box->reports.report_bytes = sizeof(struct pvmm_report);
    box->reports.filed = 1;
    box->reports.waiting = PVMM_WAITING_READ;
    assert_false(explainer_has_read(&x, &m)); /* not looked at */
    x.looked = 1;
    assert_true(explainer_has_read(&x, &m));
    assert_false(explainer_has_read(&x, &m)); /* once */
    box->reports.filed = 3;
    x.looked = 2;
    assert_false(explainer_has_read(&x, &m));
    x.looked = 3;
    box->reports.waiting = PVMM_WAITING_NOT;
    assert_false(explainer_has_read(&x, &m));
    box->reports.waiting = PVMM_WAITING_READ;
    assert_true(explainer_has_read(&x, &m));
    box->reports.filed = 4;
    explainer_look(&x, &m, NULL, stderr); /* nothing can be explained: the guest waits for nobody */
    assert_true(explainer_has_read(&x, &m));
    free(box);
}

static unsigned times(const char *text, const char *word)
{
    unsigned n = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        n++;
    return n;
}

/* What explainer_look() prints of a write fault at one address and a crash at another. */
static void fault_then_crash(uint64_t crash_at, char **text)
{
    struct pvmm_mailbox *box = calloc(1, sizeof(*box));
    const struct mailbox m = {.box = box};
    struct explainer x = {.ram_fd = -1, .kernel_fd = -1};
    struct error e;
    size_t size;
    FILE *out = open_memstream(text, &size);
    const int ram = memfd_create("ram", 0);

    box->reports.version = PVMM_REPORTS_VERSION;
    box->reports.report_bytes = sizeof(struct pvmm_report);
    box->reports.filed = 2;
    box->machine.version = PVMM_MACHINE_VERSION;
    box->reports.report[0] = box->reports.report[1] = write_fault(PVMM_FRAME_L1, 1);
    box->reports.report[1].kind = PVMM_REPORT_CRASH;
    box->reports.report[1].address = crash_at;
    assert_int_equal(explainer_start(&x, ram, &e), 0);
    explainer_look(&x, &m, NULL, out);
    assert_int_equal(x.reports, 2);
    fclose(out);
    close(ram);
    explainer_close(&x);
    free(box);
}

/* A crash of the store that was just told says so, and not all of it again. */
static void one_frame_is_told_once(void **state)
{
    char *text;

    (void)state;
    fault_then_crash(0xffffffff81234568, &text);
    assert_int_equal(times(text, "\n  frame "), 1);
    assert_int_equal(times(text, "as in the breach above"), 1);
    free(text);
    fault_then_crash(0xffffffff81239000, &text);
    assert_int_equal(times(text, "\n  frame "), 2);
    assert_int_equal(times(text, "as in the breach above"), 0);
    free(text);
}

/* ---- publication */

static void publications_are_judged(void **state)
{
    struct explanation *list[PUBLICATION_MAX];
    struct pv_publication p = {.published = true};
    unsigned n;

    (void)state;
    assert_int_equal(explain_publication(&p, list), 0);
    p.gaps = 20;
    for (unsigned i = 0; i < PV_GAPS; i++)
        p.gap[i] = (struct pv_gap){(enum pv_gap_kind)(i % 4), {i}, {i + 1}, {i}, {i + 2}};
    p.initial_idle = true;
    n = explain_publication(&p, list);
    assert_int_equal(n, 5);
    assert_string_equal(list[0]->code, "publication-short");
    assert_string_equal(list[2]->code, "publication-differs");
    assert_string_equal(list[3]->code, "publication-unreadable");
    assert_string_equal(list[4]->code, "initial-root-pinned");
    for (unsigned i = 0; i < n; i++) {
        char *text;

        json_object_put(print_both(list[i], &text));
        free(text);
        free(list[i]);
    }
    p = (struct pv_publication){.published = false};
    assert_int_equal(explain_publication(&p, list), 1);
    assert_string_equal(list[0]->code, "not-published");
    assert_int_equal(list[0]->weight, EXPLAIN_NOTE);
    free(list[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_its_code),
        cmocka_unit_test(ends_and_faults_have_codes),
        cmocka_unit_test(requests_are_told_in_words),
        cmocka_unit_test(garbage_is_refused_or_told),
        cmocka_unit_test(places_are_named_for_what_they_are),
        cmocka_unit_test(only_what_was_read_is_answered),
        cmocka_unit_test(one_frame_is_told_once),
        cmocka_unit_test(publications_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
