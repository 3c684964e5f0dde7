/* SPDX-License-Identifier: MIT */
/* Which pages are page tables, where the image does not tell: those that check.h counts as such. */
#include "portable.h"

#include "check.h"
#include "glue.h"

bool pv_is_xens_slot(unsigned level, unsigned slot)
{
    return level == 4 && slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
}

uint64_t pv_tables_index(const struct pv_view *v, mfn_t m)
{
    return v->backend->owned(v, m) ? v->backend->index_of(v, m) : NO_MFN.n;
}

int pv_tables_infer(const struct pv_view *v, uint8_t *level, const struct pv_progress *progress,
                    struct pv_error *e)
{
    const struct pv_check_options how = {.keep = 1, .levels = level, .progress = *progress};
    struct pv_check c;
    if (pv_check(v, NULL, &how, &c, e))
        return pv_context(e, "cannot find out which pages are tables");
    pv_check_free(&c);
    return 0;
}
