/* SPDX-License-Identifier: MIT */
/*
 * The comparison. Pfns that either image has are taken some thousands at a time, in order; their
 * pages are compared on all cores; then they are told of, neighbours together. So what it needs of
 * memory does not grow with the images, but for the types.
 */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#include "bulk.h"
#include "parallel.h"

#define BATCH 16384u /* pfns */
#define PART  64u    /* of a batch: what a thread takes at once */

/* One pfn, and what was found. */
struct item {
    pfn_t at;
    struct pv_diff_page page[2];
    unsigned kinds, as[2];
    bool translated;
};

struct diff {
    struct diff_side side[2];
    const struct pv_diff_options *o;
    pv_each_diff *each;
    void *context;
    struct pv_diff_summary *out;
    pfn_t next[2]; /* of each image; NO_PFN: no more */
    struct item *item;
    size_t n;
    uint64_t done;
    struct pv_diff_range range; /* not told yet, if it has kinds */
    bool enough;
};

const char *pv_diff_name(enum pv_diff_kind k)
{
    static const char *const names[PV_DIFF_KINDS] = {
        [PV_DIFF_CONTENTS] = "contents", [PV_DIFF_TYPE] = "type",     [PV_DIFF_P2M] = "p2m",
        [PV_DIFF_ONLY_A] = "only-a",     [PV_DIFF_ONLY_B] = "only-b",
    };
    return k < PV_DIFF_KINDS ? names[k] : "none";
}

/* ---- a part of a batch: by any thread */

struct part {
    uint8_t page[2][PART][PAGE_BYTES] __attribute__((aligned(8)));
    bool there[2][PART];
};

static bool is_table(const struct item *i)
{
    return i->as[0] || i->as[1];
}

static bool same_meaning(const struct diff *d, const struct item *i, uint64_t *a, uint64_t *b)
{
    diff_normalise(d->side[0].v, i->as[0], a);
    diff_normalise(d->side[1].v, i->as[1], b);
    return memcmp(a, b, PAGE_BYTES) == 0;
}

static bool same_contents(const struct diff *d, struct item *i, struct part *p, unsigned at)
{
    if (!p->there[0][at] || !p->there[1][at])
        return p->there[0][at] == p->there[1][at];
    bool same = memcmp(p->page[0][at], p->page[1][at], PAGE_BYTES) == 0;
    if (!is_table(i))
        return same;
    i->translated = !same;
    return same_meaning(d, i, (uint64_t *)p->page[0][at], (uint64_t *)p->page[1][at]);
}

static unsigned kinds_of(const struct diff *d, struct item *i, struct part *p, unsigned at)
{
    unsigned kinds = 0;
    if (mfn_eq(i->page[1].mfn, NO_MFN))
        return 1u << PV_DIFF_ONLY_A;
    if (mfn_eq(i->page[0].mfn, NO_MFN))
        return 1u << PV_DIFF_ONLY_B;
    if (!same_contents(d, i, p, at))
        kinds |= 1u << PV_DIFF_CONTENTS;
    if (diff_types_differ(&i->page[0], &i->page[1]))
        kinds |= 1u << PV_DIFF_TYPE;
    if (d->out->p2m && !mfn_eq(i->page[0].mfn, i->page[1].mfn))
        kinds |= 1u << PV_DIFF_P2M;
    return kinds;
}

static void read_part(const struct diff *d, unsigned side, const struct item *item, size_t n,
                      struct part *p)
{
    mfn_t m[PART] = {{0}};
    for (size_t i = 0; i < n; i++)
        m[i] = mfn_eq(item[i].page[!side].mfn, NO_MFN) ? NO_MFN : item[i].page[side].mfn;
    pv_read_frames(d->side[side].v, m, n, p->page[side], p->there[side]);
}

static void compare_part(void *context, uint64_t from, uint64_t end)
{
    struct diff *d = context;
    struct part p;
    struct item *item = &d->item[from];
    const size_t n = end - from;
    for (size_t i = 0; i < n; i++) {
        for (unsigned side = 0; side < 2; side++)
            item[i].page[side] = diff_page(&d->side[side], item[i].page[side].mfn);
        diff_take_as(item[i].page, item[i].as);
    }
    read_part(d, 0, item, n, &p);
    read_part(d, 1, item, n, &p);
    for (size_t i = 0; i < n; i++)
        item[i].kinds = kinds_of(d, &item[i], &p, (unsigned)i);
}

/* ---- telling */

static bool same_page(const struct pv_diff_page *a, const struct pv_diff_page *b)
{
    return a->level == b->level && a->told == b->told && a->pinned == b->pinned;
}

