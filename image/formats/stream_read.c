/* SPDX-License-Identifier: MIT */
/*
 * Save streams as views. In them page tables, cr3 and the like hold pfns: an mfn_t of the view is
 * the pfn itself. shared_info, which has no pfn, gets a number above all others.
 */
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/foreign/x86_32.h>

#include "pte.h"
#include "stream_parts.h"

static struct stream *stream_of(const struct pv_view *v)
{
    return v->image;
}

/* ---- the backend */

static uint64_t stream_index_of(const struct pv_view *v, mfn_t m)
{
    size_t i = stream_index_find(&stream_of(v)->index, m.n);
    return i != NOWHERE ? i : NO_MFN.n;
}

static mfn_t stream_frame_at(const struct pv_view *v, uint64_t index)
{
    const struct stream_index *x = &stream_of(v)->index;
    return index < x->n ? mfn(x->pfn[index]) : NO_MFN;
}

static bool find_content(const struct pv_view *v, mfn_t m, uint64_t *at)
{
    const struct stream *s = stream_of(v);
    if (s->shared_at && mfn_eq(m, v->shared_info)) {
        *at = s->shared_at;
        return true;
    }
    size_t i = stream_index_find(&s->index, m.n);
    if (i == NOWHERE || !type_has_content(place_type(s->index.place[i])))
        return false;
    *at = place_offset(s->index.place[i]);
    return true;
}

static bool stream_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    struct pv_error ignored;
    uint64_t at;
    return offset <= PAGE_BYTES && n <= PAGE_BYTES - offset && find_content(v, m, &at) &&
           pv_file_read(stream_of(v)->file, at + offset, to, n, "a page", &ignored) == 0;
}

static uint64_t *stream_words(const struct pv_view *v, mfn_t m)
{
    uint64_t at;
    return find_content(v, m, &at) ? (uint64_t *)pv_file_map(stream_of(v)->file, at, PAGE_BYTES)
                                   : NULL;
}

static int stream_lies(const struct pv_view *v, const mfn_t *m, size_t n, uint64_t *at)
{
    for (size_t i = 0; i < n; i++)
        if (!find_content(v, m[i], &at[i]))
            at[i] = NO_MFN.n;
    return stream_of(v)->file->fd;
}

static bool stream_place(const struct pv_view *v, mfn_t m, struct pv_place *out)
{
    uint64_t number, page;
    if (!find_content(v, m, &out->offset))
        return false;
    if (mfn_eq(m, v->shared_info)) {
        snprintf(out->record, sizeof(out->record), "the record SHARED_INFO");
        return true;
    }
    if (!stream_record_of(stream_of(v), out->offset, &number, &page))
        return false;
    snprintf(out->record, sizeof(out->record), "record %llu (PAGE_DATA), page %llu",
             (unsigned long long)number, (unsigned long long)page);
    return true;
}

static bool stream_told(const struct pv_view *v, mfn_t m, struct pv_told *out)
{
    const struct stream_index *x = &stream_of(v)->index;
    size_t i = stream_index_find(x, m.n);
    if (i == NOWHERE || !type_has_content(place_type(x->place[i])))
        return false;
    unsigned type = place_type(x->place[i]);
    *out = (struct pv_told){.level = type & 7, .pinned = type & PAGE_PINNED};
    return true;
}

static bool stream_owned(const struct pv_view *v, mfn_t m)
{
    return stream_index_find(&stream_of(v)->index, m.n) != NOWHERE;
}

static pfn_t stream_pfn_of(const struct pv_view *v, mfn_t m)
{
    return stream_owned(v, m) ? pfn(m.n) : NO_PFN;
}

static mfn_t stream_mfn_of(const struct pv_view *v, pfn_t p)
{
    return stream_owned(v, mfn(p.n)) ? mfn(p.n) : NO_MFN;
}

static mfn_t stream_next_owned(const struct pv_view *v, mfn_t from)
{
    const struct stream_index *x = &stream_of(v)->index;
    size_t i = stream_index_from(x, from.n);
    return i != NOWHERE ? mfn(x->pfn[i]) : NO_MFN;
}

