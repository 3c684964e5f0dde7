/* SPDX-License-Identifier: MIT */
/*
 * Spaces: roots beside the kernel's own. Both roots of a space are pinned, or none is; so is what
 * was attached below them, on its own. The library's own tables are held by what names them.
 */
#include "roots.h"

/* ---- which there are */

static bool is_space(const struct pvguest *g, const struct pvg_space *s)
{
    const struct pvg_space *one = g->spaces.first;
    while (one && one != s)
        one = one->next;
    return one != NULL;
}

int space_check(struct pvguest *g, const struct pvg_space *s)
{
    return s == NULL || is_space(g, s) ? 0 : fail(g, -XEN_EINVAL, "not a space");
}

pvg_pfn_t space_root(struct pvguest *g, const struct pvg_space *s)
{
    return s ? s->root : pvg_m2p(g, kernel_root(g));
}

struct pvg_space *pvg_space_loaded(struct pvguest *g)
{
    pvg_mfn_t root = pvg_root(g);
    struct pvg_space *s = g->spaces.first;
    while (s && pvg_p2m_mfn(g, s->root).n != root.n)
        s = s->next;
    return s;
}

bool space_is_live(struct pvguest *g, const struct pvg_space *s, uint64_t va)
{
    return va >= PVG_USER_END || pvg_space_loaded(g) == s;
}

bool pvg_space_walk(struct pvguest *g, struct pvg_space *s, uint64_t va, struct pvg_walk *w)
{
    if (space_check(g, s))
        return false;
    pvg_walk_from(g, s ? pvg_p2m_mfn(g, s->root) : kernel_root(g), va, w);
    return true;
}

/* ---- pinning and unpinning */

/* Both, or none. */
static int pin_roots(struct pvguest *g, const struct pvg_space *s)
{
    int rc = mmuext(g, MMUEXT_PIN_L4_TABLE, pvg_p2m_mfn(g, s->root).n, 0);
    if (rc)
        return fail_in(g, rc, "pinning the root");
    rc = mmuext(g, MMUEXT_PIN_L4_TABLE, pvg_p2m_mfn(g, s->user_root).n, 0);
    if (rc == 0)
        return 0;
    undo_begin(g);
    mmuext_again(g, MMUEXT_UNPIN_TABLE, s->root);
    undo_end(g);
    return fail_in(g, rc, "pinning the user root");
}

static int unpin_roots(struct pvguest *g, const struct pvg_space *s)
{
    int rc = mmuext(g, MMUEXT_UNPIN_TABLE, pvg_p2m_mfn(g, s->user_root).n, 0);
    if (rc)
        return fail_in(g, rc, "unpinning the user root");
    rc = mmuext(g, MMUEXT_UNPIN_TABLE, pvg_p2m_mfn(g, s->root).n, 0);
    if (rc == 0)
        return 0;
    undo_begin(g);
    mmuext_again(g, MMUEXT_PIN_L4_TABLE, s->user_root);
    undo_end(g);
    return fail_in(g, rc, "unpinning the root");
}

static int protect_roots(struct pvguest *g, const struct pvg_space *s, bool writable)
{
    int rc = page_protect(g, s->root, writable);
    if (rc)
        return rc;
    rc = page_protect(g, s->user_root, writable);
    if (rc == 0)
        return 0;
    undo_begin(g);
    if (page_protect(g, s->root, !writable) && page_protect(g, s->root, !writable))
        pvg_fatal(g, "a root can be neither protected nor what it was");
    undo_end(g);
    return rc;
}

struct step {
    int (*make)(struct pvguest *g, const struct pvg_space *s);
    int (*undo)(struct pvguest *g, const struct pvg_space *s);
};

static int roots_read_only(struct pvguest *g, const struct pvg_space *s)
{
    return protect_roots(g, s, false);
}

static int roots_writable(struct pvguest *g, const struct pvg_space *s)
{
    return protect_roots(g, s, true);
}

static int tables_read_only(struct pvguest *g, const struct pvg_space *s)
{
    return tables_protect(g, s->root, 4, false);
}

static int tables_writable(struct pvguest *g, const struct pvg_space *s)
{
    return tables_protect(g, s->root, 4, true);
}

static int pin_attached(struct pvguest *g, const struct pvg_space *s)
{
    return tables_pin(g, s->root, 4, true);
}

static int unpin_attached(struct pvguest *g, const struct pvg_space *s)
{
    return tables_pin(g, s->root, 4, false);
}

/* From an unpinned space to a pinned one. Each step is made or not made. */
static const struct step pinning[] = {
    {tables_read_only, tables_writable},
    {roots_read_only, roots_writable},
    {pin_attached, unpin_attached},
    {pin_roots, unpin_roots},
};
#define STEPS (sizeof(pinning) / sizeof(pinning[0]))

