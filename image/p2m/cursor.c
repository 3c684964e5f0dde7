/* SPDX-License-Identifier: MIT */
/* Going through a source, page by page. */
#include "sources.h"

#define CHUNK 512u /* elements of sources without pages */

void p2m_cursor_init(struct p2m_cursor *c, const struct pv_p2m *p, enum pv_p2m_kind k)
{
    c->p = p;
    c->kind = k;
    c->set = false;
}

static void fill_own(struct p2m_cursor *c, uint64_t at)
{
    const struct pv_view *v = c->p->v;
    const struct pv_backend *b = v->backend;
    pfn_t next = b->next_pfn(v, pfn(at));
    c->first = at;
    c->at.a = ~0ull;
    c->step = 0;
    if (next.n == NO_PFN.n || next.n - at >= CHUNK) {
        c->state = PV_P2M_MISSING;
        c->last = next.n - 1;
        return;
    }
    c->state = PV_P2M_FRAME;
    c->last = NO_PFN.n - at > CHUNK ? at + CHUNK - 1 : NO_PFN.n - 1;
    for (unsigned i = 0; i < CHUNK; i++)
        c->word[i] = P2M_MISSING;
    for (; next.n <= c->last; next = b->next_pfn(v, pfn(next.n + 1)))
        c->word[next.n - at] = b->mfn_of(v, next).n;
}

static void fill_list(struct p2m_cursor *c, uint64_t at)
{
    const struct p2m_list *l = &c->p->list[c->kind];
    struct p2m_span s;
    p2m_resolve(l, at, &s);
    c->first = s.first;
    c->last = s.last;
    c->state = s.state;
    c->step = l->v->width;
    c->at.a = ~0ull;
    if (s.state != PV_P2M_FRAME)
        return;
    c->at = mfn_address(s.frame, s.offset);
    if (!p2m_load(l, &s, c->word))
        c->state = PV_P2M_UNREADABLE;
}

void p2m_seek(struct p2m_cursor *c, uint64_t at)
{
    const uint64_t end = c->p->source[c->kind].end;
    if (c->set && at >= c->first && at <= c->last)
        return;
    c->set = true;
    if (at >= end) {
        c->first = end;
        c->last = ~0ull;
        c->state = PV_P2M_BEYOND;
        c->at.a = ~0ull;
        return;
    }
    if (c->kind == PV_P2M_TABLES)
        p2m_map_fill(c, at);
    else if (p2m_is_list(c->kind))
        fill_list(c, at);
    else
        fill_own(c, at);
    if (c->last >= end)
        c->last = end - 1;
}

struct pv_p2m_entry p2m_entry(const struct p2m_cursor *c, uint64_t at)
{
    if (c->state != PV_P2M_FRAME)
        return (struct pv_p2m_entry){.state = c->state, .mfn = NO_MFN, .at = {~0ull}};
    struct pv_p2m_entry e = p2m_decode(c->word[at - c->first]);
    if (c->at.a != ~0ull)
        e.at.a = c->at.a + (at - c->first) * c->step;
    return e;
}
