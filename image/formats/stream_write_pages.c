/* SPDX-License-Identifier: MIT */
/*
 * The pages. They go from where they lie to where they are to be; tables alone are copied, and
 * their present entries then name frames by pfn.
 */
#include "stream_write.h"

#include <stdlib.h>

#include "glue.h"
#include "pte.h"

#define ENTRIES GLUE_TABLE_ENTRIES

struct batch {
    const struct save_choice *of;
    struct save_count put;
    bool copied; /* what is compressed may not change meanwhile */
    struct {
        struct record_header record;
        struct page_data data;
        uint64_t word[PAGE_DATA_MOST];
    } head;
    uint32_t pages; /* of these: with content */
    struct iovec piece[1 + PAGE_DATA_MOST];
    size_t pieces;
    uint64_t copy[PAGE_DATA_MOST][ENTRIES];
    size_t copies;
};

/* ---- what they are */

bool save_type(const struct pv_view *v, mfn_t m, unsigned *type)
{
    struct pv_told t;
    if (v->backend->told && v->backend->told(v, m, &t)) {
        *type = t.level | (t.level && t.pinned ? PAGE_PINNED : 0);
        return true;
    }
    *type = PAGE_ALLOCATE; /* a stream may have such pages */
    return v->portable;
}

static int look_at(const struct save_list *l, pfn_t at, mfn_t m, struct save_count *c,
                   struct pv_error *e)
{
    unsigned type;
    pfn_t p;
    if (save_pfn_of(l, m, &p, e))
        return -1;
    if (p.n != at.n)
        return pv_fail(e, "m2p has it at pfn %llx, and so has the guest's p2m",
                       (unsigned long long)p.n);
    if (!save_type(l->v, m, &type))
        return pv_fail(e, "%s does not tell whether it is a page table", l->v->kind);
    c->pages++;
    c->tables += PAGE_LEVEL(type) != 0;
    return 0;
}

int save_look_over(const struct save_list *l, struct save_count *c, struct pv_error *e)
{
    mfn_t m;
    *c = (struct save_count){0};
    for (pfn_t p = pfn(0); save_next(l, &p, &m); p.n++)
        if (look_at(l, p, m, c, e))
            return pv_context(e, "pfn %llx, at which the guest's p2m has mfn %llx",
                              (unsigned long long)p.n, (unsigned long long)m.n);
    return 0;
}

/* ---- tables */

static bool is_xens(unsigned level, unsigned slot)
{
    return level == 4 && slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
}

static int make_portable(const struct save_list *l, unsigned level, uint64_t *entry,
                         struct pv_error *e)
{
    pfn_t p;
    if (level > 1 && (*entry & PTE_PSE))
        return pv_fail(e, "a superpage, which no PV guest has");
    if (save_pfn_of(l, pte_frame(*entry), &p, e))
        return -1;
    *entry = pte_make(mfn(p.n), *entry & ~PTE_FRAME_MASK);
    return 0;
}

static int normalise(const struct save_list *l, pfn_t at, unsigned level, const uint64_t *from,
                     uint64_t *to, struct pv_error *e)
{
    for (unsigned slot = 0; slot < ENTRIES; slot++) {
        uint64_t entry = is_xens(level, slot) ? 0 : from[slot];
        if (pte_present(entry) && make_portable(l, level, &entry, e))
            return pv_context(e, "pfn %llx, an L%u table: slot %u, with %llx",
                              (unsigned long long)at.n, level, slot, (unsigned long long)entry);
        to[slot] = entry;
    }
    return 0;
}

/* ---- batches */

/* Neighbours in memory make one piece. */
static void add_piece(struct batch *b, const void *at)
{
    struct iovec *last = &b->piece[b->pieces - 1];
    if (b->pieces > 1 && (const uint8_t *)last->iov_base + last->iov_len == at)
        last->iov_len += PAGE_BYTES;
    else
        b->piece[b->pieces++] = (struct iovec){(void *)(uintptr_t)at, PAGE_BYTES};
    b->pages++;
}

static const uint64_t *content(struct batch *b, mfn_t m)
{
    static const uint64_t zeroes[ENTRIES];
    const struct pv_view *v = b->of->v;
    if (v->backend->blank && v->backend->blank(v, m))
        return zeroes;
    const uint64_t *words = v->backend->words && !b->copied ? v->backend->words(v, m) : NULL;
    if (words)
        return words;
    uint64_t *copy = b->copy[b->copies++];
    return v->backend->read(v, m, 0, copy, PAGE_BYTES) ? copy : NULL;
}

