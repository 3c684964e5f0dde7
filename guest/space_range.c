/* SPDX-License-Identifier: MIT */
/*
 * Ranges of pages in a space: each operation looks through the range first, which tells whether it
 * can be done and how many entries it changes, then changes them.
 */
#include "roots.h"

struct range {
    struct pvguest *g;
    struct pvg_space *s;
    uint64_t va, last, count;
    bool plain;
    uint64_t first, flags;                     /* pages and what they are mapped with */
    bool same_pages;                           /* as are mapped already */
    int (*then)(struct pvguest *g, void *arg); /* tables alone; this is last, and may refuse */
    void *arg;
    int large; /* what a large page that is there is refused with */
    uint64_t nr_edits, nr_tables;
    struct table_rows tables;
    uint64_t next; /* of them */
    struct edits edits;
};

static uint64_t span(unsigned level)
{
    return 1ull << (PVG_PAGE_SHIFT + 9 * (level - 1)); /* bytes behind an entry */
}

static bool is_lower(const struct range *r)
{
    return r->va < PVG_USER_END;
}

/* ---- looking */

static int check_range(struct range *r)
{
    struct pvguest *g = r->g;
    int rc = check_addresses(g, r->va, r->count);
    if (rc == 0)
        rc = space_check(g, r->s);
    if (rc == 0 && r->s && r->va + r->count * PVG_PAGE_BYTES > PVG_USER_END)
        rc = fail(g, -XEN_EINVAL, "not in the lower half");
    if (rc == 0 && (r->flags & PVG_PTE_FRAME))
        rc = fail(g, -XEN_EINVAL, "flags %lx name a frame", r->flags);
    if (rc)
        return rc;
    r->last = r->va + r->count * PVG_PAGE_BYTES - 1;
    r->flags |= PVG_PTE_PRESENT;
    r->plain = space_is_plain(r->s);
    return flush_before(g);
}

/* Of what is mapped already, and is to be something else. */
static int check_there(struct range *r)
{
    int rc = check_range(r);
    return rc ? rc : grants_none_within(r->g, r->s, r->va, r->last);
}

static int check_pages(struct range *r)
{
    for (uint64_t i = 0; i < r->count; i++)
        if (pvg_p2m_entry(r->g, pvg_pfn(r->first + i)) == PVG_P2M_MISSING)
            return fail(r->g, -XEN_EINVAL, "pfn %lx is not populated", r->first + i);
    return 0;
}

/* The table that an entry names. In an unpinned space it must be the library's: others may well be
 * read-only. */
static int below(struct range *r, const struct place *p, uint64_t va, pvg_mfn_t *table)
{
    struct pvguest *g = r->g;
    *table = pte_mfn(p->entry);
    if (p->level < 4 && (p->entry & PVG_PTE_PSE))
        return fail(g, r->large, "%lx is in a large page", va);
    if (r->plain && table_belongs(g, pvg_m2p(g, p->table), pvg_m2p(g, *table)) == BELONGS_NOT)
        return fail(g, -XEN_EINVAL, "the L%u table mfn %lx is not the space's", p->level - 1,
                    table->n);
    return 0;
}

static int read_place(struct range *r, struct place *p)
{
    if (read_entry(r->g, p->table, p->slot, &p->entry))
        return 0;
    return fail(r->g, -XEN_EINVAL, "the L%u table mfn %lx cannot be read", p->level, p->table.n);
}

/* The L1 entry of va, or the first on the way that is not present. */
static int find_place(struct range *r, uint64_t va, struct place *p)
{
    pvg_mfn_t table = pvg_p2m_mfn(r->g, space_root(r->g, r->s));
    int rc = 0;
    for (unsigned level = 4; rc == 0; level--) {
        *p = (struct place){level, table, slot_of(va, level), 0};
        rc = read_place(r, p);
        if (rc || level == 1 || !(p->entry & PVG_PTE_PRESENT))
            break;
        rc = below(r, p, va, &table);
    }
    return rc;
}

/* What one L1 table, or one entry above that is not present, has of the range. */
typedef int each_piece(struct range *r, const struct place *p, uint64_t va, uint64_t last);

static int for_pieces(struct range *r, each_piece *each)
{
    for (uint64_t va = r->va;;) {
        struct place p;
        int rc = find_place(r, va, &p);
        if (rc)
            return rc;
        uint64_t last = va | (span(p.level == 1 ? 2 : p.level) - 1);
        if (last > r->last)
            last = r->last;
        rc = each(r, &p, va, last);
        if (rc || last == r->last)
            return rc;
        va = last + 1;
    }
}

