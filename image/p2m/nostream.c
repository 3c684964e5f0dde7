/* SPDX-License-Identifier: MIT */
/* Until streams can be read: there is none that names frames. */
#include "formats/stream.h"

__attribute__((weak)) bool pv_stream_p2m_frames(const struct pv_view *v, uint64_t *start,
                                                uint64_t *end, const uint64_t **pfn, size_t *n)
{
    (void)v;
    *start = *end = 0;
    *pfn = NULL;
    *n = 0;
    return false;
}
