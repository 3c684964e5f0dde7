/* SPDX-License-Identifier: MIT */
/*
 * What the guest publishes for tools, as a tree of three levels, which both ways of publishing
 * have: a page of 512 elements (level 1), what names 512 of them (2), and what names those (3): the
 * frames of mfn_list_list, or the tables that map the linear list.
 */
#include "gather.h"

#include <string.h>

#include "jsonput.h"
#include "startinfo.h"

#define NODES_MAX 65536u
#define MISSING   (~0ull)
#define MARKS     (3ull << 62)

struct tree {
    struct gathered *g;
    struct pv_arch_info arch;
    bool linear, stale;
    mfn_t root; /* by which a linear list is seen, */
    gva_t va;   /* and where */
    uint64_t per_page;
    struct json_object *nodes;
    uint64_t end; /* of what is looked at */
    size_t node_3, node_2;
    uint64_t slot_3, slot_2; /* for which these are; ~0: none */
    mfn_t frame_2;
};

static uint64_t widen(const struct tree *t, uint64_t word)
{
    if (t->g->v->width == 8)
        return word ? word : MISSING;
    word &= 0xffffffff;
    if (word == 0 || word == 0xffffffff)
        return MISSING;
    return (word & 0x3fffffff) | (word >> 30) << 62;
}

static size_t add_node(struct tree *t, unsigned level, mfn_t m, uint64_t index, size_t parent,
                       uint64_t first, uint64_t present, const char *state, const char *text)
{
    struct json_object *o = json_object_new_object();
    const uint64_t pfns = level == 1   ? t->per_page
                          : level == 2 ? t->per_page * t->per_page
                                       : t->per_page * t->per_page * t->per_page;
    uint64_t last = first + pfns - 1;
    last = last < t->arch.max_pfn ? last : t->arch.max_pfn - 1;
    put_int(o, "level", level);
    put_number(o, "mfn", m.n);
    put_cell(o, "cell", mfn_eq(m, NO_MFN) ? NO_CELL : cell_of(t->g, m));
    put_int(o, "index", index);
    put_number(o, "parent", parent);
    put_int(o, "first_pfn", first);
    put_int(o, "last_pfn", last);
    put_int(o, "present", present);
    put_text(o, "state", state);
    put_text(o, "text", text);
    json_object_array_add(t->nodes, o);
    return json_object_array_length(t->nodes) - 1;
}

/* ---- the leaves */

struct leaf {
    uint64_t present, wrong, lacking;
};

static void compare_element(const struct tree *t, uint64_t p, uint64_t word, struct leaf *l)
{
    const mfn_t is = t->g->v->backend->mfn_of(t->g->v, pfn(p));
    const bool has = word != MISSING && (word & MARKS) == 0;
    l->present += has;
    if (t->stale)
        return;
    l->lacking += !has && !mfn_eq(is, NO_MFN);
    l->wrong += has && !mfn_eq(is, mfn(word)) &&
                !(t->g->v->backend->owned(t->g->v, mfn(word)) &&
                  t->g->v->backend->pfn_of(t->g->v, mfn(word)).n == p);
}

static bool compare_leaf(const struct tree *t, mfn_t m, uint64_t first, struct leaf *l)
{
    uint8_t page[PAGE_BYTES];
    const unsigned width = t->g->v->width;
    *l = (struct leaf){0};
    if (!t->g->v->backend->owned(t->g->v, m) ||
        !t->g->v->backend->read(t->g->v, m, 0, page, PAGE_BYTES))
        return false;
    for (uint64_t i = 0; i < t->per_page && first + i < t->arch.max_pfn; i++) {
        uint64_t word = 0;
        memcpy(&word, page + i * width, width);
        compare_element(t, first + i, widen(t, word), l);
    }
    return true;
}