static uint64_t entry_for(const struct range *r, uint64_t va, uint64_t old)
{
    if (r->then)
        return 0;
    if (r->same_pages)
        return pvg_pte(pte_mfn(old), r->flags);
    uint64_t pfn = r->first + ((va - r->va) >> PVG_PAGE_SHIFT);
    return pvg_pte(pvg_p2m_mfn(r->g, pvg_pfn(pfn)), r->flags);
}

/* The L1 entries of a piece. */
static int set_entries(struct range *r, const struct place *p, uint64_t va, uint64_t last)
{
    struct place at = *p;
    int rc = 0;
    for (; rc == 0 && va <= last && at.slot < ENTRIES; va += PVG_PAGE_BYTES, at.slot++) {
        rc = read_place(r, &at);
        if (rc == 0)
            edits_set(&r->edits, entry_address(at.table, at.slot), EDIT_ONE, at.entry,
                      entry_for(r, va, at.entry));
    }
    return rc;
}

/* Of an L4 entry below, the user root has the same. */
void edits_hook(struct edits *e, const struct pvg_space *s, const struct place *p,
                enum edit_how how, uint64_t entry)
{
    pvg_maddr_t at = entry_address(p->table, p->slot);
    if (p->level == 4 && p->slot >= SLOT_KERNEL) {
        edits_set(e, at, EDIT_ROOTS | how, p->entry, entry);
        return;
    }
    edits_set(e, at, how, p->entry, entry);
    if (p->level == 4 && s)
        edits_set(e, entry_address(pvg_p2m_mfn(e->g, s->user_root), p->slot), EDIT_ONE, p->entry,
                  entry);
}

/* ---- mapping: new tables are complete before anything names them */

/* Tables that [va, last] needs below an entry of `level` that is not present. */
static uint64_t tables_below(unsigned level, uint64_t va, uint64_t last)
{
    uint64_t n = 0;
    for (unsigned l = level; l > 1; l--)
        n += last / span(l) - va / span(l) + 1;
    return n;
}

static int look_to_map(struct range *r, const struct place *p, uint64_t va, uint64_t last)
{
    struct place at = *p;
    if (p->level > 1) {
        r->nr_tables += tables_below(p->level, va, last);
        r->nr_edits += 2;
        return 0;
    }
    for (; va <= last && at.slot < ENTRIES; va += PVG_PAGE_BYTES, at.slot++, r->nr_edits++) {
        int rc = read_place(r, &at);
        if (rc == 0 && (at.entry & PVG_PTE_PRESENT))
            rc = fail(r->g, -XEN_EEXIST, "%lx is mapped already, to mfn %lx", va,
                      pte_mfn(at.entry).n);
        if (rc)
            return rc;
    }
    return 0;
}

static pvg_pfn_t fill_table(struct range *r, unsigned level, uint64_t va, uint64_t last)
{
    pvg_pfn_t table = table_rows_at(&r->tables, r->next++);
    uint64_t at = page_va(r->g, table);
    for (;;) {
        uint64_t end = va | (span(level) - 1), entry;
        if (end > last)
            end = last;
        if (level == 1)
            entry = entry_for(r, va, 0);
        else
            entry = pvg_pte(pvg_p2m_mfn(r->g, fill_table(r, level - 1, va, end)), PVG_PTE_TABLE);
        store(r->g, at + slot_of(va, level) * sizeof(uint64_t), entry);
        if (end == last)
            return table;
        va = end + 1;
    }
}

static int fill_piece(struct range *r, const struct place *p, uint64_t va, uint64_t last)
{
    if (p->level > 1)
        fill_table(r, p->level - 1, va, last);
    return 0;
}

/* In the order in which they were filled. */
static int hook_piece(struct range *r, const struct place *p, uint64_t va, uint64_t last)
{
    if (p->level == 1)
        return r->then ? 0 : set_entries(r, p, va, last);
    edits_hook(&r->edits, r->s, p, EDIT_ONE,
               pvg_pte(pvg_p2m_mfn(r->g, table_rows_at(&r->tables, r->next)), PVG_PTE_TABLE));
    r->next += tables_below(p->level, va, last);
    return 0;
}

static int protect_new(struct range *r, bool writable)
{
    struct pvguest *g = r->g;
    if (r->plain)
        return 0;
    for (uint64_t i = 0; i < r->nr_tables; i++)
        page_protect_queued(g, table_rows_at(&r->tables, i), writable);
    return pvg_lazy_flush(g);
}

static int hook_all(struct range *r)
{
    r->next = 0;
    int rc = for_pieces(r, hook_piece);
    if (rc == 0)
        rc = edits_make(&r->edits);
    return rc || r->then == NULL ? rc : r->then(r->g, r->arg);
}

