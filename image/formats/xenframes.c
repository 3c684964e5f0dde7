/* SPDX-License-Identifier: MIT */
/*
 * Which frames are the chosen domain's? Xen's frame table says, if its form is known. Else they are
 * those that the domain's own lists name, if m2p agrees; and then those that its page tables reach
 * and that m2p has at a pfn for which the lists have no other: so a list that ends early is filled
 * in. What another domain's list names is that one's, however it is mapped.
 */
#include "xenmachine.h"

#include <stdlib.h>

#include "pte.h"

#define ENTRIES 512u

/* ---- the frame table */

bool xen_frame_of(const struct xen_machine *x, mfn_t m, struct xen_frame *out)
{
    return xen_table_read(&x->frames, x->view, m.n, out, 1) == 1;
}

unsigned xen_type(const struct xen_machine *x, const struct xen_frame *f)
{
    unsigned type = (unsigned)(f->type_info >> x->type_shift);
    return type <= 4 ? type : 0;
}

bool xen_is_table(const struct xen_machine *x, const struct xen_frame *f)
{
    return (f->type_info >> 58 & 1) && xen_type(x, f) > 0; /* PGT_validated */
}

bool xen_is_pinned(const struct xen_frame *f)
{
    return f->type_info >> 59 & 1;
}

bool xen_is_heap(const struct xen_frame *f)
{
    return f->count_info >> 62 & 1;
}

bool xen_is_allocated(const struct xen_frame *f)
{
    return f->count_info >> 63;
}

static void take_owned(struct xen_machine *x, uint64_t first, const struct xen_frame *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        for (unsigned d = 0; d < x->nr_domains; d++) {
            if (f[i].owner != x->domain[d].owner || !xen_is_allocated(&f[i]) ||
                xen_is_heap(&f[i]) || !f[i].owner)
                continue;
            x->view->domain[d].pages++;
            if (d == x->chosen)
                xen_set_bit(x->mine, first + i);
        }
}

static int take_by_frame_table(struct xen_machine *x, struct pv_error *e)
{
    struct xen_frame f[PAGE_BYTES / sizeof(struct xen_frame)];
    unsigned per_page = sizeof(f) / sizeof(*f);
    for (uint64_t i = 0; i < x->frames.n; i += per_page) {
        if (i % (1u << 20) == 0 &&
            pv_tell(&x->options->progress, "reading Xen's frame table", i, x->frames.n, e))
            return -1;
        take_owned(x, i, f, xen_table_read(&x->frames, x->view, i, f, per_page));
    }
    return 0;
}

/* ---- the domain's lists */

struct claim {
    struct xen_machine *x;
    uint64_t *bits;
};

/* A page of a list, with what it has from that pfn on. */
static void take_list_page(const struct claim *c, uint64_t first, const uint64_t *value)
{
    for (unsigned i = 0; i < ENTRIES; i++)
        if (value[i] < c->x->m2p.n && xen_m2p(c->x, mfn(value[i])).n == first + i)
            xen_set_bit(c->bits, value[i]);
}

/* A list that lies at a virtual address: page by page, what is not mapped is left out at once. */
static void take_linear(const struct claim *c, mfn_t root, gva_t at, uint64_t n)
{
    const struct pv_view *v = c->x->view;
    mfn_t before = NO_MFN;
    if (n > PV_FRAME_LIMIT)
        n = PV_FRAME_LIMIT;
    for (uint64_t i = 0; i < n;) {
        struct pv_walk w;
        uint64_t value[ENTRIES];
        gva_t va = gva(at.a + i * 8);
        bool mapped = pv_walk(v, root, va, &w);
        mfn_t page = maddr_frame(w.to);
        /* Linux maps one page again and again where it has nothing. */
        if (mapped && !mfn_eq(page, before) && v->backend->read(v, page, 0, value, sizeof(value)))
            take_list_page(c, i, value);
        before = mapped ? page : NO_MFN;
        uint64_t step = mapped || w.level < 2 ? 1 : 1ull << 9 * (w.level - 1);
        i += (step - (va.a >> PAGE_SHIFT_4K & (step - 1))) * ENTRIES;
    }
}

static void take_tree_middle(const struct claim *c, uint64_t first, mfn_t middle)
{
    const struct pv_view *v = c->x->view;
    uint64_t leaf[ENTRIES], value[ENTRIES], before = 0;
    if (!v->backend->read(v, middle, 0, leaf, sizeof(leaf)))
        return;
    for (unsigned i = 0; i < ENTRIES; before = leaf[i++])
        if (leaf[i] && leaf[i] != before && leaf[i] < v->nr_frames &&
            v->backend->read(v, mfn(leaf[i]), 0, value, sizeof(value)))
            take_list_page(c, first + i * ENTRIES, value);
}

static void take_tree(const struct claim *c, mfn_t top, uint64_t n)
{
    const struct pv_view *v = c->x->view;
    uint64_t middle[ENTRIES], before = 0, each = ENTRIES * ENTRIES;
    if (!v->backend->read(v, top, 0, middle, sizeof(middle)))
        return;
    for (uint64_t i = 0; i < ENTRIES && i * each < n; before = middle[i++])
        if (middle[i] && middle[i] != before && middle[i] < v->nr_frames)
            take_tree_middle(c, i * each, mfn(middle[i]));
}

