/* SPDX-License-Identifier: MIT */
/*
 * The guest's own p2m list, as it publishes it, page by page. Where it ends tools have to find out:
 * a guest may publish room for more than it has, and has one page stand for all that is not there.
 */
#include "stream_write.h"

#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "startinfo.h"
#include "stream.h"

#define PER_PAGE (PAGE_BYTES / sizeof(uint64_t))

/* ---- asking */

static uint64_t word_of(const struct save_list *l, uint64_t p)
{
    const struct save_list_page *page = &l->page[p / PER_PAGE];
    const unsigned slot = p % PER_PAGE;
    uint64_t word = P2M_MISSING;
    if (page->words)
        return page->words[slot];
    return l->v->backend->read(l->v, page->frame, slot * 8, &word, sizeof(word)) ? word
                                                                                 : P2M_MISSING;
}

mfn_t save_listed(const struct save_list *l, pfn_t p)
{
    if (p.n >= l->end)
        return NO_MFN;
    if (l->v->portable)
        return l->v->backend->mfn_of(l->v, p);
    const uint64_t word = p2m_widen(l->v, word_of(l, p.n));
    return word & P2M_MARKS ? NO_MFN : mfn(word); /* also of what is missing */
}

bool save_next(const struct save_list *l, pfn_t *p, mfn_t *m)
{
    if (l->v->portable) {
        *p = l->v->backend->next_pfn(l->v, *p);
        *m = mfn(p->n);
        return p->n != NO_PFN.n;
    }
    for (; p->n < l->end; p->n++) {
        *m = save_listed(l, *p);
        if (!mfn_eq(*m, NO_MFN))
            return true;
    }
    return false;
}

static int differs(const struct save_list *l, mfn_t m, pfn_t p, struct pv_error *e)
{
    const mfn_t listed = save_listed(l, p);
    if (p.n >= l->end)
        return pv_fail(e, "m2p has mfn %llx at pfn %llx, and the guest's p2m ends at %llx",
                       (unsigned long long)m.n, (unsigned long long)p.n,
                       (unsigned long long)l->end);
    if (mfn_eq(listed, NO_MFN))
        return pv_fail(e, "m2p has mfn %llx at pfn %llx, where the guest's p2m has no frame",
                       (unsigned long long)m.n, (unsigned long long)p.n);
    return pv_fail(e, "m2p has mfn %llx at pfn %llx, where the guest's p2m has mfn %llx",
                   (unsigned long long)m.n, (unsigned long long)p.n, (unsigned long long)listed.n);
}

int save_pfn_of(const struct save_list *l, mfn_t m, pfn_t *p, struct pv_error *e)
{
    const struct pv_backend *b = l->v->backend;
    if (!b->owned(l->v, m))
        return pv_fail(e, "mfn %llx is no page of the guest's", (unsigned long long)m.n);
    *p = b->pfn_of(l->v, m);
    if (p->n == NO_PFN.n)
        return pv_fail(e, "m2p has mfn %llx at no pfn", (unsigned long long)m.n);
    return mfn_eq(save_listed(l, *p), m) ? 0 : differs(l, m, *p, e);
}

int save_plain_pfn_of(const struct save_list *l, mfn_t m, pfn_t *p, struct pv_error *e)
{
    unsigned type;
    if (save_pfn_of(l, m, p, e))
        return -1;
    if (!save_type(l->v, m, &type) || type != PAGE_PLAIN)
        return pv_fail(e, "mfn %llx, pfn %llx, is a page table", (unsigned long long)m.n,
                       (unsigned long long)p->n);
    return 0;
}

/* ---- finding its pages */

static bool add_page(struct save_list *l, mfn_t m)
{
    if (l->pages == l->room) {
        const size_t room = l->room ? 2 * l->room : 512;
        void *grown = reallocarray(l->page, room, sizeof(*l->page));
        if (!grown)
            return false;
        l->page = grown;
        l->room = room;
    }
    const struct pv_backend *b = l->v->backend;
    l->page[l->pages++] = (struct save_list_page){m, b->words ? b->words(l->v, m) : NULL};
    return true;
}

