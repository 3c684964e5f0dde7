/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "guest.h"

static struct pvguest the_guest;
static char wrong[240];
static uint64_t good_searches; /* before those that fail */
static bool searches_fail, search_failed;

#define WRONG(...) (snprintf(wrong, sizeof(wrong), __VA_ARGS__), wrong)

struct pvguest *guest_start(struct machine *m)
{
    struct pvguest *g = &the_guest;
    memset(g, 0, sizeof(*g));
    guest_fail_search(0);
    search_failed = false;
    g->si_va = machine_start_info(m);
    return start_init(g) ? NULL : g;
}

const char *guest_reason(void)
{
    return the_guest.reason;
}

/* ---- pages that cannot be had */

void guest_fail_search(uint64_t n)
{
    searches_fail = n > 0;
    good_searches = n - 1;
    search_failed = search_failed && n == 0;
}

bool guest_search_failed(void)
{
    return search_failed;
}

/* The linker puts these around the library's calls of it. */
uint64_t __real_pvg_memblock_find(const struct pvg_memblock *m, uint64_t pages, uint64_t align,
                                  struct pvg_range within, enum pvg_direction direction);
uint64_t __wrap_pvg_memblock_find(const struct pvg_memblock *m, uint64_t pages, uint64_t align,
                                  struct pvg_range within, enum pvg_direction direction);

uint64_t __wrap_pvg_memblock_find(const struct pvg_memblock *m, uint64_t pages, uint64_t align,
                                  struct pvg_range within, enum pvg_direction direction)
{
    if (searches_fail && good_searches-- == 0) {
        good_searches = 0;
        search_failed = true;
        return PVG_NONE;
    }
    return __real_pvg_memblock_find(m, pages, align, within, direction);
}

/* ---- p2m against owners and m2p */

static uint64_t last_page(const struct pvguest *g)
{
    return g->p2m.max_pfn > g->p2m.initial_pages ? g->p2m.max_pfn : g->p2m.initial_pages;
}

static const char *check_entry(struct machine *m, uint64_t pfn, uint64_t e, uint64_t *populated)
{
    uint64_t n = e & ~PVG_P2M_MARKS;
    if (e == PVG_P2M_MISSING || (e & PVG_P2M_FOREIGN))
        return NULL;
    if (e & PVG_P2M_IDENTITY)
        return n == pfn ? NULL : WRONG("p2m(%" PRIx64 ") is identity, but %" PRIx64, pfn, n);
    if (machine_owner(m, n) != MACHINE_GUEST)
        return WRONG("p2m(%" PRIx64 ") is frame %" PRIx64 ", which is not the guest's", pfn, n);
    if (machine_m2p(m, n) != pfn)
        return WRONG("p2m(%" PRIx64 ") is frame %" PRIx64 ", m2p of which is %" PRIx64, pfn, n,
                     machine_m2p(m, n));
    ++*populated;
    return NULL;
}

static const char *check_p2m(struct machine *m, struct pvguest *g)
{
    uint64_t populated = 0, end = last_page(g);
    const char *text = NULL;
    for (uint64_t pfn = 0; pfn < end && !text; pfn++)
        text = check_entry(m, pfn, pvg_p2m_entry(g, pvg_pfn(pfn)), &populated);
    if (!text && populated != machine_owned(m))
        text = WRONG("the p2m has %" PRIu64 " frames, the guest owns %" PRIu64, populated,
                     machine_owned(m));
    return text;
}

/* ---- direct map against p2m and types */

/* The p2m's shared pages are read-only, in use or not: nobody may change what so many see. */
static bool is_shared(const struct p2m_shared *s, uint64_t pfn)
{
    bool is = s->leaf.n == pfn;
    for (unsigned level = 1; level < 4; level++)
        is = is || s->table[level].n == pfn;
    return is;
}

/* Nor are tables writable that wait for a later step, or that the hypervisor would not let be
 * writable again: the library keeps and counts them. */
static uint64_t lost_pages;

static bool may_be_read_only(const struct pvguest *g, uint64_t pfn)
{
    if (is_shared(&g->p2m.missing, pfn) || is_shared(&g->p2m.identity, pfn) ||
        (!g->booted && pvg_regions_holds(&g->tables, pfn)))
        return true;
    return pvg_regions_holds(&g->memblock.reserved, pfn) && lost_pages++ < g->p2m.lost;
}

