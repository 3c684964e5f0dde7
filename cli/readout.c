/* SPDX-License-Identifier: MIT */
#include "readout.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "bulk.h"
#include "parallel.h"

#define VA_END_32 (1ull << 32)

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Up to the end of what one entry of that level maps; of an address that is none, up to one that
 * could be. The last address of all is followed by 0: the difference is right all the same. */
static uint64_t unmapped_bytes(const struct pv_view *v, const struct pv_walk *w, uint64_t va)
{
    if (w->level != 0)
        return (1ull << (12 + 9 * (w->level - 1))) -
               (va & ((1ull << (12 + 9 * (w->level - 1))) - 1));
    return v->width == 8 && va >> 63 == 0 ? 0xffff800000000000 - va : 0 - va;
}

static bool find_va(const struct stretch *s, struct piece *p)
{
    const struct pv_view *v = s->image->view;
    struct pv_walk w;

    if (pv_walk(v, s->root, gva(p->at), &w)) {
        p->frame = maddr_frame(w.to);
        return true;
    }
    p->bytes = unmapped_bytes(v, &w, p->at);
    walk_why(v, &w, p->why, sizeof(p->why));
    return false;
}

static bool find_pfn(const struct stretch *s, struct piece *p)
{
    const struct pv_view *v = s->image->view;
    const pfn_t n = pfn(p->at / PAGE_BYTES);

    p->frame = v->backend->mfn_of(v, n);
    if (!mfn_eq(p->frame, NO_MFN))
        return true;
    const pfn_t next = v->backend->next_pfn(v, n);
    p->bytes = (next.n < UINT64_MAX >> 12 ? next.n * PAGE_BYTES : 0) - p->at;
    snprintf(p->why, sizeof(p->why), "there is no frame at pfn %" PRIx64 " (%s)", n.n,
             pfn_source(v));
    return false;
}

/* A frame beyond all others: so is everything behind it. */
static bool find_mfn(const struct stretch *s, struct piece *p)
{
    const struct pv_view *v = s->image->view;

    p->frame = mfn(p->at / PAGE_BYTES);
    if (p->frame.n < v->nr_frames)
        return true;
    p->bytes = 0 - p->at;
    snprintf(p->why, sizeof(p->why), "frames of the image end before mfn %" PRIx64, v->nr_frames);
    return false;
}

static bool find_frame(const struct stretch *s, struct piece *p)
{
    switch (s->kind) {
    case PLACE_VA:
        return find_va(s, p);
    case PLACE_PFN:
        return find_pfn(s, p);
    case PLACE_MFN:
        return find_mfn(s, p);
    }
    return false;
}

void stretch_piece(const struct stretch *s, uint64_t done, struct piece *p)
{
    const struct pv_view *v = s->image->view;
    const uint64_t left = s->bytes - done;
    char frame[96];

    p->at = s->start + done;
    p->frame = NO_MFN;
    p->there = find_frame(s, p);
    if (!p->there) {
        p->bytes = p->bytes == 0 ? left : smaller(p->bytes, left);
        return;
    }
    const unsigned offset = p->at & (PAGE_BYTES - 1);
    p->bytes = smaller(PAGE_BYTES - offset, left);
    p->there = v->backend->read(v, p->frame, offset, p->data, (unsigned)p->bytes);
    if (!p->there)
        snprintf(p->why, sizeof(p->why), "%s is not in the image",
                 frame_words(v, p->frame, frame, sizeof(frame)));
}

/* ---- many pages: each thread reads into a buffer of its own, small enough to stay in its core's
 * cache, and puts it out when its turn has come. */

#define PART 32u /* pages */

struct pages {
    const struct stretch *s;
    uint64_t at; /* of the first page, as stretch.start counts */
    stretch_put *put;
    void *context;
    pthread_mutex_t lock;
    pthread_cond_t next;
    uint64_t turn; /* the first page that is not put out */
    uint64_t done; /* that were */
    bool ended;    /* something is not there, or enough */
};

static void find_frames(const struct stretch *s, uint64_t at, size_t n, mfn_t *m)
{
    const struct pv_view *v = s->image->view;

    switch (s->kind) {
    case PLACE_VA:
        pv_frames_of_va(v, s->root, gva(at), n, m);
        return;
    case PLACE_PFN:
        pv_frames_of_pfn(v, pfn(at / PAGE_BYTES), n, m);
        return;
    case PLACE_MFN:
        for (size_t i = 0; i < n; i++)
            m[i] = at / PAGE_BYTES + i < v->nr_frames ? mfn(at / PAGE_BYTES + i) : NO_MFN;
        return;
    }
}

/* Those that are there, from the first on. */
static uint64_t read_part(const struct pages *p, uint64_t from, uint64_t n, uint8_t *to)
{
    mfn_t m[PART] = {{0}};
    bool there[PART];
    uint64_t got = 0;

    find_frames(p->s, p->at + from * PAGE_BYTES, n, m);
    pv_read_frames(p->s->image->view, m, n, to, there);
    while (got < n && there[got])
        got++;
    return got;
}

/* Parts are taken in order: whoever has the turn waits for nobody. */
static void copy_part(void *context, uint64_t from, uint64_t end)
{
    struct pages *p = context;
    uint8_t page[PART * PAGE_BYTES];
    const bool needed = !__atomic_load_n(&p->ended, __ATOMIC_RELAXED);
    const uint64_t got = needed ? read_part(p, from, end - from, page) : 0;

    pthread_mutex_lock(&p->lock);
    while (p->turn != from)
        pthread_cond_wait(&p->next, &p->lock);
    if (!p->ended) {
        p->done += got;
        const bool more = got == 0 || p->put(p->context, page, got * PAGE_BYTES);
        __atomic_store_n(&p->ended, !more || got < end - from, __ATOMIC_RELAXED);
    }
    p->turn = end;
    pthread_cond_broadcast(&p->next);
    pthread_mutex_unlock(&p->lock);
}

uint64_t stretch_pages(const struct stretch *s, uint64_t done, uint64_t pages, stretch_put *put,
                       void *context)
{
    struct pages p = {.s = s,
                      .at = s->start + done,
                      .put = put,
                      .context = context,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .next = PTHREAD_COND_INITIALIZER};

    pv_parallel(0, pages, PART, copy_part, &p);
    return p.done;
}
