/* SPDX-License-Identifier: MIT */
/*
 * Does what the guest publishes for tools say the same as m2p? Whoever saves, migrates or dumps a
 * guest from outside has nothing but that list (<xen/arch-x86/xen.h>, struct arch_shared_info).
 */
#include "list.h"

/* The list, and the page of it that was looked at last. */
struct list {
    struct p2m_list is;
    uint64_t max_pfn;
    bool loaded;
    struct p2m_span span;
    uint64_t word[P2M_PAGE_WORDS];
};

/* The element of that pfn, which is below max_pfn. */
static enum pv_p2m_state look_up(struct list *l, pfn_t p, uint64_t *word)
{
    if (!l->loaded || p.n < l->span.first || p.n > l->span.last) {
        p2m_resolve(&l->is, p.n, &l->span);
        if (l->span.state == PV_P2M_FRAME && !p2m_load(&l->is, &l->span, l->word))
            l->span.state = PV_P2M_UNREADABLE;
        l->loaded = true;
    }
    if (l->span.state == PV_P2M_FRAME)
        *word = l->word[p.n - l->span.first];
    return l->span.state;
}

/* ---- comparing */

/* false: the list says what m2p says; else what it says. Where m2p has several frames at a pfn, any
 * of them will do. Marks of the kernel's own do not make it another frame. */
static bool differs(struct list *l, pfn_t p, struct pv_gap *gap)
{
    const struct pv_view *v = l->is.v;
    uint64_t word = P2M_MISSING;
    *gap = (struct pv_gap){.first = p, .last = p, .is = v->backend->mfn_of(v, p), .listed = NO_MFN};
    gap->kind = PV_GAP_BEYOND;
    if (p.n >= l->max_pfn)
        return true;
    enum pv_p2m_state state = look_up(l, p, &word);
    gap->kind = PV_GAP_UNREADABLE;
    if (state == PV_P2M_UNREADABLE)
        return true;
    gap->kind = PV_GAP_MISSING;
    if (p2m_decode(word).state == PV_P2M_MISSING)
        return true;
    gap->kind = PV_GAP_DIFFERS;
    gap->listed = p2m_decode(word).mfn;
    return !v->backend->owned(v, gap->listed) || v->backend->pfn_of(v, gap->listed).n != p.n;
}

/* Goes on with the run before, if `gap` is its neighbour; `run` is the last one, kept or not. */
static void count_gap(struct pv_publication *out, struct pv_gap *run, const struct pv_gap *gap)
{
    if (out->gaps && run->kind == gap->kind && run->last.n + 1 == gap->first.n) {
        run->last = gap->last;
    } else {
        *run = *gap;
        out->gaps++;
    }
    if (out->gaps <= PV_GAPS)
        out->gap[out->gaps - 1] = *run;
}

static void compare(struct list *l, struct pv_publication *out)
{
    const struct pv_view *v = l->is.v;
    struct pv_gap gap, run = {0};
    for (pfn_t p = v->backend->next_pfn(v, pfn(0)); p.n != NO_PFN.n;
         p = v->backend->next_pfn(v, pfn(p.n + 1))) {
        out->populated++;
        if (!out->published)
            continue;
        if (differs(l, p, &gap))
            count_gap(out, &run, &gap);
        else
            out->covered++;
    }
}

static void count_frames(const struct pv_view *v, struct pv_publication *out)
{
    for (mfn_t m = v->backend->next_owned(v, mfn(0)); !mfn_eq(m, NO_MFN);
         m = v->backend->next_owned(v, mfn(m.n + 1))) {
        pfn_t p = v->backend->pfn_of(v, m);
        if (p.n == NO_PFN.n)
            out->nameless++;
        else if (!mfn_eq(v->backend->mfn_of(v, p), m))
            out->doubled++;
    }
}

static bool is_loaded(const struct pv_view *v, mfn_t root)
{
    for (unsigned i = 0; i < v->nr_vcpus; i++)
        if (mfn_eq(v->vcpu[i].kernel_root, root) || mfn_eq(v->vcpu[i].user_root, root))
            return true;
    return false;
}

static void count_roots(const struct pv_view *v, struct pv_publication *out)
{
    for (mfn_t m = v->backend->next_pinned_root(v, mfn(0)); !mfn_eq(m, NO_MFN);
         m = v->backend->next_pinned_root(v, mfn(m.n + 1))) {
        if (is_loaded(v, m))
            continue;
        out->idle_roots++;
        out->initial_idle |= mfn_eq(m, v->initial_root);
    }
}

int pv_publication(const struct pv_view *v, struct pv_publication *out, struct pv_error *e)
{
    struct pv_arch_info a;
    struct list l;
    *out = (struct pv_publication){0};
    if (pv_arch_info_read(&a, v, e))
        return -1;
    l.loaded = false;
    l.max_pfn = a.max_pfn;
    out->published = p2m_list_published(&l.is, v, &a);
    out->linear = a.p2m_cr3 != 0;
    out->max_pfn = a.max_pfn;
    compare(&l, out);
    count_frames(v, out);
    count_roots(v, out);
    return 0;
}

bool pv_published(const struct pv_view *v, pfn_t at, mfn_t *listed)
{
    struct pv_error ignored;
    struct pv_arch_info a;
    struct p2m_list l;
    uint64_t word;
    maddr_t where;
    if (pv_arch_info_read(&a, v, &ignored) || !p2m_list_published(&l, v, &a) || at.n >= a.max_pfn ||
        p2m_word(&l, at.n, &word, &where) != PV_P2M_FRAME)
        return false;
    *listed = mfn(word);
    return true;
}