static bool continues(const struct diff *d, const struct item *i)
{
    const struct pv_diff_range *r = &d->range;
    bool apart = d->o->apart && (i->kinds & 1u << PV_DIFF_CONTENTS);
    return !apart && r->kinds == i->kinds && i->at.n == r->last.n + 1 &&
           same_page(&r->page[0], &i->page[0]) && same_page(&r->page[1], &i->page[1]);
}

static void tell_range(struct diff *d)
{
    if (!d->range.kinds || d->enough)
        return;
    d->out->ranges++;
    d->enough = d->each && !d->each(d->context, &d->range);
    d->range.kinds = 0;
}

static void count(struct pv_diff_summary *s, const struct item *i)
{
    s->pages++;
    s->same += !i->kinds;
    s->translated += !i->kinds && i->translated;
    s->tables += (i->kinds & 1u << PV_DIFF_CONTENTS) && is_table(i);
    for (unsigned k = 0; k < PV_DIFF_KINDS; k++)
        s->of[k] += i->kinds >> k & 1;
}

static void take_item(struct diff *d, const struct item *i)
{
    if (d->range.kinds && !continues(d, i))
        tell_range(d);
    if (d->enough)
        return;
    count(d->out, i);
    if (!i->kinds)
        return;
    if (!d->range.kinds)
        d->range = (struct pv_diff_range){.first = i->at,
                                          .kinds = i->kinds,
                                          .page = {i->page[0], i->page[1]},
                                          .as = {i->as[0], i->as[1]}};
    d->range.last = i->at;
}

/* ---- batches */

static pfn_t next_pfn(const struct pv_view *v, uint64_t from)
{
    return from == NO_PFN.n ? NO_PFN : v->backend->next_pfn(v, pfn(from));
}

/* The pfns that come next, and who has them. */
static void gather(struct diff *d)
{
    for (d->n = 0; d->n < BATCH; d->n++) {
        pfn_t at = d->next[0].n < d->next[1].n ? d->next[0] : d->next[1];
        if (at.n == NO_PFN.n)
            return;
        struct item *i = &d->item[d->n];
        *i = (struct item){.at = at, .page = {{.mfn = NO_MFN}, {.mfn = NO_MFN}}};
        for (unsigned side = 0; side < 2; side++) {
            const struct pv_view *v = d->side[side].v;
            if (d->next[side].n != at.n)
                continue;
            i->page[side].mfn = v->backend->mfn_of(v, at);
            d->next[side] = next_pfn(v, at.n + 1);
        }
    }
}

static uint64_t most_pages(const struct diff *d)
{
    uint64_t a = d->side[0].v->nr_pages, b = d->side[1].v->nr_pages;
    return a > b ? a : b;
}

static int compare_all(struct diff *d, struct pv_error *e)
{
    for (unsigned side = 0; side < 2; side++)
        d->next[side] = next_pfn(d->side[side].v, 0);
    for (gather(d); d->n && !d->enough; gather(d)) {
        if (pv_tell(&d->o->progress, "comparing", d->done, most_pages(d), e))
            return -1;
        pv_parallel(d->o->threads, d->n, PART, compare_part, d);
        for (size_t i = 0; i < d->n && !d->enough; i++)
            take_item(d, &d->item[i]);
        d->done += d->n;
    }
    tell_range(d);
    return 0;
}

static int run(struct diff *d, const struct pv_view *a, const struct pv_view *b, struct pv_error *e)
{
    d->item = calloc(BATCH, sizeof(*d->item));
    if (!d->item)
        return pv_no_memory(e);
    if (diff_side_open(&d->side[0], a, &d->o->progress, e) ||
        diff_side_open(&d->side[1], b, &d->o->progress, e))
        return -1;
    d->out->p2m = !a->portable && !b->portable;
    d->out->pins = d->side[0].tells && d->side[1].tells;
    for (unsigned i = 0; i < 2; i++)
        d->out->types[i] = d->side[i].tells || d->side[i].levels;
    return compare_all(d, e);
}

int pv_diff(const struct pv_view *a, const struct pv_view *b, const struct pv_diff_options *o,
            pv_each_diff *each, void *context, struct pv_diff_summary *out, struct pv_error *e)
{
    static const struct pv_diff_options plain = {0};
    struct diff d = {.o = o ? o : &plain, .each = each, .context = context, .out = out};
    *out = (struct pv_diff_summary){0};
    int rc = run(&d, a, b, e);
    diff_side_close(&d.side[0]);
    diff_side_close(&d.side[1]);
    free(d.item);
    return rc ? pv_context(e, "the images were not compared to their end") : 0;
}
