/* SPDX-License-Identifier: MIT */
/*
 * Goes through a stream's records: their headers and lists of pfns are read, pages are stepped
 * over. A record's counts are compared with its length, and that with the file's, before anything
 * is taken from it.
 */
#include "stream_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANCHOR_EVERY 16u
#define VCPUS_MAX    8192u
#define WINDOW       (16u << 10) /* a record's header and its list of 1024 pfns */

struct record {
    uint64_t at; /* of its body */
    uint32_t type, bytes;
    bool cut; /* the body ends behind the file */
};

struct scan {
    struct stream *s;
    const struct pv_progress *progress;
    uint64_t at;
    bool in_libxc, verifying, ended;
    uint64_t records, page_records; /* of libxc's, before this one */
    uint64_t beyond, cut_pages;     /* pages at pfns that are too high; behind the file's end */
    uint64_t window_at;
    size_t window_bytes;
    uint8_t window[WINDOW];
};

void stream_lose(struct stream *s, const char *fmt, ...)
{
    size_t used = strlen(s->lost);
    if (used)
        used += (size_t)snprintf(s->lost + used, sizeof(s->lost) - used, "; ");
    if (used >= sizeof(s->lost))
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(s->lost + used, sizeof(s->lost) - used, fmt, args);
    va_end(args);
}

/* ---- reading */

static uint64_t left_at(const struct scan *c, uint64_t at)
{
    return at < c->s->file->bytes ? c->s->file->bytes - at : 0;
}

static bool in_window(const struct scan *c, uint64_t at, size_t n)
{
    return at >= c->window_at && at - c->window_at <= c->window_bytes &&
           n <= c->window_bytes - (at - c->window_at);
}

/* n bytes, at most WINDOW, that lie in the file. */
static int look(struct scan *c, uint64_t at, void *to, size_t n, struct pv_error *e)
{
    if (!in_window(c, at, n)) {
        uint64_t left = left_at(c, at);
        c->window_at = at;
        c->window_bytes = left < WINDOW ? (size_t)left : WINDOW;
        if (pv_file_read(c->s->file, at, c->window, c->window_bytes, "a record", e)) {
            c->window_bytes = 0;
            return -1;
        }
    }
    if (!in_window(c, at, n))
        return pv_fail(e, "cut short: nothing is at offset %llu", (unsigned long long)at);
    memcpy(to, c->window + (at - c->window_at), n);
    return 0;
}

/* ---- names */

static const char *name_of(const struct scan *c, const struct record *r)
{
    return stream_record_name(r->type, c->in_libxc);
}

/* What follows cannot be relied upon. */
static int damaged(struct scan *c, const struct record *r, const char *why)
{
    stream_lose(c->s, "from record %llu (%s) at offset %llu on it cannot be read: %s",
                (unsigned long long)c->records, name_of(c, r), (unsigned long long)r->at, why);
    c->ended = true;
    return 0;
}

/* Of a record that takes no others with it. */
static int left_out(struct scan *c, const struct record *r, const char *why)
{
    stream_lose(c->s, "record %llu (%s) at offset %llu is left out: %s",
                (unsigned long long)c->records, name_of(c, r), (unsigned long long)r->at, why);
    return 0;
}

static int cut_short(struct scan *c, const struct record *r)
{
    stream_lose(c->s, "cut short in record %llu (%s) at offset %llu",
                (unsigned long long)c->records, name_of(c, r), (unsigned long long)r->at);
    c->ended = true;
    return 0;
}

/* ---- pages */

#define PFNS_ONCE 1024u

