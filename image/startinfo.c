/* SPDX-License-Identifier: MIT */
#include "startinfo.h"

#include <stdio.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/foreign/x86_32.h>

#include "internal.h"

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

int pv_start_info_find(struct pv_start_info *out, const struct pv_view *v,
                       const struct pv_symbols *s, struct pv_error *e)
{
    const struct pv_backend *b = v->backend;
    if (take(out, v, v->start_info, "as the image has it") ||
        take(out, v, by_symbol(v, s), "symbol xen_start_info"))
        return 0;
    unsigned seen = 0;
    for (pfn_t p = b->next_pfn(v, pfn(0)); p.n != NO_PFN.n && seen < LOOK_UNTIL;
         p = b->next_pfn(v, pfn(p.n + 1)), seen++)
        if (take(out, v, b->mfn_of(v, p), "a page that begins with \"" MAGIC "\""))
            return 0;
    *out = (struct pv_start_info){.frame = NO_MFN};
    return pv_fail(e, "none of the first %u pages begins with \"" MAGIC "\"", seen);
}
