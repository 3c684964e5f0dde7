/* SPDX-License-Identifier: MIT */
#include "made_up.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool no_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    (void)v, (void)m, (void)offset, (void)to, (void)n;
    return false;
}

bool owned(const struct pv_view *v, mfn_t m)
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

const struct pv_backend backend = {
    .read = no_read,
    .owned = owned,
    .pfn_of = pfn_of,
    .mfn_of = mfn_of,
    .next_pinned_root = no_root,
};

const struct pv_view view = {
    .backend = &backend,
    .kind = "made up",
    .nr_frames = FRAMES,
    .nr_pages = PAGES,
    .end_pfn = {PAGES},
    .shared_info = {~0ull},
    .initial_root = {~0ull},
};

const struct explain_sources sources = {
    .view = &view,
    .machine = {.version = PVMM_MACHINE_VERSION, .tsc_khz = 1000, .entry_tsc = 5000},
};

/* A refused request that says nothing yet. */
struct pvmm_report refusal(enum core_reason reason)
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

struct pvmm_holder entry_holder(unsigned level, uint64_t table, unsigned slot, uint64_t entry)
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

struct pvmm_report write_fault(uint32_t type, uint32_t uses)
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

const char *get_text(struct json_object *o, const char *key)
{
    struct json_object *value;

    assert_true(json_object_object_get_ex(o, key, &value));
    return json_object_get_string(value);
}

/* Both printings of it: lines that fit, and JSON that can be read again. */
struct json_object *print_both(const struct explanation *x, char **text)
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

bool hinted(const struct explanation *x, const char *code)
{
    for (unsigned i = 0; i < x->hints; i++)
        if (strcmp(x->hint[i].code, code) == 0)
            return true;
    return false;
}

/* ---- a ring of records */

void make_ring(struct recording *g)
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

void drop_ring(struct recording *g)
{
    witness_close(&g->w);
    munmap((char *)g->record - 0x2010, 65536);
    close(g->fd);
}

void act(struct recording *g, enum pvmm_act a, uint64_t at, uint64_t now)
{
    g->record[g->recorder.written % RECORDS] = (struct pvmm_record){
        .time = 5000 + g->recorder.written * 1000000,
        .rip = 0x1234,
        .at = at | (uint64_t)a << PVMM_RECORD_ACT_SHIFT,
        .now = now,
    };
    g->recorder.written++;
}
