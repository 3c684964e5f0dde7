/* SPDX-License-Identifier: MIT */
#include "bulk.h"

#include "internal.h"

/* Where a frame's bytes lie in a file as they are. */
struct lies {
    int fd; /* -1: nowhere */
    uint64_t at;
};

static struct lies find(const struct pv_view *v, mfn_t m)
{
    struct lies l = {.fd = -1};
    if (v->backend->lies && !mfn_eq(m, NO_MFN))
        l.fd = v->backend->lies(v, m, &l.at);
    return l;
}

static bool follows(struct lies a, struct lies b, size_t pages)
{
    return b.fd == a.fd && b.at == a.at + pages * PAGE_BYTES;
}

/* One by one: the file may end among them. */
static void read_each(const struct pv_view *v, const mfn_t *m, size_t n, uint8_t *to, bool *there)
{
    for (size_t i = 0; i < n; i++)
        there[i] =
            !mfn_eq(m[i], NO_MFN) && v->backend->read(v, m[i], 0, to + i * PAGE_BYTES, PAGE_BYTES);
}

void pv_read_frames(const struct pv_view *v, const mfn_t *m, size_t n, void *to, bool *there)
{
    struct pv_error ignored;
    for (size_t first = 0, end; first < n; first = end) {
        struct lies at = find(v, m[first]);
        uint8_t *here = (uint8_t *)to + first * PAGE_BYTES;
        for (end = first + 1; end < n && at.fd >= 0; end++)
            if (!follows(at, find(v, m[end]), end - first))
                break;
        bool all = at.fd >= 0 && pv_read_at(at.fd, at.at, here, (end - first) * PAGE_BYTES, "pages",
                                            &ignored) == 0;
        for (size_t i = first; all && i < end; i++)
            there[i] = true;
        if (!all)
            read_each(v, m + first, end - first, here, there + first);
    }
}