static pfn_t stream_next_pfn(const struct pv_view *v, pfn_t from)
{
    return pfn(stream_next_owned(v, mfn(from.n)).n);
}

static mfn_t stream_next_pinned_root(const struct pv_view *v, mfn_t from)
{
    const struct stream_index *x = &stream_of(v)->index;
    unsigned root = PAGE_PINNED | (v->width == 4 ? 3 : 4);
    for (size_t i = stream_index_from(x, from.n); i < x->n; i++)
        if (place_type(x->place[i]) == root)
            return mfn(x->pfn[i]);
    return NO_MFN;
}

static bool stream_p2m_frames(const struct pv_view *v, uint64_t *start, uint64_t *end,
                              const uint64_t **pfn, size_t *n)
{
    const struct stream *s = stream_of(v);
    if (!s->has_p2m)
        return false;
    *start = s->p2m.start;
    *end = s->p2m.end;
    *pfn = s->p2m_pfn;
    *n = s->p2m_frames;
    return true;
}

static void stream_free(struct stream *s)
{
    pv_file_close(s->file);
    stream_index_free(&s->index);
    pv_pairs_free(&s->anchor);
    pv_pairs_free(&s->context);
    pv_pairs_free(&s->extended);
    free(s->p2m_pfn);
    free(s);
}

static void stream_close(struct pv_view *v)
{
    stream_free(v->image);
}

static const struct pv_backend stream_backend = {
    .read = stream_read,
    .owned = stream_owned,
    .pfn_of = stream_pfn_of,
    .mfn_of = stream_mfn_of,
    .next_pinned_root = stream_next_pinned_root,
    .next_owned = stream_next_owned,
    .next_pfn = stream_next_pfn,
    .words = stream_words,
    .lies = stream_lies,
    .place = stream_place,
    .told = stream_told,
    .index_of = stream_index_of,
    .frame_at = stream_frame_at,
    .p2m_frames = stream_p2m_frames,
    .close = stream_close,
};

/* ---- what the guest's state tells */

/* After the suspend that a save waits for, edx of vCPU 0 has the pfn of start_info. */
static mfn_t suspend_record(const struct pv_view *v)
{
    static const char magic[] = "xen-3.0-x86";
    const void *context = v->vcpu[0].context;
    char begins[sizeof(magic) - 1];
    vcpu_guest_context_t c;
    vcpu_guest_context_x86_32_t c32;
    memcpy(&c, context, sizeof(c));
    memcpy(&c32, context, sizeof(c32));
    mfn_t m = mfn(v->width == 4 ? c32.user_regs.edx : c.user_regs.rdx);
    bool is = v->backend->read(v, m, 0, begins, sizeof(begins)) &&
              memcmp(begins, magic, sizeof(begins)) == 0;
    return is ? m : NO_MFN;
}

/* Of a 64-bit guest user space has roots of its own, without the upper half. */
static bool has_kernel(const struct pv_view *v, mfn_t root)
{
    uint64_t entry[512];
    if (!v->backend->read(v, root, 0, entry, sizeof(entry)))
        return false;
    unsigned first = v->width == 4 ? 3 : 272, end = v->width == 4 ? 4 : 512;
    for (unsigned i = first; i < end; i++)
        if (pte_present(entry[i]))
            return true;
    return false;
}

static mfn_t any_kernel_root(const struct pv_view *v)
{
    for (unsigned i = 0; i < v->nr_vcpus; i++)
        if (v->vcpu[i].valid)
            return v->vcpu[i].kernel_root;
    mfn_t root = mfn(0);
    while (!mfn_eq(root = stream_next_pinned_root(v, root), NO_MFN) && !has_kernel(v, root))
        root.n++;
    return root;
}

/* ---- opening */

