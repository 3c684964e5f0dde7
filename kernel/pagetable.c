/* SPDX-License-Identifier: MIT */
/* The page tables in use, all of them: what they map, and how. */
#include "look.h"
#include "themes.h"

#include <pvguest/link.h>

#define HV_FIRST        256u /* slots of the root that are the hypervisor's (R6) */
#define HV_LAST         271u
#define ROOT            pvg_own_l4
#define PAGE_OF(symbol) pvg_page_of(t->g, (const void *)(symbol))

/* Read-only without being a table: the shared leaves of the linear p2m, and the shared tables above
 * them as long as there is no range, all alike, that they are hooked for. */
#define SHARED 6u

#define VECTOR_PF 14u
#define ERROR_P   1u /* of #PF: AMD64 APM vol. 2, 8.4.2 */
#define ERROR_W   2u

/* ---- a survey of all tables */

struct survey {
    struct pvguest *g;
    pvg_pfn_t bits_page;
    uint64_t bits_pages, pages;
    volatile uint64_t *is_table, *seen; /* a bit for each page */
    uint64_t tables, direct, read_only, others;
    const char *bad; /* NULL: nothing is wrong */
    uint64_t bad_va, bad_entry;
};

static bool bit(const volatile uint64_t *bits, uint64_t i)
{
    return bits[i / 64] >> i % 64 & 1;
}

/* Whether it was set. */
static bool set_bit(volatile uint64_t *bits, uint64_t i)
{
    bool was = bit(bits, i);
    bits[i / 64] |= 1ull << i % 64;
    return was;
}

static uint64_t bytes_of_bits(uint64_t pages)
{
    return (pages / 64 + 1) * sizeof(uint64_t);
}

static int survey_begin(struct survey *s, struct pvguest *g)
{
    struct pvg_p2m_info info;
    pvg_p2m_info(g, &info);
    *s = (struct survey){.g = g, .pages = info.max_pfn};
    uint64_t each = bytes_of_bits(s->pages) / PVG_PAGE_BYTES + 1;
    s->bits_pages = 2 * each;
    int rc = pvg_pages_take(g, s->bits_pages, 1, &s->bits_page);
    if (rc)
        return rc;
    s->is_table = pvg_page(g, s->bits_page);
    s->seen = s->is_table + each * WORDS;
    for (uint64_t i = 0; i < s->bits_pages * WORDS; i++)
        s->is_table[i] = 0;
    return 0;
}

static int survey_end(struct survey *s)
{
    return pvg_pages_give(s->g, s->bits_page, s->bits_pages);
}

static void find_fault(struct survey *s, const char *what, uint64_t va, uint64_t entry)
{
    if (s->bad)
        return;
    s->bad = what;
    s->bad_va = va;
    s->bad_entry = entry;
}

static uint64_t va_below(uint64_t va, unsigned level, unsigned slot)
{
    va += (uint64_t)slot << (PVG_PAGE_SHIFT + 9 * (level - 1));
    return level == 4 && slot >= HV_FIRST ? va | 0xffff000000000000ull : va;
}

static bool is_hypervisors(unsigned level, unsigned slot)
{
    return level == 4 && slot >= HV_FIRST && slot <= HV_LAST;
}

/* A table may hang in many places: it is gone into once. */
static void mark_tables(struct survey *s, unsigned level, pvg_mfn_t table, uint64_t va)
{
    pvg_pfn_t page = page_of_frame(s->g, table);
    const volatile uint64_t *word = frame_words(s->g, table);
    if (!word || page.n >= s->pages) {
        find_fault(s, "a table is none of our pages", va, table.n);
        return;
    }
    if (set_bit(s->is_table, page.n))
        return;
    s->tables++;
    for (unsigned i = 0; i < WORDS && level > 1; i++)
        if (word[i] & PVG_PTE_PRESENT && !is_hypervisors(level, i))
            mark_tables(s, level - 1, frame_of(word[i]), va_below(va, level, i));
}

/* ---- every mapping */

