/* SPDX-License-Identifier: MIT */
/*
 * Suspends that are called off: the domain goes on where it is, as it was. Only with the word
 * `suspend` on the command line, which says that somebody will call them off (pvmm run --on-suspend
 * cancel): else they would be the end.
 */
#include "look.h"
#include "themes.h"

#include <pvguest/suspend.h>
#include <xen/memory.h>

#define BLOCKS      64u
#define BLOCK_PAGES 128u
#define SOME        10u

static bool asked_for(struct pvguest *g)
{
    static const char word[] = "suspend";
    const char *at = pvg_command_line(g);
    for (bool begins = true; *at; begins = *at++ == ' ') {
        unsigned n = 0;
        while (begins && word[n] && at[n] == word[n])
            n++;
        if (begins && !word[n] && (at[n] == ' ' || at[n] == 0))
            return true;
    }
    return false;
}

static bool possible(struct tap *t)
{
    if (pvg_is_initial_domain(t->g))
        tap_skip(t, "the initial domain's suspend is the machine's");
    else if (!asked_for(t->g))
        tap_skip(t, "without the word \"suspend\", nobody calls it off");
    return !t->skip[0];
}

/* ---- memory, each page with its own content */

struct memory {
    pvg_pfn_t block[BLOCKS];
    unsigned count;
};

static void fill(struct pvguest *g, struct memory *m)
{
    for (m->count = 0; m->count < BLOCKS; m->count++) {
        pvg_pfn_t *first = &m->block[m->count];
        if (pvg_pages_free(g) < 4 * BLOCK_PAGES || pvg_pages_take(g, BLOCK_PAGES, 1, first))
            return;
        uint64_t *word = pvg_page(g, *first);
        for (uint64_t i = 0; i < BLOCK_PAGES * WORDS; i++)
            word[i] = (first->n * WORDS + i) * 0x9e3779b97f4a7c15ull;
    }
}

static uint64_t add(uint64_t sum, uint64_t word)
{
    return (sum ^ word) * 0x100000001b3ull;
}

static uint64_t sum_of(struct pvguest *g, const struct memory *m)
{
    uint64_t sum = 0xcbf29ce484222325ull;
    for (unsigned b = 0; b < m->count; b++) {
        const uint64_t *word = pvg_page(g, m->block[b]);
        for (uint64_t i = 0; i < BLOCK_PAGES * WORDS; i++)
            sum = add(sum, word[i]);
    }
    return sum;
}

static int give(struct pvguest *g, struct memory *m)
{
    int rc = 0;
    while (m->count > 0 && rc == 0)
        rc = pvg_pages_give(g, m->block[--m->count], BLOCK_PAGES);
    return rc;
}

/* ---- all that is to stay */

struct state {
    uint64_t memory, p2m, free, root, pages;
    uint64_t list, p2m_cr3, max_pfn, generation;
    uint64_t shared, store, console, masked;
    struct pvg_p2m_info info;
};

static uint64_t p2m_sum(struct pvguest *g)
{
    struct pvg_p2m_info info;
    uint64_t sum = 0;
    pvg_p2m_info(g, &info);
    for (uint64_t pfn = 0; pfn < info.max_pfn + WORDS; pfn++)
        sum = add(sum, pvg_p2m_entry(g, pvg_pfn(pfn)));
    return sum;
}

static void look(struct pvguest *g, const struct memory *m, struct state *s)
{
    const start_info_t *si = pvg_start_info(g);
    const shared_info_t *shared = pvg_shared_info(g);
    *s = (struct state){.memory = sum_of(g, m), .p2m = p2m_sum(g), .free = pvg_pages_free(g)};
    s->root = pvg_root(g).n;
    s->pages = (uint64_t)reservation(g, XENMEM_current_reservation);
    s->list = shared->arch.pfn_to_mfn_frame_list_list;
    s->p2m_cr3 = shared->arch.p2m_cr3;
    s->max_pfn = shared->arch.max_pfn;
    s->generation = shared->arch.p2m_generation;
    s->masked = shared->vcpu_info[0].evtchn_upcall_mask;
    s->shared = si->shared_info;
    s->store = si->store_mfn;
    s->console = si->console.domU.mfn;
    pvg_p2m_info(g, &s->info);
}

static void check_same(struct tap *t, const struct memory *m, const struct state *before)
{
    struct state now;
    look(t->g, m, &now);
    CHECK_SAME(t, now.memory, before->memory);
    CHECK_SAME(t, now.p2m, before->p2m);
    CHECK_SAME(t, now.free, before->free);
    CHECK_SAME(t, now.root, before->root);
    CHECK_SAME(t, now.pages, before->pages);
    CHECK_SAME(t, now.list, before->list);
    CHECK_SAME(t, now.p2m_cr3, before->p2m_cr3);
    CHECK_SAME(t, now.max_pfn, before->max_pfn);
    CHECK_SAME(t, now.generation, before->generation);
    CHECK_SAME(t, now.masked, before->masked);
    CHECK_SAME(t, now.shared, before->shared);
    CHECK_SAME(t, now.store, before->store);
    CHECK_SAME(t, now.console, before->console);
    CHECK_SAME(t, now.info.tables, before->info.tables);
    CHECK_SAME(t, now.info.leaves, before->info.leaves);
    CHECK_SAME(t, now.info.populated, before->info.populated);
}

