/* SPDX-License-Identifier: MIT */
/*
 * Takes in a guest from a save stream, record by record, in the order that Xen's
 * docs/specs/libxc-migration-stream has. Nothing is believed: what is wrong ends it, and so does
 * what is endless.
 */
#include "stream_take.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_MOST   (128u << 20) /* bytes; libxc's own bound */
#define SKIPPED_MOST  1024u        /* optional records, */
#define SKIPPED_BYTES (16u << 20)  /* of so many bytes together */

/* ---- words */

static const char *name_of(const struct taking *c)
{
    return stream_record_name(c->h.type, !c->of_libxl);
}

static int place_context(const struct taking *c, struct pv_error *e)
{
    return pv_context(e, "record %llu (%s)%s at offset %llu", (unsigned long long)c->number,
                      name_of(c), c->of_libxl ? " of libxl's" : "", (unsigned long long)c->at);
}

int take_refuse(const struct taking *c, struct pv_error *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, args);
    va_end(args);
    return place_context(c, e);
}

/* ---- bytes of a record */

static uint64_t padded(const struct taking *c)
{
    return (c->h.bytes + 7ull) & ~7ull;
}

static int cut_short(const struct taking *c, struct pv_error *e)
{
    return pv_fail(e,
                   "cut short in record %llu (%s)%s at offset %llu: it wants %llu bytes, %llu came",
                   (unsigned long long)c->number, name_of(c), c->of_libxl ? " of libxl's" : "",
                   (unsigned long long)c->at, (unsigned long long)(sizeof(c->h) + padded(c)),
                   (unsigned long long)(c->in.offset - c->at));
}

int take_pieces(struct taking *c, unsigned pieces, size_t n, struct pv_error *e)
{
    size_t got;
    if (take_input_read(&c->in, c->piece, pieces, &got, e))
        return place_context(c, e);
    return got < n ? cut_short(c, e) : 0;
}

int take_body(struct taking *c, void *to, size_t n, struct pv_error *e)
{
    c->piece[0] = (struct iovec){to, n};
    return take_pieces(c, 1, n, e);
}

/* Padding has no meaning, whatever it is. */
static int skip_to(struct taking *c, uint64_t end, struct pv_error *e)
{
    while (c->in.offset < end) {
        uint64_t n = end - c->in.offset;
        if (take_body(c, c->body, n < sizeof(c->body) ? n : sizeof(c->body), e))
            return -1;
    }
    return 0;
}

static int skip_padding(struct taking *c, struct pv_error *e)
{
    return skip_to(c, c->at + sizeof(c->h) + padded(c), e);
}

/* ---- records that are refused, or have no content for us */

static int not_of_pv(struct taking *c, struct pv_error *e)
{
    return take_refuse(c, e, "a PV guest has none");
}

static int of_checkpoints(struct taking *c, struct pv_error *e)
{
    return take_refuse(c, e, "checkpoints of a running guest (Remus, COLO) are not taken in");
}

static int of_debugging(struct taking *c, struct pv_error *e)
{
    return take_refuse(c, e, "a stream of `xl migrate --debug`, which is not taken in");
}

static int of_the_past(struct taking *c, struct pv_error *e)
{
    return take_refuse(c, e, "the format has it no more");
}

/* Leaves and MSRs of what the guest could see: each of them is `element` bytes. */
static int policy(struct taking *c, size_t element, struct pv_error *e)
{
    if (c->version < 3)
        return take_refuse(c, e, "streams of version %u have none", c->version);
    if (c->h.bytes % element)
        return take_refuse(c, e, "its length of %u is no multiple of %zu", c->h.bytes, element);
    return 0;
}

static int cpuid_policy(struct taking *c, struct pv_error *e)
{
    return policy(c, 24, e);
}

static int msr_policy(struct taking *c, struct pv_error *e)
{
    return policy(c, 16, e);
}