static void check_direct(struct survey *s, uint64_t va, uint64_t entry)
{
    uint64_t page = (va - PVG_DIRECT_BASE) >> PVG_PAGE_SHIFT;
    s->direct++;
    if (!pvg_regions_holds(&pvg_memblock_of(s->g)->memory, page))
        find_fault(s, "the direct map has what is no memory", va, entry);
    else if (m2p_own(frame_of(entry)) != page)
        find_fault(s, "the direct map has another page's frame", va, entry);
    else if (bit(s->is_table, page) && entry & PVG_PTE_RW)
        find_fault(s, "a table is writable in the direct map", va, entry);
    else if (!bit(s->is_table, page) && !(entry & PVG_PTE_RW)) {
        s->read_only++;
        if (is_free(s->g, page))
            find_fault(s, "a free page is read-only", va, entry);
    }
}

static void check_image(struct survey *s, uint64_t va, uint64_t entry)
{
    uint64_t page = (va - PVG_VIRT_BASE) >> PVG_PAGE_SHIFT;
    if (va < (uint64_t)pvg_image_start || va >= (uint64_t)pvg_image_end)
        find_fault(s, "mapped beside the image", va, entry);
    else if (m2p_own(frame_of(entry)) != page)
        find_fault(s, "the image has another page's frame", va, entry);
    else if (bit(s->is_table, page) == !!(entry & PVG_PTE_RW))
        find_fault(s, "a table is writable in the image, or another page is not", va, entry);
}

static void check_other(struct survey *s, uint64_t va, uint64_t entry)
{
    pvg_pfn_t page = page_of_frame(s->g, frame_of(entry));
    s->others++;
    if (page.n == PVG_NO_PFN.n && va < PVG_FIXMAP_BASE)
        find_fault(s, "a frame is none of ours", va, entry);
    else if (page.n < s->pages && bit(s->is_table, page.n) && entry & PVG_PTE_RW)
        find_fault(s, "a table is writable", va, entry);
}

static void check_mapping(struct survey *s, uint64_t va, uint64_t entry)
{
    if (va >= PVG_DIRECT_BASE && va < PVG_DIRECT_BASE + PVG_DIRECT_PFNS * PVG_PAGE_BYTES)
        check_direct(s, va, entry);
    else if (va >= PVG_VIRT_BASE && va < PVG_FIXMAP_BASE)
        check_image(s, va, entry);
    else
        check_other(s, va, entry);
}

static void check_tables(struct survey *s, unsigned level, pvg_mfn_t table, uint64_t va)
{
    const volatile uint64_t *word = frame_words(s->g, table);
    if (set_bit(s->seen, page_of_frame(s->g, table).n))
        return;
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t below = va_below(va, level, i);
        if (!(word[i] & PVG_PTE_PRESENT) || is_hypervisors(level, i))
            continue;
        if (level == 1)
            check_mapping(s, below, word[i]);
        else
            check_tables(s, level - 1, frame_of(word[i]), below);
    }
}

/* All tables are read-only wherever they are mapped (R2); the direct map has all of the memory,
 * nothing else, and data writable. */
static void all_tables(struct tap *t)
{
    struct survey s;
    CHECK_OK(t, survey_begin(&s, t->g));
    mark_tables(&s, 4, pvg_root(t->g), 0);
    if (!s.bad)
        check_tables(&s, 4, pvg_root(t->g), 0);
    CHECK_OK(t, survey_end(&s));
    CHECK_SAY(t, !s.bad, "%s: %lx is mapped by %lx", s.bad, s.bad_va, s.bad_entry);
    CHECK_SAME(t, s.direct, pvg_regions_pages(&pvg_memblock_of(t->g)->memory));
    CHECK_SAY(t, s.read_only <= SHARED, "%lu pages besides the tables are read-only", s.read_only);
    say(t->g, "# %lu page tables, %lu pages in the direct map, %lu elsewhere\n", s.tables, s.direct,
        s.others);
}

/* ---- looking */

