/* SPDX-License-Identifier: MIT */
/* Mapping pages anywhere: across the borders of tables, in both halves; and what is refused. */
#include "look.h"
#include "themes.h"

#include <pvguest/link.h>

#define SLOT(n)      ((uint64_t)(n) << 39 | ((n) >= 256 ? 0xffff000000000000ull : 0))
#define MIB          (1ull << 20)
#define GIB          (1ull << 30)
#define PAGES        3u
#define FLAGS        (PVG_PTE_RW | PVG_PTE_ACCESSED | PVG_PTE_DIRTY | PVG_PTE_NX)
#define REFUSED_SLOT 30u /* nothing may be left there */

/* ---- what is mapped is there */

static void mark(struct pvguest *g, pvg_pfn_t first, uint64_t value)
{
    for (unsigned i = 0; i < PAGES; i++)
        *(volatile uint64_t *)pvg_page(g, pvg_pfn(first.n + i)) = value + i;
}

static void same_bytes(struct tap *t, uint64_t va, pvg_pfn_t first)
{
    mark(t->g, first, va);
    for (unsigned i = 0; i < PAGES; i++) {
        volatile uint64_t *alias = (volatile uint64_t *)(va + i * PVG_PAGE_BYTES);
        const volatile uint64_t *page = pvg_page(t->g, pvg_pfn(first.n + i));
        CHECK_SAME(t, *alias, va + i);
        *alias = ~va;
        CHECK_SAME(t, *page, ~va);
    }
}

static void nothing_there(struct tap *t, uint64_t va, unsigned pages)
{
    for (unsigned i = 0; i < pages; i++)
        CHECK_SAY(t, !can_read(t->g, va + i * PVG_PAGE_BYTES), "%lx can be read",
                  va + i * PVG_PAGE_BYTES);
}

/* Tables stay: a second time takes none. */
static void map_twice(struct tap *t, uint64_t va, pvg_pfn_t first, uint64_t tables)
{
    uint64_t free = pvg_pages_free(t->g);
    CHECK_OK(t, pvg_map(t->g, va, first, PAGES, FLAGS));
    CHECK_SAY(t, free - pvg_pages_free(t->g) == tables, "%lx: %lu tables, not %lu", va,
              free - pvg_pages_free(t->g), tables);
    same_bytes(t, va, first);
    if (t->failed)
        return;
    CHECK_OK(t, pvg_unmap(t->g, va, PAGES));
    nothing_there(t, va, PAGES);
    if (t->failed)
        return;
    CHECK_OK(t, pvg_map(t->g, va, first, PAGES, FLAGS));
    CHECK_OK(t, pvg_unmap(t->g, va, PAGES));
    CHECK_SAME(t, free - pvg_pages_free(t->g), tables);
}

static void borders(struct tap *t)
{
    static const struct {
        uint64_t va, tables;
    } at[] = {
        {0x400000, 3},                            /* the first slot of the user's half */
        {SLOT(10) + 2 * MIB - PVG_PAGE_BYTES, 4}, /* two L1 tables */
        {SLOT(11) + GIB - PVG_PAGE_BYTES, 5},     /* two L2 tables */
        {SLOT(13) - PVG_PAGE_BYTES, 6},           /* two of each */
        {SLOT(256) - (PAGES + 1) * PVG_PAGE_BYTES - 0xffff000000000000ull, 3},
        {SLOT(272), 3}, /* the first behind the hypervisor's */
        {SLOT(440) + 2 * MIB - PVG_PAGE_BYTES, 4},
        {SLOT(441) + GIB - 2 * PVG_PAGE_BYTES, 5},
        {SLOT(450) - 2 * PVG_PAGE_BYTES, 6},
    };
    pvg_pfn_t first;
    CHECK_OK(t, pvg_pages_take(t->g, PAGES, 1, &first));
    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]) && !t->failed; i++)
        map_twice(t, at[i].va, first, at[i].tables);
    CHECK_OK(t, pvg_pages_give(t->g, first, PAGES));
}

/* Read-only is allowed for everything, tables too. */
static void root_read_only(struct tap *t)
{
    uint64_t va = SLOT(14);
    pvg_pfn_t root = pvg_page_of(t->g, (const void *)pvg_own_l4);
    CHECK_OK(t, pvg_map(t->g, va, root, 1, PVG_PTE_NX));
    uint64_t seen = ((const volatile uint64_t *)va)[511];
    CHECK_OK(t, pvg_unmap(t->g, va, 1));
    CHECK_SAME(t, seen, pvg_own_l4[511]);
}

/* ---- refused, and nothing changed */

static void refused(struct tap *t, uint64_t va, pvg_pfn_t first, uint64_t count, uint64_t flags,
                    int code)
{
    uint64_t free = pvg_pages_free(t->g);
    int rc = pvg_map(t->g, va, first, count, flags);
    CHECK_SAY(t, rc == code, "%lu pages at %lx: %d, not %d", count, va, rc, code);
    CHECK_SAY(t, glob_fits("mapping * pages at *: *", pvg_reason(t->g)), "the reason is \"%s\"",
              pvg_reason(t->g));
    CHECK_SAY(t, pvg_pages_free(t->g) == free, "%lu pages at %lx: %lu pages were free, now %lu",
              count, va, free, pvg_pages_free(t->g));
}

