/* SPDX-License-Identifier: MIT */
/* Explanations of reports that were made up: every code, every hint, every answer of a witness. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <json-c/json.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <xen/xen.h>

#include "core.h"
#include "corefile.h"
#include "exitcodes.h"
#include "explain_print.h"
#include "explainer.h"
#include "reports.h"

/* ---- a guest of 64 pages: pfn p is at mfn 0x1000 + p */

#define FRAMES    0x2000u
#define PAGES     64u
#define FIRST_MFN 0x1000u

static bool no_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    (void)v, (void)m, (void)offset, (void)to, (void)n;
    return false;
}

static bool owned(const struct pv_view *v, mfn_t m)
{
    (void)v;
    return m.n >= FIRST_MFN && m.n < FIRST_MFN + PAGES;
}

static pfn_t pfn_of(const struct pv_view *v, mfn_t m)
{
    return owned(v, m) ? (pfn_t){m.n - FIRST_MFN} : NO_PFN;
}

static mfn_t mfn_of(const struct pv_view *v, pfn_t p)
{
    (void)v;
    return p.n < PAGES ? (mfn_t){FIRST_MFN + p.n} : NO_MFN;
}

static mfn_t no_root(const struct pv_view *v, mfn_t from)
{
    (void)v, (void)from;
    return NO_MFN;
}

static const struct pv_backend backend = {
    .read = no_read,
    .owned = owned,
    .pfn_of = pfn_of,
    .mfn_of = mfn_of,
    .next_pinned_root = no_root,
};

static const struct pv_view view = {
    .backend = &backend,
    .kind = "made up",
    .nr_frames = FRAMES,
    .nr_pages = PAGES,
    .end_pfn = {PAGES},
    .shared_info = {~0ull},
    .initial_root = {~0ull},
};

static const struct explain_sources sources = {
    .view = &view,
    .machine = {.version = PVMM_MACHINE_VERSION, .tsc_khz = 1000, .entry_tsc = 5000},
};

/* A refused request that says nothing yet. */
static struct pvmm_report refusal(enum core_reason reason)
{
    return (struct pvmm_report){
        .kind = PVMM_REPORT_REFUSAL,
        .request = PVMM_REQUEST_HYPERCALL,
        .count = 1,
        .time = 2005000,
        .recorded = ~0ull,
        .hypercall = __HYPERVISOR_mmuext_op,
        .multicall_index = PVMM_NONE,
        .batch_index = 0,
        .batch_count = 1,
        .element = {MMUEXT_PIN_L4_TABLE, FIRST_MFN + 1, 0},
        .address = PVMM_NONE,
        .error = -22,
        .reason = reason,
        .rule = 2,
        .frame = {.mfn = FIRST_MFN + 2, .pfn = 2, .owner = 1, .known = 1},
        .in_kernel = 1,
        .kernel_root = FIRST_MFN,
        .user_root = PVMM_NONE,
        .regs = {.rip = 0xffffffff81000000},
    };
}

static struct pvmm_holder entry_holder(unsigned level, uint64_t table, unsigned slot,
                                       uint64_t entry)
{
    return (struct pvmm_holder){
        .kind = PVMM_HOLDER_ENTRY,
        .conflicts = 1,
        .level = level,
        .slot = slot,
        .table = table,
        .at = (table << 12) + slot * 8ull,
        .entry = entry,
        .place = {.va = 0xffff888000002000, .top = FIRST_MFN, .top_level = 4},
    };
}

static const char *get_text(struct json_object *o, const char *key)
{
    struct json_object *value;

    assert_true(json_object_object_get_ex(o, key, &value));
    return json_object_get_string(value);
}

/* Both printings of it: lines that fit, and JSON that can be read again. */
static struct json_object *print_both(const struct explanation *x, char **text)
{
    size_t size;
    FILE *out = open_memstream(text, &size);
    struct json_object *made = explain_json(x), *read;
    const char *line;

    explain_text(x, false, out);
    fclose(out);
    for (line = *text; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 100 || strcspn(line + 14, " ") > 80);
    read = json_tokener_parse(json_object_to_json_string(made));
    assert_non_null(read);
    json_object_put(made);
    return read;
}

static bool hinted(const struct explanation *x, const char *code)
{
    for (unsigned i = 0; i < x->hints; i++)
        if (strcmp(x->hint[i].code, code) == 0)
            return true;
    return false;
}

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

/* ---- hints: each with what it wants, and without one thing of it */

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