static void maps_page(struct tap *t, uint64_t va, uint64_t page)
{
    struct pvg_walk w;
    pvg_walk(t->g, va, &w);
    CHECK_SAY(t, w.mapped && w.level == 1, "%lx is not mapped: level %u", va, w.level);
    CHECK_SAME(t, frame_of(w.at[1].entry).n, pvg_p2m_mfn(t->g, pvg_pfn(page)).n);
    CHECK_SAME(t, w.at[4].at.a >> PVG_PAGE_SHIFT, pvg_root(t->g).n);
    for (unsigned level = 4; level > 1; level--)
        CHECK_SAME(t, w.at[level - 1].at.a >> PVG_PAGE_SHIFT, frame_of(w.at[level].entry).n);
}

static void walks(struct tap *t)
{
    const struct pvg_regions *memory = &pvg_memblock_of(t->g)->memory;
    uint64_t last = memory->at[memory->count - 1].to - 1;
    maps_page(t, (uint64_t)pvg_image_start, PAGE_OF(pvg_image_start).n);
    if (!t->failed)
        maps_page(t, (uint64_t)pvg_image_end - 1, PAGE_OF((uint64_t)pvg_image_end - 1).n);
    if (!t->failed)
        maps_page(t, PVG_DIRECT_BASE + last * PVG_PAGE_BYTES, last);
    if (!t->failed)
        maps_page(t, PVG_DIRECT_BASE + 0x100 * PVG_PAGE_BYTES + 0xff8, 0x100);
}

/* Its frame is the hypervisor's. */
static void walk_fixmap(struct tap *t)
{
    struct pvg_walk w;
    pvg_walk(t->g, (uint64_t)pvg_shared_info(t->g), &w);
    CHECK(t, w.mapped);
    CHECK_SAME(t, frame_of(w.at[1].entry).n, pvg_start_info(t->g)->shared_info >> PVG_PAGE_SHIFT);
}

/* The tables are the hypervisor's. */
static void walk_m2p(struct tap *t)
{
    struct pvg_walk w;
    pvg_walk(t->g, MACH2PHYS_VIRT_START, &w);
    CHECK_SAME(t, w.level, 4);
    CHECK(t, !w.mapped);
    CHECK(t, w.at[4].entry & PVG_PTE_PRESENT);
    CHECK(t, can_read(t->g, MACH2PHYS_VIRT_START));
}

static void walk_nowhere(struct tap *t)
{
    static const struct {
        uint64_t va;
        unsigned level;
    } at[] = {
        {0x0000800000000000ull, 0}, {0xffff7fffffffffffull, 0}, {0x1234567812345678ull, 0},
        {0x123456789000ull, 4},     {PVG_FIXMAP_BASE, 1},
    };
    for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        struct pvg_walk w;
        pvg_walk(t->g, at[i].va, &w);
        CHECK_SAY(t, w.level == at[i].level && !w.mapped, "%lx: level %u%s", at[i].va, w.level,
                  w.mapped ? ", mapped" : "");
    }
}

static void page_addresses(struct tap *t)
{
    const struct pvg_regions *memory = &pvg_memblock_of(t->g)->memory;
    uint64_t end = memory->at[memory->count - 1].to;
    CHECK_SAME(t, pvg_page(t->g, pvg_pfn(5)), PVG_DIRECT_BASE + 5 * PVG_PAGE_BYTES);
    CHECK_SAME(t, pvg_page(t->g, pvg_pfn(end)), NULL);
    CHECK_SAME(t, pvg_page(t->g, PVG_NO_PFN), NULL);
    CHECK_SAME(t, PAGE_OF(PVG_DIRECT_BASE + 5 * PVG_PAGE_BYTES + 9).n, 5);
    CHECK_SAME(t, PAGE_OF(PVG_VIRT_BASE + 0x100 * PVG_PAGE_BYTES).n, 0x100);
    CHECK_SAME(t, PAGE_OF(PVG_DIRECT_BASE + end * PVG_PAGE_BYTES).n, PVG_NO_PFN.n);
    CHECK_SAME(t, PAGE_OF(pvg_image_end).n, PVG_NO_PFN.n);
    CHECK_SAME(t, PAGE_OF(0x1000).n, PVG_NO_PFN.n);
}

/* ---- the root */

