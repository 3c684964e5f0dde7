/* SPDX-License-Identifier: MIT */
#include "list.h"

#include <string.h>

#include "pte.h"

#define FOREVER (~0ull)

void p2m_list_init(struct p2m_list *l, const struct pv_view *v, enum p2m_shape shape)
{
    *l = (struct p2m_list){.v = v, .shape = shape, .root = NO_MFN};
    l->blank[0] = (struct p2m_blank){.page = NO_MFN, .table = NO_MFN, .state = PV_P2M_MISSING};
    l->blank[1] = (struct p2m_blank){.page = NO_MFN, .table = NO_MFN, .state = PV_P2M_IDENTITY};
}

void p2m_list_free(struct p2m_list *l)
{
    pv_pairs_free(&l->now);
}

bool p2m_list_published(struct p2m_list *l, const struct pv_view *v, const struct pv_arch_info *a)
{
    p2m_list_init(l, v, a->p2m_cr3 ? P2M_VIRTUAL : P2M_TREE);
    l->root = a->p2m_cr3 ? a->p2m_root : mfn(a->list_list);
    l->va = a->p2m_vaddr;
    return a->p2m_cr3 || (a->list_list != 0 && a->list_list != ~0ull);
}

/* ---- words */

static unsigned per_page(const struct p2m_list *l)
{
    return PAGE_BYTES / l->v->width;
}

uint64_t p2m_widen(const struct pv_view *v, uint64_t word)
{
    if (v->width == 4)
        word &= 0xffffffff;
    if (word == 0)
        return P2M_MISSING;
    if (v->width == 8)
        return word;
    return word == 0xffffffff ? P2M_MISSING : (word & 0x3fffffff) | (word >> 30) << 62;
}

struct pv_p2m_entry p2m_decode(uint64_t word)
{
    struct pv_p2m_entry e = {.state = PV_P2M_FRAME, .mfn = mfn(word & ~P2M_MARKS), .at = {~0ull}};
    if (word == P2M_MISSING)
        return (struct pv_p2m_entry){.state = PV_P2M_MISSING, .mfn = NO_MFN, .at = {~0ull}};
    if (word & P2M_FOREIGN)
        e.state = PV_P2M_FOREIGN;
    else if (word & P2M_IDENTITY)
        e.state = PV_P2M_IDENTITY;
    return e;
}

/* The guest answers for the pages of its lists, and for the tables above: they must be its own. */
static bool owned(const struct p2m_list *l, mfn_t m)
{
    return l->v->backend->owned(l->v, m);
}

static bool read_pointer(const struct p2m_list *l, uint64_t va, uint64_t *to)
{
    *to = 0;
    return va % l->v->width == 0 &&
           pv_read_va(l->v, l->root, gva(va), to, l->v->width) == l->v->width;
}

/* ---- spans */

static void uniform(struct p2m_span *s, uint64_t first, uint64_t last, enum pv_p2m_state state)
{
    *s = (struct p2m_span){.first = first, .last = last, .state = state, .frame = NO_MFN};
}

/* `n` (a power of 2) neighbours, one of which is pfn `at`. */
static void uniform_around(struct p2m_span *s, uint64_t at, uint64_t n, enum pv_p2m_state state)
{
    uniform(s, at & ~(n - 1), at | (n - 1), state);
}

static const struct p2m_blank *blank_of(const struct p2m_list *l, mfn_t page)
{
    for (unsigned i = 0; i < 2; i++)
        if (mfn_eq(l->blank[i].page, page) && !mfn_eq(page, NO_MFN))
            return &l->blank[i];
    return NULL;
}

/* A page of the list, which begins at `offset` of the frame: `s` has the pfns already. */
static void in_page(const struct p2m_list *l, mfn_t frame, unsigned offset, struct p2m_span *s)
{
    const struct p2m_blank *blank = blank_of(l, frame);
    s->frame = frame;
    s->offset = offset;
    s->state = blank ? blank->state : owned(l, frame) ? PV_P2M_FRAME : PV_P2M_UNREADABLE;
}

/* ---- at an address */

/* The level down to which the tables are the guest's, above 0: all that is below them is not. */
static unsigned bad_table(const struct p2m_list *l, const struct pv_walk *w)
{
    for (unsigned level = w->top; level >= 1 && w->level && level >= w->level; level--)
        if (!owned(l, maddr_frame(w->at[level])))
            return level + 1;
    return 0;
}

