/* SPDX-License-Identifier: MIT */
/* What pages are: by what the image tells, or by what its roots lead to. */
#include "run.h"

#include <stdlib.h>

#include "check.h"

static int find_levels(struct diff_side *s, const struct pv_progress *progress, struct pv_error *e)
{
    const struct pv_view *v = s->v;
    struct pv_check c;
    if (v->width != 8 || !v->backend->index_of || !v->backend->frame_at || v->nr_pages == 0)
        return 0;
    s->levels = calloc(v->nr_pages, sizeof(*s->levels));
    if (!s->levels)
        return pv_no_memory(e);
    const struct pv_check_options how = {.keep = 1, .levels = s->levels, .progress = *progress};
    if (pv_check(v, NULL, &how, &c, e))
        return -1;
    pv_check_free(&c);
    return 0;
}

int diff_side_open(struct diff_side *s, const struct pv_view *v, const struct pv_progress *progress,
                   struct pv_error *e)
{
    *s = (struct diff_side){.v = v, .tells = v->backend->told != NULL};
    return s->tells ? 0 : find_levels(s, progress, e);
}

void diff_side_close(struct diff_side *s)
{
    free(s->levels);
    *s = (struct diff_side){0};
}

struct pv_diff_page diff_page(const struct diff_side *s, mfn_t m)
{
    struct pv_diff_page page = {.mfn = m};
    struct pv_told told = {0};
    if (mfn_eq(m, NO_MFN))
        return page;
    if (s->tells && s->v->backend->told(s->v, m, &told)) {
        page.told = true;
        page.level = told.level <= 4 ? told.level : 0;
        page.pinned = told.pinned;
    } else if (s->levels) {
        uint64_t index = s->v->backend->index_of(s->v, m);
        page.level = index < s->v->nr_pages ? s->levels[index] : 0;
    }
    return page;
}

/* Where one image tells and the other had to be searched, what was not found is not known: a table
 * in no use keeps its type. */
bool diff_types_differ(const struct pv_diff_page *a, const struct pv_diff_page *b)
{
    if (a->told && b->told)
        return a->level != b->level || a->pinned != b->pinned;
    bool known = a->told == b->told || (a->told ? b : a)->level != 0;
    return known && a->level != b->level;
}

void diff_take_as(const struct pv_diff_page page[2], unsigned as[2])
{
    for (unsigned i = 0; i < 2; i++)
        as[i] = page[i].level ? page[i].level : page[!i].level;
}
