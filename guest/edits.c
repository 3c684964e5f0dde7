/* SPDX-License-Identifier: MIT */
/*
 * Changes of entries, all of which are made or taken back: what each replaces is remembered. Here,
 * too, is the one place that sets L4 entries of the kernel half: they are the same in every root.
 */
#include "roots.h"

#define EDITS_OF_PAGE (PVG_PAGE_BYTES / sizeof(struct edit))
#define HOW           7u

/* ---- entries */

pvg_mfn_t kernel_root(struct pvguest *g)
{
    return g->own_root ? image_table_mfn(g, OWN_L4) : pvg_root(g);
}

static void put_plain(struct pvguest *g, pvg_maddr_t at, uint64_t entry)
{
    pvg_pfn_t table = pvg_m2p(g, pvg_mfn(at.a >> PVG_PAGE_SHIFT));
    store(g, page_va(g, table) + at.a % PVG_PAGE_BYTES, entry);
}

static void put(struct pvguest *g, bool plain, pvg_maddr_t at, uint64_t entry)
{
    if (plain)
        put_plain(g, at, entry);
    else
        batch_update(g, at.a, entry);
}

static void put_roots(struct pvguest *g, unsigned slot, uint64_t entry)
{
    put(g, false, entry_address(kernel_root(g), slot), entry);
    for (struct pvg_space *s = g->spaces.first; s; s = s->next)
        put(g, !s->pinned, entry_address(pvg_p2m_mfn(g, s->root), slot), entry);
}

static void put_how(const struct edits *e, uint64_t at, uint64_t entry)
{
    pvg_maddr_t plain_at = {at & ~(uint64_t)HOW};
    if (at & EDIT_ROOTS)
        put_roots(e->g, plain_at.a % PVG_PAGE_BYTES / sizeof(uint64_t), entry);
    else
        put(e->g, e->plain, plain_at, entry);
}

/* ---- what is remembered */

static uint64_t pages_for(uint64_t room)
{
    return room <= EDITS_ROOM ? 0 : (room + EDITS_OF_PAGE - 1) / EDITS_OF_PAGE;
}

static struct edit *edit_at(const struct edits *e, uint64_t i, enum port_access access)
{
    if (e->nr_pages == 0)
        return &e->g->spaces.edit[i];
    uint64_t va = page_va(e->g, pvg_pfn(e->pages.n + i / EDITS_OF_PAGE));
    return port_at(e->g, va + i % EDITS_OF_PAGE * sizeof(struct edit), access);
}

struct edit edits_get(const struct edits *e, uint64_t i)
{
    return *edit_at(e, i, PORT_READ);
}

/* ---- all of them */

int edits_begin(struct pvguest *g, struct edits *e, uint64_t room, bool plain)
{
    *e = (struct edits){.g = g, .plain = plain, .nr_pages = pages_for(room)};
    int rc = e->nr_pages ? pvg_pages_take(g, e->nr_pages, 1, &e->pages) : 0;
    if (rc)
        return fail_in(g, rc, "room to remember %lu entries", room);
    pvg_lazy_enter(g);
    return 0;
}

void edits_set(struct edits *e, pvg_maddr_t at, enum edit_how how, uint64_t old, uint64_t entry)
{
    *edit_at(e, e->count++, PORT_WRITE) = (struct edit){at.a | how, old};
    put_how(e, at.a | how, entry);
}

int edits_make(struct edits *e)
{
    return pvg_lazy_flush(e->g);
}

/* Each by itself: none is to keep others from being put back (R10). */
static void undo_singly(struct edits *e)
{
    for (uint64_t i = e->count; i-- > 0;) {
        struct edit old = edits_get(e, i);
        put_how(e, old.at, old.old);
        if (pvg_lazy_flush(e->g) == 0)
            continue;
        put_how(e, old.at, old.old);
        if (pvg_lazy_flush(e->g))
            pvg_fatal(e->g, "an entry of a page table can be neither changed nor put back");
    }
}

/* The last first: an entry of a table after what hooks the table. */
void edits_undo(struct edits *e)
{
    undo_begin(e->g);
    pvg_lazy_flush(e->g);
    for (uint64_t i = e->count; i-- > 0;) {
        struct edit old = edits_get(e, i);
        put_how(e, old.at, old.old);
    }
    if (pvg_lazy_flush(e->g))
        undo_singly(e);
    mmuext(e->g, MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    undo_end(e->g);
}

void edits_end(struct edits *e)
{
    struct pvguest *g = e->g;
    undo_begin(g);
    pvg_lazy_leave(g);
    if (e->nr_pages)
        tables_put(g, e->pages, e->nr_pages);
    undo_end(g);
}

/* ---- one L4 entry of the kernel half */

int root_set_slot(struct pvguest *g, unsigned slot, uint64_t entry)
{
    struct edits e;
    uint64_t old;
    if (!read_entry(g, kernel_root(g), slot, &old))
        return fail(g, -XEN_EINVAL, "the root mfn %lx cannot be read", kernel_root(g).n);
    int rc = edits_begin(g, &e, 1, false);
    if (rc)
        return rc;
    edits_set(&e, entry_address(kernel_root(g), slot), EDIT_ROOTS, old, entry);
    rc = edits_make(&e);
    if (rc)
        edits_undo(&e);
    edits_end(&e);
    return fail_in(g, rc, "slot %u of the roots", slot);
}