static int read_vcpus(const struct stream *s, struct pv_view *v, struct pv_error *e)
{
    uint8_t context[PV_CONTEXT_BYTES] = {0};
    for (size_t i = 0; i < s->context.n; i++) { /* of equals the last counts */
        if (pv_file_read(s->file, s->context.pair[i].value, context, pv_context_bytes(s->width),
                         "a vCPU's state", e))
            return -1;
        pv_vcpu_set(v, (unsigned)s->context.pair[i].key, context);
    }
    return 0;
}

/* Of vCPUs whose context is there as well. */
static int read_extended(const struct stream *s, struct pv_view *v, struct pv_error *e)
{
    struct extended_context c;
    for (size_t i = 0; i < s->extended.n; i++) {
        const struct pv_pair *at = &s->extended.pair[i];
        if (at->key >= v->nr_vcpus)
            break;
        if (pv_file_read(s->file, at->value, &c, sizeof(c), "a vCPU's callbacks", e))
            return -1;
        v->vcpu[at->key].extended = stream_extended(&c);
    }
    return 0;
}

static void describe(struct pv_view *v, const struct stream *s)
{
    const struct stream_index *x = &s->index;
    v->width = s->width;
    v->portable = true;
    v->tsc_khz = s->tsc_khz;
    v->nr_pages = x->n;
    v->end_pfn = pfn(x->n ? x->pfn[x->n - 1] + 1ull : 0);
    v->nr_frames = v->end_pfn.n;
    if (s->shared_at)
        v->shared_info = mfn(v->nr_frames++);
    struct pv_domain *d = &v->domain[0];
    d->shared_info = v->shared_info;
    d->pages = v->nr_pages;
    memcpy(d->name, s->name, sizeof(d->name));
    memcpy(d->uuid, s->uuid, sizeof(d->uuid));
    if (s->xen_major) /* 0: a stream converted from the older format */
        snprintf(v->xen, sizeof(v->xen), "%u.%u", s->xen_major, s->xen_minor);
    memcpy(v->lost, s->lost, sizeof(v->lost));
}

static int fill_view(struct pv_view *v, const struct stream *s, struct pv_error *e)
{
    describe(v, s);
    if (read_vcpus(s, v, e) || read_extended(s, v, e))
        return -1;
    if (mfn_eq(v->kernel_root, NO_MFN))
        v->kernel_root = any_kernel_root(v);
    if (v->nr_vcpus && v->vcpu[0].valid)
        v->start_info = suspend_record(v);
    return 0;
}

static int open_view(struct pv_view **out, struct stream *s, struct pv_error *e)
{
    const struct pv_pairs *c = &s->context;
    unsigned vcpus = c->n ? (unsigned)c->pair[c->n - 1].key + 1 : 0;
    struct pv_view *v =
        pv_view_new(&stream_backend, s->of_xl ? "xl save stream" : "libxc save stream", vcpus);
    if (!v)
        return pv_no_memory(e);
    v->image = s;
    if (fill_view(v, s, e)) {
        pv_view_free(v);
        return -1;
    }
    *out = v;
    return 0;
}

static int open_stream(struct pv_view **out, struct pv_file *f, const struct pv_open_options *o,
                       struct pv_error *e)
{
    struct stream *s = calloc(1, sizeof(*s));
    if (!s) {
        pv_file_close(f);
        return pv_no_memory(e);
    }
    s->file = f;
    uint64_t at = 0;
    if (stream_read_outer(s, &at, e) || stream_read_records(s, at, &o->progress, e) ||
        open_view(out, s, e)) {
        stream_free(s);
        return -1;
    }
    return 0;
}

static bool is_stream(struct pv_file *f, const uint8_t *head, size_t n)
{
    (void)f;
    (void)n; /* head is filled up with zeroes */
    return stream_begins(head);
}

const struct pv_format pv_format_stream = {
    .name = "a save stream", .is = is_stream, .open = open_stream};

bool pv_stream_p2m_frames(const struct pv_view *v, uint64_t *start, uint64_t *end,
                          const uint64_t **pfn, size_t *n)
{
    return v->backend->p2m_frames && v->backend->p2m_frames(v, start, end, pfn, n);
}
