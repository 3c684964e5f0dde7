/* SPDX-License-Identifier: MIT */
/* Single tables, that the caller fills: taken, attached, detached, given. */
#include "roots.h"

/* ---- taking and giving */

static int alloc(struct pvguest *g, pvg_pfn_t *table)
{
    struct spaces *s = &g->spaces;
    if (!g->booted)
        return fail(g, -XEN_EINVAL, "pvg_boot() has not been done");
    if (s->nr_allocated == PVG_TABLES_MAX)
        return fail(g, -XEN_ENOSPC, "all of %u are in use", PVG_TABLES_MAX);
    int rc = tables_take(g, 1, table);
    if (rc == 0)
        s->allocated[s->nr_allocated++] = (struct allocated){*table, PVG_NO_PFN, false};
    return rc;
}

int pvg_table_alloc(struct pvguest *g, pvg_pfn_t *table)
{
    return fail_in(g, alloc(g, table), "allocating a table");
}

static bool is_parent(const struct spaces *s, pvg_pfn_t table)
{
    for (unsigned i = 0; i < s->nr_allocated; i++)
        if (same_pfn(s->allocated[i].parent, table))
            return true;
    return false;
}

static int check_loose(struct pvguest *g, pvg_pfn_t table, struct allocated **a)
{
    *a = allocated_of(g, table);
    if (*a == NULL)
        return fail(g, -XEN_EINVAL, "it is none");
    if (!same_pfn((*a)->parent, PVG_NO_PFN))
        return fail(g, -XEN_EBUSY, "it is attached");
    return 0;
}

int pvg_table_free(struct pvguest *g, pvg_pfn_t table)
{
    struct allocated *a;
    int rc = check_loose(g, table, &a);
    if (rc == 0 && is_parent(&g->spaces, table))
        rc = fail(g, -XEN_EBUSY, "a table is attached to it");
    if (rc)
        return fail_in(g, rc, "freeing the table pfn %lx", table.n);
    *a = g->spaces.allocated[--g->spaces.nr_allocated];
    tables_put(g, table, 1);
    return 0;
}

/* ---- where */

static int check_place(struct pvguest *g, const struct pvg_space *s, uint64_t va, unsigned level)
{
    int rc = flush_before(g);
    if (rc == 0)
        rc = check_addresses(g, va & ~(uint64_t)(PVG_PAGE_BYTES - 1), 1);
    if (rc == 0)
        rc = space_check(g, s);
    if (rc == 0 && s && va >= PVG_USER_END)
        rc = fail(g, -XEN_EINVAL, "not in the lower half");
    if (rc == 0 && (level < 1 || level > 3))
        rc = fail(g, -XEN_EINVAL, "no table of level %u is attached", level);
    return rc;
}

/* The entry that names, or is to name, a table of `level`. */
static int find_place(struct pvguest *g, struct pvg_space *s, uint64_t va, unsigned level,
                      struct place *p)
{
    struct pvg_walk w;
    int rc = check_place(g, s, va, level);
    if (rc)
        return rc;
    pvg_space_walk(g, s, va, &w);
    if (w.level == 0 || w.level > level + 1)
        return fail(g, -XEN_EINVAL, "no L%u table is there", level + 1);
    uint64_t at = w.at[level + 1].at.a;
    *p = (struct place){level + 1, pvg_mfn(at >> PVG_PAGE_SHIFT), slot_of(va, level + 1),
                        w.at[level + 1].entry};
    return 0;
}

/* ---- hooking. A table of an unpinned space is plain memory, and so must be what it hangs from. */

static int check_parent(struct pvguest *g, const struct pvg_space *s, uint64_t va,
                        const struct place *p)
{
    pvg_pfn_t table = space_root(g, s);
    struct pvg_walk w;
    if (!space_is_plain(s))
        return 0;
    pvg_walk_from(g, pvg_p2m_mfn(g, table), va, &w);
    for (unsigned level = 4; level > p->level; level--) {
        pvg_pfn_t next = pvg_m2p(g, pte_mfn(w.at[level].entry));
        if (table_belongs(g, table, next) == BELONGS_NOT)
            return fail(g, -XEN_EINVAL, "the L%u table pfn %lx is not the space's", level - 1,
                        next.n);
        table = next;
    }
    return 0;
}

static int set_place(struct pvguest *g, const struct pvg_space *s, uint64_t va,
                     const struct place *p, uint64_t entry)
{
    struct edits e;
    int rc = edits_begin(g, &e, 2, space_is_plain(s));
    if (rc)
        return rc;
    edits_hook(&e, s, p, EDIT_ONE, entry);
    rc = edits_make(&e);
    if (rc == 0 && entry == 0 && space_is_live(g, s, va))
        rc = fail_in(g, mmuext(g, MMUEXT_TLB_FLUSH_LOCAL, 0, 0), "flushing");
    if (rc)
        edits_undo(&e);
    edits_end(&e);
    return rc;
}

static void protect_again(struct pvguest *g, pvg_pfn_t table, bool writable)
{
    undo_begin(g);
    if (page_protect(g, table, writable) && page_protect(g, table, writable))
        pvg_fatal(g, "a table can be neither protected nor what it was");
    undo_end(g);
}

static int pin_one(struct pvguest *g, struct allocated *a, unsigned level)
{
    int rc = page_protect(g, a->table, false);
    if (rc)
        return rc;
    rc = mmuext(g, MMUEXT_PIN_L1_TABLE + level - 1, pvg_p2m_mfn(g, a->table).n, 0);
    if (rc)
        protect_again(g, a->table, true);
    a->pinned = rc == 0;
    return fail_in(g, rc, "pinning it as L%u", level);
}

