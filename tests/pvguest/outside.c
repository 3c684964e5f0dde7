/* SPDX-License-Identifier: MIT */
#include "outside.h"

#include <inttypes.h>

#define WORDS 512u

const arch_shared_info_t *outside_info(struct machine *m)
{
    return &((const shared_info_t *)machine_frame(m, machine_shared_frame(m)))->arch;
}

static uint64_t word_of(struct machine *m, uint64_t mfn, uint64_t index, uint64_t pfn)
{
    if (machine_owner(m, mfn) != MACHINE_GUEST)
        machine_failed("a tool on its way to page %" PRIx64 " comes to frame %" PRIx64
                       ", which is not the guest's",
                       pfn, mfn);
    return machine_frame(m, mfn)[index % WORDS];
}

uint64_t outside_list(struct machine *m, uint64_t pfn)
{
    uint64_t mid = word_of(m, outside_info(m)->pfn_to_mfn_frame_list_list, pfn >> 18, pfn);
    uint64_t leaf = word_of(m, mid, pfn >> 9, pfn);
    return word_of(m, leaf, pfn, pfn);
}

uint64_t outside_linear(struct machine *m, uint64_t pfn)
{
    uint64_t va = outside_info(m)->p2m_vaddr + pfn * sizeof(uint64_t);
    uint64_t mfn = outside_info(m)->p2m_cr3 >> PVG_PAGE_SHIFT;
    for (unsigned level = 4; level > 0; level--) {
        uint64_t e = word_of(m, mfn, va >> (PVG_PAGE_SHIFT + 9 * (level - 1)), pfn);
        if (machine_type(m, mfn) != level)
            machine_failed("a tool on its way to page %" PRIx64 " takes frame %" PRIx64
                           " for an L%u table",
                           pfn, mfn, level);
        if (!(e & 1))
            return MACHINE_NONE;
        mfn = (e & 0x000ffffffffff000ull) >> PVG_PAGE_SHIFT;
    }
    return word_of(m, mfn, va / sizeof(uint64_t), pfn);
}