static int static_data_end(struct taking *c, struct pv_error *e)
{
    if (c->version < 3)
        return take_refuse(c, e, "streams of version %u have none", c->version);
    if (!c->t->width)
        return take_refuse(c, e, "out of order: X86_PV_INFO comes before it");
    c->phase = TAKE_P2M;
    return 0;
}

static int end(struct taking *c, struct pv_error *e)
{
    if (take_state_complete(c, e))
        return -1;
    c->phase = TAKE_ENDED;
    return 0;
}

/* ---- libxc's records */

#define WHOLE ~0u /* it reads its body itself */

static const struct known {
    int (*take)(struct taking *c, struct pv_error *e);
    enum take_phase first, last;
    uint32_t least, most; /* bytes */
    bool once;
} known[LIBXC_RECORDS] = {
    [LIBXC_END] = {end, TAKE_STATE, TAKE_STATE, 0, 0, true},
    [LIBXC_PAGE_DATA] = {take_page_data, TAKE_PAGES, TAKE_PAGES, 0, WHOLE, false},
    [LIBXC_PV_INFO] = {take_pv_info, TAKE_STATIC, TAKE_STATIC, 8, 8, true},
    [LIBXC_P2M_FRAMES] = {take_p2m_frames, TAKE_P2M, TAKE_P2M, 0, WHOLE, true},
    [LIBXC_VCPU_BASIC] = {take_vcpu_basic, TAKE_PAGES, TAKE_STATE,
                          sizeof(struct vcpu_record) + PV_CONTEXT_BYTES,
                          sizeof(struct vcpu_record) + PV_CONTEXT_BYTES, false},
    [LIBXC_VCPU_EXTENDED] = {take_vcpu_extended, TAKE_PAGES, TAKE_STATE, sizeof(struct vcpu_record),
                             sizeof(struct vcpu_record) + EXTENDED_MOST, false},
    [LIBXC_VCPU_XSAVE] = {take_vcpu_xsave, TAKE_PAGES, TAKE_STATE, sizeof(struct vcpu_record),
                          TAKE_BODY, false},
    [LIBXC_SHARED_INFO] = {take_shared_info, TAKE_PAGES, TAKE_STATE, PAGE_BYTES, PAGE_BYTES, true},
    [LIBXC_TSC_INFO] = {take_tsc_info, TAKE_PAGES, TAKE_STATE, sizeof(struct tsc_info),
                        sizeof(struct tsc_info), true},
    [LIBXC_HVM_CONTEXT] = {not_of_pv, TAKE_STATIC, TAKE_ENDED, 0, WHOLE, false},
    [LIBXC_HVM_PARAMS] = {not_of_pv, TAKE_STATIC, TAKE_ENDED, 0, WHOLE, false},
    [LIBXC_TOOLSTACK] = {of_the_past, TAKE_STATIC, TAKE_ENDED, 0, WHOLE, false},
    [LIBXC_VCPU_MSRS] = {take_vcpu_msrs, TAKE_PAGES, TAKE_STATE, sizeof(struct vcpu_record),
                         TAKE_BODY, false},
    [LIBXC_VERIFY] = {of_debugging, TAKE_STATIC, TAKE_ENDED, 0, WHOLE, false},
    [LIBXC_CHECKPOINT] = {of_checkpoints, TAKE_STATIC, TAKE_ENDED, 0, WHOLE, false},
    [LIBXC_DIRTY_PFNS] = {of_checkpoints, TAKE_STATIC, TAKE_ENDED, 0, WHOLE, false},
    [LIBXC_STATIC_DATA_END] = {static_data_end, TAKE_STATIC, TAKE_STATIC, 0, 0, true},
    [LIBXC_CPUID_POLICY] = {cpuid_policy, TAKE_STATIC, TAKE_STATIC, 0, TAKE_BODY, true},
    [LIBXC_MSR_POLICY] = {msr_policy, TAKE_STATIC, TAKE_STATIC, 0, TAKE_BODY, true},
};

