/* SPDX-License-Identifier: MIT */
/*
 * Which pages are page tables. Known roots are gone down from; then every page that has the same
 * kernel's half as a known root, or the same hypervisor's slots, is a root as well: those of
 * processes that do not run.
 */
#include "portable.h"

#include <stdlib.h>

#include "glue.h"
#include "pte.h"

#define ENTRIES     GLUE_TABLE_ENTRIES
#define XENS_FIRST  GLUE_L4_RESERVED_FIRST
#define XENS        (GLUE_L4_RESERVED_LAST - GLUE_L4_RESERVED_FIRST + 1)
#define UPPER_FIRST (GLUE_L4_RESERVED_LAST + 1)
#define UPPER       (ENTRIES - UPPER_FIRST)

struct inference {
    const struct pv_view *v;
    uint8_t *level;
    uint64_t frames;
};

bool pv_is_xens_slot(unsigned level, unsigned slot)
{
    return level == 4 && slot >= GLUE_L4_RESERVED_FIRST && slot <= GLUE_L4_RESERVED_LAST;
}

uint64_t pv_tables_index(const struct pv_view *v, mfn_t m)
{
    if (!v->backend->owned(v, m))
        return NO_MFN.n;
    return v->backend->index_of ? v->backend->index_of(v, m) : m.n;
}

static unsigned entries_of(const struct pv_view *v, unsigned level)
{
    return v->width == 4 && level == 3 ? 4 : ENTRIES;
}

/* Each frame is gone down from once, at the level it is first come to at. */
static void mark(struct inference *f, mfn_t m, unsigned level)
{
    const uint64_t i = pv_tables_index(f->v, m);
    uint64_t entry[ENTRIES];
    if (i >= f->frames || f->level[i])
        return;
    f->level[i] = (uint8_t)level;
    if (level == 1 || !f->v->backend->read(f->v, m, 0, entry, sizeof(entry)))
        return;
    for (unsigned slot = 0; slot < entries_of(f->v, level); slot++)
        if (pte_present(entry[slot]) && !pv_is_xens_slot(level, slot) &&
            !pv_is_leaf(level, entry[slot]))
            mark(f, pte_frame(entry[slot]), level - 1);
}

/* ---- roots that nobody has loaded */

struct likeness {
    mfn_t root;
    uint64_t xens[XENS], upper[UPPER];
    bool has_xens, has_upper;
};

static bool any(const uint64_t *word, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (pte_present(word[i]))
            return true;
    return false;
}

static bool read_words(const struct pv_view *v, mfn_t m, unsigned first, uint64_t *to, unsigned n)
{
    return v->backend->read(v, m, first * 8, to, n * 8);
}

static bool take_likeness(const struct pv_view *v, struct likeness *l)
{
    l->root = v->kernel_root;
    if (v->width != 8 || mfn_eq(l->root, NO_MFN) ||
        !read_words(v, l->root, XENS_FIRST, l->xens, XENS) ||
        !read_words(v, l->root, UPPER_FIRST, l->upper, UPPER))
        return false;
    l->has_xens = pte_present(l->xens[0]);
    l->has_upper = any(l->upper, UPPER);
    return l->has_xens || l->has_upper;
}

/* A slot may map the root itself. */
static bool same_xens(const struct likeness *l, const uint64_t *word, mfn_t m)
{
    for (unsigned i = 0; i < XENS; i++)
        if (word[i] != l->xens[i] && !(pte_present(word[i]) && mfn_eq(pte_frame(word[i]), m) &&
                                       mfn_eq(pte_frame(l->xens[i]), l->root)))
            return false;
    return true;
}

/* What a kernel maps for itself all its roots have, but for what came after they were made. */
static bool same_upper(const struct likeness *l, const uint64_t *word)
{
    unsigned same = 0;
    for (unsigned i = 0; i < UPPER; i++) {
        const bool has = pte_present(word[i]), wants = pte_present(l->upper[i]);
        if (has && (!wants || !mfn_eq(pte_frame(word[i]), pte_frame(l->upper[i]))))
            return false;
        same += has && wants;
    }
    return same > 0;
}

static bool is_like(const struct pv_view *v, const struct likeness *l, mfn_t m)
{
    uint64_t word[UPPER];
    if (l->has_xens)
        return read_words(v, m, XENS_FIRST, word, XENS) && same_xens(l, word, m);
    return read_words(v, m, UPPER_FIRST, word, UPPER) && same_upper(l, word);
}

/* What it maps are the guest's own tables: what was a root once may be anything now. */
static bool is_plausible(const struct pv_view *v, mfn_t m)
{
    uint64_t entry[ENTRIES];
    if (!read_words(v, m, 0, entry, ENTRIES))
        return false;
    for (unsigned slot = 0; slot < ENTRIES; slot++)
        if (pte_present(entry[slot]) && !pv_is_xens_slot(4, slot) &&
            ((entry[slot] & PTE_PSE) || !v->backend->owned(v, pte_frame(entry[slot]))))
            return false;
    return true;
}

static void mark_alike(struct inference *f)
{
    const struct pv_backend *b = f->v->backend;
    struct likeness l;
    if (!take_likeness(f->v, &l))
        return;
    for (mfn_t m = b->next_owned(f->v, mfn(0)); !mfn_eq(m, NO_MFN);
         m = b->next_owned(f->v, mfn(m.n + 1)))
        if (!(b->blank && b->blank(f->v, m)) && is_like(f->v, &l, m) && is_plausible(f->v, m))
            mark(f, m, 4);
}

int pv_tables_infer(const struct pv_view *v, uint8_t *level, uint64_t frames, struct pv_error *e)
{
    struct inference f = {v, level, frames};
    mfn_t *root;
    size_t n;
    if (pv_roots(v, &root, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        mark(&f, root[i], pv_top_level(v));
    free(root);
    mark_alike(&f);
    return 0;
}