static void surely(struct pvguest *g, const struct pvg_space *s,
                   int (*f)(struct pvguest *g, const struct pvg_space *s))
{
    undo_begin(g);
    if (f(g, s) && f(g, s))
        pvg_fatal(g, "a space can be neither pinned nor unpinned");
    undo_end(g);
}

static int pin_space(struct pvguest *g, struct pvg_space *s)
{
    unsigned i = 0;
    int rc = 0;
    while (i < STEPS && (rc = pinning[i].make(g, s)) == 0)
        i++;
    while (rc && i-- > 0)
        surely(g, s, pinning[i].undo);
    s->pinned = rc == 0;
    return rc;
}

static int unpin_space(struct pvguest *g, struct pvg_space *s)
{
    unsigned i = STEPS;
    int rc = 0;
    while (i > 0 && (rc = pinning[i - 1].undo(g, s)) == 0)
        i--;
    for (; rc && i < STEPS; i++)
        surely(g, s, pinning[i].make);
    s->pinned = rc != 0;
    return rc;
}

static int check_one(struct pvguest *g, const struct pvg_space *s)
{
    int rc = flush_before(g);
    if (rc == 0 && (s == NULL || !is_space(g, s)))
        rc = fail(g, -XEN_EINVAL, "not a space");
    return rc;
}

int pvg_space_pin(struct pvguest *g, struct pvg_space *s)
{
    int rc = check_one(g, s);
    if (rc == 0 && !s->pinned)
        rc = pin_space(g, s);
    return fail_in(g, rc, "pinning a space");
}

/* What is of the space alone goes, or is to be validated again: others' pages would not be. */
static int check_to_unpin(struct pvguest *g, const struct pvg_space *s)
{
    int rc = check_one(g, s);
    if (rc == 0 && pvg_space_loaded(g) == s)
        rc = fail(g, -XEN_EBUSY, "it is loaded");
    return rc ? rc : grants_none_within(g, s, 0, PVG_USER_END - 1);
}

int pvg_space_unpin(struct pvguest *g, struct pvg_space *s)
{
    int rc = check_to_unpin(g, s);
    if (rc == 0 && s->pinned)
        rc = unpin_space(g, s);
    return fail_in(g, rc, "unpinning a space");
}

/* ---- making one */

static int fill_root(struct pvguest *g, pvg_pfn_t root)
{
    pvg_mfn_t own = kernel_root(g);
    uint64_t va = page_va(g, root);
    for (unsigned slot = SLOT_KERNEL; slot < ENTRIES; slot++) {
        uint64_t e;
        if (!read_entry(g, own, slot, &e))
            return fail(g, -XEN_EINVAL, "the root mfn %lx cannot be read", own.n);
        if (e & PVG_PTE_PRESENT)
            store(g, va + slot * sizeof(uint64_t), pvg_pte(pte_mfn(e), PVG_PTE_TABLE));
    }
    return 0;
}

static int take_roots(struct pvguest *g, struct pvg_space *s)
{
    int rc = tables_take(g, 1, &s->root);
    if (rc)
        return rc;
    rc = tables_take(g, 1, &s->user_root);
    if (rc)
        tables_put(g, s->root, 1);
    return rc;
}

static void put_roots(struct pvguest *g, struct pvg_space *s)
{
    tables_put(g, s->root, 1);
    tables_put(g, s->user_root, 1);
    *s = (struct pvg_space){.root = PVG_NO_PFN, .user_root = PVG_NO_PFN};
}

static int make(struct pvguest *g, struct pvg_space *s)
{
    struct pvg_space new = {0};
    int rc = take_roots(g, &new);
    if (rc)
        return rc;
    rc = fill_root(g, new.root);
    if (rc == 0)
        rc = pin_space(g, &new);
    if (rc) {
        put_roots(g, &new);
        return rc;
    }
    new.next = g->spaces.first;
    *s = new;
    g->spaces.first = s;
    return 0;
}

int pvg_space_make(struct pvguest *g, struct pvg_space *s)
{
    int rc = 0;
    if (!g->booted)
        rc = fail(g, -XEN_EINVAL, "pvg_boot() has not been done");
    else if (s == NULL || is_space(g, s))
        rc = fail(g, -XEN_EINVAL, "it is one already");
    if (rc == 0)
        rc = flush_before(g);
    if (rc == 0)
        rc = make(g, s);
    return fail_in(g, rc, "making a space");
}

/* ---- ending one: all of it is plain memory then */

