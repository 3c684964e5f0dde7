/* SPDX-License-Identifier: MIT */
/* shared_info.arch, of either width. */
#include "internal.h"
#include "startinfo.h"

#include <xen/xen.h>
#include <xen/foreign/x86_32.h>

#define LIST_NONE (~0ull)

/* The 64-bit structure has a word more in front, which foreign/x86_32.h puts there as well. */
#define ARCH_32 (offsetof(shared_info_x86_32_t, wc_nsec) + sizeof(uint32_t))

static int read_arch(const struct pv_view *v, unsigned offset, void *to, unsigned n,
                     struct pv_error *e)
{
    if (mfn_eq(v->shared_info, NO_MFN))
        return pv_fail(e, "the image has no shared_info");
    if (!v->backend->read(v, v->shared_info, offset, to, n))
        return pv_fail(e, "cannot read shared_info");
    return 0;
}

static int read_arch_32(struct pv_arch_info *out, const struct pv_view *v, struct pv_error *e)
{
    arch_shared_info_x86_32_t a;
    if (read_arch(v, ARCH_32, &a, sizeof(a), e))
        return -1;
    const uint32_t list = a.pfn_to_mfn_frame_list_list;
    *out = (struct pv_arch_info){.max_pfn = a.max_pfn,
                                 .list_list = list == ~0u ? LIST_NONE : list,
                                 .p2m_cr3 = a.p2m_cr3,
                                 .p2m_root = mfn(xen_cr3_to_pfn_x86_32(a.p2m_cr3)),
                                 .p2m_vaddr = a.p2m_vaddr,
                                 .p2m_generation = a.p2m_generation};
    return 0;
}

int pv_arch_info_read(struct pv_arch_info *out, const struct pv_view *v, struct pv_error *e)
{
    struct arch_shared_info a;
    *out = (struct pv_arch_info){.list_list = LIST_NONE, .p2m_root = NO_MFN};
    if (v->width == 4)
        return read_arch_32(out, v, e);
    if (read_arch(v, offsetof(shared_info_t, arch), &a, sizeof(a), e))
        return -1;
    *out = (struct pv_arch_info){.max_pfn = a.max_pfn,
                                 .list_list = a.pfn_to_mfn_frame_list_list,
                                 .p2m_cr3 = a.p2m_cr3,
                                 .p2m_root = mfn(xen_cr3_to_pfn(a.p2m_cr3)),
                                 .p2m_vaddr = a.p2m_vaddr,
                                 .p2m_generation = a.p2m_generation};
    return 0;
}