static int build(struct range *r)
{
    struct pvguest *g = r->g;
    r->next = 0;
    int rc = r->nr_tables ? for_pieces(r, fill_piece) : 0;
    if (rc == 0)
        rc = protect_new(r, false);
    if (rc == 0)
        rc = hook_all(r);
    if (rc == 0)
        return 0;
    edits_undo(&r->edits);
    undo_begin(g);
    if (protect_new(r, true) && protect_new(r, true))
        pvg_fatal(g, "tables can be neither hooked nor what they were");
    undo_end(g);
    return rc;
}

static int map_range(struct range *r)
{
    struct pvguest *g = r->g;
    int rc = for_pieces(r, look_to_map);
    if (rc == 0)
        rc = table_rows_take(g, r->nr_tables, &r->tables);
    if (rc)
        return rc;
    rc = edits_begin(g, &r->edits, r->nr_edits, r->plain);
    if (rc == 0) {
        rc = build(r);
        edits_end(&r->edits);
    }
    if (rc)
        table_rows_put(g, &r->tables);
    else if (r->s)
        r->s->tables += r->nr_tables;
    return rc;
}

int pvg_space_map(struct pvguest *g, struct pvg_space *s, uint64_t va, pvg_pfn_t first,
                  uint64_t count, uint64_t flags)
{
    struct range r = {.g = g, .s = s, .va = va, .count = count, .first = first.n, .flags = flags};
    r.large = -XEN_EEXIST;
    int rc = check_range(&r);
    if (rc == 0)
        rc = check_pages(&r);
    if (rc == 0)
        rc = map_range(&r);
    return fail_in(g, rc, "mapping %lu pages at %lx", count, va);
}

int space_with_tables(struct pvguest *g, uint64_t va, uint64_t count,
                      int (*then)(struct pvguest *g, void *arg), void *arg)
{
    struct pvg_space *s = va < PVG_USER_END ? pvg_space_loaded(g) : NULL;
    struct range r = {.g = g, .s = s, .va = va, .count = count, .then = then, .arg = arg};
    r.large = -XEN_EEXIST;
    int rc = check_range(&r);
    return rc ? rc : map_range(&r);
}

/* ---- changing what is mapped */

static int look_to_change(struct range *r, const struct place *p, uint64_t va, uint64_t last)
{
    struct place at = *p;
    for (; va <= last && at.slot < ENTRIES; va += PVG_PAGE_BYTES, at.slot++, r->nr_edits++) {
        int rc = read_place(r, &at);
        if (rc == 0 && !(at.entry & PVG_PTE_PRESENT))
            rc = fail(r->g, -XEN_ENOENT, "%lx is not mapped", va);
        if (rc)
            return rc;
    }
    return 0;
}