static void suspend(struct tap *t, const struct memory *m)
{
    enum pvg_resumed how = PVG_RESUMED;
    struct state before;
    look(t->g, m, &before);
    CHECK_OK(t, pvg_suspend(t->g, &how));
    CHECK_SAME(t, how, PVG_CANCELLED);
    check_same(t, m, &before);
}

/* ---- tests */

static void cancelled(struct tap *t)
{
    static struct memory m;
    if (!possible(t))
        return;
    uint64_t free = pvg_pages_free(t->g);
    fill(t->g, &m);
    CHECK(t, m.count > 0);
    for (unsigned i = 0; i < 2 && !t->failed; i++)
        suspend(t, &m);
    if (t->failed)
        return;
    CHECK_OK(t, give(t->g, &m));
    CHECK_SAME(t, pvg_pages_free(t->g), free);
}

static int64_t change(struct pvguest *g, unsigned command, xen_pfn_t *frame)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(r.extent_start, frame);
    return pvg_hypercall(g, __HYPERVISOR_memory_op, command, (uintptr_t)&r, 0, 0, 0);
}

static uint64_t view(pvg_pfn_t page)
{
    return PVG_DIRECT_BASE + page.n * PVG_PAGE_BYTES;
}

static void without_page(struct tap *t, pvg_pfn_t page)
{
    static const struct memory none;
    xen_pfn_t frame = pvg_p2m_mfn(t->g, page).n;
    CHECK_OK(t, pvg_set_va(t->g, view(page), 0));
    CHECK_OK(t, pvg_p2m_set(t->g, page, PVG_P2M_MISSING));
    CHECK_SAME(t, change(t->g, XENMEM_decrease_reservation, &frame), 1);
    suspend(t, &none);
    if (t->failed)
        return;
    CHECK_SAME(t, pvg_p2m_entry(t->g, page), PVG_P2M_MISSING);
    frame = page.n;
    CHECK_SAME(t, change(t->g, XENMEM_populate_physmap, &frame), 1);
    CHECK_OK(t, pvg_p2m_set(t->g, page, frame));
    CHECK_OK(t, pvg_set_va(t->g, view(page), pvg_pte(pvg_mfn(frame), PVG_PTE_DATA)));
}

/* A page that is not there. */
static void with_ballooned(struct tap *t)
{
    pvg_pfn_t page;
    if (!possible(t))
        return;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    without_page(t, page);
    if (!t->failed)
        CHECK_OK(t, pvg_pages_give(t->g, page, 1));
}

/* Marks in a leaf of its own. */
static void with_identity(struct tap *t)
{
    static const struct memory none;
    if (!possible(t))
        return;
    struct pvg_p2m_info info;
    pvg_p2m_info(t->g, &info);
    pvg_pfn_t first = missing_page(t->g, info.max_pfn);
    for (unsigned i = 0; i < SOME; i += 2)
        CHECK_OK(t, pvg_p2m_set(t->g, pvg_pfn(first.n + i), PVG_P2M_IDENTITY | (first.n + i)));
    suspend(t, &none);
    if (t->failed)
        return;
    for (unsigned i = 0; i < SOME; i += 2) {
        CHECK_SAME(t, pvg_p2m_entry(t->g, pvg_pfn(first.n + i)), PVG_P2M_IDENTITY | (first.n + i));
        CHECK_OK(t, pvg_p2m_set(t->g, pvg_pfn(first.n + i), PVG_P2M_MISSING));
    }
}

/* Nothing is asked of the hypervisor. */
static void refused(struct tap *t)
{
    if (pvg_is_initial_domain(t->g)) {
        CHECK_SAME(t, pvg_suspend(t->g, NULL), -XEN_EOPNOTSUPP);
        return;
    }
    pvg_lazy_enter(t->g);
    int rc = pvg_suspend(t->g, NULL);
    CHECK_OK(t, pvg_lazy_leave(t->g));
    CHECK_SAME(t, rc, -XEN_EBUSY);
    pvg_maddr_t at = {pvg_root(t->g).n << PVG_PAGE_SHIFT};
    void *va = pvg_early_ioremap(t->g, at, 8, 0);
    CHECK_SAY(t, va, "%s", pvg_reason(t->g));
    rc = pvg_suspend(t->g, NULL);
    CHECK_OK(t, pvg_early_iounmap(t->g, va));
    CHECK_SAME(t, rc, -XEN_EBUSY);
    CHECK_SAY(t, glob_fits("suspend: an early ioremap*", pvg_reason(t->g)), "the reason is \"%s\"",
              pvg_reason(t->g));
}

static const struct test tests[] = {
    {"refused", refused},
    {"cancelled", cancelled},
    {"with_ballooned", with_ballooned},
    {"with_identity", with_identity},
};

const struct theme suspend_theme = THEME("suspend", tests);