/* A table of the caller's is his again, with what it names. */
static int release(struct pvguest *g, const struct table_link *l, void *arg)
{
    (void)arg;
    bool callers = allocated_of(g, l->parent);
    if (l->belongs == BELONGS_ATTACHED) {
        if (!callers)
            allocated_of(g, l->table)->parent = PVG_NO_PFN;
        return 0;
    }
    if (callers)
        store(g, page_va(g, l->parent) + l->slot * sizeof(uint64_t), 0);
    tables_put(g, l->table, 1);
    return 0;
}

static void unlink_space(struct pvguest *g, struct pvg_space *s)
{
    struct pvg_space **at = &g->spaces.first;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
}

int pvg_space_end(struct pvguest *g, struct pvg_space *s)
{
    int rc = check_to_unpin(g, s);
    if (rc == 0 && s->pinned)
        rc = unpin_space(g, s);
    if (rc)
        return fail_in(g, rc, "ending a space");
    tables_visit(g, s->root, 4, release, NULL);
    unlink_space(g, s);
    put_roots(g, s);
    return 0;
}

/* ---- loading */

static int load_roots(struct pvguest *g, const struct pvg_space *s)
{
    struct mmuext_op op[2] = {{.cmd = MMUEXT_NEW_USER_BASEPTR}, {.cmd = MMUEXT_NEW_BASEPTR}};
    op[0].arg1.mfn = s ? pvg_p2m_mfn(g, s->user_root).n : 0;
    op[1].arg1.mfn = s ? pvg_p2m_mfn(g, s->root).n : kernel_root(g).n;
    int64_t rc = port_hypercall(__HYPERVISOR_mmuext_op, (uint64_t)op, 2, 0, DOMID_SELF, 0);
    return rc ? fail(g, (int)rc, "the roots mfn %lx and %lx: refused, %s", op[1].arg1.mfn,
                     op[0].arg1.mfn, error_name((int)rc))
              : 0;
}

static int load_space(struct pvguest *g, const struct pvg_space *s)
{
    const struct pvg_space *before = pvg_space_loaded(g);
    int rc = load_roots(g, s);
    if (rc == 0)
        return 0;
    undo_begin(g);
    if (load_roots(g, before) && load_roots(g, before))
        pvg_fatal(g, "neither a space nor the one before can be loaded");
    undo_end(g);
    return rc;
}

int pvg_space_load(struct pvguest *g, struct pvg_space *s)
{
    int rc = flush_before(g);
    if (rc == 0 && !g->booted)
        rc = fail(g, -XEN_EINVAL, "pvg_boot() has not been done");
    if (rc == 0)
        rc = space_check(g, s);
    if (rc == 0 && s && !s->pinned)
        rc = fail(g, -XEN_EBUSY, "it is not pinned");
    if (rc == 0)
        rc = load_space(g, s);
    return fail_in(g, rc, "loading a space");
}

/* ---- suspend */

static bool is_zero(struct pvguest *g, pvg_pfn_t page)
{
    const uint64_t *word = port_at(g, page_va(g, page), PORT_READ);
    uint64_t all = 0;
    for (unsigned i = 0; i < ENTRIES; i++)
        all |= word[i];
    return all == 0;
}

static int check_loose(struct pvguest *g)
{
    for (unsigned i = 0; i < g->spaces.nr_allocated; i++) {
        const struct allocated *a = &g->spaces.allocated[i];
        if (same_pfn(a->parent, PVG_NO_PFN) && !is_zero(g, a->table))
            return fail(g, -XEN_EBUSY, "the table pfn %lx has entries, and is attached nowhere",
                        a->table.n);
    }
    return 0;
}

static int release_held(struct pvguest *g)
{
    int rc = 0;
    for (struct pvg_space *s = g->spaces.first; s; s = s->next) {
        int one = s->held ? unpin_space(g, s) : 0;
        s->held = s->held && one;
        rc = rc ? rc : one;
    }
    return rc;
}

int spaces_suspend(struct pvguest *g)
{
    int rc = check_loose(g);
    for (struct pvg_space *s = g->spaces.first; rc == 0 && s; s = s->next) {
        if (s->pinned)
            continue;
        rc = pin_space(g, s);
        s->held = rc == 0;
    }
    if (rc) {
        undo_begin(g);
        if (release_held(g) && release_held(g))
            pvg_fatal(g, "a space can be neither pinned nor unpinned");
        undo_end(g);
    }
    return fail_in(g, rc, "spaces");
}

int spaces_resume(struct pvguest *g, bool elsewhere)
{
    (void)elsewhere; /* they are known by pages */
    return fail_in(g, release_held(g), "spaces");
}
