/* SPDX-License-Identifier: MIT */
/* Page tables as what they mean, whichever numbers their entries have. */
#include "run.h"

#include <string.h>

#include "glue.h"
#include "pte.h"

/* A frame that is not the guest's has no pfn; shared_info is named alike in all images. */
static uint64_t by_pfn(const struct pv_view *v, uint64_t entry)
{
    const mfn_t m = pte_frame(entry);
    if (mfn_eq(m, v->shared_info))
        return entry | PTE_FRAME_MASK;
    pfn_t p = v->backend->owned(v, m) ? v->backend->pfn_of(v, m) : NO_PFN;
    return p.n == NO_PFN.n ? entry : pte_make(mfn(p.n), entry & ~PTE_FRAME_MASK);
}

void diff_normalise(const struct pv_view *v, unsigned as, uint64_t words[512])
{
    for (unsigned i = 0; i < GLUE_TABLE_ENTRIES; i++)
        if (pte_present(words[i]))
            words[i] = by_pfn(v, words[i]);
    if (as == 4)
        memset(&words[GLUE_L4_RESERVED_FIRST], 0,
               (GLUE_L4_RESERVED_LAST - GLUE_L4_RESERVED_FIRST + 1) * sizeof(*words));
}

bool pv_diff_words(const struct pv_view *v, pfn_t at, unsigned as, uint64_t words[512])
{
    mfn_t m = v->backend->mfn_of(v, at);
    if (mfn_eq(m, NO_MFN) || !v->backend->read(v, m, 0, words, PAGE_BYTES))
        return false;
    if (as)
        diff_normalise(v, as, words);
    return true;
}
