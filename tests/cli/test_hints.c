/* SPDX-License-Identifier: MIT */
/* Hints: each with what it wants, and without one thing of it. */
#include "made_up.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void expect_hint(const struct pvmm_report *r, const char *code, bool wanted)
{
    struct explanation *x = explain(&sources, r);
    struct json_object *json;
    char *text;

    assert_non_null(x);
    json = print_both(x, &text);
    if (hinted(x, code) != wanted)
        fail_msg("hint %s %s:\n%s", code, wanted ? "is missing" : "is given", text);
    json_object_put(json);
    free(text);
    free(x);
}

static void tables_that_map_themselves_are_noticed(void **state)
{
    struct pvmm_report r = refusal(REASON_TYPE_IN_USE);

    (void)state;
    r.wanted = PVMM_FRAME_WRITABLE;
    r.frame.type = PVMM_FRAME_L1;
    r.frame.uses = 1;
    r.steps = 2;
    r.path[0] = (struct pvmm_report_step){FIRST_MFN + 3, 0, 2, 0};
    r.path[1] = (struct pvmm_report_step){FIRST_MFN + 4, 0, 1, 7};
    r.holders = 1;
    r.holder[0] = entry_holder(2, FIRST_MFN + 3, 1, 0x1002067);
    expect_hint(&r, "tables-map-themselves", true);
    r.holder[0].table = FIRST_MFN + 20; /* a table of another tree */
    expect_hint(&r, "tables-map-themselves", false);
    r.frame.mfn = FIRST_MFN + 4; /* the L1 maps itself */
    expect_hint(&r, "tables-map-themselves", true);
    r.wanted = PVMM_FRAME_L2; /* a table of two levels: nothing is mapped writable */
    expect_hint(&r, "tables-map-themselves", false);
}

/* A pin is in the way of a pin; the mappings of that table are not, nor is anything where the slot
 * itself was refused. */
static void only_what_is_in_the_way_is_marked(void **state)
{
    struct pvmm_report r = refusal(REASON_ALREADY_PINNED);
    struct explanation *x;

    (void)state;
    r.holders = 2;
    r.holder[0] = (struct pvmm_holder){.kind = PVMM_HOLDER_PIN, .conflicts = 1};
    r.holder[1] = entry_holder(1, FIRST_MFN + 3, 1, 0x1002061);
    x = explain(&sources, &r);
    assert_true(x->holder[0].conflicts);
    assert_false(x->holder[1].conflicts);
    free(x);
    r.reason = REASON_RESERVED_SLOT;
    x = explain(&sources, &r);
    assert_false(x->holder[0].conflicts || x->holder[1].conflicts);
    free(x);
    r.reason = REASON_TYPE_IN_USE;
    x = explain(&sources, &r);
    assert_true(x->holder[0].conflicts && x->holder[1].conflicts);
    free(x);
}

static void writable_mappings_of_tables_are_noticed(void **state)
{
    struct pvmm_report r = refusal(REASON_TYPE_IN_USE);

    (void)state;
    r.wanted = PVMM_FRAME_L1;
    r.frame.type = PVMM_FRAME_WRITABLE;
    r.frame.uses = 1;
    r.holders = 1;
    r.holder[0] = entry_holder(1, FIRST_MFN + 3, 1, 0x1002063);
    expect_hint(&r, "mapped-writable", true);
    r.holder[0].entry &= ~PTE_RW;
    expect_hint(&r, "mapped-writable", false);
}

static void idle_roots_are_noticed(void **state)
{
    struct pvmm_report r = refusal(REASON_TYPE_IN_USE);

    (void)state;
    r.wanted = PVMM_FRAME_WRITABLE;
    r.frame.type = PVMM_FRAME_L1;
    r.frame.uses = 1;
    r.holders = 1;
    r.holder[0] = entry_holder(2, FIRST_MFN + 3, 1, 0x1002067);
    r.holder[0].place.top_flags = PVMM_FRAME_PINNED | PVMM_FRAME_BUILDERS;
    expect_hint(&r, "idle-root", true);
    expect_hint(&r, "table-in-use", false);
    r.holder[0].place.top_flags |= PVMM_FRAME_KERNEL_ROOT;
    expect_hint(&r, "idle-root", false);
    expect_hint(&r, "table-in-use", true);
    r.holder[0] = (struct pvmm_holder){.kind = PVMM_HOLDER_PIN, .conflicts = 1};
    r.frame.flags = PVMM_FRAME_PINNED;
    expect_hint(&r, "idle-root", true);
}

static void entries_of_other_trees_are_noticed(void **state)
{
    struct pvmm_report r = refusal(REASON_NO_L1);

    (void)state;
    r.frame.mfn = PVMM_NONE;
    r.hypercall = __HYPERVISOR_update_va_mapping;
    expect_hint(&r, "other-tree", true);
    r = refusal(REASON_NOT_A_TABLE);
    expect_hint(&r, "not-in-use", true);
    r.frame.mfn = PVMM_NONE;
    expect_hint(&r, "not-in-use", false);
}

