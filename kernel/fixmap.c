/* SPDX-License-Identifier: MIT */
/* Early ioremap: machine memory by its address, whose it may be. */
#include "look.h"
#include "themes.h"

#define MAPPINGS 4u
#define BIOS     0xf0000ull
#define BIOS_END 0x100000ull
#define RESET    0xffff0ull /* the first instruction of a PC: a far jump */
#define FAR_JUMP 0xeau

static pvg_maddr_t address_of(struct pvguest *g, pvg_pfn_t page)
{
    return (pvg_maddr_t){pvg_p2m_mfn(g, page).n << PVG_PAGE_SHIFT};
}

static bool is_ours(struct pvguest *g, uint64_t mfn)
{
    pvg_pfn_t page = page_of_frame(g, pvg_mfn(mfn));
    return page.n != PVG_NO_PFN.n && pvg_page(g, page);
}

/* Frames of our own in a row; the first, or PVG_NONE. */
static uint64_t own_frames(struct pvguest *g, unsigned count)
{
    const struct pvg_regions *memory = &pvg_memblock_of(g)->memory;
    uint64_t first = pvg_p2m_mfn(g, pvg_pfn(memory->at[0].to / 2)).n, end = first + (1u << 18);
    unsigned n = 0;
    for (uint64_t mfn = first; mfn < end; mfn++) {
        n = is_ours(g, mfn) ? n + 1 : 0;
        if (n == count)
            return mfn + 1 - count;
    }
    return PVG_NONE;
}

static uint64_t first_difference(struct pvguest *g, uint64_t mfn, const volatile uint8_t *alias,
                                 uint64_t offset, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++) {
        uint64_t at = offset + i;
        const volatile uint8_t *page =
            (const volatile uint8_t *)frame_words(g, pvg_mfn(mfn + at / PVG_PAGE_BYTES));
        for (; i < bytes && offset + i < (at / PVG_PAGE_BYTES + 1) * PVG_PAGE_BYTES; i++)
            if (alias[i] != page[(offset + i) % PVG_PAGE_BYTES])
                return i;
        i--;
    }
    return PVG_NONE;
}

/* Bytes of frames in a row: the alias shows what they hold. */
static void shows(struct tap *t, uint64_t offset, uint64_t bytes)
{
    unsigned pages = (unsigned)((offset + bytes - 1) / PVG_PAGE_BYTES + 1);
    uint64_t mfn = own_frames(t->g, pages);
    CHECK_SAY(t, mfn != PVG_NONE, "no %u frames in a row", pages);
    void *va =
        pvg_early_ioremap(t->g, (pvg_maddr_t){(mfn << PVG_PAGE_SHIFT) + offset}, bytes, PVG_PTE_NX);
    CHECK_SAY(t, va, "%s", pvg_reason(t->g));
    uint64_t differs = first_difference(t->g, mfn, va, offset, bytes);
    bool behind = can_read(t->g, (uint64_t)va - offset % PVG_PAGE_BYTES + pages * PVG_PAGE_BYTES);
    CHECK_OK(t, pvg_early_iounmap(t->g, va));
    CHECK_SAME(t, (uint64_t)va % PVG_PAGE_BYTES, offset % PVG_PAGE_BYTES);
    CHECK_SAY(t, differs == PVG_NONE, "byte %lx differs", differs);
    CHECK_SAY(t, !behind, "the page behind it can be read");
    for (unsigned i = 0; i < pages; i++)
        CHECK_SAY(t, !can_read(t->g, ((uint64_t)va & ~0xfffull) + i * PVG_PAGE_BYTES),
                  "page %u can still be read", i);
}

static void one_page(struct tap *t)
{
    shows(t, 0, PVG_PAGE_BYTES);
}

static void across_a_border(struct tap *t)
{
    shows(t, 0xff0, 0x20);
}

static void part_of_a_page(struct tap *t)
{
    shows(t, 0x123, 5);
}

static void most_pages(struct tap *t)
{
    shows(t, 0, PVG_IOREMAP_PAGES_MAX * PVG_PAGE_BYTES);
}

static void both_ways(struct tap *t)
{
    pvg_pfn_t page;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    volatile uint64_t *direct = pvg_page(t->g, page);
    *direct = 1;
    volatile uint64_t *alias = pvg_early_ioremap(t->g, address_of(t->g, page), 8, PVG_PTE_RW);
    CHECK_SAY(t, alias, "%s", pvg_reason(t->g));
    uint64_t seen = *alias;
    *alias = 2;
    uint64_t came = *direct;
    CHECK_OK(t, pvg_early_iounmap(t->g, (void *)alias));
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
    CHECK_SAME(t, seen, 1);
    CHECK_SAME(t, came, 2);
}

/* ---- refused */