/* Of the pfns' types, how many pages follow them. ~0: more than `most`, or one has no meaning. */
static int count_pages(struct scan *c, uint64_t list, uint32_t count, uint64_t most,
                       uint64_t *pages, struct pv_error *e)
{
    uint64_t word[PFNS_ONCE];
    *pages = 0;
    for (uint32_t done = 0; done < count;) {
        uint32_t n = count - done < PFNS_ONCE ? count - done : PFNS_ONCE;
        if (look(c, list + done * 8ull, word, n * sizeof(*word), e))
            return -1;
        for (uint32_t i = 0; i < n; i++) {
            unsigned type = PAGE_DATA_TYPE(word[i]);
            *pages += type_has_content(type);
            if (*pages > most || (type > PAGE_L4 && type <= PAGE_PINNED)) {
                *pages = ~0ull;
                return 0;
            }
        }
        done += n;
    }
    return 0;
}

static int take_page(struct scan *c, uint64_t word, uint64_t at, struct pv_error *e)
{
    unsigned type = PAGE_DATA_TYPE(word);
    uint64_t pfn = PAGE_DATA_PFN(word);
    if (pfn >= PV_FRAME_LIMIT) {
        c->beyond++;
        return 0;
    }
    if (type_has_content(type) && left_at(c, at) < PAGE_BYTES) {
        c->cut_pages++;
        return 0;
    }
    return stream_index_put(&c->s->index, pfn, place_make(type, at)) ? 0 : pv_no_memory(e);
}

static int take_list(struct scan *c, uint64_t list, uint32_t count, struct pv_error *e)
{
    uint64_t word[PFNS_ONCE], at = list + count * 8ull;
    for (uint32_t done = 0; done < count;) {
        uint32_t n = count - done < PFNS_ONCE ? count - done : PFNS_ONCE;
        if (look(c, list + done * 8ull, word, n * sizeof(*word), e))
            return -1;
        for (uint32_t i = 0; i < n; i++) {
            if (take_page(c, word[i], at, e))
                return -1;
            at += type_has_content(PAGE_DATA_TYPE(word[i])) ? PAGE_BYTES : 0;
        }
        done += n;
    }
    return 0;
}

static int take_pages(struct scan *c, const struct record *r, struct pv_error *e)
{
    struct page_data h;
    if (left_at(c, r->at) < sizeof(h))
        return cut_short(c, r);
    if (r->bytes < sizeof(h) || look(c, r->at, &h, sizeof(h), e))
        return damaged(c, r, "it is too short to tell a count");
    uint64_t list = r->at + sizeof(h), listed = h.count * 8ull, pages;
    if (listed > r->bytes - sizeof(h))
        return damaged(c, r, "it is too short for the pfns that it counts");
    if (listed > left_at(c, list))
        return cut_short(c, r);
    uint64_t most = (r->bytes - sizeof(h) - listed) / PAGE_BYTES;
    if (count_pages(c, list, h.count, most, &pages, e))
        return -1;
    if (pages * PAGE_BYTES != r->bytes - sizeof(h) - listed)
        return damaged(c, r, "its pages and their types do not go together");
    if (c->page_records++ % ANCHOR_EVERY == 0 &&
        !pv_pairs_add(&c->s->anchor, r->at - sizeof(struct record_header), c->records))
        return pv_no_memory(e);
    if (!c->verifying && take_list(c, list, h.count, e))
        return -1;
    return r->cut ? cut_short(c, r) : 0;
}

/* ---- the other records; each has all of its body */

static int take_pv_info(struct scan *c, const struct record *r, struct pv_error *e)
{
    struct pv_info h;
    if (r->bytes != sizeof(h) || look(c, r->at, &h, sizeof(h), e))
        return damaged(c, r, "its length is wrong");
    if (!(h.width == 8 && h.levels == 4) && !(h.width == 4 && h.levels == 3))
        return damaged(c, r, "neither 64-bit with 4 levels of tables, nor 32-bit with 3");
    if (c->s->width && c->s->width != h.width)
        return damaged(c, r, "another width than before");
    c->s->width = h.width;
    return 0;
}

