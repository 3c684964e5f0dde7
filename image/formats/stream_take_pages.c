/* SPDX-License-Identifier: MIT */
/* Records of pages: the whole list is checked, then every page goes to its frame. */
#include <string.h>

#include "stream_take.h"

/* ---- the list */

static int check_type(const struct taking *c, uint64_t pfn, unsigned type, struct pv_error *e)
{
    if (type > PAGE_L4 && type <= PAGE_PINNED)
        return take_refuse(c, e, "pfn %llx is of type %u, which has no meaning",
                           (unsigned long long)pfn, type);
    if (type == PAGE_BROKEN)
        return take_refuse(c, e, "pfn %llx is marked as broken: its memory failed",
                           (unsigned long long)pfn);
    return 0;
}

/* That it came is noted here, so that it is found a second time. */
static int check_double(struct taking *c, uint64_t pfn, struct pv_error *e)
{
    uint32_t *record = &c->t->page[pfn].record;
    if (*record == c->number)
        return take_refuse(c, e, "pfn %llx comes twice", (unsigned long long)pfn);
    if (*record != TAKE_UNSEEN && !c->live)
        return take_refuse(c, e, "pfn %llx came already, in record %u", (unsigned long long)pfn,
                           *record);
    *record = (uint32_t)c->number;
    return 0;
}

static int check_word(struct taking *c, uint64_t word, struct pv_error *e)
{
    uint64_t pfn = PAGE_DATA_PFN(word);
    if (pfn >= c->t->end_pfn)
        return take_refuse(c, e, "pfn %llx is not below %llx, as X86_PV_P2M_FRAMES has it",
                           (unsigned long long)pfn, (unsigned long long)c->t->end_pfn);
    return check_type(c, pfn, PAGE_DATA_TYPE(word), e) || check_double(c, pfn, e) ? -1 : 0;
}

static int check_list(struct taking *c, uint32_t count, struct pv_error *e)
{
    uint64_t pages = 0, taken = sizeof(struct page_data) + count * sizeof(uint64_t);
    for (uint32_t i = 0; i < count; i++) {
        if (check_word(c, c->word[i], e))
            return -1;
        pages += type_has_content(PAGE_DATA_TYPE(c->word[i]));
    }
    if (taken + pages * PAGE_BYTES != c->h.bytes)
        return take_refuse(c, e, "its length is %u; %u pfns and %llu pages take %llu", c->h.bytes,
                           count, (unsigned long long)pages,
                           (unsigned long long)(taken + pages * PAGE_BYTES));
    c->listed += count;
    if (c->listed > c->most_listed)
        return take_refuse(c, e, "%llu pages came, of %llx pfns: there is no end of them",
                           (unsigned long long)c->listed, (unsigned long long)c->t->end_pfn);
    return 0;
}

static int read_list(struct taking *c, uint32_t *count, struct pv_error *e)
{
    struct page_data h;
    if (c->h.bytes < sizeof(h))
        return take_refuse(c, e, "its length of %u is too short to tell a count", c->h.bytes);
    if (take_body(c, &h, sizeof(h), e))
        return -1;
    if (h.count == 0 || h.count > PAGE_DATA_MOST)
        return take_refuse(c, e, "it lists %u pfns, not 1 to %u", h.count, PAGE_DATA_MOST);
    if (h.count * sizeof(uint64_t) > c->h.bytes - sizeof(h))
        return take_refuse(c, e, "its length of %u is too short for the %u pfns that it counts",
                           c->h.bytes, h.count);
    *count = h.count;
    return take_body(c, c->word, h.count * sizeof(uint64_t), e);
}

/* ---- where they go */

static int frame_for(struct taking *c, uint64_t pfn, struct take_frame **out, struct pv_error *e)
{
    struct take_frame *f = *out = &c->frame[pfn];
    mfn_t m = NO_MFN;
    if (f->at)
        return 0;
    if (c->ops->frame(c->context, &f->at, &m, e)) {
        f->at = NULL;
        return pv_context(e, "record %llu (PAGE_DATA) at offset %llu: no frame for pfn %llx",
                          (unsigned long long)c->number, (unsigned long long)c->at,
                          (unsigned long long)pfn);
    }
    if (!f->at || m.n >= ~0u)
        return take_refuse(c, e, "the frame for pfn %llx has a number that is too high",
                           (unsigned long long)pfn);
    f->mfn = (uint32_t)m.n;
    return 0;
}

/* Frames side by side become one piece. */
static void add_piece(struct taking *c, unsigned *pieces, void *at)
{
    struct iovec *last = *pieces ? &c->piece[*pieces - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == at)
        last->iov_len += PAGE_BYTES;
    else
        c->piece[(*pieces)++] = (struct iovec){at, PAGE_BYTES};
}

/* `content` is the offset of the next page's; 0: it has none. */
static int put_page(struct taking *c, uint64_t word, uint64_t content, struct take_frame **f,
                    struct pv_error *e)
{
    uint64_t pfn = PAGE_DATA_PFN(word);
    unsigned type = PAGE_DATA_TYPE(word);
    struct pv_taken_page *page = &c->t->page[pfn];
    *page = (struct pv_taken_page){.record = page->record, .mfn = ~0u};
    if (type == PAGE_NONE)
        return 0;
    if (frame_for(c, pfn, f, e))
        return -1;
    page->mfn = (*f)->mfn;
    page->offset = content;
    if (type_has_content(type)) {
        page->level = type % PAGE_PINNED;
        page->pinned = type > PAGE_PINNED;
    } else {
        memset((*f)->at, 0, PAGE_BYTES);
    }
    return 0;
}

static int put_pages(struct taking *c, uint32_t count, struct pv_error *e)
{
    unsigned pieces = 0;
    uint64_t begin = c->in.offset, content = begin;
    for (uint32_t i = 0; i < count; i++) {
        bool there = type_has_content(PAGE_DATA_TYPE(c->word[i]));
        struct take_frame *f;
        if (put_page(c, c->word[i], there ? content : 0, &f, e))
            return -1;
        if (there) {
            add_piece(c, &pieces, f->at);
            content += PAGE_BYTES;
        }
    }
    return take_pieces(c, pieces, content - begin, e);
}

int take_page_data(struct taking *c, struct pv_error *e)
{
    uint32_t count = 0;
    if (read_list(c, &count, e) || check_list(c, count, e) || put_pages(c, count, e))
        return -1;
    c->t->pages += count;
    c->in.done += count;
    return 0;
}
