/* SPDX-License-Identifier: MIT */
#include "make_stream.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <xen/xen.h>
#include <xen/foreign/x86_32.h>

#include "internal.h"
#include "pte.h"
#include "stream_layout.h"

#define TABLES_MAX   1024u
#define BATCH        16u
#define BATCH_MAX    1024u
#define XEN_FIRST_L4 256u /* the slots of Xen's own: 256..271 */
#define XEN_LAST_L4  271u

struct maker {
    int fd;
    off_t at;
    const struct pv_view *v;
    const struct stream_options *o;
    struct stream_made *made;
    struct {
        uint64_t mfn;
        unsigned type;
    } table[TABLES_MAX];
    unsigned tables;
    uint64_t *pfn; /* in the order in which they are sent */
    size_t pfns;
    uint8_t other; /* flips the content of pages */
};

/* ---- bytes and records */

static void emit(struct maker *k, const void *from, size_t n)
{
    assert_int_equal(pwrite(k->fd, from, n, k->at), n);
    k->at += (off_t)n;
}

static void begin_record(struct maker *k, bool of_libxc, uint32_t type, size_t bytes)
{
    struct record_header h = {.type = type, .bytes = (uint32_t)bytes};
    assert_true(k->made->n < STREAM_RECORDS_MAX);
    k->made->record[k->made->n].at = k->at;
    k->made->record[k->made->n].type = type;
    k->made->record[k->made->n++].of_libxc = of_libxc;
    emit(k, &h, sizeof(h));
}

static void pad(struct maker *k, size_t bytes)
{
    emit(k, "\0\0\0\0\0\0\0", -bytes & 7);
}

static void record(struct maker *k, uint32_t type, const void *body, size_t bytes)
{
    begin_record(k, true, type, bytes);
    emit(k, body, bytes);
    pad(k, bytes);
}

static void libxl_record(struct maker *k, uint32_t type, const void *body, size_t bytes)
{
    begin_record(k, false, type, bytes);
    emit(k, body, bytes);
    pad(k, bytes);
}

/* ---- types of frames */

static unsigned type_of(const struct maker *k, mfn_t m)
{
    for (unsigned i = 0; i < k->tables; i++)
        if (k->table[i].mfn == m.n)
            return k->table[i].type;
    return PAGE_PLAIN;
}

static unsigned top_level(const struct pv_view *v)
{
    return v->width == 4 ? 3 : 4;
}

static bool is_xens(const struct pv_view *v, unsigned level, unsigned slot)
{
    if (v->width == 4)
        return level == 3 && slot >= 4;
    return level == 4 && slot >= XEN_FIRST_L4 && slot <= XEN_LAST_L4;
}

/* The table and those below it. */
static void mark(struct maker *k, mfn_t m, unsigned type)
{
    uint64_t entry[512];
    unsigned level = type & 7;
    if (type_of(k, m) || !k->v->backend->read(k->v, m, 0, entry, sizeof(entry)))
        return;
    assert_true(k->tables < TABLES_MAX);
    k->table[k->tables].mfn = m.n;
    k->table[k->tables++].type = type;
    for (unsigned i = 0; level > 1 && i < 512; i++)
        if (pte_present(entry[i]) && !is_xens(k->v, level, i))
            mark(k, pte_frame(entry[i]), level - 1);
}

static void mark_tables(struct maker *k)
{
    unsigned top = top_level(k->v);
    mfn_t root = mfn(0);
    for (; (root = k->v->backend->next_pinned_root(k->v, root)).n != NO_MFN.n; root.n++)
        mark(k, root, top | PAGE_PINNED);
    for (unsigned i = 0; i < k->v->nr_vcpus; i++)
        if (k->v->vcpu[i].valid)
            mark(k, k->v->vcpu[i].kernel_root, top);
}

/* ---- pages */

static uint64_t portable(const struct maker *k, uint64_t entry)
{
    if (!pte_present(entry))
        return entry;
    pfn_t p = k->v->backend->pfn_of(k->v, pte_frame(entry));
    return p.n == NO_PFN.n ? 0 : pte_make(mfn(p.n), entry & ~PTE_FRAME_MASK);
}

static void emit_page(struct maker *k, mfn_t m)
{
    uint64_t words[512];
    unsigned level = type_of(k, m) & 7;
    assert_true(k->v->backend->read(k->v, m, 0, words, sizeof(words)));
    for (unsigned i = 0; level && i < 512; i++)
        words[i] = is_xens(k->v, level, i) ? 0 : portable(k, words[i]);
    for (unsigned i = 0; k->other && i < sizeof(words); i++)
        ((uint8_t *)words)[i] ^= k->other;
    emit(k, words, sizeof(words));
}