static void write_faults_get_hints(void **state)
{
    struct pvmm_report r = write_fault(PVMM_FRAME_NONE, 0);

    (void)state;
    expect_hint(&r, "left-read-only", true);
    expect_hint(&r, "store-to-table", false);
    r = write_fault(PVMM_FRAME_L2, 1);
    expect_hint(&r, "left-read-only", false);
    expect_hint(&r, "store-to-table", true);
    expect_hint(&r, "shares-a-page", false); /* nobody says what lies there */
}

static void variables_beside_tables_are_noticed(void **state)
{
    static const char map[] = "ffffffff81234000 d level1_fixmap_pgt\n"
                              "ffffffff81234560 d early_counter\n"
                              "ffffffff81234570 d after\n";
    const struct pvmm_report r = write_fault(PVMM_FRAME_L1, 1);
    struct explain_sources s = sources;
    struct pv_symbols *symbols = pv_symbols_new();
    struct explanation *x;
    struct pv_error why;
    size_t count;
    const int fd = memfd_create("map", 0);

    (void)state;
    assert_int_equal(write(fd, map, sizeof(map) - 1), sizeof(map) - 1);
    assert_int_equal(pv_symbols_fd(symbols, fd, "System.map", &count, &why), 0);
    close(fd);
    s.symbols = symbols;
    x = explain(&s, &r);
    assert_true(hinted(x, "shares-a-page"));
    assert_non_null(strstr(x->hint[0].text, "early_counter"));
    assert_non_null(strstr(x->hint[0].text, "level1_fixmap_pgt"));
    assert_false(hinted(x, "store-to-table"));
    free(x);
    pv_symbols_free(symbols);
}

static void single_facts_get_hints(void **state)
{
    struct pvmm_report r = refusal(REASON_FOREIGN_FRAME);

    (void)state;
    r.frame = (struct pvmm_frame_state){.mfn = 5, .pfn = PVMM_NONE, .owner = -1, .known = 1};
    expect_hint(&r, "pfn-for-mfn", true);
    r.frame.mfn = PAGES + 1; /* no pfn of the guest's either */
    expect_hint(&r, "pfn-for-mfn", false);
    r = refusal(REASON_ALREADY_PINNED);
    expect_hint(&r, "pinned-already", true);
    r = refusal(REASON_NOT_PINNED);
    expect_hint(&r, "pinned-not", true);
    r = refusal(REASON_RESERVED_SLOT);
    expect_hint(&r, "reserved-slot", true);
    r = refusal(REASON_BAD_FLAGS);
    r.value = PTE_PRESENT | PTE_PSE;
    r.steps = 1;
    r.path[0] = (struct pvmm_report_step){FIRST_MFN + 3, r.value, 2, 0};
    expect_hint(&r, "superpage", true);
    r.path[0].level = 1; /* there the bit is PAT */
    expect_hint(&r, "superpage", false);
    r = refusal(REASON_FRAME_HELD);
    expect_hint(&r, "still-used", false);
    r.holders = 1;
    r.holder[0] = entry_holder(1, FIRST_MFN + 3, 1, 0x1002063);
    expect_hint(&r, "still-used", true);
}

/* That a page was a table is said where its release was recorded, and nowhere else. */
static void former_tables_are_told_from_other_pages(void **state)
{
    struct pvmm_report r = write_fault(PVMM_FRAME_NONE, 0);
    struct explain_sources s = sources;
    struct explanation *x;
    struct recording g;

    (void)state;
    make_ring(&g);
    s.witness = &g.w;
    x = explain(&s, &r);
    assert_true(hinted(x, "left-read-only"));
    assert_null(strstr(x->hint[0].text, "was a table"));
    free(x);
    act(&g, PVMM_ACT_RELEASE, (FIRST_MFN + 2ull) << 12, 0);
    x = explain(&s, &r);
    assert_true(hinted(x, "left-read-only"));
    assert_non_null(strstr(x->hint[0].text, "was a table"));
    free(x);
    drop_ring(&g);
    r.frame.owner = -1; /* lent: nothing to make writable */
    expect_hint(&r, "left-read-only", false);
    r.frame.owner = 1;
    r.frame.flags = PVMM_FRAME_SHARED;
    expect_hint(&r, "left-read-only", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_that_map_themselves_are_noticed),
        cmocka_unit_test(writable_mappings_of_tables_are_noticed),
        cmocka_unit_test(idle_roots_are_noticed),
        cmocka_unit_test(entries_of_other_trees_are_noticed),
        cmocka_unit_test(write_faults_get_hints),
        cmocka_unit_test(variables_beside_tables_are_noticed),
        cmocka_unit_test(single_facts_get_hints),
        cmocka_unit_test(only_what_is_in_the_way_is_marked),
        cmocka_unit_test(former_tables_are_told_from_other_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