static int unpin_one(struct pvguest *g, struct allocated *a, unsigned level)
{
    int rc = mmuext(g, MMUEXT_UNPIN_TABLE, pvg_p2m_mfn(g, a->table).n, 0);
    if (rc)
        return fail_in(g, rc, "unpinning it");
    rc = page_protect(g, a->table, true);
    if (rc) {
        undo_begin(g);
        mmuext_again(g, MMUEXT_PIN_L1_TABLE + level - 1, a->table);
        undo_end(g);
    }
    a->pinned = rc != 0;
    return rc;
}

/* ---- what is attached below it: as the space is, pinned or not */

struct below {
    uint64_t tables;
    bool made, other; /* any of the library's own; any that is not as wanted */
    bool pinned;
};

static int look_below(struct pvguest *g, const struct table_link *l, void *arg)
{
    struct below *b = arg;
    b->tables++;
    if (l->belongs == BELONGS_MADE)
        b->made = true;
    else
        b->other = b->other || allocated_of(g, l->table)->pinned != b->pinned;
    return 0;
}

static struct below below_of(struct pvguest *g, pvg_pfn_t table, unsigned level, bool pinned)
{
    struct below b = {.pinned = pinned};
    tables_visit(g, table, level, look_below, &b);
    return b;
}

/* ---- attaching */

static int attach(struct pvguest *g, struct pvg_space *s, uint64_t va, const struct place *p,
                  struct allocated *a)
{
    unsigned level = p->level - 1;
    bool plain = space_is_plain(s);
    struct below b = below_of(g, a->table, level, !plain);
    if (b.other)
        return fail(g, -XEN_EBUSY, "a table that is attached to it is %spinned",
                    plain ? "" : "not ");
    int rc = plain ? 0 : pin_one(g, a, level);
    if (rc)
        return rc;
    rc = set_place(g, s, va, p, pvg_pte(pvg_p2m_mfn(g, a->table), PVG_PTE_TABLE));
    if (rc) {
        undo_begin(g);
        if (!plain && unpin_one(g, a, level) && unpin_one(g, a, level))
            pvg_fatal(g, "a table can be neither attached nor unpinned");
        undo_end(g);
        return rc;
    }
    a->parent = pvg_m2p(g, p->table);
    if (s)
        s->tables += 1 + b.tables;
    return 0;
}

int pvg_table_attach(struct pvguest *g, struct pvg_space *s, uint64_t va, unsigned level,
                     pvg_pfn_t table)
{
    struct allocated *a;
    struct place p;
    int rc = check_loose(g, table, &a);
    if (rc == 0)
        rc = find_place(g, s, va, level, &p);
    if (rc == 0 && (p.entry & PVG_PTE_PRESENT))
        rc = fail(g, -XEN_EEXIST, "mfn %lx hangs there", pte_mfn(p.entry).n);
    if (rc == 0)
        rc = check_parent(g, s, va, &p);
    if (rc == 0)
        rc = attach(g, s, va, &p, a);
    return fail_in(g, rc, "attaching the table pfn %lx at %lx", table.n, va);
}

/* ---- detaching */

static int find_attached(struct pvguest *g, const struct place *p, struct allocated **a)
{
    pvg_pfn_t table = pvg_m2p(g, pte_mfn(p->entry));
    if (!(p->entry & PVG_PTE_PRESENT))
        return fail(g, -XEN_ENOENT, "nothing hangs there");
    *a = allocated_of(g, table);
    if (*a == NULL || !same_pfn((*a)->parent, pvg_m2p(g, p->table)))
        return fail(g, -XEN_EINVAL, "mfn %lx was not attached there", pte_mfn(p->entry).n);
    return 0;
}

static int detach(struct pvguest *g, struct pvg_space *s, uint64_t va, const struct place *p,
                  struct allocated *a)
{
    unsigned level = p->level - 1;
    struct below b = below_of(g, a->table, level, false);
    uint64_t span = 1ull << (PVG_PAGE_SHIFT + 9 * level), from = va & ~(span - 1);
    if (b.made)
        return fail(g, -XEN_EBUSY, "tables of pvg_space_map() hang from it");
    int rc = grants_none_within(g, s, from, from + (span - 1));
    if (rc == 0)
        rc = set_place(g, s, va, p, 0);
    if (rc)
        return rc;
    rc = a->pinned ? unpin_one(g, a, level) : 0;
    if (rc) {
        struct place empty = *p;
        empty.entry = 0;
        undo_begin(g);
        if (set_place(g, s, va, &empty, p->entry) && set_place(g, s, va, &empty, p->entry))
            pvg_fatal(g, "a table can be neither detached nor put back");
        undo_end(g);
        return rc;
    }
    a->parent = PVG_NO_PFN;
    if (s)
        s->tables -= 1 + b.tables;
    return 0;
}

int pvg_table_detach(struct pvguest *g, struct pvg_space *s, uint64_t va, unsigned level,
                     pvg_pfn_t *table)
{
    struct allocated *a = NULL;
    struct place p;
    int rc = find_place(g, s, va, level, &p);
    if (rc == 0)
        rc = find_attached(g, &p, &a);
    if (rc == 0)
        rc = check_parent(g, s, va, &p);
    if (rc == 0)
        rc = detach(g, s, va, &p, a);
    if (rc == 0)
        *table = a->table;
    return fail_in(g, rc, "detaching the L%u table of %lx", level, va);
}
