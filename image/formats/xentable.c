/* SPDX-License-Identifier: MIT */
/* Xen's m2p and frame table: found once through a guest's root, which has Xen's slots, and then
 * read without walking. */
#include "xenmachine.h"

#include <stdlib.h>
#include <string.h>

/* Pages of 4 KiB that an entry of that level stands for. */
static uint64_t pages_of(unsigned level)
{
    return 1ull << 9 * (level - 1);
}

/* All pages of a mapping, from page i of the table on. How many there were to its end. */
static uint64_t take_mapping(struct xen_table *t, uint64_t pages, uint64_t i, gva_t va,
                             const struct pv_walk *w, uint64_t end)
{
    uint64_t within = va.a >> PAGE_SHIFT_4K & (pages_of(w->level) - 1);
    uint64_t n = pages_of(w->level) - within, first = maddr_frame(w->to).n;
    for (uint64_t k = 0; k < n && k < pages - i && first + k < end; k++)
        t->page[i + k] = (uint32_t)(first + k);
    return n;
}

/* How many pages lack the entry at which the walk ended, from this one on. */
static uint64_t skip(gva_t va, const struct pv_walk *w)
{
    unsigned level = w->level ? w->level : 1;
    return pages_of(level) - (va.a >> PAGE_SHIFT_4K & (pages_of(level) - 1));
}

int xen_table_find(struct xen_table *t, const struct pv_view *v, mfn_t root, gva_t va,
                   unsigned element, uint64_t n, struct pv_error *e)
{
    uint64_t per_page = PAGE_BYTES / element, pages = (n + per_page - 1) / per_page;
    *t = (struct xen_table){.element = element, .n = n};
    t->page = reallocarray(NULL, pages ? pages : 1, sizeof(*t->page));
    if (!t->page)
        return pv_no_memory(e);
    memset(t->page, 0xff, pages * sizeof(*t->page));
    uint64_t end = 0; /* pages; what follows is not mapped */
    for (uint64_t i = 0; i < pages;) {
        struct pv_walk w;
        gva_t at = gva(va.a + (i << PAGE_SHIFT_4K));
        if (!pv_walk(v, root, at, &w)) {
            i += skip(at, &w);
            continue;
        }
        i += take_mapping(t, pages, i, at, &w, v->nr_frames);
        end = i < pages ? i : pages;
    }
    if (end * per_page < n)
        t->n = end * per_page;
    return 0;
}

unsigned xen_table_read(const struct xen_table *t, const struct pv_view *v, uint64_t i, void *to,
                        unsigned many)
{
    if (i >= t->n)
        return 0;
    unsigned per_page = PAGE_BYTES / t->element, within = (unsigned)(i % per_page);
    uint32_t frame = t->page[i / per_page];
    if (many > per_page - within)
        many = per_page - within;
    if (many > t->n - i)
        many = (unsigned)(t->n - i);
    return frame != XEN_NO_PAGE &&
                   v->backend->read(v, mfn(frame), within * t->element, to, many * t->element)
               ? many
               : 0;
}

void xen_table_free(struct xen_table *t)
{
    free(t->page);
    *t = (struct xen_table){0};
}