static int read_p2m_list(struct scan *c, uint64_t at, size_t n, struct pv_error *e)
{
    uint64_t *pfns = reallocarray(NULL, n ? n : 1, sizeof(*pfns));
    if (!pfns)
        return pv_no_memory(e);
    if (pv_file_read(c->s->file, at, pfns, n * sizeof(*pfns), "the p2m's frames", e)) {
        free(pfns);
        return -1;
    }
    free(c->s->p2m_pfn);
    c->s->p2m_pfn = pfns;
    c->s->p2m_frames = n;
    return 0;
}

static int take_p2m(struct scan *c, const struct record *r, struct pv_error *e)
{
    struct p2m_frames h;
    if (r->bytes < sizeof(h) || look(c, r->at, &h, sizeof(h), e))
        return damaged(c, r, "its length is wrong");
    uint32_t entries = PAGE_BYTES / c->s->width;
    uint64_t frames = (r->bytes - sizeof(h)) / sizeof(uint64_t);
    if (h.start > h.end || frames != h.end / entries - h.start / entries + 1ull ||
        (r->bytes - sizeof(h)) % sizeof(uint64_t))
        return left_out(c, r, "the pages of its list are not as many as its pfns need");
    if (read_p2m_list(c, r->at + sizeof(h), (size_t)frames, e))
        return -1;
    c->s->p2m = h;
    c->s->has_p2m = true;
    return 0;
}

static int take_vcpu(struct scan *c, const struct record *r, struct pv_error *e)
{
    struct vcpu_record h;
    if (r->bytes != sizeof(h) + pv_context_bytes(c->s->width) || look(c, r->at, &h, sizeof(h), e))
        return left_out(c, r, "it has not the length of a vCPU's state");
    if (h.vcpu >= VCPUS_MAX)
        return left_out(c, r, "no guest has that many vCPUs");
    return pv_pairs_add(&c->s->context, h.vcpu, r->at + sizeof(h)) ? 0 : pv_no_memory(e);
}

/* Machine checks behind it are not looked at; of older tools' an empty one means nothing. */
static int take_extended(struct scan *c, const struct record *r, struct pv_error *e)
{
    struct vcpu_record h;
    if (r->bytes == sizeof(h))
        return 0;
    if (r->bytes < sizeof(h) + sizeof(struct extended_context) || look(c, r->at, &h, sizeof(h), e))
        return left_out(c, r, "it has not the length of a vCPU's callbacks");
    if (h.vcpu >= VCPUS_MAX)
        return left_out(c, r, "no guest has that many vCPUs");
    return pv_pairs_add(&c->s->extended, h.vcpu, r->at + sizeof(h)) ? 0 : pv_no_memory(e);
}

static int take_clock(struct scan *c, const struct record *r, struct pv_error *e)
{
    struct tsc_info t;
    if (r->bytes != sizeof(t) || look(c, r->at, &t, sizeof(t), e))
        return left_out(c, r, "its length is wrong");
    c->s->tsc_khz = t.khz;
    return 0;
}

static int take_shared(struct scan *c, const struct record *r, struct pv_error *e)
{
    (void)e;
    if (r->bytes != PAGE_BYTES)
        return left_out(c, r, "it is no page");
    c->s->shared_at = r->at;
    return 0;
}

static int take_verify(struct scan *c, const struct record *r, struct pv_error *e)
{
    (void)r;
    (void)e;
    c->verifying = true;
    return 0;
}

/* Within libxl's stream its own records follow. */
static int take_checkpoint(struct scan *c, const struct record *r, struct pv_error *e)
{
    (void)r;
    (void)e;
    c->in_libxc = !c->s->of_xl;
    c->page_records = 0; /* an anchor behind them: back from an offset only libxc's are passed */
    return 0;
}

static int take_end(struct scan *c, const struct record *r, struct pv_error *e)
{
    (void)r;
    (void)e;
    c->in_libxc = false;
    c->ended = !c->s->of_xl;
    return 0;
}

static int skip(struct scan *c, const struct record *r, struct pv_error *e)
{
    (void)c;
    (void)r;
    (void)e;
    return 0;
}

