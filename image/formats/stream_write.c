/* SPDX-License-Identifier: MIT */
/*
 * Writes save streams, of version 3, as Xen 4.17's tools do. What of the image would make no guest
 * is found before the first byte is written; a table's entries when it is their turn.
 */
#include "stream_write.h"

#include <endian.h>

/* ---- records */

int save_record_of(struct sink *k, uint32_t type, const void *head, size_t head_bytes,
                   const void *body, size_t n, struct pv_error *e)
{
    static const uint8_t padding[8];
    const struct record_header h = {type, (uint32_t)(head_bytes + n)};
    struct iovec piece[] = {{(void *)(uintptr_t)&h, sizeof(h)},
                            {(void *)(uintptr_t)head, head_bytes},
                            {(void *)(uintptr_t)body, n},
                            {(void *)(uintptr_t)padding, -(head_bytes + n) & 7}};
    return sink_put_pieces(k, piece, sizeof(piece) / sizeof(*piece), e);
}

int save_record(struct sink *k, uint32_t type, const void *body, size_t n, struct pv_error *e)
{
    return save_record_of(k, type, NULL, 0, body, n, e);
}

/* ---- what is in front of the pages */

static int put_headers(struct save *s, struct pv_error *e)
{
    const struct {
        struct libxc_header image;
        struct domain_header domain;
    } h = {.image = {.marker = LIBXC_MARKER,
                     .id = htobe32(LIBXC_ID),
                     .version = htobe32(LIBXC_VERSION)},
           .domain = {.type = LIBXC_PV,
                      .page_shift = PAGE_SHIFT_4K,
                      .xen_major = LIBXC_XEN_MAJOR,
                      .xen_minor = LIBXC_XEN_MINOR}};
    return sink_put(&s->sink, &h, sizeof(h), e);
}

static int put_static(struct save *s, struct pv_error *e)
{
    const struct pv_info info = {(uint8_t)s->v->width, (uint8_t)pv_top_level(s->v), {0}};
    if (save_record(&s->sink, LIBXC_PV_INFO, &info, sizeof(info), e) ||
        save_record(&s->sink, LIBXC_STATIC_DATA_END, NULL, 0, e))
        return -1;
    return s->live ? save_record(&s->sink, RECORD_PVMM_LIVE, NULL, 0, e) : 0;
}

static int put_list(struct save *s, struct pv_error *e)
{
    const struct save_list *l = &s->list;
    if (l->pages == 0)
        return 0;
    const struct p2m_frames h = {(uint32_t)l->start, (uint32_t)(l->end - 1)};
    return save_record_of(&s->sink, LIBXC_P2M_FRAMES, &h, sizeof(h), l->pfn,
                          l->pages * sizeof(*l->pfn), e);
}

/* ---- the whole */

int save_front(struct save *s, struct pv_error *e)
{
    if (s->o->of_xl && save_xl_begin(s->v, s->o, &s->count, &s->sink, e))
        return -1;
    return put_headers(s, e) || put_static(s, e) || put_list(s, e) ? -1 : 0;
}

int save_back(struct save *s, struct pv_error *e)
{
    if (save_state_put(&s->state, s->v, &s->sink, e) ||
        save_record(&s->sink, LIBXC_END, NULL, 0, e))
        return -1;
    return s->o->of_xl ? save_xl_end(&s->sink, e) : 0;
}

static int put_all(struct save *s, struct pv_error *e)
{
    const struct save_choice all = {.v = s->v, .list = &s->list};
    struct save_count put;
    return save_front(s, e) || save_pages(&all, &s->sink, &put, e) || save_back(s, e) ? -1 : 0;
}

int save_check_view(const struct save *s, struct pv_error *e)
{
    const struct pv_view *v = s->v;
    if (s->o->as_found && v->portable)
        return 0;
    if (v->lost[0])
        return pv_fail(e, "the image is not whole: %s", v->lost);
    if (!v->portable && v->width != 8)
        return pv_fail(e, "a guest of 32 bits");
    if (!v->portable && !v->has_m2p)
        return pv_fail(e, "%s has no m2p to compare the guest's p2m with", v->kind);
    if (!v->backend->told)
        return pv_fail(e, "%s does not tell which pages are page tables", v->kind);
    if (mfn_eq(v->shared_info, NO_MFN))
        return pv_fail(e, "shared_info is not in the image");
    return 0;
}

int save_check_state(const struct save *s, struct pv_error *e)
{
    const struct pv_view *v = s->v;
    if (s->o->as_found && v->portable)
        return 0;
    if (v->nr_vcpus == 0 || !v->vcpu[0].valid)
        return pv_fail(e, "the state of vCPU 0 is not in the image");
    return 0;
}

int save_prepare(struct save *s, struct pv_error *e)
{
    return save_check_view(s, e) || save_check_state(s, e) ||
                   save_list_open(&s->list, s->v, s->o->as_found, e) ||
                   save_state_open(&s->state, &s->list, e) || save_look_over(&s->list, &s->count, e)
               ? -1
               : 0;
}

void save_free(struct save *s)
{
    sink_close(&s->sink);
    save_state_free(&s->state);
    save_list_free(&s->list);
}

int pv_stream_write(const struct pv_view *v, int fd, const struct pv_save_options *o,
                    struct pv_saved *saved, struct pv_error *e)
{
    struct save s = {.v = v, .o = o, .sink.own = -1};
    int rc = save_prepare(&s, e);
    if (rc == 0)
        rc = sink_open(&s.sink, fd, o, e);
    s.sink.total = s.count.pages;
    if (rc == 0)
        rc = put_all(&s, e);
    if (rc == 0)
        rc = sink_end(&s.sink, e);
    save_free(&s);
    if (rc)
        return pv_context(e, "cannot write the save stream");
    *saved = (struct pv_saved){s.count.pages, s.count.tables, s.sink.bytes};
    return 0;
}