/* The record without which nothing of a later phase is to come. */
static const char *awaited(const struct taking *c)
{
    uint32_t type = c->phase == TAKE_P2M     ? LIBXC_P2M_FRAMES
                    : c->phase == TAKE_PAGES ? LIBXC_PAGE_DATA
                    : c->t->width            ? LIBXC_STATIC_DATA_END
                                             : LIBXC_PV_INFO;
    return stream_record_name(type, true);
}

static bool too_early(const struct taking *c, const struct known *k)
{
    return c->phase < k->first || (k->last == TAKE_STATE && c->t->pages == 0);
}

static int check_order(const struct taking *c, const struct known *k, struct pv_error *e)
{
    if (k->once && (c->had >> c->h.type & 1))
        return take_refuse(c, e, "it came already");
    if (too_early(c, k))
        return take_refuse(c, e, "out of order: %s comes before it", awaited(c));
    if (c->phase > k->last)
        return take_refuse(c, e, "out of order: it cannot come behind %s",
                           stream_record_name(c->behind, true));
    return 0;
}

static int check_length(const struct taking *c, const struct known *k, struct pv_error *e)
{
    if (c->h.bytes >= k->least && c->h.bytes <= k->most)
        return 0;
    if (k->least == k->most)
        return take_refuse(c, e, "its length is %u, not %u", c->h.bytes, k->least);
    return take_refuse(c, e, "its length is %u, not %u to %u", c->h.bytes, k->least, k->most);
}

static int skip_optional(struct taking *c, struct pv_error *e)
{
    c->skipped++;
    c->skipped_bytes += c->h.bytes;
    if (c->skipped > SKIPPED_MOST || c->skipped_bytes > SKIPPED_BYTES)
        return take_refuse(c, e, "more than %u optional records, or than %u bytes of them",
                           SKIPPED_MOST, SKIPPED_BYTES);
    return 0;
}

static int take_known(struct taking *c, const struct known *k, struct pv_error *e)
{
    if (check_order(c, k, e) || check_length(c, k, e) ||
        (k->most != WHOLE && take_body(c, c->body, c->h.bytes, e)) || k->take(c, e))
        return -1;
    c->had |= 1u << c->h.type;
    c->behind = c->h.type;
    return 0;
}

static int take_live(struct taking *c, struct pv_error *e)
{
    if (c->had & 1u << LIBXC_PAGE_DATA)
        return take_refuse(c, e, "out of order: it cannot come behind pages");
    c->live = true;
    return skip_optional(c, e);
}

static int take_libxc_record(struct taking *c, struct pv_error *e)
{
    if (c->h.type == RECORD_PVMM_LIVE)
        return take_live(c, e);
    if (c->h.type & RECORD_OPTIONAL)
        return skip_optional(c, e);
    if (c->h.type >= LIBXC_RECORDS)
        return take_refuse(c, e, "type %x is not known", c->h.type);
    return take_known(c, &known[c->h.type], e);
}

/* The next record's header; c->at, c->number are its. */
static int next_header(struct taking *c, bool of_libxl, uint64_t *count, struct pv_error *e)
{
    char what[40];
    c->of_libxl = of_libxl;
    c->number = (*count)++;
    c->at = c->in.offset;
    snprintf(what, sizeof(what), "the header of %srecord %llu", of_libxl ? "libxl's " : "",
             (unsigned long long)c->number);
    if (take_input_tell(&c->in, e) || take_header(c, &c->h, sizeof(c->h), what, e))
        return -1;
    if (c->h.bytes > RECORD_MOST)
        return take_refuse(c, e, "its length is %u; the most is %u", c->h.bytes, RECORD_MOST);
    return 0;
}

static int take_libxc_records(struct taking *c, struct pv_error *e)
{
    while (c->phase != TAKE_ENDED)
        if (next_header(c, false, &c->t->records, e) || take_libxc_record(c, e) ||
            skip_padding(c, e))
            return -1;
    return 0;
}

/* ---- libxl's records, around them */