static const char *check_view(struct machine *m, struct pvguest *g, uint64_t pfn)
{
    uint64_t va = PVG_DIRECT_BASE + pfn * PVG_PAGE_BYTES, e, at;
    uint64_t mfn = pvg_p2m_entry(g, pvg_pfn(pfn));
    if (machine_walk(m, va, &e, &at) != 1 || !(e & PVG_PTE_PRESENT))
        return WRONG("page %" PRIx64 " is not in the direct map", pfn);
    if (pte_mfn(e).n != mfn)
        return WRONG("page %" PRIx64 " is frame %" PRIx64 ", the direct map has %" PRIx64, pfn, mfn,
                     pte_mfn(e).n);
    unsigned type = machine_type(m, mfn);
    bool table = type >= 1 && type <= 4;
    if (!table && !(e & PVG_PTE_RW) && may_be_read_only(g, pfn))
        return NULL;
    if (table == !!(e & PVG_PTE_RW))
        return WRONG("page %" PRIx64 " is %s in the direct map, its type is %u; it is %sreserved%s",
                     pfn, table ? "writable" : "read-only", type,
                     pvg_regions_holds(&g->memblock.reserved, pfn) ? "" : "not ",
                     pvg_regions_holds(&g->tables, pfn) ? ", and for a table" : "");
    return NULL;
}

static const char *check_direct(struct machine *m, struct pvguest *g)
{
    const char *text = NULL;
    lost_pages = 0;
    for (unsigned i = 0; i < g->direct.count && !text; i++)
        for (uint64_t p = g->direct.at[i].from; p < g->direct.at[i].to && !text; p++)
            text = check_view(m, g, p);
    return text;
}

/* ---- free memory */

static const char *check_free_page(struct machine *m, struct pvguest *g, uint64_t pfn)
{
    if (pvg_regions_holds(&g->memblock.reserved, pfn))
        return NULL;
    if (!pvg_regions_holds(&g->direct, pfn))
        return WRONG("page %" PRIx64 " is free, but not in the direct map", pfn);
    unsigned type = machine_type(m, pvg_p2m_mfn(g, pvg_pfn(pfn)).n);
    if (type >= 1 && type <= 4)
        return WRONG("page %" PRIx64 " is free, but an L%u table", pfn, type);
    return NULL;
}

static const char *check_free(struct machine *m, struct pvguest *g)
{
    const char *text = NULL;
    for (unsigned i = 0; i < g->memblock.memory.count && !text; i++)
        for (uint64_t p = g->memblock.memory.at[i].from; p < g->memblock.memory.at[i].to && !text;
             p++)
            text = check_free_page(m, g, p);
    return text;
}

const char *guest_check(struct machine *m, struct pvguest *g)
{
    const char *text = machine_audit(m);
    if (!text)
        text = check_p2m(m, g);
    if (!text)
        text = check_direct(m, g);
    if (!text && g->booted)
        text = check_free(m, g);
    return text;
}

/* ---- after pvg_boot() */

static bool slot_is_ours(struct pvguest *g, unsigned slot)
{
    bool p2m = slot == slot_of(PVG_P2M_BASE, 4) && g->p2m.layout == PVG_P2M_LINEAR;
    bool direct = slot >= slot_of(PVG_DIRECT_BASE, 4) && slot < slot_of(PVG_DIRECT_BASE, 4) + 128;
    return p2m || direct || slot == slot_of(PVG_VIRT_BASE, 4) || (slot >= 256 && slot < 272);
}

static const char *check_root(struct machine *m, struct pvguest *g)
{
    const uint64_t *root = machine_frame(m, machine_cr3() >> PVG_PAGE_SHIFT);
    if (pvg_root(g).n != image_table_mfn(g, OWN_L4).n)
        return "the root is not the image's";
    for (unsigned slot = 0; slot < ENTRIES; slot++)
        if ((root[slot] & PVG_PTE_PRESENT) && !slot_is_ours(g, slot))
            return WRONG("slot %u of the root is in use", slot);
    if (machine_pins(m) != 1)
        return WRONG("%" PRIu64 " tables are pinned", machine_pins(m));
    return NULL;
}

