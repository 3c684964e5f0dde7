/* SPDX-License-Identifier: MIT */
/* The roots: what each reaches, and which tables below them several have. */
#include "gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonput.h"
#include "pte.h"

#define ROOTS_MAX 4096u        /* that are told of */
#define STEPS_MAX (1ull << 28) /* tables gone through, for all of them */
#define NAMES_MAX (1u << 20)   /* roots named by all that is shared */
#define NOBODY    0u
#define SEVERAL   0xffffffffu

/* ---- which there are */

static int compare_mfn(const void *a, const void *b)
{
    const uint64_t x = ((const mfn_t *)a)->n, y = ((const mfn_t *)b)->n;
    return (x > y) - (x < y);
}

/* Those that are known, and those that the checker found by what they hold. */
int roots_find(struct gathered *g)
{
    const struct pv_check *c = g->s->check;
    const size_t more = c ? c->roots : 0;
    size_t n = 0;
    if (pv_roots(g->v, &g->root, &g->roots, g->e))
        return -1;
    mfn_t *all = reallocarray(g->root, g->roots + more + 1, sizeof(*all));
    if (!all)
        return pv_no_memory(g->e);
    g->root = all;
    for (size_t i = 0; i < more; i++)
        all[g->roots + i] = c->root[i];
    g->roots += more;
    qsort(all, g->roots, sizeof(*all), compare_mfn);
    for (size_t i = 0; i < g->roots; i++)
        if (n == 0 || !mfn_eq(all[n - 1], all[i]))
            all[n++] = all[i];
    g->roots = n;
    return 0;
}

/* ---- what they reach */

struct reach {
    uint64_t tables, frames, own;
};

struct walk {
    struct gathered *g;
    uint32_t *stamp; /* by table: the root that came here last, from 1 on */
    uint32_t *only;  /* by table: the one root that reaches it, SEVERAL, NOBODY */
    uint64_t steps;
    struct reach *now;
    uint32_t number;
};

static void go_through(struct walk *w, uint32_t cell, unsigned level)
{
    const uint32_t t = table_index(w->g, cell);
    struct table_words words;
    if (t == NO_CELL || w->g->level[cell] != level || w->stamp[t] == w->number ||
        ++w->steps > STEPS_MAX)
        return;
    w->stamp[t] = w->number;
    w->only[t] = w->only[t] == NOBODY || w->only[t] == w->number ? w->number : SEVERAL;
    w->now->tables++;
    const unsigned slots = table_read(w->g, cell, &words);
    for (unsigned i = 0; i < slots; i++) {
        if (!words.word[i])
            continue;
        if (pv_is_leaf(level, words.word[i]))
            w->now->frames++;
        else
            go_through(w, cell_of(w->g, pte_frame(words.word[i])), level - 1);
    }
}

static int reach_all(struct gathered *g, struct reach *reach, size_t n, bool *complete)
{
    struct walk w = {.g = g};
    w.stamp = calloc(g->tables + 1ull, sizeof(*w.stamp));
    w.only = calloc(g->tables + 1ull, sizeof(*w.only));
    int rc = w.stamp && w.only ? 0 : pv_no_memory(g->e);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        w.number = (uint32_t)i + 1;
        w.now = &reach[i];
        go_through(&w, cell_of(g, g->root[i]), pv_top_level(g->v));
        rc = pv_tell(&g->o->progress, "roots", i, n, g->e);
    }
    for (uint32_t t = 0; rc == 0 && t < g->tables; t++)
        if (w.only[t] != NOBODY && w.only[t] != SEVERAL)
            reach[w.only[t] - 1].own++;
    *complete = w.steps <= STEPS_MAX;
    free(w.stamp);
    free(w.only);
    return rc;
}

/* ---- telling */

static const char *whose(const struct gathered *g, mfn_t root, char *text, size_t size)
{
    const struct pv_view *v = g->v;
    for (unsigned i = 0; i < v->nr_vcpus; i++) {
        const struct pv_vcpu *c = &v->vcpu[i];
        if (!c->valid || (!mfn_eq(c->kernel_root, root) && !mfn_eq(c->user_root, root)))
            continue;
        snprintf(text, size, "vCPU %u%s", i, mfn_eq(c->kernel_root, root) ? "" : ", user");
        return text;
    }
    const uint32_t cell = cell_of(g, root);
    if (cell != NO_CELL && g->flags[cell] & FLAG_PINNED)
        return "pinned";
    return mfn_eq(root, v->kernel_root) ? "the kernel's" : "found";
}