static int take_libxl_record(struct taking *c, bool *done, struct pv_error *e)
{
    if (c->h.type & RECORD_OPTIONAL)
        return skip_optional(c, e);
    switch (c->h.type) {
    case LIBXL_CONTEXT:
        if (c->phase == TAKE_ENDED)
            return take_refuse(c, e, "it came already");
        return c->h.bytes ? take_refuse(c, e, "its length is %u, not 0", c->h.bytes) : 0;
    case LIBXL_END:
        if (c->phase != TAKE_ENDED)
            return take_refuse(c, e, "no LIBXC_CONTEXT came before it");
        *done = true;
        return c->h.bytes ? take_refuse(c, e, "its length is %u, not 0", c->h.bytes) : 0;
    case LIBXL_EMULATOR_XENSTORE:
    case LIBXL_EMULATOR_CONTEXT:
        return not_of_pv(c, e);
    case LIBXL_CHECKPOINT_END:
    case LIBXL_CHECKPOINT_STATE:
        return of_checkpoints(c, e);
    default:
        return take_refuse(c, e, "type %x is not known", c->h.type);
    }
}

static int take_libxl_records(struct taking *c, struct pv_error *e)
{
    for (bool done = false; !done;) {
        if (next_header(c, true, &c->libxl_records, e) || take_libxl_record(c, &done, e) ||
            skip_padding(c, e))
            return -1;
        if (c->h.type == LIBXL_CONTEXT && (take_inner(c, e) || take_libxc_records(c, e)))
            return -1;
    }
    return 0;
}

/* ---- the whole */

static int check_end(struct taking *c, struct pv_error *e)
{
    bool ended = true;
    c->t->bytes = c->in.offset;
    if (c->in.regular && take_input_ended(&c->in, &ended, e))
        return pv_context(e, "behind the record END, at offset %llu",
                          (unsigned long long)c->in.offset);
    if (!ended)
        return pv_fail(e, "something follows the record END, at offset %llu",
                       (unsigned long long)c->in.offset);
    return 0;
}

static void count_pages(struct pv_taken *t)
{
    t->pages = t->tables = 0;
    for (uint64_t p = 0; p < t->end_pfn; p++) {
        t->pages += t->page[p].mfn != ~0u;
        t->tables += t->page[p].level != 0;
    }
}

static int take_all(struct taking *c, int fd, struct pv_error *e)
{
    if (take_input_open(&c->in, fd, c->o, e) || take_outer(c, e) ||
        (c->t->of_xl ? take_libxl_records(c, e) : take_libxc_records(c, e)) || check_end(c, e))
        return -1;
    count_pages(c->t);
    return 0;
}

int pv_take(struct pv_taken **out, int fd, const struct pv_take_ops *ops, void *context,
            const struct pv_take_options *o, struct pv_error *e)
{
    struct taking *c = calloc(1, sizeof(*c));
    *out = calloc(1, sizeof(**out));
    if (c) {
        c->t = *out;
        c->ops = ops;
        c->context = context;
        c->o = o;
        c->live = o->live;
        c->vcpu_had = calloc(o->max_vcpus ? o->max_vcpus : 1, sizeof(*c->vcpu_had));
    }
    int rc = c && *out && c->vcpu_had ? take_all(c, fd, e) : pv_no_memory(e);
    if (c) {
        take_input_close(&c->in);
        free(c->vcpu_had);
        free(c->frame);
    }
    free(c);
    return rc;
}

bool pv_taken_place(const struct pv_taken *t, pfn_t p, struct pv_place *out)
{
    if (p.n >= t->end_pfn || t->page[p.n].mfn == ~0u)
        return false;
    const struct pv_taken_page *page = &t->page[p.n];
    *out = (struct pv_place){.offset = page->offset};
    snprintf(out->record, sizeof(out->record), "record %u (PAGE_DATA) at offset %llu", page->record,
             (unsigned long long)page->offset);
    return true;
}

void pv_taken_free(struct pv_taken *t)
{
    if (!t)
        return;
    free(t->page);
    free(t->p2m_pfn);
    free(t->vcpu);
    free(t);
}
