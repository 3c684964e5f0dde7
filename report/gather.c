/* SPDX-License-Identifier: MIT */
/* From a view to the columns of the page. */
#include "gather.h"

#include <pvmm/recorder.h>
#include <stdlib.h>

const char *const act_names[ACT_NAMES] = {
    [PVMM_ACT_NONE] = "none",   [PVMM_ACT_ENTRY] = "entry",     [PVMM_ACT_STORE] = "store",
    [PVMM_ACT_TYPE] = "type",   [PVMM_ACT_RELEASE] = "release", [PVMM_ACT_PIN] = "pin",
    [PVMM_ACT_UNPIN] = "unpin", [PVMM_ACT_ROOT] = "root",       [PVMM_ACT_REFUSED] = "refused",
    [PVMM_ACT_GIVEN] = "given", [PVMM_ACT_FREED] = "freed",     [PVMM_ACT_M2P] = "m2p",
};
_Static_assert(ACT_NAMES == PVMM_ACTS, "gather.h");

static const struct {
    const char *name;
    unsigned bytes;
    bool delta;
} columns[COLUMNS] = {
    [COLUMN_MFN] = {"mfn", 4, true},
    [COLUMN_PFN] = {"pfn", 4, true},
    [COLUMN_KIND] = {"kind", 1, false},
    [COLUMN_FLAGS] = {"flags", 1, false},
    [COLUMN_USES] = {"uses", 2, false},
    [COLUMN_WRITABLE] = {"writable", 2, false},
    [COLUMN_TABLE] = {"table", 4, true},
    [COLUMN_FIRST] = {"first", 4, true},
    [COLUMN_SLOT] = {"slot", 2, true},
    [COLUMN_TARGET] = {"target", 4, true},
    [COLUMN_ENTRY] = {"entry", 1, false},
    [COLUMN_ACT_TIME] = {"act_time", 4, true},
    [COLUMN_ACT_KIND] = {"act_kind", 1, false},
    [COLUMN_ACT_CELL] = {"act_cell", 4, false},
};

static int begin_columns(struct gathered *g)
{
    for (unsigned i = 0; i < COLUMNS; i++)
        if (!column_begin(&g->column[i], columns[i].name, columns[i].bytes, columns[i].delta))
            return pv_no_memory(g->e);
    return 0;
}

static int end_columns(struct gathered *g)
{
    for (unsigned i = 0; i < COLUMNS; i++)
        if (!column_end(&g->column[i]))
            return pv_no_memory(g->e);
    return 0;
}

static int make_arrays(struct gathered *g)
{
    const size_t n = g->cells + 1ull;
    g->pfn = calloc(n, sizeof(*g->pfn));
    g->kind = calloc(n, sizeof(*g->kind));
    g->flags = calloc(n, sizeof(*g->flags));
    g->seen = calloc(n, sizeof(*g->seen));
    g->uses = calloc(n, sizeof(*g->uses));
    g->writable = calloc(n, sizeof(*g->writable));
    return g->pfn && g->kind && g->flags && g->seen && g->uses && g->writable ? 0
                                                                              : pv_no_memory(g->e);
}

static void name_cells(struct gathered *g)
{
    const struct pv_view *v = g->v;
    for (uint32_t i = 0; i < g->cells; i++) {
        const mfn_t m = mfn(g->mfn[i]);
        const bool owned = v->backend->owned(v, m);
        const pfn_t p = !owned ? NO_PFN : v->portable ? pfn(m.n) : v->backend->pfn_of(v, m);
        g->pfn[i] = p.n < CELL_MAX ? (uint32_t)p.n : NO_CELL;
        g->flags[i] = owned ? FLAG_OWNED : 0;
    }
}