static void the_fifth(struct tap *t)
{
    void *va[MAPPINGS + 1];
    pvg_maddr_t at = address_of(t->g, pvg_pfn(0x100));
    unsigned given = 0, undone = 0;
    for (unsigned i = 0; i <= MAPPINGS; i++) {
        va[i] = pvg_early_ioremap(t->g, at, 8, PVG_PTE_NX);
        given += va[i] != NULL;
    }
    bool said = glob_fits("early ioremap of *: all 4 mappings are in use", pvg_reason(t->g));
    bool read = true;
    for (unsigned i = 0; i < MAPPINGS; i++) {
        read &= va[i] && can_read(t->g, (uint64_t)va[i]);
        undone += pvg_early_iounmap(t->g, va[i]) == 0;
    }
    CHECK_SAME(t, given, MAPPINGS);
    CHECK_SAME(t, va[MAPPINGS], NULL);
    CHECK(t, said);
    CHECK(t, read);
    CHECK_SAME(t, undone, MAPPINGS);
    for (unsigned i = 0; i < MAPPINGS; i++)
        CHECK(t, !can_read(t->g, (uint64_t)va[i]));
}

static void bad_sizes(struct tap *t)
{
    pvg_maddr_t at = address_of(t->g, pvg_pfn(0x100));
    static const uint64_t bytes[] = {0, 65 * PVG_PAGE_BYTES, 1ull << 52, ~0ull};
    for (unsigned i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
        CHECK_SAY(t, !pvg_early_ioremap(t->g, at, bytes[i], 0), "%lx bytes are mapped", bytes[i]);
    at.a += 1;
    CHECK(t, !pvg_early_ioremap(t->g, at, PVG_IOREMAP_PAGES_MAX * PVG_PAGE_BYTES, 0));
    CHECK(t, !pvg_early_ioremap(t->g, (pvg_maddr_t){1ull << 52}, 8, 0));
    CHECK(t, !pvg_early_ioremap(t->g, (pvg_maddr_t){~0ull}, 8, 0));
}

/* Writable, a table of ours is refused; and so the whole mapping. */
static void writable_table(struct tap *t)
{
    pvg_maddr_t at = {pvg_root(t->g).n << PVG_PAGE_SHIFT};
    CHECK(t, !pvg_early_ioremap(t->g, at, 8, PVG_PTE_RW));
    CHECK_SAY(t, glob_fits("early ioremap of *: fixmap slot *: *refused, *", pvg_reason(t->g)),
              "the reason is \"%s\"", pvg_reason(t->g));
    const volatile uint64_t *va = pvg_early_ioremap(t->g, at, 8, 0);
    CHECK_SAY(t, va, "%s", pvg_reason(t->g));
    CHECK_OK(t, pvg_early_iounmap(t->g, (void *)va));
}

static void bad_unmap(struct tap *t)
{
    char *va = pvg_early_ioremap(t->g, address_of(t->g, pvg_pfn(0x100)), 8, 0);
    CHECK_SAY(t, va, "%s", pvg_reason(t->g));
    CHECK_SAME(t, pvg_early_iounmap(t->g, NULL), -XEN_EINVAL);
    CHECK_SAME(t, pvg_early_iounmap(t->g, va + PVG_PAGE_BYTES), -XEN_EINVAL);
    CHECK_SAME(t, pvg_early_iounmap(t->g, pvg_page(t->g, pvg_pfn(0x100))), -XEN_EINVAL);
    CHECK_SAME(t, pvg_early_iounmap(t->g, (void *)pvg_shared_info(t->g)), -XEN_EINVAL);
    CHECK(t, can_read(t->g, (uint64_t)va));
    CHECK_OK(t, pvg_early_iounmap(t->g, va));
    CHECK_SAME(t, pvg_early_iounmap(t->g, va), -XEN_EINVAL);
}

/* ---- what is not RAM */

static void bios(struct tap *t)
{
    if (!pvg_is_initial_domain(t->g)) {
        CHECK(t, !pvg_early_ioremap(t->g, (pvg_maddr_t){BIOS}, BIOS_END - BIOS, 0));
        return;
    }
    const volatile uint8_t *va =
        pvg_early_ioremap(t->g, (pvg_maddr_t){BIOS}, BIOS_END - BIOS, PVG_PTE_NX);
    CHECK_SAY(t, va, "%s", pvg_reason(t->g));
    uint8_t first = va[RESET - BIOS];
    CHECK_OK(t, pvg_early_iounmap(t->g, (void *)va));
    CHECK_SAME(t, first, FAR_JUMP);
}

static const struct test tests[] = {
    {"one_page", one_page},
    {"across_a_border", across_a_border},
    {"part_of_a_page", part_of_a_page},
    {"most_pages", most_pages},
    {"both_ways", both_ways},
    {"the_fifth", the_fifth},
    {"bad_sizes", bad_sizes},
    {"writable_table", writable_table},
    {"bad_unmap", bad_unmap},
    {"bios", bios},
};

const struct theme fixmap_theme = THEME("fixmap", tests);