static struct pvmm_report write_fault(uint32_t type, uint32_t uses)
{
    struct pvmm_report r = refusal(REASON_NONE);

    r.kind = PVMM_REPORT_WRITE_FAULT;
    r.request = PVMM_REQUEST_NONE;
    r.hypercall = PVMM_NONE;
    r.address = 0xffffffff81234568;
    r.frame.type = type;
    r.frame.uses = uses;
    r.walk[1] = ((FIRST_MFN + 2ull) << 12) | PTE_PRESENT;
    r.walk_at[1] = 0;
    return r;
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

/* ---- the recorder */

#define RECORDS 8u

struct recording {
    struct pvmm_recorder recorder;
    struct witness w;
    struct pvmm_record *record;
    int fd;
};

static void make_ring(struct recording *g)
{
    struct error e;

    g->fd = memfd_create("ram", 0);
    assert_int_equal(ftruncate(g->fd, 65536), 0);
    g->record = (struct pvmm_record *)((char *)mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED,
                                                    g->fd, 0) +
                                       0x2010);
    g->recorder = (struct pvmm_recorder){.version = PVMM_RECORDER_VERSION,
                                         .record_bytes = sizeof(struct pvmm_record),
                                         .at = 0x2010,
                                         .records = RECORDS};
    assert_int_equal(witness_open(&g->w, g->fd, &g->recorder, &e), 0);
}

static void drop_ring(struct recording *g)
{
    witness_close(&g->w);
    munmap((char *)g->record - 0x2010, 65536);
    close(g->fd);
}

static void act(struct recording *g, enum pvmm_act a, uint64_t at, uint64_t now)
{
    g->record[g->recorder.written % RECORDS] = (struct pvmm_record){
        .time = 5000 + g->recorder.written * 1000000,
        .rip = 0x1234,
        .at = at | (uint64_t)a << PVMM_RECORD_ACT_SHIFT,
        .now = now,
    };
    g->recorder.written++;
}

static void witnesses_answer(void **state)
{
    struct recording g;
    struct witnessed w;

    (void)state;
    make_ring(&g);
    w = witness_entry(&g.w, ~0ull, 0x5008, 7, 1);
    assert_int_equal(w.answer, WITNESS_BEFORE); /* everything is there, and that is not */
    act(&g, PVMM_ACT_ENTRY, 0x5008, 0x7067);
    act(&g, PVMM_ACT_ENTRY, 0x5010, 0x7067);
    act(&g, PVMM_ACT_STORE, 0x5008, 0); /* names another */
    w = witness_entry(&g.w, ~0ull, 0x5008, 7, 1);
    assert_int_equal(w.answer, WITNESS_SEEN);
    assert_int_equal(w.index, 0);
    act(&g, PVMM_ACT_TYPE, 0x5000, PVMM_FRAME_L1);
    w = witness_entry(&g.w, ~0ull, 0x5008, 7, 1);
    assert_int_equal(w.answer, WITNESS_VALIDATED);
    assert_int_equal(w.index, 3);
    w = witness_entry(&g.w, 3, 0x5008, 7, 1); /* before that */
    assert_int_equal(w.answer, WITNESS_SEEN);
    act(&g, PVMM_ACT_PIN, 0x9000, 4);
    w = witness_frame(&g.w, ~0ull, PVMM_ACT_PIN, 9, 0);
    assert_int_equal(w.answer, WITNESS_SEEN);
    w = witness_frame(&g.w, ~0ull, PVMM_ACT_TYPE, 5, PVMM_FRAME_L2);
    assert_int_equal(w.answer, WITNESS_BEFORE);
    for (unsigned i = 0; i < RECORDS; i++)
        act(&g, PVMM_ACT_M2P, 0xa000, i);
    w = witness_frame(&g.w, ~0ull, PVMM_ACT_PIN, 9, 0);
    assert_int_equal(w.answer, WITNESS_OLDER);
    drop_ring(&g);
}

