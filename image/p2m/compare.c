/* SPDX-License-Identifier: MIT */
/* All sources side by side. */
#include <stdlib.h>
#include <string.h>

#include "sources.h"

#define TELL_EVERY (1u << 16)

struct comparison {
    const struct pv_p2m *p;
    pv_each_p2m_range *each;
    void *context;
    struct pv_p2m_summary *out;
    bool every; /* pfn is told, not only ranges that differ */
    bool enough;
    bool open;   /* the range below goes on */
    uint64_t is; /* how its sources stand */
    struct pv_p2m_range range;
    struct p2m_cursor cursor[PV_P2M_KINDS];
};

/* Where m2p has several frames at a pfn, any of them will do. A mark of the kernel's own does not
 * make it another frame. */
static bool same(const struct pv_p2m *p, const struct pv_p2m_entry *e,
                 const struct pv_p2m_entry *believed, uint64_t at)
{
    const struct pv_view *v = p->v;
    if (e->state != PV_P2M_FRAME && e->state != PV_P2M_IDENTITY && e->state != PV_P2M_FOREIGN)
        return false;
    return mfn_eq(e->mfn, believed->mfn) ||
           (v->has_m2p && v->backend->owned(v, e->mfn) && v->backend->pfn_of(v, e->mfn).n == at);
}

/* What never was meant to name all of them does not differ where it ends. */
static bool is_partial(enum pv_p2m_kind k)
{
    return k == PV_P2M_FLAT || k == PV_P2M_TABLES;
}

static bool differs(const struct pv_p2m *p, enum pv_p2m_kind k, const struct pv_p2m_entry *e,
                    const struct pv_p2m_entry *believed, uint64_t at)
{
    const bool frame = e->state == PV_P2M_FRAME;
    if (believed->state != PV_P2M_FRAME)
        return frame;
    if (e->state == PV_P2M_BEYOND && is_partial(k))
        return false;
    if (frame && p->source[k].stale)
        return false;
    return !same(p, e, believed, at);
}

static bool is_recovered(const struct pv_p2m *p, const struct pv_p2m_range *r)
{
    const enum pv_p2m_kind k = p->published;
    if (!p->publishes || r->entry[r->from].state != PV_P2M_FRAME || p->source[r->from].stale)
        return false;
    return !p->source[k].there || r->differs & 1u << k || (p->source[k].stale && !p->v->portable);
}

/* Fills `r` with what all say of one pfn. Returns how those that differ stand to what is believed.
 */
static uint64_t judge(struct comparison *c, uint64_t at, struct pv_p2m_range *r)
{
    const struct pv_p2m *p = c->p;
    uint64_t is = 0;
    r->first = pfn(at);
    r->has = r->differs = 0;
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        if (!p->source[k].there)
            continue;
        r->entry[k] = p2m_entry(&c->cursor[k], at);
        r->has |= r->entry[k].state == PV_P2M_FRAME ? 1u << k : 0;
    }
    r->from = p2m_believe(p, r->entry, at);
    for (enum pv_p2m_kind k = 0; r->has && k < PV_P2M_KINDS; k++)
        if (p->source[k].there && differs(p, k, &r->entry[k], &r->entry[r->from], at)) {
            r->differs |= 1u << k;
            is |= (uint64_t)(r->entry[k].state + 1) << 4 * k;
        }
    r->recovered = r->has && is_recovered(p, r);
    return is << 8 | (uint64_t)r->from << 1 | r->recovered;
}

static void close_range(struct comparison *c)
{
    if (!c->open)
        return;
    c->open = false;
    c->out->ranges++;
    if (c->each && !c->enough)
        c->enough = !c->each(c->context, &c->range);
}

static void count(struct comparison *c, const struct pv_p2m_range *r, uint64_t n)
{
    struct pv_p2m_summary *out = c->out;
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++)
        if (r->has & 1u << k) {
            out->has[k] += n;
            out->end[k] = pfn(r->first.n + n);
        }
    if (r->has == 0)
        return;
    out->pfns += n;
    *(r->differs ? &out->disagreed : &out->agreed) += n;
    out->recovered += r->recovered ? n : 0;
}

/* The pfns at..last, of which all sources say the same as of the first. */
static void take(struct comparison *c, uint64_t at, uint64_t last)
{
    struct pv_p2m_range r = {0};
    const uint64_t is = judge(c, at, &r);
    r.last = pfn(last);
    count(c, &r, last - at + 1);
    const bool told = c->every || r.differs || r.recovered;
    if (c->open && (c->every || !told || is != c->is))
        close_range(c);
    if (told && !c->open) {
        c->range = r;
        c->is = is;
        c->open = true;
    }
    c->range.last = r.last;
}

