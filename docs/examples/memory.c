/* SPDX-License-Identifier: MIT */
/*
 * What a kernel can know and change of its memory: the map, what is free, p2m, tables.
 */
#include <pvguest/pvguest.h>
#include <xen/features.h>
#include <xen/sched.h>

#define OURS    0x100000000000ull
#define SCREEN  0xb8000ull /* of the machine: the initial domain's */
#define LOW     1024ull    /* pages */
#define HIGHEST (1ull << 34)

static void check(struct pvguest *g, bool right, const char *what)
{
    if (!right)
        pvg_fatal(g, what);
}

/* ---- what there is */

static void say_domain(struct pvguest *g)
{
    const start_info_t *si = pvg_start_info(g);
    char words[64];
    pvg_format(words, sizeof(words), "%s, %lu pages", si->magic, si->nr_pages);
    pvg_print(g, "memory: %s, %s; shared_info %s; words: \"%s\"\n", words,
              pvg_is_initial_domain(g) ? "the initial domain" : "a domain",
              pvg_shared_info(g) ? "is there" : "is missing", pvg_command_line(g));
    if (!pvg_feature(g, XENFEAT_mmu_pt_update_preserve_ad))
        pvg_print(g, "memory: the hypervisor may lose accessed and dirty bits\n");
}

static void say_memory(struct pvguest *g)
{
    struct pvg_memory_info info;
    const struct pvg_e820 *map = pvg_memory_map(g);
    const struct pvg_memblock *m = pvg_memblock_of(g);
    pvg_memory_info(g, &info);
    pvg_print(g, "memory: %lu pages in use as RAM, %u entries of the map\n", info.pages,
              map->count);
    const struct pvg_range below = {0, LOW};
    uint64_t page = pvg_memblock_find(m, 1, 1, below, PVG_BOTTOM_UP);
    pvg_print(g, "memory: %s free below page %lu; all in all: %s\n",
              page == PVG_NONE ? "none" : "some", (uint64_t)LOW,
              pvg_memblock_free_pages(m) == pvg_pages_free(g) ? "as counted" : "miscounted");
}

/* ---- lists of ranges, for a kernel's own use */

static struct pvg_e820 map, room;
static struct pvg_regions ram;
static struct pvg_memblock own;

static void ranges(struct pvguest *g)
{
    unsigned bad;
    map = *pvg_memory_map(g);
    check(g, pvg_e820_sanitise(&map, &room, &bad) == 0, "the map");
    check(g, pvg_e820_ram(&map, HIGHEST, &ram) == 0, "RAM of the map");
    check(g, pvg_regions_holds(&ram, 256), "page 256");
    check(g, pvg_regions_remove(&ram, 256, 257) == 0 && !pvg_regions_holds(&ram, 256), "a hole");
    check(g, ram.at[pvg_regions_search(&ram, 256)].from >= 257, "what is above it");
    check(g, pvg_regions_add(&ram, 256, 257) == 0, "no hole");
    check(g, pvg_memblock_add(&own, 0, pvg_regions_pages(&ram)) == 0, "a memblock");
    check(g, pvg_memblock_reserve(&own, 0, 16) == 0, "in use");
    check(g, pvg_memblock_free(&own, 8, 8) == 0, "half of it no more");
    check(g, pvg_memblock_remove(&own, 8, 8) == 0, "and gone");
}

/* ---- p2m */

static uint64_t lookup(struct pvguest *g, pvg_pfn_t page)
{
    struct pvg_p2m_info info;
    pvg_p2m_info(g, &info);
    return info.layout == PVG_P2M_LINEAR ? pvg_p2m_linear(g, page) : pvg_p2m_entry(g, page);
}

static void numbers(struct pvguest *g, pvg_pfn_t page)
{
    pvg_mfn_t frame = pvg_p2m_mfn(g, page);
    check(g, pvg_m2p(g, frame).n == page.n, "there and back");
    check(g, lookup(g, page) == frame.n, "the look-up");
    check(g, pvg_p2m_entry_slow(g, pvg_pfn(HIGHEST)) == PVG_P2M_MISSING, "beyond");
    check(g, pvg_page_of(g, pvg_page(g, page)).n == page.n, "the direct map");
    check(g, pvg_p2m_set(g, page, frame.n) == 0, "an entry");
}

/* Pages that are no memory of ours, but the machine's frame of the same number. */
static void identity(struct pvguest *g)
{
    const struct pvg_range range = {HIGHEST - 512, HIGHEST};
    check(g, pvg_p2m_set_identity(g, range) == 0, "identity");
    check(g, pvg_p2m_entry(g, pvg_pfn(range.from)) & PVG_P2M_IDENTITY, "identity marked");
}

/* ---- tables */

static void entries(struct pvguest *g, pvg_pfn_t first)
{
    const uint64_t flags = PVG_PTE_DATA;
    struct pvg_walk w, same;
    check(g, pvg_map(g, OURS, first, 2, flags) == 0, "mapping");
    pvg_walk(g, OURS, &w);
    pvg_walk_from(g, pvg_root(g), OURS, &same);
    check(g, w.mapped && w.at[1].at.a == same.at[1].at.a, "the walk");

    /* Both at once, when lazy mode is left. */
    pvg_lazy_enter(g);
    pvg_set_va(g, OURS, 0);
    pvg_set_entry(g, w.at[1].at, pvg_pte(pvg_p2m_mfn(g, first), flags));
    check(g, pvg_lazy_leave(g) == 0, "two updates");

    /* Refused: the root is a table, and none of those is to be writable. */
    pvg_set_va(g, OURS, pvg_pte(pvg_root(g), flags));
    check(g, pvg_lazy_flush(g) == 0 && pvg_batch_error(g)->code != 0, "a refusal");
    pvg_print(g, "memory: %s\n", pvg_reason(g));
    check(g, pvg_unmap(g, OURS, 2) == 0, "unmapping");
}

static void views(struct pvguest *g, pvg_pfn_t page)
{
    check(g, pvg_page_read_only(g, page) == 0, "read-only");
    pvg_walk_print(g, (uint64_t)pvg_page(g, page));
    check(g, pvg_page_writable(g, page) == 0, "writable");
    const struct pvg_range again = {page.n, page.n + 1};
    check(g, pvg_direct_map(g, again) == 0, "mapped there already");
}

/* The machine's memory: of a domain without devices, only its own. */
static void machine(struct pvguest *g, pvg_pfn_t page)
{
    pvg_maddr_t at = {SCREEN};
    if (!pvg_is_initial_domain(g))
        at.a = pvg_p2m_mfn(g, page).n << PVG_PAGE_SHIFT;
    void *va = pvg_early_ioremap(g, at, 80, 0);
    check(g, va != NULL, "early ioremap");
    check(g, pvg_early_iounmap(g, va) == 0, "and away");
}

void kernel_main(const start_info_t *si)
{
    struct pvg_options options;
    struct pvguest *g = pvg_start(si);
    pvg_pfn_t first;
    pvg_options_default(&options);
    if (pvg_boot(g, &options))
        pvg_fatal(g, "boot");
    say_domain(g);
    say_memory(g);
    ranges(g);
    identity(g);
    check(g, pvg_pages_take(g, 2, 2, &first) == 0, "pages");
    numbers(g, first);
    entries(g, first);
    views(g, first);
    machine(g, first);
    check(g, pvg_pages_give(g, first, 2) == 0, "pages");
    pvg_print(g, "memory: all is well\n");
    pvg_shutdown(g, SHUTDOWN_reboot);
}