/* Which elements lie in the 2^shift bytes around `va`, the address of element `at`? */
static void region(const struct p2m_list *l, uint64_t at, uint64_t va, unsigned shift,
                   struct p2m_span *s)
{
    const uint64_t before = va & ((1ull << shift) - 1), behind = (1ull << shift) - 1 - before;
    const uint64_t below = before / l->v->width;
    s->first = below < at ? at - below : 0;
    s->last = at + behind / l->v->width;
}

/* Unmapped, or behind tables that are not the guest's: as much as the level's entry spans. */
static void unmapped(const struct p2m_list *l, uint64_t at, uint64_t va, const struct pv_walk *w,
                     struct p2m_span *s)
{
    const unsigned bad = bad_table(l, w);
    const unsigned level = bad ? bad : w->level;
    if (level > w->top)
        uniform(s, at, at + (~va & ((1ull << 47) - 1)) / l->v->width, PV_P2M_UNREADABLE);
    else if (level == 0)
        uniform(s, at, va < 1ull << 63 ? at + ((0xffff8ull << 44) - 1 - va) / l->v->width : FOREVER,
                PV_P2M_UNREADABLE);
    else {
        uniform(s, at, at, PV_P2M_UNREADABLE);
        region(l, at, va, 12 + 9 * (level - 1), s);
    }
}

static bool is_blank_table(const struct p2m_list *l, const struct pv_walk *w,
                           enum pv_p2m_state *state)
{
    for (unsigned i = 0; i < 2; i++)
        if (w->level == 1 && !mfn_eq(l->blank[i].table, NO_MFN) &&
            mfn_eq(l->blank[i].table, maddr_frame(w->at[1]))) {
            *state = l->blank[i].state;
            return true;
        }
    return false;
}

/* An element's own address; false: there is none. */
static bool address(const struct p2m_list *l, uint64_t at, uint64_t *va)
{
    *va = l->va + at * l->v->width;
    return l->va % l->v->width == 0 && at <= (~0ull - l->va) / l->v->width;
}

static void resolve_virtual(const struct p2m_list *l, uint64_t at, struct p2m_span *s)
{
    struct pv_walk w;
    uint64_t va;
    if (!address(l, at, &va)) {
        uniform(s, at, FOREVER, PV_P2M_UNREADABLE);
        return;
    }
    if (!pv_walk(l->v, l->root, gva(va), &w) || bad_table(l, &w)) {
        unmapped(l, at, va, &w, s);
        return;
    }
    *s = (struct p2m_span){.frame = NO_MFN};
    if (is_blank_table(l, &w, &s->state)) {
        region(l, at, va, 21, s);
        return;
    }
    region(l, at, va, 12, s);
    const uint64_t first = l->va + s->first * l->v->width;
    in_page(l, maddr_frame(w.to), first % PAGE_BYTES, s);
}

/* ---- a tree of frames */

/* What a slot of the tree's upper levels names; FRAME: a page. */
static enum pv_p2m_state node(const struct p2m_list *l, mfn_t table, uint64_t slot, mfn_t *below)
{
    uint64_t word = 0;
    if (!owned(l, table) ||
        !l->v->backend->read(l->v, table, (unsigned)(slot * l->v->width), &word, l->v->width))
        return PV_P2M_UNREADABLE;
    word = p2m_widen(l->v, word);
    if (word == P2M_MISSING)
        return PV_P2M_MISSING;
    const struct pv_pair *now = l->is_old ? pv_pairs_find(&l->now, word) : NULL;
    *below = now ? mfn(now->value) : l->is_old ? NO_MFN : mfn(word);
    return PV_P2M_FRAME;
}

static void resolve_tree(const struct p2m_list *l, uint64_t at, struct p2m_span *s)
{
    const uint64_t n = per_page(l), leaf = at / n;
    mfn_t middle = NO_MFN, bottom = NO_MFN;
    if (leaf / n >= n) {
        uniform(s, n * n * n, FOREVER, PV_P2M_MISSING);
        return;
    }
    enum pv_p2m_state state = node(l, l->root, leaf / n, &middle);
    if (state != PV_P2M_FRAME || !owned(l, middle)) {
        uniform_around(s, at, n * n, state == PV_P2M_FRAME ? PV_P2M_UNREADABLE : state);
        return;
    }
    state = node(l, middle, leaf % n, &bottom);
    uniform_around(s, at, n, state);
    if (state == PV_P2M_FRAME)
        in_page(l, bottom, 0, s);
}