/* What was mapped by the range is not to be used any more. */
static int forget(struct range *r)
{
    if (!space_is_live(r->g, r->s, r->va))
        return 0;
    int rc = r->count == 1 ? mmuext(r->g, MMUEXT_INVLPG_LOCAL, r->va, 0)
                           : mmuext(r->g, MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    return fail_in(r->g, rc, "flushing");
}

static int change_range(struct range *r)
{
    int rc = for_pieces(r, look_to_change);
    if (rc == 0)
        rc = edits_begin(r->g, &r->edits, r->nr_edits, r->plain);
    if (rc)
        return rc;
    rc = for_pieces(r, set_entries);
    if (rc == 0)
        rc = edits_make(&r->edits);
    if (rc == 0)
        rc = forget(r);
    if (rc)
        edits_undo(&r->edits);
    edits_end(&r->edits);
    return rc;
}

int pvg_space_change(struct pvguest *g, struct pvg_space *s, uint64_t va, pvg_pfn_t first,
                     uint64_t count, uint64_t flags)
{
    struct range r = {.g = g, .s = s, .va = va, .count = count, .first = first.n, .flags = flags};
    r.large = -XEN_EINVAL;
    int rc = check_there(&r);
    if (rc == 0)
        rc = check_pages(&r);
    if (rc == 0)
        rc = change_range(&r);
    return fail_in(g, rc, "changing %lu pages at %lx", count, va);
}

int pvg_space_protect(struct pvguest *g, struct pvg_space *s, uint64_t va, uint64_t count,
                      uint64_t flags)
{
    struct range r = {.g = g, .s = s, .va = va, .count = count, .flags = flags};
    r.same_pages = true;
    r.large = -XEN_EINVAL;
    int rc = check_there(&r);
    if (rc == 0)
        rc = change_range(&r);
    return fail_in(g, rc, "protecting %lu pages at %lx", count, va);
}

/* ---- unmapping */

/* The part of the range that one table has: from the entry `first` to `last`. */
struct part {
    uint64_t va, last;
    unsigned slot, end;
};

static struct part part_of(unsigned level, uint64_t va, uint64_t last)
{
    return (struct part){va, last, slot_of(va, level), slot_of(last, level)};
}

static bool rest_is_empty(struct range *r, pvg_mfn_t table, const struct part *part)
{
    uint64_t e;
    for (unsigned slot = 0; slot < ENTRIES; slot++)
        if ((slot < part->slot || slot > part->end) &&
            (!read_entry(r->g, table, slot, &e) || e != 0))
            return false;
    return true;
}

/* While looking, counts alone. */
static void clear_entry(struct range *r, const struct place *p, bool table, bool look)
{
    r->nr_edits += 2;
    r->nr_tables += table;
    if (look)
        return;
    if (table)
        edits_hook(&r->edits, r->s, p, EDIT_TABLE, 0);
    else
        edits_set(&r->edits, entry_address(p->table, p->slot), EDIT_ONE, p->entry, 0);
}

static int clear_table(struct range *r, unsigned level, pvg_mfn_t table, uint64_t va, uint64_t last,
                       bool look, bool *empty);

/* *gone: nothing is left of it. */
static int clear_below(struct range *r, const struct place *p, uint64_t va, uint64_t last,
                       bool look, bool *gone)
{
    struct pvguest *g = r->g;
    pvg_mfn_t table;
    int rc = below(r, p, va, &table);
    if (rc == 0)
        rc = clear_table(r, p->level - 1, table, va, last, look, gone);
    *gone = *gone && is_lower(r) &&
            table_belongs(g, pvg_m2p(g, p->table), pvg_m2p(g, table)) == BELONGS_MADE;
    if (rc == 0 && *gone)
        clear_entry(r, p, true, look);
    return rc;
}

static int clear_table(struct range *r, unsigned level, pvg_mfn_t table, uint64_t va, uint64_t last,
                       bool look, bool *empty)
{
    struct part part = part_of(level, va, last);
    struct place p = {level, table, part.slot, 0};
    int rc = 0;
    *empty = true;
    for (; rc == 0 && p.slot <= part.end; p.slot++) {
        uint64_t end = va | (span(level) - 1);
        bool gone = true;
        rc = read_place(r, &p);
        if (rc == 0 && level > 1 && (p.entry & PVG_PTE_PRESENT))
            rc = clear_below(r, &p, va, end < last ? end : last, look, &gone);
        else if (rc == 0 && level == 1 && p.entry)
            clear_entry(r, &p, false, look);
        else
            gone = p.entry == 0;
        *empty = *empty && gone;
        va = end + 1;
    }
    *empty = rc == 0 && *empty && level < 4 && is_lower(r) && rest_is_empty(r, table, &part);
    return rc;
}

static int clear_range(struct range *r, bool look)
{
    bool empty;
    pvg_mfn_t root = pvg_p2m_mfn(r->g, space_root(r->g, r->s));
    r->nr_edits = r->nr_tables = 0;
    return clear_table(r, 4, root, r->va, r->last, look, &empty);
}

static int protect_gone(struct range *r, bool writable)
{
    struct pvguest *g = r->g;
    if (r->plain || r->nr_tables == 0)
        return 0;
    for (uint64_t i = 0; i < r->edits.count; i++) {
        struct edit e = edits_get(&r->edits, i);
        if (e.at & EDIT_TABLE)
            page_protect_queued(g, pvg_m2p(g, pte_mfn(e.old)), writable);
    }
    return pvg_lazy_flush(g);
}

static void put_gone(struct range *r)
{
    for (uint64_t i = 0; i < r->edits.count; i++) {
        struct edit e = edits_get(&r->edits, i);
        if (e.at & EDIT_TABLE)
            tables_put(r->g, pvg_m2p(r->g, pte_mfn(e.old)), 1);
    }
    if (r->s)
        r->s->tables -= r->nr_tables;
}

static int clear_and_free(struct range *r)
{
    struct pvguest *g = r->g;
    int rc = clear_range(r, false);
    if (rc == 0)
        rc = edits_make(&r->edits);
    if (rc == 0)
        rc = forget(r);
    if (rc == 0) {
        rc = protect_gone(r, true);
        if (rc) {
            undo_begin(g);
            if (protect_gone(r, false) && protect_gone(r, false))
                pvg_fatal(g, "tables can be neither freed nor what they were");
            undo_end(g);
        }
    }
    if (rc)
        edits_undo(&r->edits);
    else
        put_gone(r);
    return rc;
}

int pvg_space_unmap(struct pvguest *g, struct pvg_space *s, uint64_t va, uint64_t count)
{
    struct range r = {.g = g, .s = s, .va = va, .count = count, .large = -XEN_EINVAL};
    int rc = check_there(&r);
    if (rc == 0)
        rc = clear_range(&r, true);
    if (rc == 0)
        rc = edits_begin(g, &r.edits, r.nr_edits, r.plain);
    if (rc == 0) {
        rc = clear_and_free(&r);
        edits_end(&r.edits);
    }
    return fail_in(g, rc, "unmapping %lu pages at %lx", count, va);
}
