/* SPDX-License-Identifier: MIT */
/*
 * A domain in the memory of a machine that runs Xen. Where Xen keeps things differs from version to
 * version: what is relied on is what a guest sees (start_info, shared_info, m2p), and Xen's frame
 * table only where it says of known frames what they are. vCPUs' registers are in structures of
 * Xen's own, and so there are none.
 */
#include "xenmachine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the backend */

static struct xen_machine *machine_of(const struct pv_view *v)
{
    return v->image;
}

static bool xen_read(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    struct pv_physical *p = machine_of(v)->physical;
    return p->kind->read(p, m, offset, to, n);
}

static uint64_t xen_index_of(const struct pv_view *v, mfn_t m)
{
    const struct xen_machine *x = machine_of(v);
    return m.n < x->m2p.n && xen_bit(x->mine, m.n) ? pv_frames_mfn(&x->index, m) : NO_MFN.n;
}

static mfn_t xen_frame_at(const struct pv_view *v, uint64_t index)
{
    const struct pv_frames *f = &machine_of(v)->index;
    return index < f->n ? mfn(f->mfn[index]) : NO_MFN;
}

static bool xen_owned(const struct pv_view *v, mfn_t m)
{
    const struct xen_machine *x = machine_of(v);
    return m.n < x->m2p.n && xen_bit(x->mine, m.n);
}

pfn_t xen_m2p(const struct xen_machine *x, mfn_t m)
{
    uint64_t value;
    return xen_table_read(&x->m2p, x->view, m.n, &value, 1) == 1 ? pfn(value) : NO_PFN;
}

static pfn_t xen_pfn_of(const struct pv_view *v, mfn_t m)
{
    return xen_m2p(machine_of(v), m);
}

static pfn_t pfn_in(const void *x, mfn_t m)
{
    return xen_m2p(x, m);
}

struct pv_m2p xen_m2p_of(const struct xen_machine *x)
{
    return (struct pv_m2p){pfn_in, x};
}

static mfn_t xen_mfn_of(const struct pv_view *v, pfn_t p)
{
    const struct pv_m2p m2p = xen_m2p_of(machine_of(v));
    return pv_frames_mfn_of(&machine_of(v)->index, &m2p, p);
}

static mfn_t xen_next_owned(const struct pv_view *v, mfn_t from)
{
    return pv_frames_next_mfn(&machine_of(v)->index, from);
}

static mfn_t xen_next_pinned_root(const struct pv_view *v, mfn_t from)
{
    const struct xen_machine *x = machine_of(v);
    struct xen_frame f;
    mfn_t m = xen_next_owned(v, from);
    while (!mfn_eq(m, NO_MFN) && !(xen_frame_of(x, m, &f) && xen_is_table(x, &f) &&
                                   xen_type(x, &f) == 4 && xen_is_pinned(&f)))
        m = x->frames.page ? xen_next_owned(v, mfn(m.n + 1)) : NO_MFN;
    return m;
}

static pfn_t xen_next_pfn(const struct pv_view *v, pfn_t from)
{
    const struct pv_m2p m2p = xen_m2p_of(machine_of(v));
    return pv_frames_next_pfn(&machine_of(v)->index, &m2p, from);
}

static uint64_t *xen_words(const struct pv_view *v, mfn_t m)
{
    struct pv_physical *p = machine_of(v)->physical;
    return p->kind->words ? (uint64_t *)(uintptr_t)p->kind->words(p, m) : NULL;
}

static bool xen_place(const struct pv_view *v, mfn_t m, struct pv_place *out)
{
    struct pv_physical *p = machine_of(v)->physical;
    return p->kind->place(p, m, out);
}

static bool xen_told(const struct pv_view *v, mfn_t m, struct pv_told *out)
{
    const struct xen_machine *x = machine_of(v);
    struct xen_frame f;
    if (!xen_owned(v, m) || !xen_frame_of(x, m, &f))
        return false;
    *out = (struct pv_told){.level = xen_is_table(x, &f) ? xen_type(x, &f) : 0,
                            .pinned = xen_is_table(x, &f) && xen_is_pinned(&f)};
    return true;
}

static void machine_free(struct xen_machine *x)
{
    x->physical->kind->close(x->physical);
    xen_scan_free(&x->scan);
    xen_table_free(&x->m2p);
    xen_table_free(&x->frames);
    pv_frames_free(&x->index);
    free(x->domain);
    free(x->mine);
    free(x);
}

static void xen_close(struct pv_view *v)
{
    machine_free(machine_of(v));
}

static const struct pv_backend xen_backend = {
    .read = xen_read,
    .owned = xen_owned,
    .pfn_of = xen_pfn_of,
    .mfn_of = xen_mfn_of,
    .next_pinned_root = xen_next_pinned_root,
    .next_owned = xen_next_owned,
    .next_pfn = xen_next_pfn,
    .words = xen_words,
    .place = xen_place,
    .told = xen_told,
    .index_of = xen_index_of,
    .frame_at = xen_frame_at,
    .close = xen_close,
};

/* ---- which domain */