static void add_leaf(struct tree *t, mfn_t m, uint64_t leaf)
{
    const uint64_t first = leaf * t->per_page;
    struct leaf l = {0};
    const bool there = !mfn_eq(m, NO_MFN);
    const bool readable = there && compare_leaf(t, m, first, &l);
    const bool differs = l.wrong || l.lacking;
    char text[96] = "";
    if (differs)
        snprintf(text, sizeof(text), "%llu elements have another frame, %llu have none",
                 (unsigned long long)l.wrong, (unsigned long long)l.lacking);
    add_node(t, 1, m, leaf % t->per_page, t->node_2, first, l.present,
             !there      ? "missing"
             : !readable ? "unreadable"
             : differs   ? "differs"
                         : "ok",
             text);
}

/* ---- the levels above */

static bool read_slot(const struct tree *t, mfn_t m, uint64_t slot, mfn_t *to)
{
    uint64_t word = 0;
    const unsigned width = t->g->v->width;
    *to = NO_MFN;
    if (!t->g->v->backend->owned(t->g->v, m) ||
        !t->g->v->backend->read(t->g->v, m, (unsigned)(slot * width), &word, width))
        return false;
    word = widen(t, word);
    *to = word == MISSING ? NO_MFN : mfn(word);
    return true;
}

/* A node that is not there, and a place for what would be below: the leaves are skipped. */
static const char *state_of(mfn_t m, bool readable)
{
    return !readable ? "unreadable" : mfn_eq(m, NO_MFN) ? "missing" : "ok";
}

static uint64_t leaf_of_tree(struct tree *t, uint64_t leaf)
{
    const uint64_t n = t->per_page, middle = leaf / n;
    mfn_t m;
    if (t->slot_3 != middle / n) {
        t->slot_3 = middle / n;
        m = mfn(t->arch.list_list);
        t->node_3 = add_node(t, 3, m, 0, SIZE_MAX, 0, 0,
                             state_of(m, t->g->v->backend->owned(t->g->v, m)), "");
    }
    if (t->slot_2 != middle) {
        t->slot_2 = middle;
        const bool readable = read_slot(t, mfn(t->arch.list_list), middle % n, &t->frame_2);
        const bool below =
            mfn_eq(t->frame_2, NO_MFN) || t->g->v->backend->owned(t->g->v, t->frame_2);
        t->node_2 = add_node(t, 2, t->frame_2, middle % n, t->node_3, middle * n * n, 0,
                             state_of(t->frame_2, readable && below), "");
    }
    if (mfn_eq(t->frame_2, NO_MFN) || !read_slot(t, t->frame_2, leaf % n, &m))
        return (middle + 1) * n;
    add_leaf(t, m, leaf);
    return leaf + 1;
}

static uint64_t leaf_of_linear(struct tree *t, uint64_t leaf)
{
    const uint64_t va = t->va.a + leaf * PAGE_BYTES, upper = va >> 30, lower = va >> 21;
    struct pv_walk w;
    const bool there = pv_walk(t->g->v, t->root, gva(va), &w);
    const uint64_t first = leaf * t->per_page;
    if (t->slot_3 != upper) {
        const bool has = w.level >= 1 && w.level <= 2;
        t->slot_3 = upper;
        t->node_3 =
            add_node(t, 3, has ? maddr_frame(w.at[2]) : NO_MFN, upper & 511, SIZE_MAX, first, 0,
                     has        ? "ok"
                     : w.absent ? "unreadable"
                                : "missing",
                     "");
    }
    if (t->slot_2 != lower) {
        const bool has = w.level == 1;
        t->slot_2 = lower;
        t->frame_2 = has ? maddr_frame(w.at[1]) : NO_MFN;
        t->node_2 = add_node(t, 2, t->frame_2, lower & 511, t->node_3, first, 0,
                             has        ? "ok"
                             : w.absent ? "unreadable"
                                        : "missing",
                             "");
    }
    if (!there && w.level != 1)
        return leaf + 512 - (va >> 12 & 511);
    add_leaf(t, there ? maddr_frame(w.to) : NO_MFN, leaf);
    return leaf + 1;
}