static void own_root(struct tap *t)
{
    pvg_pfn_t page = page_of_frame(t->g, pvg_root(t->g));
    CHECK_SAME(t, page.n, PAGE_OF(ROOT).n);
    CHECK_SAME(t, ROOT[511] & PVG_PTE_PRESENT, 1);
    const volatile uint64_t *direct = pvg_page(t->g, page);
    for (unsigned i = 0; i < WORDS; i++)
        CHECK_SAY(t, direct[i] == ROOT[i], "slot %u is %lx and %lx", i, direct[i], ROOT[i]);
}

static int64_t pin(struct pvguest *g, unsigned command, pvg_mfn_t mfn)
{
    struct mmuext_op op = {.cmd = command};
    op.arg1.mfn = mfn.n;
    return pvg_hypercall(g, __HYPERVISOR_mmuext_op, (uintptr_t)&op, 1, 0, DOMID_SELF, 0);
}

/* A free page: writable, and without a type, so that it can be of another one. */
static void has_no_type(struct tap *t, pvg_pfn_t page)
{
    volatile uint64_t *word = pvg_page(t->g, page);
    CHECK_SAY(t, word, "page %lx is not in the direct map", page.n);
    for (unsigned i = 0; i < WORDS; i++)
        word[i] = 0;
    CHECK_OK(t, pvg_page_read_only(t->g, page));
    int64_t rc = pin(t->g, MMUEXT_PIN_L1_TABLE, pvg_p2m_mfn(t->g, page));
    int64_t undone = rc ? 0 : pin(t->g, MMUEXT_UNPIN_TABLE, pvg_p2m_mfn(t->g, page));
    CHECK_OK(t, pvg_page_writable(t->g, page));
    CHECK_SAY(t, rc == 0 && undone == 0, "page %lx: pinned %ld, unpinned %ld", page.n, rc, undone);
    word[0] = 1;
}

static void initial_tables_are_free(struct tap *t)
{
    const start_info_t *si = pvg_start_info(t->g);
    uint64_t first = (si->pt_base - PVG_VIRT_BASE) >> PVG_PAGE_SHIFT, free = 0;
    CHECK(t, first != PAGE_OF(ROOT).n);
    for (uint64_t page = first; page < first + si->nr_pt_frames && !t->failed; page++)
        if (is_free(t->g, page)) {
            has_no_type(t, pvg_pfn(page));
            free++;
        }
    CHECK_SAY(t, t->failed || free > 0, "none of %lu pages from %lx on is free", si->nr_pt_frames,
              first);
}

/* ---- faults */

static void do_store(void *arg)
{
    volatile uint64_t *word = arg;
    *word = *word;
}

static void cannot_write(struct tap *t, const volatile void *va)
{
    struct pvg_trap met;
    CHECK_SAY(t, !pvg_guarded(t->g, do_store, (void *)va, &met), "%lx can be written",
              (uint64_t)va);
    CHECK_SAME(t, met.vector, VECTOR_PF);
    CHECK_SAME(t, met.error & (ERROR_P | ERROR_W), ERROR_P | ERROR_W);
    CHECK_SAME(t, pvg_fault_address(t->g), va);
}

/* Stores into tables of the lowest level are emulated by hypervisors; the others are refused. */
static void store_to_table(struct tap *t)
{
    struct pvg_walk w;
    pvg_walk(t->g, PVG_DIRECT_BASE, &w);
    CHECK(t, w.mapped);
    for (unsigned level = 4; level > 1 && !t->failed; level--) {
        volatile uint64_t *word = frame_words(t->g, pvg_mfn(w.at[level].at.a >> PVG_PAGE_SHIFT));
        CHECK(t, word);
        cannot_write(t, &word[5]);
    }
    if (!t->failed)
        cannot_write(t, &ROOT[5]);
}

/* Xen emulates them for a domain that has asked; its initial domain need not. */
static int64_t ask_for_emulation(struct pvguest *g)
{
    return pvg_hypercall(g, __HYPERVISOR_vm_assist, VMASST_CMD_enable,
                         VMASST_TYPE_writable_pagetables, 0, 0, 0);
}

