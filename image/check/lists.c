/* SPDX-License-Identifier: MIT */
/* R7: m2p, or the image's own table, against the lists that the guest keeps. */
#include "run.h"
#include "startinfo.h"

/* What tools go by; the others are the kernel's own business, or the builder's. */
#define PUBLISHED  (1u << PV_P2M_LINEAR | 1u << PV_P2M_TREE | 1u << PV_P2M_STREAM)
#define TELL_EVERY (1u << 16)

static bool is_frame(const struct pv_p2m_entry *entry)
{
    return entry->state == PV_P2M_FRAME;
}

static void gap(struct run *r, const struct pv_p2m_range *range, enum pv_p2m_kind k)
{
    const struct pv_p2m_entry *is = &range->entry[range->from], *listed = &range->entry[k];
    const char *name = pv_p2m_name(k);
    const unsigned long long first = range->first.n, last = range->last.n;
    const uint64_t count = range->last.n - range->first.n + 1;
    const maddr_t at = listed->at;
    mfn_t frame = is_frame(is) ? is->mfn : listed->mfn;
    if (!is_frame(is)) {
        if (is_frame(listed))
            check_add_pfns(
                r, LIST_STRAY, range->first, count, frame, at,
                "%s has mfn %llx at pfn %llx, where the guest has no frame (to pfn %llx)", name,
                (unsigned long long)listed->mfn.n, first, last);
        return;
    }
    bool nothing = listed->state == PV_P2M_BEYOND || listed->state == PV_P2M_MISSING;
    if (nothing && range->first.n >= r->lists_are.end[k].n) {
        check_add_pfns(r, LIST_SHORT, range->first, count, frame, at,
                       "%s ends at pfn %llx; the guest has frames at pfns %llx to %llx", name,
                       (unsigned long long)r->lists_are.end[k].n, first, last);
        return;
    }
    switch (listed->state) {
    case PV_P2M_UNREADABLE:
        check_add_pfns(r, LIST_UNREADABLE, range->first, count, frame, at,
                       "%s cannot be read for pfns %llx to %llx", name, first, last);
        break;
    case PV_P2M_BEYOND:
    case PV_P2M_MISSING:
        check_add_pfns(r, LIST_MISSING, range->first, count, frame, at,
                       "%s has no frame for pfns %llx to %llx; pfn %llx has mfn %llx", name, first,
                       last, first, (unsigned long long)is->mfn.n);
        break;
    case PV_P2M_FRAME:
    case PV_P2M_IDENTITY:
    case PV_P2M_FOREIGN:
        check_add_pfns(r, LIST_DIFFERS, range->first, count, frame, at,
                       "%s has mfn %llx at pfn %llx, which has mfn %llx (to pfn %llx)", name,
                       (unsigned long long)listed->mfn.n, first, (unsigned long long)is->mfn.n,
                       last);
        break;
    }
}

static bool each_range(void *context, const struct pv_p2m_range *range)
{
    struct run *r = context;
    for (unsigned k = 0; k < PV_P2M_KINDS; k++) {
        const struct pv_p2m_source *s = pv_p2m_source(r->p, (enum pv_p2m_kind)k);
        if ((PUBLISHED & range->differs & 1u << k) && s->there && !s->stale)
            gap(r, range, (enum pv_p2m_kind)k);
    }
    return r->ending == GOES_ON;
}

/* A list that is published, and of which nothing could be used. A stream's is of before the
 * suspend: its frames are gone. */
static void unusable(struct run *r, enum pv_p2m_kind k, const struct pv_arch_info *a,
                     bool published)
{
    const struct pv_p2m_source *s = pv_p2m_source(r->p, k);
    if (!published || s->there || r->v->portable)
        return;
    check_add_pfns(r, a->max_pfn ? LIST_UNREADABLE : LIST_SHORT, pfn(0), r->v->end_pfn.n, NO_MFN,
                   (maddr_t){~0ull}, "%s is published, and nothing of it can be used: %s",
                   pv_p2m_name(k), a->max_pfn ? s->how : "max_pfn is 0");
}

