/* SPDX-License-Identifier: MIT */
/* Lists at an address that shared_info or start_info tell, and the one that a stream names. */
#include "formats/stream.h"
#include "sources.h"

/* Under the first of the roots by which something of it can be seen. */
static bool accept_under_any(struct pv_p2m *p, enum pv_p2m_kind k, uint64_t claimed, mfn_t *seen_by)
{
    mfn_t root[P2M_ROOTS];
    const unsigned n = p2m_roots(p->v, root);
    for (unsigned i = 0; i < n; i++) {
        p->list[k].root = *seen_by = root[i];
        if (p2m_accept(p, k, claimed))
            return true;
    }
    return false;
}

/* Where page tables hold pfns, p2m_cr3 is of a machine that is no more. */
void p2m_find_linear(struct pv_p2m *p)
{
    const struct pv_view *v = p->v;
    struct p2m_list *l = &p->list[PV_P2M_LINEAR];
    mfn_t root;
    if (!p->has_arch || p->arch.p2m_cr3 == 0) {
        p2m_say(p, PV_P2M_LINEAR, "%s",
                p->has_arch ? "the guest publishes none: p2m_cr3 is 0" : p->no_arch);
        return;
    }
    p2m_list_init(l, v, P2M_VIRTUAL);
    l->va = p->arch.p2m_vaddr;
    l->root = p->arch.p2m_root;
    p2m_say(p, PV_P2M_LINEAR, "shared_info: p2m_cr3 %llx, p2m_vaddr %llx",
            (unsigned long long)p->arch.p2m_cr3, (unsigned long long)p->arch.p2m_vaddr);
    if (!v->portable && p2m_accept(p, PV_P2M_LINEAR, p->arch.max_pfn))
        return;
    if (!accept_under_any(p, PV_P2M_LINEAR, p->arch.max_pfn, &root)) {
        p2m_say(p, PV_P2M_LINEAR, "; nothing in it has a frame");
        return;
    }
    p2m_say(p, PV_P2M_LINEAR, "; that root is of before the suspend: seen by %s %llx instead",
            v->portable ? "pfn" : "mfn", (unsigned long long)root.n);
}

bool pv_p2m_linear_at(const struct pv_p2m *p, mfn_t *root, gva_t *va)
{
    const struct p2m_list *l = &p->list[PV_P2M_LINEAR];
    *root = l->root;
    *va = gva(l->va);
    return p->source[PV_P2M_LINEAR].there;
}

void p2m_find_stream(struct pv_p2m *p)
{
    struct p2m_list *l = &p->list[PV_P2M_STREAM];
    uint64_t start, end;
    const uint64_t *page;
    size_t n;
    if (!pv_stream_p2m_frames(p->v, &start, &end, &page, &n)) {
        p2m_say(p, PV_P2M_STREAM, "no stream, or it does not name the list's pages");
        return;
    }
    p2m_list_init(l, p->v, P2M_PAGES);
    l->page = page;
    l->pages = n;
    l->start = start;
    p2m_say(p, PV_P2M_STREAM, "record X86_PV_P2M_FRAMES: pfns %llx to %llx in %zu pages",
            (unsigned long long)start, (unsigned long long)end, n);
    if (!p2m_accept(p, PV_P2M_STREAM, end == ~0ull ? end : end + 1))
        p2m_say(p, PV_P2M_STREAM, "; nothing in them has a frame");
}

/* The kernel moves it elsewhere, and gives the pages away: then what lies there is something else.
 */
void p2m_find_flat(struct pv_p2m *p)
{
    struct p2m_list *l = &p->list[PV_P2M_FLAT];
    mfn_t root;
    if (!p->has_start) {
        p2m_say(p, PV_P2M_FLAT, "no start_info: %s", p->no_start);
        return;
    }
    p2m_list_init(l, p->v, P2M_VIRTUAL);
    l->va = p->start.mfn_list.a;
    p2m_say(p, PV_P2M_FLAT, "start_info: mfn_list %llx", (unsigned long long)l->va);
    if (!accept_under_any(p, PV_P2M_FLAT, p->start.nr_pages, &root))
        p2m_say(p, PV_P2M_FLAT, "; no longer mapped, or no list any more");
    else if (p->source[PV_P2M_FLAT].stale && !p->v->portable)
        p2m_say(p, PV_P2M_FLAT, "; its frames are of before a suspend, or it is no list any more");
}