static int add_nodes(struct tree *t)
{
    const uint64_t leaves = t->arch.max_pfn / t->per_page + (t->arch.max_pfn % t->per_page != 0);
    t->slot_3 = t->slot_2 = ~0ull;
    for (uint64_t leaf = 0; leaf < leaves;) {
        if (json_object_array_length(t->nodes) >= NODES_MAX) {
            leave_out(t->g, "the published list from pfn %llx on",
                      (unsigned long long)(leaf * t->per_page));
            break;
        }
        leaf = t->linear ? leaf_of_linear(t, leaf) : leaf_of_tree(t, leaf);
        if (leaf % 64 == 0 && pv_tell(&t->g->o->progress, "lists", leaf, leaves, t->g->e))
            return -1;
    }
    return 0;
}

/* ---- the gaps */

static struct json_object *gap_json(const struct pv_gap *gap)
{
    static const char *const words[] = {[PV_GAP_BEYOND] = "beyond",
                                        [PV_GAP_MISSING] = "missing",
                                        [PV_GAP_DIFFERS] = "differs",
                                        [PV_GAP_UNREADABLE] = "unreadable"};
    struct json_object *o = json_object_new_object();
    char text[128];
    if (gap->kind == PV_GAP_DIFFERS)
        snprintf(text, sizeof(text), "is %llx, listed %llx", (unsigned long long)gap->is.n,
                 (unsigned long long)gap->listed.n);
    else
        snprintf(text, sizeof(text), "is %llx", (unsigned long long)gap->is.n);
    put_int(o, "first", gap->first.n);
    put_int(o, "last", gap->last.n);
    put_text(o, "what", words[gap->kind]);
    put_text(o, "text", text);
    return o;
}

static void add_publication(struct tree *t, struct json_object *o)
{
    struct json_object *gaps = json_object_new_array();
    struct pv_publication is = {0};
    struct pv_error ignored;
    if (!t->stale && pv_publication(t->g->v, &is, &ignored) == 0)
        for (uint64_t i = 0; i < is.gaps && i < PV_GAPS; i++)
            json_object_array_add(gaps, gap_json(&is.gap[i]));
    put_number(o, "covered", t->stale ? ~0ull : is.covered);
    put_int(o, "populated", t->stale ? t->g->v->nr_pages : is.populated);
    put_int(o, "gaps_in_all", is.gaps);
    put(o, "gaps", gaps);
}

int tree_tell(struct gathered *g)
{
    struct tree t = {.g = g,
                     .arch = {.p2m_root = NO_MFN},
                     .per_page = PAGE_BYTES / g->v->width,
                     .frame_2 = NO_MFN};
    struct pv_error ignored;
    enum pv_p2m_kind kind = PV_P2M_TREE;
    int rc = 0;
    g->tree = json_object_new_object();
    t.nodes = json_object_new_array();
    const bool published = g->s->lists && pv_arch_info_read(&t.arch, g->v, &ignored) == 0 &&
                           pv_p2m_publishes(g->s->lists, &kind);
    t.linear = kind == PV_P2M_LINEAR;
    t.stale = published && pv_p2m_source(g->s->lists, kind)->stale;
    if (!published || !t.linear || !pv_p2m_linear_at(g->s->lists, &t.root, &t.va)) {
        t.root = t.arch.p2m_root;
        t.va = gva(t.arch.p2m_vaddr);
    }
    put_text(g->tree, "kind", !published ? NULL : t.linear ? "linear" : "mfn_list_list");
    put_number(g->tree, "max_pfn", published ? t.arch.max_pfn : ~0ull);
    put_bool(g->tree, "stale", t.stale);
    if (published && !(t.stale && !t.linear))
        rc = add_nodes(&t);
    put(g->tree, "nodes", t.nodes);
    if (published && rc == 0)
        add_publication(&t, g->tree);
    return rc;
}
