/* SPDX-License-Identifier: MIT */
/* Which frames are all zeroes: every page is read, or as much of it as there are zeroes, by all
 * cores. */
#include "gather.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 16
#define PORTION     4096u /* cells */
#define PROBE       64u   /* bytes: most pages that are not blank show it there */

struct work {
    struct gathered *g;
    _Atomic uint64_t next;
    atomic_bool stop;
};

static bool is_zero(const uint8_t *at, size_t n)
{
    return at[0] == 0 && memcmp(at, at + 1, n - 1) == 0;
}

static bool is_blank(const struct pv_view *v, mfn_t m)
{
    uint8_t page[PAGE_BYTES];
    if (v->backend->blank && v->backend->blank(v, m))
        return true;
    return v->backend->read(v, m, 0, page, PROBE) && is_zero(page, PROBE) &&
           v->backend->read(v, m, 0, page, PAGE_BYTES) && is_zero(page, PAGE_BYTES);
}

/* In the order in which the guest's frames are numbered, where they are: a file has them so. */
static uint64_t frames(const struct gathered *g)
{
    return g->v->backend->frame_at ? g->v->nr_pages : g->cells;
}

static void look_at(struct gathered *g, uint64_t from)
{
    const struct pv_backend *b = g->v->backend;
    for (uint64_t i = from; i < frames(g) && i < from + PORTION; i++) {
        const mfn_t m = b->frame_at ? b->frame_at(g->v, i) : mfn(g->mfn[i]);
        const uint32_t cell = b->frame_at ? cell_of(g, m) : (uint32_t)i;
        if (cell != NO_CELL && is_blank(g->v, m))
            g->flags[cell] |= FLAG_ZEROES;
    }
}

static void *work(void *context)
{
    struct work *w = context;
    while (!w->stop) {
        const uint64_t from = atomic_fetch_add(&w->next, PORTION);
        if (from >= frames(w->g))
            break;
        look_at(w->g, from);
    }
    return NULL;
}

/* The main thread takes its part, and tells how far it is. */
static int work_and_tell(struct work *w)
{
    struct gathered *g = w->g;
    for (;;) {
        const uint64_t from = atomic_fetch_add(&w->next, PORTION);
        if (from >= frames(g))
            return 0;
        look_at(g, from);
        if (pv_tell(&g->o->progress, "pages", from, frames(g), g->e)) {
            w->stop = true;
            return -1;
        }
    }
}

int blank_find(struct gathered *g)
{
    struct work w = {.g = g};
    pthread_t thread[THREADS_MAX];
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int n = 0;
    while (n + 1 < cores && n < THREADS_MAX && g->cells > 8 * PORTION &&
           pthread_create(&thread[n], NULL, work, &w) == 0)
        n++;
    const int rc = work_and_tell(&w);
    while (n > 0)
        pthread_join(thread[--n], NULL);
    return rc;
}
