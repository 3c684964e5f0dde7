/* SPDX-License-Identifier: MIT */
#include "startinfo.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/foreign/x86_32.h>

#include "bulk.h"
#include "internal.h"
#include "parallel.h"

#define MAGIC      "xen-3.0-x86"
#define LOOK_UNTIL (1u << 18) /* pages that are looked at for one that begins so: 1 GiB */

/* The two layouts have the same fields, of other widths. */
#define TAKE(out, s)                                                                               \
    do {                                                                                           \
        (out)->nr_pages = (s)->nr_pages;                                                           \
        (out)->shared_info.a = (s)->shared_info;                                                   \
        (out)->flags = (s)->flags;                                                                 \
        (out)->store_frame = (s)->store_mfn;                                                       \
        (out)->store_port = (s)->store_evtchn;                                                     \
        (out)->console_frame = (s)->console.domU.mfn;                                              \
        (out)->console_port = (s)->console.domU.evtchn;                                            \
        (out)->pt_base.a = (s)->pt_base;                                                           \
        (out)->nr_pt_frames = (s)->nr_pt_frames;                                                   \
        (out)->mfn_list.a = (s)->mfn_list;                                                         \
        memcpy((out)->cmd_line, (s)->cmd_line, PV_CMD_LINE);                                       \
    } while (0)

static bool begins_so(const struct pv_view *v, mfn_t m)
{
    char begin[sizeof(MAGIC) - 1];
    return v->backend->read(v, m, 0, begin, sizeof(begin)) &&
           memcmp(begin, MAGIC, sizeof(begin)) == 0;
}

/* false: it is no start_info. */
static bool take(struct pv_start_info *out, const struct pv_view *v, mfn_t m, const char *how)
{
    union {
        start_info_t is_64;
        start_info_x86_32_t is_32;
    } s;
    const unsigned n = v->width == 4 ? sizeof(s.is_32) : sizeof(s.is_64);
    if (mfn_eq(m, NO_MFN) || !begins_so(v, m) || !v->backend->read(v, m, 0, &s, n))
        return false;
    *out = (struct pv_start_info){.frame = m};
    snprintf(out->how, sizeof(out->how), "%s", how);
    memcpy(out->magic, &s, sizeof(s.is_64.magic));
    if (v->width == 4)
        TAKE(out, &s.is_32);
    else
        TAKE(out, &s.is_64);
    return out->nr_pages != 0 && out->nr_pages < PV_FRAME_LIMIT &&
           out->shared_info.a % PAGE_BYTES == 0;
}

static mfn_t by_symbol(const struct pv_view *v, const struct pv_symbols *s)
{
    uint64_t va, at = 0;
    struct pv_walk w;
    if (!s || !pv_symbol_find(s, "xen_start_info", &va) ||
        pv_read_va(v, v->kernel_root, gva(va), &at, v->width) != v->width ||
        !pv_walk(v, v->kernel_root, gva(at), &w))
        return NO_MFN;
    return maddr_frame(w.to);
}

/* ---- looking at page after page, on all cores */

#define BATCH 16384u /* pages, in the order of their pfns */
#define PART  256u

struct search {
    const struct pv_view *v;
    mfn_t page[BATCH];
    size_t n;
    _Atomic uint64_t first; /* of the pages that are one; ~0: none is known */
};

static void look_at(void *context, uint64_t from, uint64_t end)
{
    struct search *s = context;
    char begin[PART][sizeof(MAGIC) - 1];
    struct pv_start_info found;
    pv_read_beginnings(s->v, &s->page[from], end - from, begin, sizeof(begin[0]));
    for (uint64_t i = from; i < end; i++) {
        if (memcmp(begin[i - from], MAGIC, sizeof(begin[0])) || !take(&found, s->v, s->page[i], ""))
            continue;
        uint64_t known = atomic_load(&s->first);
        while (i < known && !atomic_compare_exchange_weak(&s->first, &known, i))
            ;
        return;
    }
}

static void gather(struct search *s, pfn_t *next)
{
    const struct pv_backend *b = s->v->backend;
    for (s->n = 0; s->n < BATCH && next->n != NO_PFN.n; *next = b->next_pfn(s->v, pfn(next->n + 1)))
        s->page[s->n++] = b->mfn_of(s->v, *next);
}

static bool look_until(struct search *s, struct pv_start_info *out, unsigned *seen)
{
    pfn_t next = s->v->backend->next_pfn(s->v, pfn(0));
    for (*seen = 0; *seen < LOOK_UNTIL; *seen += (unsigned)s->n) {
        gather(s, &next);
        if (s->n == 0)
            return false;
        atomic_store(&s->first, ~0ull);
        pv_parallel(0, s->n, PART, look_at, s);
        if (s->first != ~0ull)
            return take(out, s->v, s->page[s->first], "a page that begins with \"" MAGIC "\"");
    }
    return false;
}

int pv_start_info_find(struct pv_start_info *out, const struct pv_view *v,
                       const struct pv_symbols *s, struct pv_error *e)
{
    unsigned seen = 0;
    if (take(out, v, v->start_info, "as the image has it") ||
        take(out, v, by_symbol(v, s), "symbol xen_start_info"))
        return 0;
    struct search *all = malloc(sizeof(*all));
    if (!all)
        return pv_no_memory(e);
    all->v = v;
    const bool found = look_until(all, out, &seen);
    free(all);
    if (found)
        return 0;
    *out = (struct pv_start_info){.frame = NO_MFN};
    return pv_fail(e, "none of the first %u pages begins with \"" MAGIC "\"", seen);
}