static int is_none(const struct xen_machine *x, int wanted, struct pv_error *e)
{
    char there[160] = "";
    size_t used = 0;
    for (unsigned i = 0; i < x->nr_domains && used < sizeof(there); i++)
        used += (size_t)snprintf(there + used, sizeof(there) - used, "%s%d", i ? ", " : "",
                                 x->domain[i].id);
    return pv_fail(e, "domain %d is none of those that are there: %s (-1: its id is not known)",
                   wanted, there);
}

static int choose(struct xen_machine *x, struct pv_error *e)
{
    int wanted = x->options->domain;
    bool dom0 = x->physical->kind->of_dom0;
    for (unsigned i = 0; i < x->nr_domains; i++)
        if (wanted < 0 ? x->domain[i].initial == dom0 : x->domain[i].id == wanted) {
            x->chosen = i;
            return 0;
        }
    if (wanted < 0) /* none of that kind */
        return 0;
    if ((unsigned)wanted >= x->nr_domains)
        return is_none(x, wanted, e);
    x->chosen = (unsigned)wanted;
    return 0;
}

static int list_domains(struct xen_machine *x, struct pv_error *e)
{
    struct pv_view *v = x->view;
    struct pv_domain *list = calloc(x->nr_domains, sizeof(*list));
    if (!list)
        return pv_no_memory(e);
    for (unsigned i = 0; i < x->nr_domains; i++)
        list[i] =
            (struct pv_domain){.id = x->domain[i].id, .shared_info = x->domain[i].shared_info};
    free(v->domain);
    v->domain = list;
    v->nr_domains = x->nr_domains;
    v->chosen = x->chosen;
    return 0;
}

/* ---- opening */

/* A root that has the kernel's half: those of user mode lack m2p's slot. */
static mfn_t any_kernel_root(const struct xen_machine *x)
{
    for (size_t i = 0; i < x->scan.l4.count; i++) {
        mfn_t root = mfn(x->scan.l4.n[i]);
        uint64_t slot;
        if (xen_owned(x->view, root) && xen_read(x->view, root, 256 * 8, &slot, 8) && (slot & 1))
            return root;
    }
    return NO_MFN;
}

/* What neither the frame table nor a look at all frames has counted, start_info tells. */
static void count_pages(struct xen_machine *x)
{
    struct pv_view *v = x->view;
    for (unsigned i = 0; i < x->nr_domains; i++)
        if (i == x->chosen)
            v->domain[i].pages = v->nr_pages;
        else if (v->domain[i].pages == 0)
            v->domain[i].pages = x->domain[i].nr_pages;
}

static void count_lost(struct xen_machine *x)
{
    struct pv_physical *p = x->physical;
    uint64_t lost = 0;
    for (size_t i = 0; p->kind->has && i < x->index.n; i++)
        lost += !p->kind->has(p, mfn(x->index.mfn[i]));
    snprintf(x->view->lost, sizeof(x->view->lost), "%s", p->lost);
    if (lost)
        snprintf(x->view->lost, sizeof(x->view->lost),
                 "%s%sthe content of %llu of the domain's %llu frames is not in the file", p->lost,
                 p->lost[0] ? "; " : "", (unsigned long long)lost, (unsigned long long)x->index.n);
}

static void describe(struct xen_machine *x)
{
    struct pv_view *v = x->view;
    const struct xen_domain *d = &x->domain[x->chosen];
    const struct pv_m2p m2p = xen_m2p_of(x);
    v->has_m2p = true;
    v->nr_pages = x->index.n;
    v->end_pfn = pv_frames_end_pfn(&x->index, &m2p);
    v->shared_info = d->shared_info;
    v->start_info = d->start_info;
    v->initial_root = d->builder_root;
    v->kernel_root = !mfn_eq(d->linear, NO_MFN)         ? d->linear
                     : !mfn_eq(d->builder_root, NO_MFN) ? d->builder_root
                                                        : any_kernel_root(x);
    snprintf(v->xen, sizeof(v->xen), "%s", x->scan.version);
    count_pages(x);
    count_lost(x);
}

static int open_machine(struct xen_machine *x, struct pv_error *e)
{
    struct pv_view *v = x->view;
    if (xen_scan(&x->scan, x->physical, &x->options->progress, e))
        return -1;
    v->nr_frames = x->physical->end;
    if (xen_find_domains(x, e) || choose(x, e) || list_domains(x, e) || xen_find_frames(x, e))
        return -1;
    describe(x);
    return 0;
}

int pv_xen_open(struct pv_view **out, struct pv_physical *p, const struct pv_open_options *o,
                struct pv_error *e)
{
    struct xen_machine *x = calloc(1, sizeof(*x));
    struct pv_view *v = x ? pv_view_new(&xen_backend, p->kind->name, 0) : NULL;
    if (!v) {
        p->kind->close(p);
        free(x);
        return pv_no_memory(e);
    }
    *x = (struct xen_machine){.physical = p, .view = v, .options = o};
    v->image = x;
    int rc = open_machine(x, e);
    x->options = NULL; /* the caller's */
    if (rc && p->lost[0])
        pv_context(e, "%s", p->lost);
    if (rc)
        pv_close(v);
    else
        *out = v;
    return rc;
}