/* ---- pages that are named, pointers */

static void resolve_pages(const struct p2m_list *l, uint64_t at, struct p2m_span *s)
{
    const uint64_t n = per_page(l), first = l->start / n;
    if (at / n < first) {
        uniform(s, 0, first * n - 1, PV_P2M_BEYOND);
    } else if (at / n - first >= l->pages) {
        uniform(s, (first + l->pages) * n, FOREVER, PV_P2M_BEYOND);
    } else {
        uniform_around(s, at, n, PV_P2M_FRAME);
        in_page(l, mfn(l->page[at / n - first]), 0, s);
    }
}

/* The address of the pointer to the page; false: *s says why there is none. */
static bool pointer_to_page(const struct p2m_list *l, uint64_t at, uint64_t *va, struct p2m_span *s)
{
    const uint64_t n = per_page(l), width = l->v->width;
    uint64_t middle;
    *va = l->va + at / n * width;
    if (l->levels == 2 && at / n > (~0ull - l->va) / width) {
        uniform(s, at, FOREVER, PV_P2M_UNREADABLE);
        return false;
    }
    if (l->levels == 2)
        return true;
    if (at / n / n >= n) {
        uniform(s, n * n * n, FOREVER, PV_P2M_BEYOND);
        return false;
    }
    const bool there = read_pointer(l, l->va + at / n / n * width, &middle);
    if (!there || middle == 0 || middle % PAGE_BYTES || middle == l->mid_missing) {
        uniform_around(s, at, n * n,
                       there && middle == l->mid_missing ? PV_P2M_MISSING : PV_P2M_UNREADABLE);
        return false;
    }
    *va = middle + at / n % n * width;
    return true;
}

static void resolve_pointers(const struct p2m_list *l, uint64_t at, struct p2m_span *s)
{
    uint64_t va, page;
    struct pv_walk w;
    if (!pointer_to_page(l, at, &va, s))
        return;
    const bool there = read_pointer(l, va, &page);
    uniform_around(s, at, per_page(l), PV_P2M_UNREADABLE);
    if (!there || page == 0 || page % PAGE_BYTES)
        return;
    if (page == l->missing || page == l->identity)
        s->state = page == l->missing ? PV_P2M_MISSING : PV_P2M_IDENTITY;
    else if (pv_walk(l->v, l->root, gva(page), &w) && !bad_table(l, &w))
        in_page(l, maddr_frame(w.to), 0, s);
}

/* ---- all of them */

void p2m_resolve(const struct p2m_list *l, uint64_t at, struct p2m_span *s)
{
    switch (l->shape) {
    case P2M_VIRTUAL:
        resolve_virtual(l, at, s);
        return;
    case P2M_TREE:
        resolve_tree(l, at, s);
        return;
    case P2M_PAGES:
        resolve_pages(l, at, s);
        return;
    case P2M_POINTERS:
        resolve_pointers(l, at, s);
        return;
    }
}

bool p2m_load(const struct p2m_list *l, const struct p2m_span *s, uint64_t word[P2M_PAGE_WORDS])
{
    const uint64_t n = s->last - s->first + 1;
    uint8_t bytes[PAGE_BYTES];
    if (!l->v->backend->read(l->v, s->frame, s->offset, bytes, (unsigned)(n * l->v->width)))
        return false;
    for (uint64_t i = 0; i < n; i++) {
        word[i] = 0;
        memcpy(&word[i], bytes + i * l->v->width, l->v->width);
        word[i] = p2m_widen(l->v, word[i]);
    }
    return true;
}

enum pv_p2m_state p2m_word(const struct p2m_list *l, uint64_t at, uint64_t *word, maddr_t *where)
{
    struct p2m_span s;
    p2m_resolve(l, at, &s);
    *word = P2M_MISSING;
    where->a = ~0ull;
    if (s.state != PV_P2M_FRAME)
        return s.state;
    const unsigned offset = s.offset + (unsigned)(at - s.first) * l->v->width;
    uint64_t raw = 0;
    if (!l->v->backend->read(l->v, s.frame, offset, &raw, l->v->width))
        return PV_P2M_UNREADABLE;
    *word = p2m_widen(l->v, raw);
    *where = mfn_address(s.frame, offset);
    return PV_P2M_FRAME;
}