/* What was seen in an earlier life of a table or root says nothing about this one. */
static void witnesses_of_earlier_lives_are_silent(void **state)
{
    struct recording g;

    (void)state;
    make_ring(&g);
    act(&g, PVMM_ACT_ENTRY, 0x5008, 0x7067);
    act(&g, PVMM_ACT_RELEASE, 0x5000, 0);
    assert_int_equal(witness_entry(&g.w, ~0ull, 0x5008, 7, 1).answer, WITNESS_UNSEEN);
    act(&g, PVMM_ACT_TYPE, 0x5000, PVMM_FRAME_L1);
    assert_int_equal(witness_entry(&g.w, ~0ull, 0x5008, 7, 1).answer, WITNESS_VALIDATED);
    act(&g, PVMM_ACT_ROOT, 0x6000, 0);
    act(&g, PVMM_ACT_ROOT, 0x6000, 1);
    assert_int_equal(witness_frame(&g.w, ~0ull, PVMM_ACT_ROOT, 6, 0).index, 3);
    assert_int_equal(witness_frame(&g.w, ~0ull, PVMM_ACT_ROOT, 6, 1).index, 4);
    drop_ring(&g);
}

/* "made L1 by": the recorder notes the end of a validation, not its beginning. */
static void tables_in_the_making_have_no_maker(void **state)
{
    struct pvmm_report r = refusal(REASON_TYPE_IN_USE);
    struct explain_sources s = sources;
    struct explanation *x;
    struct recording g;

    (void)state;
    make_ring(&g);
    act(&g, PVMM_ACT_TYPE, (FIRST_MFN + 2ull) << 12, PVMM_FRAME_L1);
    s.witness = &g.w;
    r.frame.type = PVMM_FRAME_L1;
    r.frame.uses = 1;
    x = explain(&s, &r);
    assert_false(x->frame.maker.asked);
    free(x);
    r.frame.flags = PVMM_FRAME_VALIDATED;
    x = explain(&s, &r);
    assert_true(x->frame.maker.asked);
    assert_string_equal(x->frame.maker.text, "made L1 by 0x1234 at 0.000000 s");
    free(x);
    drop_ring(&g);
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

static void overtaken_records_are_dropped(void **state)
{
    struct pvmm_record r;
    struct recording g;

    (void)state;
    make_ring(&g);
    assert_false(witness_read(&g.w, 0, &r));
    for (unsigned i = 0; i < RECORDS + 3; i++)
        act(&g, PVMM_ACT_M2P, 0xa000, i);
    assert_int_equal(witness_oldest(&g.w), 4); /* 3 may be half overwritten at this moment */
    assert_false(witness_read(&g.w, 3, &r));
    assert_true(witness_read(&g.w, 4, &r));
    assert_int_equal(r.now, 4);
    g.w.still = true;
    assert_int_equal(witness_oldest(&g.w), 3);
    assert_false(witness_read(&g.w, 2, &r));
    assert_true(witness_read(&g.w, 3, &r));
    assert_int_equal(r.now, 3);
    assert_true(witness_read(&g.w, RECORDS + 2, &r));
    assert_int_equal(r.now, RECORDS + 2);
    assert_false(witness_read(&g.w, RECORDS + 3, &r));
    drop_ring(&g);
}

static void impossible_recorders_are_refused(void **state)
{
    struct pvmm_recorder r = {.version = PVMM_RECORDER_VERSION,
                              .record_bytes = sizeof(struct pvmm_record)};
    const int fd = memfd_create("ram", 0);
    struct witness w;
    struct error e;

    (void)state;
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(witness_open(&w, fd, &r, &e), 0); /* off */
    assert_int_equal(witness_entry(&w, ~0ull, 0, 0, 1).answer, WITNESS_OFF);
    r.records = 3;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    r.records = 4096;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    r.records = 1ull << 63;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    r.records = 8;
    r.at = ~7ull;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    r.at = 8;
    r.version = 9;
    assert_int_equal(witness_open(&w, fd, &r, &e), -1);
    close(fd);
}

static void records_are_told(void **state)
{
    const struct pvmm_record r = {
        .time = 1005000,
        .rip = 0x40,
        .at = 0x5010 | (uint64_t)PVMM_ACT_ENTRY << PVMM_RECORD_ACT_SHIFT,
        .old = 1,
        .now = 2,
    };
    struct json_object *o = explain_record_json(&sources, 3, &r);
    char text[200];

    (void)state;
    explain_record_text(&sources, 3, &r, text, sizeof(text));
    assert_string_equal(text, "         3     1.000000  entry    mfn 0x5[2] 0x1 -> 0x2  by 0x40");
    assert_string_equal(get_text(o, "act"), "entry");
    assert_string_equal(get_text(o, "at"), "0x5010");
    json_object_put(o);
    for (uint64_t a = 0; a < 64; a++) {
        const struct pvmm_record any = {.at = a << PVMM_RECORD_ACT_SHIFT, .old = a, .now = a};

        explain_record_text(&sources, a, &any, text, sizeof(text));
        json_object_put(explain_record_json(&sources, a, &any));
    }
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

/* ---- core files */

static bool read_zeroes(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    (void)offset;
    memset(to, 0, n);
    return owned(v, m);
}

static pfn_t next_pfn(const struct pv_view *v, pfn_t from)
{
    (void)v;
    return from.n < PAGES ? from : NO_PFN;
}

static unsigned files_in(const char *path)
{
    DIR *d = opendir(path);
    unsigned n = 0;

    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void core_files_are_whole_or_not_there(void **state)
{
    struct pv_backend readable = backend;
    struct pv_view v = view;
    char dir[] = "core-XXXXXX", path[64];
    struct error e;
    uint64_t bytes;
    int news[2];

    (void)state;
    readable.read = read_zeroes;
    readable.next_pfn = next_pfn;
    v.backend = &readable;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/core", dir);
    assert_int_equal(pipe(news), 0);
    assert_int_equal(write(news[1], "", 1), 1); /* as a signal would */
    assert_int_equal(corefile_write(&v, path, news[0], &bytes, &e), -1);
    assert_non_null(strstr(e.text, "interrupted"));
    assert_int_equal(files_in(dir), 0);
    assert_int_equal(corefile_write(&v, path, -1, &bytes, &e), 0);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(corefile_write(&v, path, news[0], &bytes, &e), -1);
    assert_int_equal(access(path, R_OK), 0); /* the one before stays */
    assert_int_equal(corefile_write(&v, path, -1, &bytes, &e), 0);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(corefile_write(&v, path, -1, &bytes, &e), -1);
    close(news[0]);
    close(news[1]);
}

/*
 * A core was written beside its name and renamed over whatever had that name. Whoever ran as root
 * and wanted no core, and said so with --core /dev/null, had a file of that name from then on, in
 * place of the device. What is no file is left alone now.
 */
static void cores_replace_files_only(void **state)
{
    char path[] = "/tmp/pvmm-core-XXXXXX";
    struct error e;

    (void)state;
    assert_int_equal(corefile_check("/dev/null", &e), -1);
    assert_int_equal(e.code, EXIT_USAGE);
    assert_non_null(mkdtemp(path));
    assert_int_equal(corefile_check(path, &e), -1);
    assert_int_equal(corefile_write(&view, path, -1, &(uint64_t){0}, &e), -1);
    assert_int_equal(files_in(path), 0);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(corefile_check(path, &e), 0); /* not there yet */
    assert_int_equal(corefile_check("/proc/self/exe", &e), 0);
}

static void cores_are_named_after_the_kernel(void **state)
{
    char *here = getcwd(NULL, 0), *name = corefile_default("/boot/vmlinuz-6.1");

    (void)state;
    assert_int_equal(strncmp(name, here, strlen(here)), 0);
    assert_string_equal(name + strlen(here), "/vmlinuz-6.1.core");
    free(here);
    free(name);
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
        cmocka_unit_test(tables_that_map_themselves_are_noticed),
        cmocka_unit_test(writable_mappings_of_tables_are_noticed),
        cmocka_unit_test(idle_roots_are_noticed),
        cmocka_unit_test(entries_of_other_trees_are_noticed),
        cmocka_unit_test(write_faults_get_hints),
        cmocka_unit_test(variables_beside_tables_are_noticed),
        cmocka_unit_test(single_facts_get_hints),
        cmocka_unit_test(witnesses_answer),
        cmocka_unit_test(witnesses_of_earlier_lives_are_silent),
        cmocka_unit_test(tables_in_the_making_have_no_maker),
        cmocka_unit_test(former_tables_are_told_from_other_pages),
        cmocka_unit_test(only_what_is_in_the_way_is_marked),
        cmocka_unit_test(overtaken_records_are_dropped),
        cmocka_unit_test(impossible_recorders_are_refused),
        cmocka_unit_test(records_are_told),
        cmocka_unit_test(garbage_is_refused_or_told),
        cmocka_unit_test(core_files_are_whole_or_not_there),
        cmocka_unit_test(places_are_named_for_what_they_are),
        cmocka_unit_test(only_what_was_read_is_answered),
        cmocka_unit_test(one_frame_is_told_once),
        cmocka_unit_test(cores_replace_files_only),
        cmocka_unit_test(cores_are_named_after_the_kernel),
        cmocka_unit_test(publications_are_judged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
