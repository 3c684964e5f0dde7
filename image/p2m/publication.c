/* SPDX-License-Identifier: MIT */
/*
 * Does what the guest publishes for tools say the same as m2p? Whoever saves, migrates or dumps a
 * guest from outside has nothing but that list (<xen/arch-x86/xen.h>, struct arch_shared_info).
 */
#include "internal.h"

#include <string.h>

#include <xen/xen.h>

#define WORDS (PAGE_BYTES / 8)
/* What a kernel marks in an element of its p2m: a foreign frame, and what is not memory. Linux and
 * libpvguest use the same two bits; tools mask them. */
#define P2M_MARKS   (3ull << 62)
#define P2M_MISSING (~0ull)

enum leaf { LEAF_THERE, LEAF_MISSING, LEAF_UNREADABLE };

/* The list, a page of it at a time. */
struct list {
    const struct pv_view *v;
    bool linear;
    mfn_t root; /* of the tables, or of the tree */
    uint64_t at;
    uint64_t max_pfn;
    bool loaded; /* the page below is that of `key` */
    uint64_t key;
    enum leaf leaf;
    uint64_t word[WORDS];
};

/* ---- reading the list */

/* The guest answers for the frames of its list: they must be its own. */
static enum leaf read_page(const struct pv_view *v, mfn_t m, uint64_t word[WORDS])
{
    if (!v->backend->owned(v, m) || !v->backend->read(v, m, 0, word, PAGE_BYTES))
        return LEAF_UNREADABLE;
    return LEAF_THERE;
}

static enum leaf read_linear(const struct list *l, uint64_t va, uint64_t word[WORDS])
{
    struct pv_walk w;
    bool present = pv_walk(l->v, l->root, gva(va), &w);
    for (unsigned level = 4; level >= 1 && w.level && level >= w.level; level--)
        if (!l->v->backend->owned(l->v, maddr_frame(w.at[level])))
            return LEAF_UNREADABLE;
    if (!present)
        return LEAF_UNREADABLE;
    return read_page(l->v, maddr_frame(w.to), word);
}

static enum leaf read_node(const struct pv_view *v, mfn_t node, uint64_t slot, mfn_t *below)
{
    uint64_t word[WORDS];
    enum leaf leaf = read_page(v, node, word);
    if (leaf != LEAF_THERE)
        return leaf;
    *below = mfn(word[slot]);
    return word[slot] == 0 || word[slot] == P2M_MISSING ? LEAF_MISSING : LEAF_THERE;
}

/* Two levels of mfns above the leaves. */
static enum leaf read_tree(const struct list *l, uint64_t leaf_index, uint64_t word[WORDS])
{
    mfn_t middle, bottom;
    if (leaf_index / WORDS >= WORDS)
        return LEAF_MISSING;
    enum leaf leaf = read_node(l->v, l->root, leaf_index / WORDS, &middle);
    if (leaf == LEAF_THERE)
        leaf = read_node(l->v, middle, leaf_index % WORDS, &bottom);
    return leaf == LEAF_THERE ? read_page(l->v, bottom, word) : leaf;
}

static void load(struct list *l, uint64_t key)
{
    if (l->loaded && l->key == key)
        return;
    l->loaded = true;
    l->key = key;
    l->leaf = l->linear ? read_linear(l, key, l->word) : read_tree(l, key, l->word);
}

/* The element of that pfn, which is below max_pfn. */
static enum leaf look_up(struct list *l, pfn_t p, uint64_t *word)
{
    uint64_t va = l->at + p.n * 8;
    if (l->linear && (l->at % 8 || p.n > ~0ull / 8 || va < l->at))
        return LEAF_UNREADABLE;
    uint64_t index = l->linear ? va % PAGE_BYTES / 8 : p.n % WORDS;
    load(l, l->linear ? va - va % PAGE_BYTES : p.n / WORDS);
    *word = l->word[index];
    return l->leaf;
}

/* ---- comparing */

/* false: the list says what m2p says; else what it says. Where m2p has several frames at a pfn, any
 * of them will do. */
static bool differs(struct list *l, pfn_t p, struct pv_gap *gap)
{
    uint64_t word;
    *gap = (struct pv_gap){
        .first = p, .last = p, .is = l->v->backend->mfn_of(l->v, p), .listed = NO_MFN};
    gap->kind = PV_GAP_BEYOND;
    if (p.n >= l->max_pfn)
        return true;
    enum leaf leaf = look_up(l, p, &word);
    gap->kind = PV_GAP_UNREADABLE;
    if (leaf == LEAF_UNREADABLE)
        return true;
    gap->kind = PV_GAP_MISSING;
    if (leaf == LEAF_MISSING || word == P2M_MISSING)
        return true;
    gap->kind = PV_GAP_DIFFERS;
    gap->listed = mfn(word & ~P2M_MARKS);
    return !l->v->backend->owned(l->v, gap->listed) ||
           l->v->backend->pfn_of(l->v, gap->listed).n != p.n;
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
    const struct pv_view *v = l->v;
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
    struct arch_shared_info a;
    *out = (struct pv_publication){0};
    if (mfn_eq(v->shared_info, NO_MFN))
        return pv_fail(e, "the image has no shared_info");
    if (!v->backend->read(v, v->shared_info, offsetof(shared_info_t, arch), &a, sizeof(a)))
        return pv_fail(e, "cannot read shared_info");
    struct list l = {.v = v, .linear = a.p2m_cr3 != 0, .max_pfn = a.max_pfn, .at = a.p2m_vaddr};
    l.root = mfn(l.linear ? xen_cr3_to_pfn(a.p2m_cr3) : a.pfn_to_mfn_frame_list_list);
    out->linear = l.linear;
    out->published = l.linear || (l.root.n != 0 && l.root.n != ~0ull);
    out->max_pfn = a.max_pfn;
    compare(&l, out);
    count_frames(v, out);
    count_roots(v, out);
    return 0;
}