static void flag_findings(struct gathered *g)
{
    const struct pv_check *c = g->s->check;
    for (size_t i = 0; c && i < c->kept; i++) {
        const struct pv_finding *f = &c->finding[i];
        const uint32_t frame = mfn_eq(f->frame, NO_MFN) ? NO_CELL : cell_of(g, f->frame);
        const uint32_t at = f->at.a == UINT64_MAX ? NO_CELL : cell_of(g, maddr_frame(f->at));
        if (frame != NO_CELL)
            g->flags[frame] |= FLAG_FINDING;
        if (at != NO_CELL)
            g->flags[at] |= FLAG_FINDING;
    }
}

static void fill_cells(struct gathered *g)
{
    for (uint32_t i = 0; i < g->cells; i++) {
        column_add(&g->column[COLUMN_MFN], g->mfn[i]);
        column_add(&g->column[COLUMN_PFN], g->pfn[i]);
        column_add(&g->column[COLUMN_KIND], g->kind[i]);
        column_add(&g->column[COLUMN_FLAGS], g->flags[i]);
        column_add(&g->column[COLUMN_USES], g->uses[i]);
        column_add(&g->column[COLUMN_WRITABLE], g->writable[i]);
    }
}

static void fill_timeline(struct gathered *g)
{
    const struct report_timeline *t = g->s->timeline;
    const uint64_t span = t && t->acts ? t->act[t->acts - 1].time : 0;
    uint64_t last = 0;
    g->tick = (span >> 31) + 1;
    for (size_t i = 0; t && i < t->acts; i++) {
        const struct report_act *a = &t->act[i];
        last = a->time > last && a->time <= span ? a->time : last;
        column_add(&g->column[COLUMN_ACT_TIME], (uint32_t)(last / g->tick));
        column_add(&g->column[COLUMN_ACT_KIND], a->act < PVMM_ACTS ? a->act : PVMM_ACT_NONE);
        column_add(&g->column[COLUMN_ACT_CELL], a->at.a ? cell_of(g, maddr_frame(a->at)) : NO_CELL);
    }
}

static void choose_detail(struct gathered *g)
{
    const uint64_t all = g->upper_entries + g->l1_entries;
    g->with_l1 =
        g->o->detail == REPORT_ALL || (g->o->detail == REPORT_AUTO && all <= REPORT_MAX_ENTRIES);
    if (all >= NO_CELL)
        g->with_l1 = false;
    if (!g->with_l1 && g->o->detail != REPORT_TABLES)
        leave_out(g, "the %llu entries of L1 tables", (unsigned long long)g->l1_entries);
}

static int gather_all(struct gathered *g)
{
    if (roots_find(g) || cells_own(g) || tables_discover(g) || make_arrays(g))
        return -1;
    choose_detail(g);
    name_cells(g);
    if (begin_columns(g) || tables_columns(g) || marks_set(g) || blank_find(g) ||
        lists_compare(g) || kinds_set(g))
        return -1;
    flag_findings(g);
    if (roots_tell(g) || tree_tell(g))
        return -1;
    fill_cells(g);
    fill_timeline(g);
    return end_columns(g);
}

int gather(struct gathered *g, const struct report_subject *s, const struct report_options *o,
           struct pv_error *e)
{
    *g = (struct gathered){.s = s, .o = o, .v = s->view, .e = e};
    if (gather_all(g) == 0)
        return 0;
    gather_free(g);
    return pv_context(e, "the report was not made to its end");
}

void gather_free(struct gathered *g)
{
    free(g->mfn);
    free(g->hint);
    free(g->extra);
    free(g->pfn);
    free(g->level);
    free(g->kind);
    free(g->flags);
    free(g->seen);
    free(g->uses);
    free(g->writable);
    free(g->root);
    free(g->table);
    json_object_put(g->differences);
    json_object_put(g->roots_are);
    json_object_put(g->shares);
    json_object_put(g->tree);
    for (unsigned i = 0; i < COLUMNS; i++)
        column_free(&g->column[i]);
    *g = (struct gathered){0};
}
