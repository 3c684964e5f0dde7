/* SPDX-License-Identifier: MIT */
#include "p2m.h"

#include <xen/xen.h>

#define PER_PAGE (PAGE_BYTES / sizeof(uint64_t))

static bool read_word(const struct pv_view *v, uint64_t frame, uint64_t index, uint64_t *to)
{
    return frame < v->nr_frames &&
           v->backend->read(v, (mfn_t){frame}, (unsigned)(index * sizeof(*to)), to, sizeof(*to));
}

/* The three-level tree: its top page, its pages of mfns, the leaves. */
static bool look_in_tree(const struct pv_view *v, uint64_t top, uint64_t pfn, uint64_t *mfn)
{
    const uint64_t leaf = pfn / PER_PAGE;
    uint64_t page, frame;

    return leaf / PER_PAGE < PER_PAGE && read_word(v, top, leaf / PER_PAGE, &page) &&
           read_word(v, page, leaf % PER_PAGE, &frame) && read_word(v, frame, pfn % PER_PAGE, mfn);
}

/* The 64-bit layout of CR3 is the hardware's. */
static uint64_t frame_of_cr3(uint64_t cr3)
{
    return cr3 >> 12;
}

bool p2m_lookup(const struct pv_view *v, uint64_t pfn, uint64_t *mfn)
{
    struct arch_shared_info arch;

    if (v->shared_info.n == NO_MFN.n ||
        !v->backend->read(v, v->shared_info, offsetof(struct shared_info, arch), &arch,
                          sizeof(arch)))
        return false;
    if (arch.max_pfn == 0 || pfn >= arch.max_pfn)
        return false;
    if (arch.p2m_cr3 != 0)
        return pv_read_va(v, (mfn_t){frame_of_cr3(arch.p2m_cr3)},
                          (gva_t){arch.p2m_vaddr + pfn * sizeof(*mfn)}, mfn,
                          sizeof(*mfn)) == sizeof(*mfn);
    return arch.pfn_to_mfn_frame_list_list != 0 &&
           look_in_tree(v, arch.pfn_to_mfn_frame_list_list, pfn, mfn);
}