/* A p2m_cr3 that is stale is of before a suspend: the list is found from another root. */
static void look_at_publication(struct run *r)
{
    struct pv_arch_info a;
    struct pv_error none;
    if (pv_arch_info_read(&a, r->v, &none))
        return;
    unusable(r, PV_P2M_LINEAR, &a, a.p2m_cr3 != 0);
    unusable(r, PV_P2M_TREE, &a, a.list_list != 0 && a.list_list != ~0ull);
}

/* Once to know where each ends, and, if they are not of one mind, once more to say how. */
static int compare_lists(struct run *r)
{
    if (!r->p)
        return 0;
    look_at_publication(r);
    for (unsigned k = 0; k < PV_P2M_KINDS; k++) {
        const struct pv_p2m_source *s = pv_p2m_source(r->p, (enum pv_p2m_kind)k);
        bool published = s->there && (PUBLISHED & 1u << k);
        r->lists |= published && !s->stale;
        r->list_stale |= published && s->stale;
    }
    if (!r->lists)
        return 0;
    const struct pv_progress *progress = &r->options->progress;
    if (pv_p2m_compare(r->p, NULL, NULL, &r->lists_are, progress, r->e))
        return -1;
    if (r->lists_are.ranges == 0)
        return 0;
    struct pv_p2m_summary again;
    return pv_p2m_compare(r->p, each_range, r, &again, progress, r->e) || check_may_go_on(r) ? -1
                                                                                             : 0;
}

/* ---- the table itself */

static int tell(struct run *r, uint64_t n)
{
    return n % TELL_EVERY ? 0
                          : pv_tell(&r->options->progress, "checking p2m", n, r->v->nr_pages, r->e);
}

static void shared_frame(struct run *r, pfn_t p, mfn_t m)
{
    pfn_t named = r->v->backend->pfn_of(r->v, m);
    if (named.n != p.n)
        check_add_pfns(r, FRAME_TWO_PFNS, p, 1, m, (maddr_t){~0ull},
                       "pfn %llx and pfn %llx both have mfn %llx", (unsigned long long)named.n,
                       (unsigned long long)p.n, (unsigned long long)m.n);
}

/* Of several pfns with one frame an entry leads to one alone: nobody holds the others. Most frames
 * have a holder, and need no look. `n` is the frame's number if the view numbers frames by pfn. */
static bool is_held(const struct run *r, mfn_t m, uint64_t n)
{
    return r->counted && n < r->core.nr_frames && mfn_eq(check_real(r, mfn(n)), m) &&
           r->count[n].holds > 1;
}

static int look_for_shared_frames(struct run *r)
{
    const struct pv_backend *b = r->v->backend;
    uint64_t n = 0;
    for (pfn_t p = b->next_pfn(r->v, pfn(0)); p.n != NO_PFN.n;
         p = b->next_pfn(r->v, pfn(p.n + 1))) {
        mfn_t m = b->mfn_of(r->v, p);
        if (!mfn_eq(m, NO_MFN) && !is_held(r, m, n))
            shared_frame(r, p, m);
        if (tell(r, ++n))
            return -1;
    }
    return 0;
}

static int look_for_shared_pfns(struct run *r)
{
    const struct pv_backend *b = r->v->backend;
    uint64_t n = 0;
    for (mfn_t m = b->next_owned(r->v, mfn(0)); !mfn_eq(m, NO_MFN);
         m = b->next_owned(r->v, mfn(m.n + 1))) {
        pfn_t p = b->pfn_of(r->v, m);
        mfn_t first = p.n == NO_PFN.n ? m : b->mfn_of(r->v, p);
        if (!mfn_eq(first, m) && !mfn_eq(first, NO_MFN))
            check_add_pfns(r, PFN_TWO_FRAMES, p, 1, m, (maddr_t){~0ull},
                           "mfn %llx and mfn %llx both have pfn %llx in m2p",
                           (unsigned long long)first.n, (unsigned long long)m.n,
                           (unsigned long long)p.n);
        if (tell(r, ++n))
            return -1;
    }
    return 0;
}

int check_lists(struct run *r)
{
    if (!r->v->portable && !r->v->has_m2p && look_for_shared_frames(r))
        return -1;
    if (r->v->has_m2p && look_for_shared_pfns(r))
        return -1;
    return compare_lists(r);
}