/* A record that none may skip. What has been read before it is as good as it was. */
static int refuse(struct scan *c, const struct record *r, const char *why, struct pv_error *e)
{
    if (c->s->index.n)
        return damaged(c, r, why);
    return pv_fail(e, "record %llu (%s)%s at offset %llu: %s", (unsigned long long)c->records,
                   name_of(c, r), c->in_libxc ? "" : " of libxl's", (unsigned long long)r->at, why);
}

static int not_of_pv(struct scan *c, const struct record *r, struct pv_error *e)
{
    return refuse(c, r, "a PV guest has none", e);
}

static int unknown(struct scan *c, const struct record *r, struct pv_error *e)
{
    char why[64];
    snprintf(why, sizeof(why), "type %x is not known", r->type);
    return refuse(c, r, why, e);
}

static const struct {
    int (*take)(struct scan *c, const struct record *r, struct pv_error *e);
    bool needs_width;
} libxc_known[LIBXC_RECORDS] = {
    [LIBXC_END] = {take_end, false},
    [LIBXC_PAGE_DATA] = {take_pages, true},
    [LIBXC_PV_INFO] = {take_pv_info, false},
    [LIBXC_P2M_FRAMES] = {take_p2m, true},
    [LIBXC_VCPU_BASIC] = {take_vcpu, true},
    [LIBXC_VCPU_EXTENDED] = {take_extended, false},
    [LIBXC_VCPU_XSAVE] = {skip, false},
    [LIBXC_SHARED_INFO] = {take_shared, false},
    [LIBXC_TSC_INFO] = {take_clock, false},
    [LIBXC_HVM_CONTEXT] = {not_of_pv, false},
    [LIBXC_HVM_PARAMS] = {not_of_pv, false},
    [LIBXC_TOOLSTACK] = {skip, false},
    [LIBXC_VCPU_MSRS] = {skip, false},
    [LIBXC_VERIFY] = {take_verify, false},
    [LIBXC_CHECKPOINT] = {take_checkpoint, false},
    [LIBXC_DIRTY_PFNS] = {skip, false},
    [LIBXC_STATIC_DATA_END] = {skip, false},
    [LIBXC_CPUID_POLICY] = {skip, false},
    [LIBXC_MSR_POLICY] = {skip, false},
};

/* ---- record by record */

static int take_libxc(struct scan *c, const struct record *r, struct pv_error *e)
{
    if (r->type & RECORD_OPTIONAL)
        return r->cut ? cut_short(c, r) : 0;
    if (r->type >= LIBXC_RECORDS)
        return unknown(c, r, e);
    if (libxc_known[r->type].needs_width && c->s->width == 0)
        return damaged(c, r, "no X86_PV_INFO is before it");
    if (r->cut && r->type != LIBXC_PAGE_DATA)
        return cut_short(c, r);
    return libxc_known[r->type].take(c, r, e);
}

static int enter_libxc(struct scan *c, struct pv_error *e)
{
    c->in_libxc = true;
    c->page_records = 0;
    return stream_read_inner(c->s, &c->at, e);
}

static int take_libxl(struct scan *c, const struct record *r, struct pv_error *e)
{
    if (r->cut)
        return cut_short(c, r);
    switch (r->type) {
    case LIBXL_END:
        c->ended = true;
        return 0;
    case LIBXL_CONTEXT:
        return enter_libxc(c, e);
    case LIBXL_CHECKPOINT_END:
        c->in_libxc = true;
        return 0;
    default:
        return r->type < LIBXL_RECORDS || (r->type & RECORD_OPTIONAL) ? 0 : unknown(c, r, e);
    }
}