static int add_content(struct batch *b, pfn_t p, mfn_t m, unsigned level, struct pv_error *e)
{
    const size_t copies = b->copies;
    const uint64_t *words = content(b, m);
    if (!words)
        return pv_fail(e, "cannot read pfn %llx, mfn %llx, out of the image",
                       (unsigned long long)p.n, (unsigned long long)m.n);
    if (level && !b->of->v->portable) {
        b->copies = copies + 1;
        if (normalise(b->of->list, p, level, words, b->copy[copies], e))
            return -1;
        words = b->copy[copies];
    }
    add_piece(b, words);
    return 0;
}

static int add_page(struct batch *b, pfn_t p, mfn_t m, struct pv_error *e)
{
    unsigned type;
    save_type(b->of->v, m, &type);
    b->head.word[b->head.data.count++] = PAGE_DATA_WORD(type, p.n);
    b->put.pages++;
    b->put.tables += PAGE_LEVEL(type) != 0;
    if (b->of->sent)
        b->of->sent->mfn[p.n] = (uint32_t)m.n;
    if (type >= PAGE_BROKEN)
        return 0;
    return add_content(b, p, m, PAGE_LEVEL(type), e);
}

static void begin(struct batch *b)
{
    b->head.data = (struct page_data){0};
    b->pages = 0;
    b->pieces = 1; /* the head's */
    b->copies = 0;
}

static int put(struct batch *b, struct sink *k, struct pv_error *e)
{
    const size_t listed = b->head.data.count * sizeof(*b->head.word);
    const size_t bytes = sizeof(b->head.data) + listed + b->pages * (size_t)PAGE_BYTES;
    b->head.record = (struct record_header){LIBXC_PAGE_DATA, (uint32_t)bytes};
    b->piece[0] = (struct iovec){&b->head, sizeof(b->head.record) + sizeof(b->head.data) + listed};
    return sink_put_pieces(k, b->piece, b->pieces, e);
}

static int flush(struct batch *b, struct sink *k, struct pv_error *e)
{
    if (b->head.data.count == 0)
        return 0;
    if (put(b, k, e))
        return -1;
    k->done += b->head.data.count;
    begin(b);
    return sink_tell(k, e);
}

static int room_for_one(struct batch *b, struct sink *k, struct pv_error *e)
{
    return b->head.data.count < PAGE_DATA_MOST ? 0 : flush(b, k, e);
}

/* ---- which */

static bool is_in(const struct pv_frame_set *s, mfn_t m)
{
    return s && m.n < s->frames && s->words[m.n / 64] >> m.n % 64 & 1;
}

/* A table among what went stays one to go: it went as the page that it was. */
static bool is_wanted(const struct save_choice *of, pfn_t p, mfn_t m)
{
    unsigned type;
    if (!of->sent)
        return true;
    if (p.n >= of->sent->end || !save_type(of->v, m, &type))
        return false;
    if (PAGE_LEVEL(type) != 0)
        return of->list != NULL;
    return of->sent->mfn[p.n] != m.n || is_in(of->what, m);
}

/* The first page at or above, wherever it is told. */
static bool next(const struct save_choice *of, pfn_t *p, mfn_t *m)
{
    if (of->list)
        return save_next(of->list, p, m);
    *p = of->v->backend->next_pfn(of->v, *p);
    if (p->n != NO_PFN.n)
        *m = of->v->backend->mfn_of(of->v, *p);
    return p->n != NO_PFN.n;
}

static int put_wanted(struct batch *b, struct sink *k, struct pv_error *e)
{
    mfn_t m;
    for (pfn_t p = pfn(0); next(b->of, &p, &m); p.n++)
        if (is_wanted(b->of, p, m) && (room_for_one(b, k, e) || add_page(b, p, m, e)))
            return -1;
    return 0;
}

/* What went, and is not there any more. */
static int put_gone(struct batch *b, struct sink *k, struct pv_error *e)
{
    const struct save_sent *s = b->of->list ? b->of->sent : NULL;
    for (uint64_t p = 0; s && p < s->end; p++) {
        if (s->mfn[p] == NO_FRAME_SENT || !mfn_eq(save_listed(b->of->list, pfn(p)), NO_MFN))
            continue;
        if (room_for_one(b, k, e))
            return -1;
        b->head.word[b->head.data.count++] = PAGE_DATA_WORD(PAGE_NONE, p);
    }
    return 0;
}

int save_pages(const struct save_choice *of, struct sink *k, struct save_count *c,
               struct pv_error *e)
{
    struct batch *b = malloc(sizeof(*b));
    if (!b)
        return pv_no_memory(e);
    b->of = of;
    b->put = (struct save_count){0};
    b->copied = !of->list && k->zstd;
    begin(b);
    int rc = put_wanted(b, k, e) || put_gone(b, k, e) || flush(b, k, e) ? -1 : 0;
    *c = b->put;
    free(b);
    return rc;
}