static struct json_object *root_json(const struct gathered *g, mfn_t root, const struct reach *r,
                                     bool complete)
{
    struct json_object *o = json_object_new_object();
    const uint32_t cell = cell_of(g, root);
    char text[32];
    put_number(o, "mfn", root.n);
    put_number(o, "pfn", cell != NO_CELL && g->pfn[cell] != NO_CELL ? g->pfn[cell] : NO_PFN.n);
    put_cell(o, "cell", cell);
    put_text(o, "of", whose(g, root, text, sizeof(text)));
    put_bool(o, "pinned", cell != NO_CELL && g->flags[cell] & FLAG_PINNED);
    put_number(o, "tables", complete ? r->tables : ~0ull);
    put_number(o, "own", complete ? r->own : ~0ull);
    put_number(o, "frames", complete ? r->frames : ~0ull);
    return o;
}

/* ---- what they share: an L4 slot of two roots that names one table */

struct slot_use {
    uint64_t table; /* mfn */
    uint32_t root;
    uint16_t slot;
};

static int compare_use(const void *a, const void *b)
{
    const struct slot_use *x = a, *y = b;
    if (x->table != y->table)
        return x->table < y->table ? -1 : 1;
    if (x->root != y->root)
        return x->root < y->root ? -1 : 1;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

static int list_uses(struct gathered *g, size_t roots, struct slot_use **out, size_t *n)
{
    struct slot_use *use = NULL;
    size_t room = 0;
    struct table_words w;
    *n = 0;
    for (size_t r = 0; r < roots; r++) {
        const uint32_t cell = cell_of(g, g->root[r]);
        const unsigned slots =
            cell != NO_CELL && g->level[cell] == pv_top_level(g->v) ? table_read(g, cell, &w) : 0;
        if (*n + slots > room) {
            room = *n + slots + room / 2 + SLOTS;
            struct slot_use *grown = reallocarray(use, room, sizeof(*grown));
            if (!grown) {
                free(use);
                return pv_no_memory(g->e);
            }
            use = grown;
        }
        for (unsigned i = 0; i < slots; i++)
            if (w.word[i])
                use[(*n)++] = (struct slot_use){pte_frame(w.word[i]).n, (uint32_t)r, (uint16_t)i};
    }
    if (*n)
        qsort(use, *n, sizeof(*use), compare_use);
    *out = use;
    return 0;
}

static void add_number(struct json_object *array, uint64_t n)
{
    json_object_array_add(array, json_object_new_uint64(n));
}

static void tell_share(struct gathered *g, const struct slot_use *use, size_t n, size_t *named)
{
    bool slot[SLOTS] = {false};
    if (use[0].root == use[n - 1].root || *named > NAMES_MAX)
        return;
    struct json_object *o = json_object_new_object(), *slots = json_object_new_array(),
                       *roots = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        slot[use[i].slot] = true;
        if (i == 0 || use[i].root != use[i - 1].root)
            add_number(roots, use[i].root);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (slot[i])
            add_number(slots, i);
    *named += json_object_array_length(roots);
    put_number(o, "mfn", use[0].table);
    put_cell(o, "cell", cell_of(g, mfn(use[0].table)));
    put_int(o, "level", pv_top_level(g->v) - 1);
    put(o, "slots", slots);
    put(o, "roots", roots);
    json_object_array_add(g->shares, o);
}

static int tell_shares(struct gathered *g, size_t roots)
{
    struct slot_use *use;
    size_t n, named = 0;
    g->shares = json_object_new_array();
    if (list_uses(g, roots, &use, &n))
        return -1;
    for (size_t i = 0, next; i < n; i = next) {
        for (next = i + 1; next < n && use[next].table == use[i].table;)
            next++;
        tell_share(g, &use[i], next - i, &named);
    }
    if (named > NAMES_MAX)
        leave_out(g, "some of what roots share");
    free(use);
    return 0;
}

int roots_tell(struct gathered *g)
{
    const size_t n = g->roots < ROOTS_MAX ? g->roots : ROOTS_MAX;
    struct reach *reach = calloc(n + 1, sizeof(*reach));
    bool complete;
    if (!reach)
        return pv_no_memory(g->e);
    if (n < g->roots)
        leave_out(g, "%zu of %zu roots", g->roots - n, g->roots);
    int rc = reach_all(g, reach, n, &complete);
    g->roots_are = json_object_new_array();
    for (size_t i = 0; rc == 0 && i < n; i++)
        json_object_array_add(g->roots_are, root_json(g, g->root[i], &reach[i], complete));
    free(reach);
    return rc ? -1 : tell_shares(g, n);
}
