/* SPDX-License-Identifier: MIT */
/*
 * Which domains are there? A start_info page counts as a domain's if what it leads to leads back:
 * it names a shared_info page, that one the guest's p2m, and the p2m names the start_info page at
 * the very pfn that Xen's m2p has for it. What is left over from domains that are gone does not.
 */
#include "xenmachine.h"

#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

#define M2P_VA      0xffff800000000000ull /* MACH2PHYS_VIRT_START, in the guest's slot 256 */
#define M2P_OWN_VA  0xffff828000000000ull /* the same as Xen itself maps it (slot 261) */
#define FRAMES_VA   0xffff82e000000000ull /* Xen's frame table */
#define DOMID_LIMIT 0x7ff0                /* DOMID_FIRST_RESERVED */

/* ---- single words */

static bool read_word(const struct xen_machine *x, mfn_t m, uint64_t slot, uint64_t *out)
{
    return x->view->backend->read(x->view, m, (unsigned)slot * 8, out, 8);
}

static mfn_t frame_in(const struct xen_machine *x, uint64_t value)
{
    return value && value < x->view->nr_frames ? mfn(value) : NO_MFN;
}

static mfn_t word_at(const struct xen_machine *x, mfn_t root, gva_t va)
{
    uint64_t value;
    return pv_read_va(x->view, root, va, &value, sizeof(value)) == sizeof(value)
               ? frame_in(x, value)
               : NO_MFN;
}

static bool is_named(pfn_t p)
{
    return p.n < PV_NAMELESS;
}

/* ---- what the domain's lists have */

static mfn_t listed_by_tree(const struct xen_machine *x, const struct xen_domain *d, pfn_t p)
{
    uint64_t middle = 0, leaf = 0, value = 0;
    bool there = p.n < 1ull << 27 && read_word(x, d->tree, p.n >> 18, &middle) &&
                 read_word(x, frame_in(x, middle), p.n >> 9 & 511, &leaf) &&
                 read_word(x, frame_in(x, leaf), p.n & 511, &value);
    return there ? frame_in(x, value) : NO_MFN;
}

mfn_t xen_listed(const struct xen_machine *x, const struct xen_domain *d, pfn_t p)
{
    mfn_t m = NO_MFN;
    if (p.n < d->max_pfn && !mfn_eq(d->linear, NO_MFN))
        m = word_at(x, d->linear, gva(d->linear_va.a + p.n * 8));
    if (mfn_eq(m, NO_MFN) && p.n < d->max_pfn && !mfn_eq(d->tree, NO_MFN))
        m = listed_by_tree(x, d, p);
    if (mfn_eq(m, NO_MFN) && p.n < d->nr_pages && !mfn_eq(d->builder_root, NO_MFN))
        m = word_at(x, d->builder_root, gva(d->flat_va + p.n * 8));
    return m;
}

/* ---- m2p */

/* Does it name a start_info's pfn? */
static bool is_m2p(const struct xen_machine *x, mfn_t root, uint64_t va)
{
    for (size_t i = 0; i < x->scan.start_info.count; i++) {
        uint64_t value, at = va + x->scan.start_info.n[i] * 8ull;
        if (pv_read_va(x->view, root, gva(at), &value, sizeof(value)) == sizeof(value) &&
            is_named(pfn(value)))
            return true;
    }
    return false;
}

static mfn_t find_m2p(const struct xen_machine *x, uint64_t va)
{
    const struct xen_list *l4 = &x->scan.l4;
    for (size_t i = 0; i < l4->count; i++)
        if (is_m2p(x, mfn(l4->n[i]), va))
            return mfn(l4->n[i]);
    return NO_MFN;
}

static int open_m2p(struct xen_machine *x, mfn_t *root, struct pv_error *e)
{
    uint64_t va = M2P_VA;
    *root = find_m2p(x, va);
    if (mfn_eq(*root, NO_MFN))
        *root = find_m2p(x, va = M2P_OWN_VA);
    if (mfn_eq(*root, NO_MFN))
        return pv_fail(e,
                       "no Xen with PV domains: %llu frames looked at, %zu begin as a start_info, "
                       "%zu have the form of an L4 under Xen, through none of them is there an m2p "
                       "that names a start_info's pfn",
                       (unsigned long long)x->scan.frames, x->scan.start_info.count,
                       x->scan.l4.count);
    return xen_table_find(&x->m2p, x->view, *root, gva(va), 8, x->view->nr_frames, e);
}

/* ---- from a start_info to a domain */

/* Of several roots that map the flat list where start_info says only the builder's has itself where
 * it says that this one is. */
static mfn_t find_builder_root(const struct xen_machine *x, const struct xen_domain *d, pfn_t p)
{
    const struct xen_list *l4 = &x->scan.l4;
    for (size_t i = 0; i < l4->count; i++) {
        mfn_t root = mfn(l4->n[i]);
        struct pv_walk w;
        if (pv_walk(x->view, root, gva(d->root_va), &w) && mfn_eq(maddr_frame(w.to), root) &&
            mfn_eq(word_at(x, root, gva(d->flat_va + p.n * 8)), d->start_info))
            return root;
    }
    return NO_MFN;
}

static bool take_shared_info(const struct xen_machine *x, struct xen_domain *d)
{
    shared_info_t shared;
    if (!x->view->backend->read(x->view, d->shared_info, 0, &shared, sizeof(shared)))
        return false;
    const arch_shared_info_t *a = &shared.arch;
    d->max_pfn = a->max_pfn;
    d->tree = frame_in(x, a->pfn_to_mfn_frame_list_list);
    d->linear = a->p2m_cr3 ? frame_in(x, xen_cr3_to_pfn(a->p2m_cr3)) : NO_MFN;
    d->linear_va = gva(a->p2m_vaddr);
    return true;
}