static void bad_addresses(struct tap *t)
{
    static const struct {
        uint64_t va, count;
    } at[] = {
        {SLOT(REFUSED_SLOT) + 8, 1}, {SLOT(REFUSED_SLOT), 0},
        {SLOT(REFUSED_SLOT), ~0ull}, {SLOT(REFUSED_SLOT), 1ull << 52},
        {0x0000800000000000ull, 1},  {0x0000800000000000ull - PVG_PAGE_BYTES, 2},
        {0x1000000000000000ull, 1},  {0xffff7ffffffff000ull, 1},
        {0xffff800000000000ull, 1},  {0xffff87fffffff000ull, 1},
        {0xffff87fffffff000ull, 2},  {0xfffffffffffff000ull, 2},
    };
    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]) && !t->failed; i++)
        refused(t, at[i].va, pvg_pfn(0x100), at[i].count, FLAGS, -XEN_EINVAL);
}

static void bad_pages(struct tap *t)
{
    struct pvg_p2m_info info;
    pvg_p2m_info(t->g, &info);
    refused(t, SLOT(REFUSED_SLOT), missing_page(t->g, info.max_pfn + 5000), 1, FLAGS, -XEN_EINVAL);
    if (!t->failed)
        refused(t, SLOT(REFUSED_SLOT), PVG_NO_PFN, 1, FLAGS, -XEN_EINVAL);
    if (!t->failed)
        refused(t, SLOT(REFUSED_SLOT), pvg_pfn(0x100), 1, FLAGS | PVG_PAGE_BYTES, -XEN_EINVAL);
    nothing_there(t, SLOT(REFUSED_SLOT), 1);
}

static void is_there_already(struct tap *t)
{
    uint64_t va = SLOT(15);
    pvg_pfn_t first;
    CHECK_OK(t, pvg_pages_take(t->g, PAGES, 1, &first));
    CHECK_OK(t, pvg_map(t->g, va + PVG_PAGE_BYTES, first, 1, FLAGS));
    refused(t, va, first, PAGES, FLAGS, -XEN_EEXIST);
    bool before = can_read(t->g, va), behind = can_read(t->g, va + 2 * PVG_PAGE_BYTES);
    CHECK_OK(t, pvg_unmap(t->g, va + PVG_PAGE_BYTES, 1));
    CHECK_OK(t, pvg_pages_give(t->g, first, PAGES));
    CHECK(t, !before && !behind);
    if (!t->failed)
        refused(t, PVG_VIRT_BASE + 0x100 * PVG_PAGE_BYTES, pvg_pfn(0x100), 1, FLAGS, -XEN_EEXIST);
}

/* The hypervisor refuses the second page, which is a table, writable: the first, and the new
 * tables, go again. */
static void undone(struct tap *t)
{
    uint64_t va = SLOT(REFUSED_SLOT);
    uint64_t root = pvg_page_of(t->g, (const void *)pvg_own_l4).n;
    struct pvg_walk w;
    refused(t, va, pvg_pfn(root - 1), 2, FLAGS, -XEN_EBUSY);
    if (t->failed)
        return;
    nothing_there(t, va, 2);
    pvg_walk(t->g, va, &w);
    CHECK_SAME(t, w.level, 4);
    CHECK_SAME(t, w.at[4].entry & PVG_PTE_PRESENT, 0);
}

/* The same where the L1 table is there already. */
static void undone_in_a_table(struct tap *t)
{
    uint64_t va = SLOT(16), root = pvg_page_of(t->g, (const void *)pvg_own_l4).n;
    CHECK_OK(t, pvg_map(t->g, va, pvg_pfn(0x100), 1, PVG_PTE_NX));
    refused(t, va + PVG_PAGE_BYTES, pvg_pfn(root - 1), 2, FLAGS, -XEN_EBUSY);
    bool left = can_read(t->g, va + PVG_PAGE_BYTES), stays = can_read(t->g, va);
    CHECK_OK(t, pvg_unmap(t->g, va, 1));
    CHECK(t, !left);
    CHECK(t, stays);
}

static void bad_unmap(struct tap *t)
{
    uint64_t free = pvg_pages_free(t->g);
    CHECK_SAME(t, pvg_unmap(t->g, SLOT(REFUSED_SLOT), 1), -XEN_EINVAL);
    CHECK_SAME(t, pvg_unmap(t->g, 0xffff800000000000ull, 1), -XEN_EINVAL);
    CHECK_SAME(t, pvg_unmap(t->g, 0x0000800000000000ull, 1), -XEN_EINVAL);
    CHECK_SAME(t, pvg_unmap(t->g, PVG_DIRECT_BASE + 1, 1), -XEN_EINVAL);
    CHECK_SAME(t, pvg_unmap(t->g, PVG_DIRECT_BASE, 0), -XEN_EINVAL);
    CHECK_SAME(t, pvg_pages_free(t->g), free);
}

static const struct test tests[] = {
    {"borders", borders},
    {"root_read_only", root_read_only},
    {"bad_addresses", bad_addresses},
    {"bad_pages", bad_pages},
    {"is_there_already", is_there_already},
    {"undone", undone},
    {"undone_in_a_table", undone_in_a_table},
    {"bad_unmap", bad_unmap},
};

const struct theme map_theme = THEME("map", tests);