static const char *check_image(struct machine *m, struct pvguest *g)
{
    uint64_t pages = (PVG_FIXMAP_BASE - PVG_VIRT_BASE) >> PVG_PAGE_SHIFT;
    for (uint64_t p = 0; p < pages; p++) {
        uint64_t e = 0, at, va = PVG_VIRT_BASE + p * PVG_PAGE_BYTES;
        unsigned level = machine_walk(m, va, &e, &at);
        bool mapped = level == 1 && (e & PVG_PTE_PRESENT);
        bool image = p >= g->image.from && p < g->image.to;
        if (mapped != image)
            return WRONG("page %" PRIx64 " of the image's region is %smapped", p,
                         mapped ? "" : "not ");
        if (mapped && pte_mfn(e).n != pvg_p2m_mfn(g, pvg_pfn(p)).n)
            return WRONG("page %" PRIx64 " of the image is another frame", p);
        if (!mapped && level > 1)
            p |= (1ull << 9 * (level - 1)) - 1;
    }
    return NULL;
}

/* The toolstack's way: top, mid pages, and the p2m's own leaves, all by mfn. */
static const char *check_mfn_list(struct machine *m, struct pvguest *g)
{
    const shared_info_t *s = (void *)machine_frame(m, machine_shared_frame(m));
    uint64_t top = s->arch.pfn_to_mfn_frame_list_list, end = last_page(g);
    if (s->arch.max_pfn < g->p2m.max_pfn)
        return WRONG("max_pfn is %lu, the p2m's %" PRIu64, s->arch.max_pfn, g->p2m.max_pfn);
    for (uint64_t pfn = 0; pfn < end; pfn++) {
        uint64_t e = pvg_p2m_entry(g, pvg_pfn(pfn)), step[3] = {pfn >> 18, pfn >> 9, pfn}, at = top;
        if (e == PVG_P2M_MISSING || (e & PVG_P2M_MARKS))
            continue;
        for (unsigned i = 0; i < 3; i++) {
            if (machine_owner(m, at) != MACHINE_GUEST)
                return WRONG("the way to page %" PRIx64 " in mfn_list_list ends at %" PRIx64, pfn,
                             at);
            at = machine_frame(m, at)[step[i] % ENTRIES];
        }
        if (at != e)
            return WRONG("mfn_list_list has %" PRIx64 " for page %" PRIx64 ", the p2m %" PRIx64, at,
                         pfn, e);
    }
    return NULL;
}

static const char *check_shared(struct machine *m, struct pvguest *g)
{
    const shared_info_t *s = (void *)machine_frame(m, machine_shared_frame(m));
    bool linear =
        g->p2m.layout == PVG_P2M_LINEAR && (pvg_start_info(g)->flags & SIF_VIRT_P2M_4TOOLS);
    if (s->arch.p2m_generation & 1)
        return "p2m_generation is odd";
    uint64_t own = image_table_mfn(g, OWN_L4).n << PVG_PAGE_SHIFT; /* whatever is loaded */
    if (linear && (s->arch.p2m_vaddr != PVG_P2M_BASE || s->arch.p2m_cr3 != own))
        return WRONG("p2m_vaddr %lx, p2m_cr3 %lx", s->arch.p2m_vaddr, s->arch.p2m_cr3);
    if (!linear && s->arch.p2m_cr3)
        return "there is a p2m_cr3, of a list that nobody wants or has";
    return NULL;
}

const char *guest_check_lists(struct machine *m, struct pvguest *g)
{
    const char *text = check_mfn_list(m, g);
    return text ? text : check_shared(m, g);
}

static const char *check_counts(struct machine *m, struct pvguest *g)
{
    struct pvg_memory_info info;
    struct pvg_p2m_info p2m;
    pvg_memory_info(g, &info);
    pvg_p2m_info(g, &p2m);
    if (info.released != machine_released(m))
        return WRONG("%" PRIu64 " pages were released, %" PRIu64 " are said to be",
                     machine_released(m), info.released);
    if (p2m.populated != machine_owned(m))
        return WRONG("%" PRIu64 " entries are said to be populated, %" PRIu64 " frames are owned",
                     p2m.populated, machine_owned(m));
    if (info.pages != pvg_regions_pages(&g->memblock.memory))
        return WRONG("%" PRIu64 " pages are said to be RAM, memblock has %" PRIu64, info.pages,
                     pvg_regions_pages(&g->memblock.memory));
    if (info.pages != machine_owned(m))
        return WRONG("%" PRIu64 " pages of RAM, %" PRIu64 " frames", info.pages, machine_owned(m));
    return NULL;
}

const char *guest_check_booted(struct machine *m, struct pvguest *g)
{
    const char *(*const check[])(struct machine *, struct pvguest *) = {
        guest_check, check_root, check_image, guest_check_lists, check_counts};
    const char *text = NULL;
    for (unsigned i = 0; i < sizeof(check) / sizeof(check[0]) && !text; i++)
        text = check[i](m, g);
    return text;
}