/* c->at is behind it when it is taken. */
static int next_record(struct scan *c, struct pv_error *e)
{
    struct record_header h;
    if (left_at(c, c->at) < sizeof(h)) {
        stream_lose(c->s, "cut short at offset %llu, behind %llu records",
                    (unsigned long long)c->s->file->bytes, (unsigned long long)c->records);
        c->ended = true;
        return 0;
    }
    if (look(c, c->at, &h, sizeof(h), e) ||
        pv_tell(c->progress, "reading the stream's records", c->at, c->s->file->bytes, e))
        return -1;
    struct record r = {.at = c->at + sizeof(h), .type = h.type, .bytes = h.bytes};
    r.cut = r.bytes > left_at(c, r.at);
    c->at = r.at + ((r.bytes + 7ull) & ~7ull);
    if (!c->in_libxc)
        return take_libxl(c, &r, e);
    int rc = take_libxc(c, &r, e);
    c->records++;
    return rc;
}

/* ---- what it comes to */

static void tell_missing(const struct scan *c, uint64_t broken)
{
    struct stream *s = c->s;
    bool cut = s->lost[0];
    if (cut && s->has_p2m && s->index.n <= s->p2m.end)
        stream_lose(s, "%zu of up to %llu pages are there", s->index.n, s->p2m.end + 1ull);
    else if (cut || s->index.n == 0)
        stream_lose(s, "%zu pages are there", s->index.n);
    if (s->context.n == 0)
        stream_lose(s, "no vCPU");
    if (!s->shared_at)
        stream_lose(s, "no shared_info");
    if (c->cut_pages)
        stream_lose(s, "%llu pages lie behind the file's end", (unsigned long long)c->cut_pages);
    if (c->beyond)
        stream_lose(s, "%llu pages at pfns of %llx and above are left out",
                    (unsigned long long)c->beyond, PV_FRAME_LIMIT);
    if (broken)
        stream_lose(s, "%llu pages are marked as broken", (unsigned long long)broken);
}

static int read_all(struct scan *c, struct pv_error *e)
{
    while (!c->ended)
        if (next_record(c, e))
            return -1;
    return 0;
}

int stream_read_records(struct stream *s, uint64_t at, const struct pv_progress *progress,
                        struct pv_error *e)
{
    struct scan *c = calloc(1, sizeof(*c));
    if (!c)
        return pv_no_memory(e);
    *c = (struct scan){.s = s, .progress = progress, .at = at};
    uint64_t broken;
    int rc = s->of_xl ? 0 : enter_libxc(c, e);
    if (rc == 0)
        rc = read_all(c, e);
    if (rc == 0 && s->width == 0)
        rc = pv_fail(e, "no X86_PV_INFO that could be read%s%s", s->lost[0] ? ": " : "", s->lost);
    if (rc == 0 && (!stream_index_settle(&s->index, &broken) || !pv_pairs_sort(&s->context) ||
                    !pv_pairs_sort(&s->extended)))
        rc = pv_no_memory(e);
    if (rc == 0)
        tell_missing(c, broken);
    free(c);
    return rc;
}

/* ---- back from an offset */

/* The last anchor at or before it. */
static const struct pv_pair *anchor_of(const struct stream *s, uint64_t offset)
{
    size_t low = 0, high = s->anchor.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->anchor.pair[middle].key <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &s->anchor.pair[low - 1] : NULL;
}

bool stream_record_of(const struct stream *s, uint64_t offset, uint64_t *number, uint64_t *page)
{
    const struct pv_pair *anchor = anchor_of(s, offset);
    if (!anchor)
        return false;
    struct pv_error ignored;
    struct {
        struct record_header h;
        struct page_data pages;
    } r;
    uint64_t at = anchor->key;
    for (*number = anchor->value;; ++*number) {
        if (pv_file_read(s->file, at, &r, sizeof(r), "a record", &ignored))
            return false;
        uint64_t next = at + sizeof(r.h) + ((r.h.bytes + 7ull) & ~7ull);
        if (offset < next) {
            *page = (offset - at - sizeof(r) - r.pages.count * 8ull) / PAGE_BYTES;
            return true;
        }
        at = next;
    }
}