/* Up to where each source is of one piece; *single: and no source has more to say than that. */
static uint64_t piece(struct comparison *c, uint64_t at, uint64_t last, bool *single)
{
    *single = true;
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        if (!c->p->source[k].there)
            continue;
        struct p2m_cursor *side = &c->cursor[k];
        p2m_seek(side, at);
        last = side->last < last ? side->last : last;
        *single &= side->state != PV_P2M_FRAME;
    }
    return last;
}

/* ---- where all say the same, as most do of most pfns */

static bool is_plain(const uint64_t *word, uint64_t n)
{
    uint64_t marks = 0; /* P2M_MISSING has them all */
    for (uint64_t i = 0; i < n; i++)
        marks |= word[i];
    return !(marks & P2M_MARKS);
}

/* Has each source, for all of these pfns, the frame that the first has, or nothing to say? The
 * first must be the image's own: what it says is believed. */
static bool is_agreed(const struct comparison *c, uint64_t at, uint64_t n, struct pv_p2m_range *r)
{
    const struct pv_p2m *p = c->p;
    const uint64_t *own = NULL;
    r->has = 0;
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++) {
        const struct p2m_cursor *side = &c->cursor[k];
        if (!p->source[k].there || (own && side->state == PV_P2M_BEYOND && is_partial(k)))
            continue;
        if (side->state != PV_P2M_FRAME || (!own && (k > PV_P2M_M2P || p->source[k].stale)))
            return false;
        const uint64_t *word = side->word + (at - side->first);
        if (own ? memcmp(own, word, n * sizeof(*word)) != 0 : !is_plain(word, n))
            return false;
        own = own ? own : word;
        r->has |= 1u << k;
    }
    return own && (!p->publishes || p->source[p->published].there);
}

static bool take_agreed(struct comparison *c, uint64_t at, uint64_t last)
{
    struct pv_p2m_range r = {.first = pfn(at), .last = pfn(last)};
    const uint64_t n = last - at + 1;
    if (c->every || n > P2M_PAGE_WORDS || !is_agreed(c, at, n, &r))
        return false;
    /* One that is stale, and published, would be told of. */
    if (c->p->publishes && c->p->source[c->p->published].stale && !c->p->v->portable)
        return false;
    close_range(c);
    count(c, &r, n);
    return true;
}

static int go(struct comparison *c, uint64_t first, uint64_t last,
              const struct pv_progress *progress, struct pv_error *e)
{
    uint64_t next = first;
    for (uint64_t at = first, to; at <= last && !(c->every && c->enough); at = to + 1) {
        bool single;
        to = piece(c, at, last, &single);
        if (progress && at >= next) {
            if (pv_tell(progress, "comparing p2m sources", at - first, last - first + 1, e))
                return -1;
            next = at + TELL_EVERY;
        }
        if (single)
            take(c, at, to);
        else if (!take_agreed(c, at, to))
            for (uint64_t i = at; i <= to; i++)
                take(c, i, i);
        if (to == ~0ull)
            break;
    }
    close_range(c);
    return 0;
}

static int run(const struct comparison *how, pfn_t first, pfn_t last,
               const struct pv_progress *progress, struct pv_error *e)
{
    struct comparison *c = calloc(1, sizeof(*c));
    if (!c)
        return pv_no_memory(e);
    *c = *how;
    *c->out = (struct pv_p2m_summary){0};
    for (enum pv_p2m_kind k = 0; k < PV_P2M_KINDS; k++)
        p2m_cursor_init(&c->cursor[k], c->p, k);
    const uint64_t end = c->p->end;
    const int rc =
        end && first.n < end ? go(c, first.n, last.n < end ? last.n : end - 1, progress, e) : 0;
    free(c);
    return rc;
}

int pv_p2m_compare(const struct pv_p2m *p, pv_each_p2m_range *each, void *context,
                   struct pv_p2m_summary *out, const struct pv_progress *progress,
                   struct pv_error *e)
{
    const struct comparison how = {.p = p, .each = each, .context = context, .out = out};
    return run(&how, pfn(0), NO_PFN, progress, e);
}

int pv_p2m_each(const struct pv_p2m *p, pfn_t first, pfn_t last, pv_each_p2m_range *each,
                void *context, const struct pv_progress *progress, struct pv_error *e)
{
    struct pv_p2m_summary ignored;
    const struct comparison how = {
        .p = p, .each = each, .context = context, .out = &ignored, .every = true};
    return run(&how, first, last, progress, e);
}