static void pages_record(struct maker *k, const uint64_t *pfns, uint32_t n)
{
    uint64_t list[BATCH_MAX];
    mfn_t frame[BATCH_MAX];
    struct page_data h = {.count = n};
    size_t bytes = sizeof(h) + n * sizeof(*list);
    for (uint32_t i = 0; i < n; i++) {
        frame[i] = k->v->backend->mfn_of(k->v, pfn(pfns[i]));
        bool there = frame[i].n != NO_MFN.n;
        list[i] = pfns[i] | (uint64_t)(there ? type_of(k, frame[i]) : PAGE_NONE) << 60;
        bytes += there ? PAGE_BYTES : 0;
    }
    begin_record(k, true, LIBXC_PAGE_DATA, bytes);
    emit(k, &h, sizeof(h));
    emit(k, list, n * sizeof(*list));
    for (uint32_t i = 0; i < n; i++)
        if (frame[i].n != NO_MFN.n)
            emit_page(k, frame[i]);
}

/* `flip` makes the content another. */
static void all_pages(struct maker *k, uint8_t flip)
{
    size_t batch = k->o->batch ? k->o->batch : BATCH;
    assert_true(batch <= BATCH_MAX);
    k->other = flip;
    for (size_t i = 0; i < k->pfns; i += batch)
        pages_record(k, k->pfn + i, (uint32_t)(k->pfns - i < batch ? k->pfns - i : batch));
    k->other = 0;
}

static void add_pfn(struct maker *k, uint64_t p)
{
    k->pfn = reallocarray(k->pfn, k->pfns + 1, sizeof(*k->pfn));
    assert_non_null(k->pfn);
    k->pfn[k->pfns++] = p;
}

static void list_pfns(struct maker *k)
{
    uint64_t expected = 0;
    pfn_t p = pfn(0);
    for (; (p = k->v->backend->next_pfn(k->v, p)).n != NO_PFN.n; p.n++) {
        for (; k->o->holes && expected < p.n; expected++)
            add_pfn(k, expected);
        add_pfn(k, p.n);
        expected = p.n + 1;
    }
    for (size_t i = 1; k->o->shuffled && i < k->pfns; i++) {
        size_t with = (i * 2654435761u) % (i + 1);
        uint64_t was = k->pfn[i];
        k->pfn[i] = k->pfn[with];
        k->pfn[with] = was;
    }
}

/* ---- state */

static uint64_t portable_root(const struct maker *k, uint64_t control_register)
{
    if (!control_register)
        return 0;
    pfn_t p = k->v->backend->pfn_of(k->v, mfn(xen_cr3_to_pfn(control_register)));
    return xen_pfn_to_cr3(p.n);
}

static void portable_64(const struct maker *k, unsigned vcpu, vcpu_guest_context_t *c)
{
    c->ctrlreg[3] = portable_root(k, c->ctrlreg[3]);
    if (c->ctrlreg[1])
        c->ctrlreg[1] = portable_root(k, c->ctrlreg[1]) | 1;
    for (unsigned i = 0; i < 14 && i < (c->gdt_ents + 511) / 512; i++)
        c->gdt_frames[i] = k->v->backend->pfn_of(k->v, mfn(c->gdt_frames[i])).n;
    if (vcpu == 0 && !mfn_eq(k->v->start_info, NO_MFN))
        c->user_regs.rdx = k->v->backend->pfn_of(k->v, k->v->start_info).n;
}

/* Of a 32-bit view only those are written that are portable already. */
static void vcpu_records(struct maker *k, unsigned vcpu)
{
    struct {
        struct vcpu_record h;
        uint8_t context[PV_CONTEXT_BYTES];
    } r = {.h.vcpu = vcpu};
    vcpu_guest_context_t c;
    memcpy(r.context, k->v->vcpu[vcpu].context, sizeof(r.context));
    memcpy(&c, r.context, sizeof(c));
    if (k->v->width == 8)
        portable_64(k, vcpu, &c);
    memcpy(r.context, &c, sizeof(c));
    record(k, LIBXC_VCPU_BASIC, &r, sizeof(r.h) + pv_context_bytes(k->v->width));
    memset(r.context, 0, sizeof(r.context));
    record(k, LIBXC_VCPU_EXTENDED, &r, sizeof(r.h) + 64);
    record(k, LIBXC_VCPU_XSAVE, &r, sizeof(r.h) + 576);
    record(k, LIBXC_VCPU_MSRS, &r, sizeof(r.h) + 16);
}

static void shared_record(struct maker *k)
{
    uint8_t page[PAGE_BYTES];
    if (k->v->backend->read(k->v, k->v->shared_info, 0, page, sizeof(page)))
        record(k, LIBXC_SHARED_INFO, page, sizeof(page));
}

static void state_records(struct maker *k)
{
    uint8_t tsc[24] = {0};
    record(k, LIBXC_TSC_INFO, tsc, sizeof(tsc));
    shared_record(k);
    for (unsigned i = 0; i < k->v->nr_vcpus; i++)
        if (k->v->vcpu[i].valid)
            vcpu_records(k, i);
}