static void take_lists(const struct claim *c, const struct xen_domain *d)
{
    if (!mfn_eq(d->linear, NO_MFN) && d->linear_va.a % PAGE_BYTES == 0)
        take_linear(c, d->linear, d->linear_va, d->max_pfn);
    if (!mfn_eq(d->tree, NO_MFN))
        take_tree(c, d->tree, d->max_pfn);
    if (!mfn_eq(d->builder_root, NO_MFN) && d->flat_va % PAGE_BYTES == 0)
        take_linear(c, d->builder_root, gva(d->flat_va), d->nr_pages);
}

/* ---- what page tables reach */

struct reach {
    struct xen_machine *x;
    const struct xen_domain *d;
    const uint64_t *others; /* frames of other domains' */
    uint64_t *walked;
};

static bool is_reached(const struct reach *r, mfn_t m)
{
    struct xen_machine *x = r->x;
    if (m.n >= x->m2p.n || xen_bit(r->others, m.n))
        return false;
    if (xen_bit(x->mine, m.n))
        return true;
    pfn_t p = xen_m2p(x, m);
    if (p.n >= PV_NAMELESS)
        return false;
    mfn_t listed = xen_listed(x, r->d, p);
    if (!mfn_eq(listed, NO_MFN) && !mfn_eq(listed, m) &&
        mfn_eq(mfn(xen_m2p(x, listed).n), mfn(p.n)))
        return false;
    xen_set_bit(x->mine, m.n);
    return true;
}

static void walk_table(const struct reach *r, mfn_t table, unsigned level)
{
    const struct pv_view *v = r->x->view;
    uint64_t entry[ENTRIES];
    if (xen_bit(r->walked, table.n) || !v->backend->read(v, table, 0, entry, sizeof(entry)))
        return;
    xen_set_bit(r->walked, table.n);
    for (unsigned i = 0; i < ENTRIES; i++) {
        bool xens = level == 4 && i >= 256 && i <= 271;
        if (xens || !pte_present(entry[i]) || (level > 1 && (entry[i] & PTE_PSE)))
            continue;
        if (is_reached(r, pte_frame(entry[i])) && level > 1)
            walk_table(r, pte_frame(entry[i]), level - 1);
    }
}

static void walk_root(const struct reach *r, mfn_t root)
{
    if (root.n < r->x->m2p.n && is_reached(r, root))
        walk_table(r, root, 4);
}

/* The kernel's root first: it has all memory, and so the other roots, too. */
static int take_reached(const struct reach *r, struct pv_error *e)
{
    const struct xen_list *l4 = &r->x->scan.l4;
    walk_root(r, r->d->linear);
    walk_root(r, r->d->builder_root);
    for (size_t i = 0; i < l4->count; i++) {
        if (pv_tell(&r->x->options->progress, "following the domain's page tables", i, l4->count,
                    e))
            return -1;
        if (l4->n[i] < r->x->m2p.n && xen_bit(r->x->mine, l4->n[i]))
            walk_table(r, mfn(l4->n[i]), 4);
    }
    return 0;
}

static int take_by_lists(struct xen_machine *x, struct pv_error *e)
{
    size_t words = (size_t)(x->m2p.n / 64 + 1);
    uint64_t *others = calloc(words, 8), *walked = calloc(words, 8);
    int rc = others && walked ? 0 : pv_no_memory(e);
    for (unsigned i = 0; rc == 0 && i < x->nr_domains; i++)
        take_lists(&(struct claim){x, i == x->chosen ? x->mine : others}, &x->domain[i]);
    for (size_t i = 0; rc == 0 && i < words;
         i++) /* two lists name it: the domain that is asked for */
        others[i] &= ~x->mine[i];
    if (rc == 0)
        rc = take_reached(&(struct reach){x, &x->domain[x->chosen], others, walked}, e);
    free(others);
    free(walked);
    return rc;
}

/* ---- the index */

static int make_index(struct xen_machine *x, struct pv_error *e)
{
    struct pv_gather g = {0};
    for (uint64_t n = 0; n < x->m2p.n; n++) {
        if (x->mine[n / 64] == 0)
            n |= 63;
        else if (xen_bit(x->mine, n) && !pv_gather_add(&g, xen_m2p(x, mfn(n)), mfn(n))) {
            pv_gather_free(&g);
            return pv_no_memory(e);
        }
    }
    const struct pv_m2p m2p = xen_m2p_of(x);
    return pv_gather_into(&g, &x->index, &m2p) ? 0 : pv_no_memory(e);
}

int xen_find_frames(struct xen_machine *x, struct pv_error *e)
{
    x->mine = calloc((size_t)(x->m2p.n / 64 + 1), 8);
    if (!x->mine)
        return pv_no_memory(e);
    if (x->domain[x->chosen].owner ? take_by_frame_table(x, e) : take_by_lists(x, e))
        return -1;
    return make_index(x, e);
}
