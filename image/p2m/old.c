/* SPDX-License-Identifier: MIT */
/*
 * Frames of before a suspend. They name nothing in the image, but a list of that time says which
 * pfn each of them had: so the frames of the tree above that list can be found again.
 */
#include "sources.h"

#include <stdlib.h>
#include <string.h>

/* Lists that can be found without a machine frame, the likeliest first. */
static const enum pv_p2m_kind others[] = {PV_P2M_LINEAR, PV_P2M_SYMBOLS, PV_P2M_STREAM,
                                          PV_P2M_FLAT};

/* ---- which pfns have these frames? */

static void take_word(struct pv_pairs *wanted, uint64_t word, uint64_t at)
{
    if (word < wanted->pair[0].key || word > wanted->pair[wanted->n - 1].key)
        return;
    const struct pv_pair *found = pv_pairs_find(wanted, word);
    if (found && found->value == NO_PFN.n)
        wanted->pair[found - wanted->pair].value = at;
}

void p2m_find_frames(const struct pv_p2m *p, enum pv_p2m_kind k, struct pv_pairs *wanted)
{
    struct p2m_cursor c;
    if (wanted->n == 0)
        return;
    p2m_cursor_init(&c, p, k);
    for (uint64_t at = 0; at < p->source[k].end; at = c.last + 1) {
        p2m_seek(&c, at);
        for (uint64_t i = at; c.state == PV_P2M_FRAME && i <= c.last; i++)
            take_word(wanted, c.word[i - c.first], i);
        if (c.last == ~0ull)
            return;
    }
}

/* ---- the tree */

/* The frames that a page of the tree names, up to slot `slots`. */
static bool want_slots(const struct pv_view *v, mfn_t page, uint64_t slots, struct pv_pairs *wanted)
{
    uint8_t bytes[PAGE_BYTES];
    if (!v->backend->owned(v, page) || !v->backend->read(v, page, 0, bytes, sizeof(bytes)))
        return true;
    for (uint64_t i = 0; i < slots && i < PAGE_BYTES / v->width; i++) {
        uint64_t word = 0;
        memcpy(&word, bytes + i * v->width, v->width);
        word = p2m_widen(v, word);
        if (word != P2M_MISSING && !pv_pairs_add(wanted, word, NO_PFN.n))
            return false;
    }
    return true;
}

/* What is wanted is found and added to `now`, by the numbers that the image has. */
static bool find_now(const struct pv_p2m *p, enum pv_p2m_kind k, struct pv_pairs *wanted,
                     struct pv_pairs *now)
{
    const struct pv_view *v = p->v;
    if (!pv_pairs_sort(wanted))
        return false;
    p2m_find_frames(p, k, wanted);
    for (size_t i = 0; i < wanted->n; i++) {
        const pfn_t at = pfn(wanted->pair[i].value);
        const mfn_t m = at.n == NO_PFN.n ? NO_MFN
                        : v->portable    ? mfn(at.n)
                                         : v->backend->mfn_of(v, at);
        if (!mfn_eq(m, NO_MFN) && !pv_pairs_add(now, wanted->pair[i].key, m.n))
            return false;
    }
    return pv_pairs_sort(now);
}

static uint64_t up(uint64_t n, uint64_t by)
{
    return n / by + (n % by != 0);
}

/* The pages of the two upper levels name those below. false: out of memory. */
static bool find_below(struct pv_p2m *p, enum pv_p2m_kind k, struct p2m_list *l)
{
    const uint64_t n = PAGE_BYTES / p->v->width, slots = up(p->v->end_pfn.n, n * n);
    struct pv_pairs middle = {0}, bottom = {0};
    bool ok = want_slots(p->v, l->root, slots, &middle) && find_now(p, k, &middle, &l->now);
    for (size_t i = 0; ok && i < middle.n; i++) {
        const pfn_t at = pfn(middle.pair[i].value);
        const bool again = i > 0 && middle.pair[i].key == middle.pair[i - 1].key;
        if (at.n != NO_PFN.n && !again)
            ok = want_slots(p->v, p->v->portable ? mfn(at.n) : p->v->backend->mfn_of(p->v, at), n,
                            &bottom);
    }
    ok = ok && find_now(p, k, &bottom, &l->now);
    pv_pairs_free(&middle);
    pv_pairs_free(&bottom);
    return ok;
}

/* false: its top cannot be found (*top is NO_MFN), or out of memory. */
static bool turn_into_todays(struct pv_p2m *p, enum pv_p2m_kind k, struct p2m_list *l)
{
    struct pv_pairs top = {0};
    mfn_t is = NO_MFN;
    bool ok = pv_pairs_add(&top, l->root.n, NO_PFN.n) && find_now(p, k, &top, &l->now);
    if (ok && l->now.n)
        is = mfn(l->now.pair[0].value);
    pv_pairs_free(&top);
    l->root = is;
    l->is_old = true;
    return ok && (mfn_eq(is, NO_MFN) || find_below(p, k, l));
}

static enum pv_p2m_kind another_list(const struct pv_p2m *p)
{
    for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (p->source[others[i]].there && p->source[others[i]].stale)
            return others[i];
    return PV_P2M_KINDS;
}

static void find_old_tree(struct pv_p2m *p, struct p2m_list *l, struct pv_error *e)
{
    const enum pv_p2m_kind k = another_list(p);
    if (k == PV_P2M_KINDS) {
        p2m_say(p, PV_P2M_TREE,
                "; no frame of this guest's, and there is no list of that time to find it by");
        return;
    }
    if (!turn_into_todays(p, k, l)) {
        pv_no_memory(e);
        return;
    }
    if (mfn_eq(l->root, NO_MFN))
        p2m_say(p, PV_P2M_TREE, "; of before the suspend, and \"%s\" does not have that frame",
                pv_p2m_name(k));
    else if (p2m_accept(p, PV_P2M_TREE, p->arch.max_pfn))
        p2m_say(p, PV_P2M_TREE, "; of before the suspend, its frames found by \"%s\"",
                pv_p2m_name(k));
    else
        p2m_say(p, PV_P2M_TREE, "; of before the suspend, and nothing in it has a frame");
}

void p2m_find_tree(struct pv_p2m *p, struct pv_error *e)
{
    const struct pv_view *v = p->v;
    struct p2m_list *l = &p->list[PV_P2M_TREE];
    const uint64_t top = p->arch.list_list;
    if (!p->has_arch || top == 0 || top == ~0ull) {
        p2m_say(p, PV_P2M_TREE, "%s",
                !p->has_arch ? p->no_arch
                : top        ? "the guest publishes none: pfn_to_mfn_frame_list_list is ~0"
                             : "the guest publishes none: pfn_to_mfn_frame_list_list is 0");
        return;
    }
    p2m_list_init(l, v, P2M_TREE);
    l->root = mfn(top);
    p2m_say(p, PV_P2M_TREE, "shared_info: pfn_to_mfn_frame_list_list %llx",
            (unsigned long long)top);
    if (v->portable || !v->backend->owned(v, l->root))
        find_old_tree(p, l, e);
    else if (!p2m_accept(p, PV_P2M_TREE, p->arch.max_pfn))
        p2m_say(p, PV_P2M_TREE, "; nothing in it has a frame");
}