/* Two and two, without a word between: behind each the guest goes on at the next. */
static void store_to_lowest(struct tap *t)
{
    struct pvg_walk w;
    pvg_pfn_t page;
    CHECK_OK(t, ask_for_emulation(t->g));
    CHECK_OK(t, pvg_pages_take(t->g, 2, 2, &page));
    pvg_walk(t->g, (uint64_t)pvg_page(t->g, page), &w);
    CHECK(t, w.mapped);
    const pvg_maddr_t at = w.at[1].at;
    volatile uint64_t *entry = frame_words(t->g, pvg_mfn(at.a >> PVG_PAGE_SHIFT));
    CHECK(t, entry);
    entry += at.a % PVG_PAGE_BYTES / sizeof(*entry);
    const uint64_t first = entry[0], second = entry[1];
    entry[0] = first & ~PVG_PTE_RW;
    entry[1] = second & ~PVG_PTE_RW;
    CHECK_SAME(t, entry[0] & PVG_PTE_RW, 0);
    CHECK_SAME(t, entry[1] & PVG_PTE_RW, 0);
    entry[0] = first;
    entry[1] = second;
    CHECK_SAME(t, entry[0] & PVG_PTE_RW, PVG_PTE_RW);
    CHECK_SAME(t, entry[1] & PVG_PTE_RW, PVG_PTE_RW);
    CHECK_OK(t, pvg_pages_give(t->g, page, 2));
}

static void store_to_m2p(struct tap *t)
{
    cannot_write(t, (const void *)MACH2PHYS_VIRT_START);
}

/* ---- the direct map once more */

static void mapped_already(struct tap *t)
{
    const struct pvg_regions *memory = &pvg_memblock_of(t->g)->memory;
    uint64_t free = pvg_pages_free(t->g), end = memory->at[memory->count - 1].to;
    CHECK_OK(t, pvg_direct_map(t->g, (struct pvg_range){0, end}));
    CHECK_OK(t, pvg_direct_map(t->g, (struct pvg_range){0x100, 0x101}));
    CHECK_OK(t, pvg_direct_map(t->g, (struct pvg_range){end, end + 1000}));
    CHECK_SAME(t, pvg_direct_map(t->g, (struct pvg_range){5, 5}), -XEN_EINVAL);
    CHECK_SAME(t, pvg_direct_map(t->g, (struct pvg_range){0, PVG_DIRECT_PFNS + 1}), -XEN_EINVAL);
    CHECK_SAME(t, pvg_pages_free(t->g), free);
}

static void protection(struct tap *t)
{
    pvg_pfn_t page;
    CHECK_OK(t, pvg_pages_take(t->g, 1, 1, &page));
    volatile uint64_t *word = pvg_page(t->g, page);
    *word = 3;
    CHECK_OK(t, pvg_page_read_only(t->g, page));
    cannot_write(t, word);
    CHECK_OK(t, pvg_page_writable(t->g, page));
    if (!t->failed)
        CHECK_SAME(t, *word, 3);
    *word = 4;
    CHECK_OK(t, pvg_pages_give(t->g, page, 1));
    CHECK_SAME(t, pvg_page_read_only(t->g, PVG_NO_PFN), -XEN_EINVAL);
    CHECK(t, pvg_page_writable(t->g, PAGE_OF(ROOT)) != 0);
    cannot_write(t, &ROOT[5]);
}

static const struct test tests[] = {
    {"all_tables", all_tables},
    {"walks", walks},
    {"walk_fixmap", walk_fixmap},
    {"walk_m2p", walk_m2p},
    {"walk_nowhere", walk_nowhere},
    {"page_addresses", page_addresses},
    {"own_root", own_root},
    {"initial_tables_are_free", initial_tables_are_free},
    {"store_to_table", store_to_table},
    {"store_to_lowest", store_to_lowest},
    {"store_to_m2p", store_to_m2p},
    {"mapped_already", mapped_already},
    {"protection", protection},
};

const struct theme pagetable_theme = THEME("pagetable", tests);