/* The tools' records have room for no list with a gap. */
static int find_pages(struct save_list *l, const struct p2m_list *from, struct pv_error *e)
{
    struct p2m_span s;
    bool gap = false;
    for (uint64_t at = 0; at < l->end; at = s.last + 1) {
        p2m_resolve(from, at, &s);
        if (s.last + 1 == 0)
            break;
        if (s.state != PV_P2M_FRAME) {
            gap = true;
            continue;
        }
        if (gap)
            return pv_fail(e, "the list has no page for pfn %llx, and one for %llx",
                           (unsigned long long)l->pages * PER_PAGE, (unsigned long long)s.first);
        if (!add_page(l, s.frame))
            return pv_no_memory(e);
    }
    return 0;
}

/* Pages at the end that are all the same say that nothing is there: pfns with frames cannot share
 * them. One of them remains. */
static void cut_off(struct save_list *l)
{
    while (l->pages > 1 && mfn_eq(l->page[l->pages - 1].frame, l->page[l->pages - 2].frame))
        l->pages--;
    if (l->end > l->pages * PER_PAGE)
        l->end = l->pages * PER_PAGE;
}

/* They are pages of the guest's like others, and have pfns. */
static int number_pages(struct save_list *l, struct pv_error *e)
{
    l->pfn = reallocarray(NULL, l->pages, sizeof(*l->pfn));
    if (!l->pfn)
        return pv_no_memory(e);
    for (size_t i = 0; i < l->pages; i++) {
        pfn_t p;
        if (save_plain_pfn_of(l, l->page[i].frame, &p, e))
            return pv_context(e, "the list's page for pfn %llx on",
                              (unsigned long long)i * PER_PAGE);
        l->pfn[i] = p.n;
    }
    return 0;
}

int save_list_published(struct save_list *l, struct pv_error *e)
{
    struct pv_arch_info a;
    struct p2m_list from;
    if (pv_arch_info_read(&a, l->v, e))
        return -1;
    if (!p2m_list_published(&from, l->v, &a))
        return pv_fail(e, "it publishes none");
    if (a.max_pfn == 0 || a.max_pfn > PV_FRAME_LIMIT)
        return pv_fail(e, "it is said to have %llx pfns", (unsigned long long)a.max_pfn);
    if (from.shape == P2M_VIRTUAL && from.va % PAGE_BYTES)
        return pv_fail(e, "it is said to be at %llx, where no page begins",
                       (unsigned long long)from.va);
    l->end = a.max_pfn;
    int rc = find_pages(l, &from, e);
    p2m_list_free(&from);
    if (rc == 0 && l->pages == 0)
        rc = pv_fail(e, "%s %llx leads to no page of it",
                     a.p2m_cr3 ? "the root with mfn" : "the tree at mfn",
                     (unsigned long long)(a.p2m_cr3 ? a.p2m_root.n : a.list_list));
    if (rc)
        return -1;
    cut_off(l);
    return 0;
}

static int open_published(struct save_list *l, struct pv_error *e)
{
    return save_list_published(l, e) || number_pages(l, e) ? -1 : 0;
}

/* A stream names the pages itself. */
static int take_over(struct save_list *l, struct pv_error *e)
{
    const uint64_t *pfn;
    uint64_t last;
    if (!pv_stream_p2m_frames(l->v, &l->start, &last, &pfn, &l->pages)) {
        l->end = l->v->end_pfn.n;
        return l->as_found ? 0 : pv_fail(e, "the image does not say where it is");
    }
    l->end = last + 1;
    l->pfn = reallocarray(NULL, l->pages, sizeof(*l->pfn));
    if (!l->pfn)
        return pv_no_memory(e);
    memcpy(l->pfn, pfn, l->pages * sizeof(*l->pfn));
    return 0;
}

int save_list_open(struct save_list *l, const struct pv_view *v, bool as_found, struct pv_error *e)
{
    *l = (struct save_list){.v = v, .as_found = as_found};
    if (v->portable ? take_over(l, e) : open_published(l, e))
        return pv_context(e, "the guest's p2m list cannot be used");
    return 0;
}

void save_list_free(struct save_list *l)
{
    free(l->pfn);
    free(l->page);
    l->pfn = NULL;
    l->page = NULL;
}