static bool take_start_info(const struct xen_machine *x, mfn_t m, struct xen_domain *d)
{
    struct start_info s;
    if (!x->view->backend->read(x->view, m, 0, &s, sizeof(s)) || s.shared_info % PAGE_BYTES)
        return false;
    *d = (struct xen_domain){.start_info = m,
                             .shared_info = frame_in(x, s.shared_info / PAGE_BYTES),
                             .initial = s.flags & SIF_INITDOMAIN,
                             .nr_pages = s.nr_pages,
                             .root_va = s.pt_base,
                             .flat_va = s.mfn_list,
                             .tree = NO_MFN,
                             .linear = NO_MFN,
                             .builder_root = NO_MFN,
                             .id = -1};
    return !mfn_eq(d->shared_info, NO_MFN) && take_shared_info(x, d);
}

static bool is_known(const struct xen_machine *x, const struct xen_domain *d)
{
    for (unsigned i = 0; i < x->nr_domains; i++)
        if (mfn_eq(x->domain[i].shared_info, d->shared_info))
            return true;
    return false;
}

static bool is_domain(const struct xen_machine *x, mfn_t start_info, struct xen_domain *d)
{
    pfn_t p = xen_m2p(x, start_info);
    if (!is_named(p) || !take_start_info(x, start_info, d) || is_known(x, d))
        return false;
    d->builder_root = find_builder_root(x, d, p);
    return mfn_eq(xen_listed(x, d, p), start_info);
}

static int take_domains(struct xen_machine *x, struct pv_error *e)
{
    const struct xen_list *l = &x->scan.start_info;
    for (size_t i = 0; i < l->count && x->nr_domains < XEN_DOMAINS; i++) {
        if (pv_tell(&x->options->progress, "looking for domains", i, l->count, e))
            return -1;
        struct xen_domain d;
        if (!is_domain(x, mfn(l->n[i]), &d))
            continue;
        struct xen_domain *grown = reallocarray(x->domain, x->nr_domains + 1, sizeof(*x->domain));
        if (!grown)
            return pv_no_memory(e);
        x->domain = grown;
        x->domain[x->nr_domains++] = d;
    }
    if (x->nr_domains)
        return 0;
    return pv_fail(e,
                   "of %zu pages that begin as a start_info none belongs to a domain whose p2m "
                   "names it",
                   l->count);
}

/* ---- Xen's frame table */

static mfn_t a_root(const struct xen_domain *d)
{
    return mfn_eq(d->linear, NO_MFN) ? d->builder_root : d->linear;
}

/* The form of the frame table differs between versions: it is used if it says of frames that are
 * known what they are. 0: it does not. */
static uint32_t owner_of(const struct xen_machine *x, const struct xen_domain *d)
{
    struct xen_frame start, shared;
    if (!xen_frame_of(x, d->start_info, &start) || !xen_frame_of(x, d->shared_info, &shared))
        return 0;
    bool fits = xen_is_allocated(&start) && !xen_is_heap(&start) && xen_is_heap(&shared) &&
                start.owner == shared.owner;
    return fits ? start.owner : 0;
}

static bool proves_form(struct xen_machine *x, const struct xen_domain *d)
{
    struct xen_frame f;
    uint32_t owner = owner_of(x, d);
    if (!owner || !xen_frame_of(x, a_root(d), &f) || f.owner != owner)
        return false;
    for (x->type_shift = 61; x->type_shift >= 60; x->type_shift--) /* 60: until Xen 4.12 */
        if (xen_type(x, &f) == 4 && xen_is_table(x, &f))
            return true;
    return false;
}

static bool is_proven(struct xen_machine *x)
{
    for (unsigned i = 0; i < x->nr_domains; i++)
        if (proves_form(x, &x->domain[i]))
            return true;
    return false;
}

static int open_frame_table(struct xen_machine *x, mfn_t root, struct pv_error *e)
{
    if (xen_table_find(&x->frames, x->view, root, gva(FRAMES_VA), sizeof(struct xen_frame),
                       x->m2p.n, e))
        return -1;
    if (!is_proven(x))
        xen_table_free(&x->frames);
    for (unsigned i = 0; i < x->nr_domains; i++)
        x->domain[i].owner = owner_of(x, &x->domain[i]);
    return 0;
}

/* struct domain begins with the id. */
static void name_domain(const struct xen_machine *x, struct xen_domain *d)
{
    uint16_t id;
    if (d->initial)
        d->id = 0;
    else if (d->owner && x->view->backend->read(x->view, mfn(d->owner), 0, &id, sizeof(id)) && id &&
             id < DOMID_LIMIT)
        d->id = id;
}

/* Ids that occur twice are none. */
static void name_domains(struct xen_machine *x)
{
    for (unsigned i = 0; i < x->nr_domains; i++)
        name_domain(x, &x->domain[i]);
    for (unsigned i = 0; i < x->nr_domains; i++)
        for (unsigned k = i + 1; k < x->nr_domains; k++)
            if (x->domain[k].id == x->domain[i].id)
                x->domain[k].id = -1;
}

/* dom0, then by id, then those that have none. */
static int compare(const void *a, const void *b)
{
    const struct xen_domain *x = a, *y = b;
    unsigned i = (unsigned)x->id, k = (unsigned)y->id;
    if (i != k)
        return i < k ? -1 : 1;
    return x->start_info.n < y->start_info.n ? -1 : 1;
}

int xen_find_domains(struct xen_machine *x, struct pv_error *e)
{
    mfn_t root;
    if (open_m2p(x, &root, e) || take_domains(x, e) || open_frame_table(x, root, e))
        return -1;
    name_domains(x);
    qsort(x->domain, x->nr_domains, sizeof(*x->domain), compare);
    return 0;
}