/* ---- looking it over */

/* Pages of a list that a guest with n pages can have filled: 32 times what a list without holes
 * takes. */
static uint64_t enough_pages(const struct pv_view *v)
{
    return v->nr_pages / 16 + 1024;
}

static uint64_t enough_steps(const struct pv_view *v)
{
    return v->nr_pages + (1u << 20);
}

/* One element in 8 says whose frames these are. */
static void take_sample(const struct p2m_list *l, const uint64_t *word, uint64_t n,
                        struct p2m_survey *out)
{
    for (uint64_t i = 0; i<n; i += n> 8 ? 8 : 1) {
        if (word[i] & P2M_MARKS)
            continue;
        out->frames++;
        out->owned += owned(l, mfn(word[i]));
        out->odd += word[i] >= PV_FRAME_LIMIT;
    }
}

static void look_at_words(struct p2m_list *l, const struct p2m_span *s, const uint64_t *word,
                          struct p2m_survey *out)
{
    const uint64_t n = s->last - s->first + 1;
    uint64_t missing = 0, identity = 0, last = 0;
    for (uint64_t i = 0; i < n; i++) {
        const enum pv_p2m_state state = p2m_decode(word[i]).state;
        missing += state == PV_P2M_MISSING;
        identity += state == PV_P2M_IDENTITY;
        if (state == PV_P2M_FRAME || state == PV_P2M_FOREIGN)
            last = i + 1;
    }
    struct p2m_blank *b = missing == n ? &l->blank[0] : identity == n ? &l->blank[1] : NULL;
    if (b && n == per_page(l) && mfn_eq(b->page, NO_MFN))
        b->page = s->frame;
    if (last)
        out->reach = s->first + last;
    out->pages += last != 0;
    take_sample(l, word, n, out);
}

/* Does the table around pfn `at` map nothing but that page? It is looked at once. */
static void look_at_table(struct p2m_list *l, uint64_t at, mfn_t page, mfn_t *looked)
{
    uint64_t va, entry[PAGE_BYTES / 8];
    struct pv_walk w;
    struct p2m_blank *b = mfn_eq(l->blank[0].page, page) ? &l->blank[0] : &l->blank[1];
    if (l->shape != P2M_VIRTUAL || !address(l, at, &va) || !pv_walk(l->v, l->root, gva(va), &w) ||
        w.level != 1 || mfn_eq(maddr_frame(w.at[1]), *looked))
        return;
    *looked = maddr_frame(w.at[1]);
    if (!l->v->backend->read(l->v, *looked, 0, entry, sizeof(entry)))
        return;
    for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
        if (!pte_present(entry[i]) || !mfn_eq(pte_frame(entry[i]), page))
            return;
    if (mfn_eq(b->table, NO_MFN))
        b->table = *looked;
}

void p2m_look_over(struct p2m_list *l, uint64_t claimed, struct p2m_survey *out)
{
    uint64_t word[P2M_PAGE_WORDS], pages = 0, steps = 0;
    mfn_t looked = NO_MFN;
    struct p2m_span s;
    claimed = claimed < PV_FRAME_LIMIT ? claimed : PV_FRAME_LIMIT;
    *out = (struct p2m_survey){.end = claimed};
    for (uint64_t at = 0; at < claimed; at = s.last + 1) {
        p2m_resolve(l, at, &s);
        pages += s.state == PV_P2M_FRAME;
        if (pages > enough_pages(l->v) || ++steps > enough_steps(l->v)) {
            out->end = at;
            out->endless = true;
            return;
        }
        if (s.state == PV_P2M_FRAME && p2m_load(l, &s, word))
            look_at_words(l, &s, word, out);
        if (s.state != PV_P2M_UNREADABLE && s.state != PV_P2M_BEYOND)
            out->readable = s.last < claimed ? s.last + 1 : claimed;
        if (blank_of(l, s.frame))
            look_at_table(l, at, s.frame, &looked);
        if (s.last == FOREVER)
            return;
    }
}