static void p2m_record(struct maker *k)
{
    struct p2m_frames h = {.end = (uint32_t)k->o->p2m_end};
    size_t bytes = k->o->p2m_frames * sizeof(uint64_t);
    if (!k->o->p2m_frames)
        return;
    begin_record(k, true, LIBXC_P2M_FRAMES, sizeof(h) + bytes);
    emit(k, &h, sizeof(h));
    emit(k, k->o->p2m, bytes);
}

static void static_records(struct maker *k)
{
    struct pv_info info = {.width = (uint8_t)k->v->width, .levels = (uint8_t)top_level(k->v)};
    uint8_t policy[48] = {0};
    record(k, LIBXC_PV_INFO, &info, sizeof(info));
    if (k->o->version == 2)
        return;
    record(k, LIBXC_CPUID_POLICY, policy, sizeof(policy));
    record(k, LIBXC_MSR_POLICY, policy, 32);
    record(k, LIBXC_STATIC_DATA_END, NULL, 0);
}

/* ---- the whole */

static void libxc_headers(struct maker *k)
{
    struct libxc_header h = {.marker = LIBXC_MARKER,
                             .id = htobe32(LIBXC_ID),
                             .version = htobe32(k->o->version ? k->o->version : 3)};
    struct domain_header d = {
        .type = LIBXC_PV, .page_shift = PAGE_SHIFT_4K, .xen_major = 4, .xen_minor = 17};
    k->made->libxc_at = k->at;
    emit(k, &h, sizeof(h));
    emit(k, &d, sizeof(d));
}

static void checkpoint(struct maker *k)
{
    record(k, LIBXC_CHECKPOINT, NULL, 0);
    if (k->o->xl)
        libxl_record(k, LIBXL_CHECKPOINT_END, NULL, 0);
    all_pages(k, 0);
    state_records(k);
}

static void libxc_stream(struct maker *k)
{
    bool stale = k->o->live || k->o->checkpoint;
    libxc_headers(k);
    static_records(k);
    p2m_record(k);
    if (k->o->optional)
        record(k, RECORD_OPTIONAL | 0x1234, "whatever", 7);
    if (k->o->unknown)
        record(k, k->o->unknown, "whatever", 8);
    all_pages(k, stale ? 0x55 : 0);
    if (k->o->live)
        all_pages(k, 0);
    if (k->o->verify) {
        record(k, LIBXC_VERIFY, NULL, 0);
        all_pages(k, 0x33);
    }
    state_records(k);
    if (k->o->checkpoint)
        checkpoint(k);
    record(k, LIBXC_END, NULL, 0);
}

static void xl_headers(struct maker *k)
{
    char text[512];
    struct save_header h = {.byte_order = SAVE_BYTE_ORDER, .mandatory = SAVE_JSON | SAVE_STREAM_V2};
    struct libxl_header l = {.version = htobe32(LIBXL_VERSION)};
    memcpy(l.id, LIBXL_ID, sizeof(l.id));
    memcpy(h.magic, SAVE_MAGIC, sizeof(h.magic));
    uint32_t bytes = 1 + (uint32_t)snprintf(text, sizeof(text),
                                            "{\n    \"c_info\": {\n        \"type\": \"pv\",\n"
                                            "        \"name\": \"%s\",\n        \"uuid\": "
                                            "\"6e1d5070-dd22-482f-9fe5-5d51de59dedb\"\n    }\n}\n",
                                            k->o->name ? k->o->name : "made");
    h.optional_bytes = bytes + (uint32_t)sizeof(bytes);
    emit(k, &h, sizeof(h));
    emit(k, &bytes, sizeof(bytes));
    emit(k, text, bytes);
    emit(k, &l, sizeof(l));
}

void make_stream(int fd, const struct pv_view *v, const struct stream_options *o,
                 struct stream_made *out)
{
    struct maker *k = calloc(1, sizeof(*k));
    assert_non_null(k);
    *k = (struct maker){.fd = fd, .v = v, .o = o, .made = out};
    *out = (struct stream_made){0};
    mark_tables(k);
    list_pfns(k);
    if (o->xl) {
        xl_headers(k);
        libxl_record(k, LIBXL_CONTEXT, NULL, 0);
    }
    libxc_stream(k);
    if (o->xl)
        libxl_record(k, LIBXL_END, NULL, 0);
    out->bytes = k->at;
    assert_int_equal(ftruncate(fd, k->at), 0);
    free(k->pfn);
    free(k);
}

off_t made_record(const struct stream_made *s, bool of_libxc, uint32_t type)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->record[i].of_libxc == of_libxc && s->record[i].type == type)
            return s->record[i].at;
    fail_msg("no record of type %u", type);
    return -1;
}
