/* SPDX-License-Identifier: MIT */
/* The p2m, memory that comes and goes, early ioremap. */
#include "random.h"

/* ---- p2m: areas far from each other; frames in the first alone */

static uint64_t *some_entry(uint64_t *pfn)
{
    uint64_t a = below(AREAS), i = below(AREA_PAGES);
    *pfn = r.area_base[a] + i;
    return &r.area[a][i];
}

static bool has_frame(uint64_t e)
{
    return e != PVG_P2M_MISSING && !(e & PVG_P2M_MARKS);
}

void check_entry(uint64_t pfn, uint64_t want)
{
    uint64_t e = pvg_p2m_entry(r.g, pvg_pfn(pfn));
    CHECK(e == want, "p2m(%" PRIx64 ") is %" PRIx64 ", not %" PRIx64, pfn, e, want);
}

void do_p2m_set(void)
{
    uint64_t pfn, *e = some_entry(&pfn);
    const uint64_t choice[] = {PVG_P2M_MISSING, PVG_P2M_IDENTITY | pfn,
                               PVG_P2M_FOREIGN | machine_other_frame(r.m)};
    uint64_t to = choice[below(3)];
    if (has_frame(*e))
        return;
    if (succeeded(pvg_p2m_set(r.g, pvg_pfn(pfn), to)))
        *e = to;
    check_entry(pfn, *e);
}

void do_p2m_refused(void)
{
    uint64_t pfn, *e = some_entry(&pfn);
    switch (below(3)) {
    case 0:
        refused(pvg_p2m_set(r.g, pvg_pfn(pfn), PVG_P2M_IDENTITY | (pfn + 1)), -XEN_EINVAL);
        break;
    case 1:
        refused(pvg_p2m_set(r.g, pvg_pfn(PVG_P2M_PFNS + below(5)), 1), -XEN_EINVAL);
        break;
    default:
        refused(pvg_p2m_set_identity(r.g, (struct pvg_range){pfn, PVG_P2M_PFNS + 1}), -XEN_EINVAL);
    }
    check_entry(pfn, *e);
}

void do_p2m_identity(void)
{
    uint64_t a = below(AREAS), from = below(AREA_PAGES), to = from + below(AREA_PAGES - from) + 1;
    for (uint64_t i = from; i < to; i++)
        if (has_frame(r.area[a][i]))
            return;
    struct pvg_range range = {r.area_base[a] + from, r.area_base[a] + to};
    if (succeeded(pvg_p2m_set_identity(r.g, range)))
        for (uint64_t i = from; i < to; i++)
            r.area[a][i] = PVG_P2M_IDENTITY | (r.area_base[a] + i);
    for (uint64_t i = from > 0 ? from - 1 : 0; i < to && i < from + 3; i++)
        check_entry(r.area_base[a] + i, r.area[a][i]);
    check_entry(r.area_base[a] + to - 1, r.area[a][to - 1]);
}

void do_p2m_get(void)
{
    for (unsigned i = 0; i < 16; i++) {
        uint64_t pfn, *e = some_entry(&pfn);
        check_entry(pfn, *e);
    }
    check_entry(PVG_P2M_PFNS + below(1000), PVG_P2M_MISSING);
}

/* ---- memory that comes and goes */

static int64_t reserve(unsigned command, xen_pfn_t *number)
{
    struct xen_memory_reservation res = {.nr_extents = 1, .domid = DOMID_SELF};
    set_xen_guest_handle(res.extent_start, number);
    return pvg_hypercall(r.g, __HYPERVISOR_memory_op, command, (uint64_t)&res, 0, 0, 0);
}

static bool populate(uint64_t pfn)
{
    xen_pfn_t number = pfn;
    CHECK(reserve(XENMEM_populate_physmap, &number) == 1, "no frame for %" PRIx64, pfn);
    inject();
    if (succeeded(pvg_p2m_set(r.g, pvg_pfn(pfn), number)))
        return true;
    CHECK(reserve(XENMEM_decrease_reservation, &number) == 1, "the frame stays");
    return false;
}

void do_inflate(void)
{
    uint64_t i = below(AREA_PAGES), *e = &r.area[0][i], pfn = r.area_base[0] + i;
    heal();
    if (has_frame(*e) || r.ballooned == BALLOON)
        return;
    if (populate(pfn)) {
        *e = pvg_p2m_entry(r.g, pvg_pfn(pfn));
        CHECK(has_frame(*e) && machine_m2p(r.m, *e) == pfn, "p2m(%" PRIx64 ") is %" PRIx64, pfn,
              *e);
        r.ballooned++;
    }
    check_entry(pfn, *e);
}

void do_deflate(void)
{
    uint64_t i = below(AREA_PAGES), *e = &r.area[0][i], pfn = r.area_base[0] + i;
    if (!has_frame(*e) || is_mapped(&(struct block){pfn, 1}))
        return;
    xen_pfn_t number = *e;
    if (!succeeded(pvg_p2m_set(r.g, pvg_pfn(pfn), PVG_P2M_MISSING))) {
        check_entry(pfn, *e);
        return;
    }
    CHECK(reserve(XENMEM_decrease_reservation, &number) == 1, "the frame stays");
    CHECK(machine_owner(r.m, number) == MACHINE_NOBODY, "somebody holds frame %lx", number);
    *e = PVG_P2M_MISSING;
    r.ballooned--;
}

/* A page without a place in the direct map, mapped in the window. */
void do_map_ballooned(void)
{
    uint64_t i = below(AREA_PAGES), e = r.area[0][i];
    unsigned s = (unsigned)below(SLOTS);
    if (!has_frame(e) || r.slot[s])
        return;
    if (succeeded(pvg_map(r.g, slot_va(s), pvg_pfn(r.area_base[0] + i), 1, PVG_PTE_DATA)))
        r.slot[s] = e << 12 | PVG_PTE_RW;
    check_slots(s, 1);
    touch_slot(s);
}

/* More RAM: into p2m, memblock, direct map. */
void do_extend(void)
{
    struct pvg_memblock *memory = (struct pvg_memblock *)pvg_memblock_of(r.g);
    uint64_t from = r.next_extension, count = 1 + below(40), n = 0, free;
    heal();
    if (r.extensions == EXTENSIONS || below(50))
        return;
    while (n < count && populate(from + n))
        n++;
    if (n == 0)
        return;
    free = pvg_pages_free(r.g);
    CHECK(pvg_memblock_add(memory, from, n) == 0, "memblock is full");
    inject();
    if (succeeded(pvg_direct_map(r.g, (struct pvg_range){from, from + n}))) {
        r.extensions++;
        r.next_extension = from + n + below(3) * 300;
        return;
    }
    CHECK(pvg_memblock_remove(memory, from, n) == 0, "memblock is full");
    CHECK(pvg_pages_free(r.g) == free, "%" PRIu64 " free pages, there were %" PRIu64,
          pvg_pages_free(r.g), free);
    for (uint64_t p = from; p < from + n; p++) {
        xen_pfn_t number = frame_of(p);
        CHECK(pvg_p2m_set(r.g, pvg_pfn(p), PVG_P2M_MISSING) == 0, "it stays in the p2m");
        CHECK(reserve(XENMEM_decrease_reservation, &number) == 1, "the frame stays");
        CHECK(machine_owner(r.m, number) == MACHINE_NOBODY, "somebody holds frame %lx", number);
    }
}

/* ---- early ioremap */

static unsigned free_remap(void)
{
    unsigned i = 0;
    while (i < 4 && r.remap[i].va)
        i++;
    return i;
}

void do_remap(void)
{
    struct block *b = some_block(true);
    unsigned i = free_remap();
    if (!b)
        return;
    uint64_t pfn = b->first + below(b->count), offset = below(4096) & ~7ull;
    uint64_t address = frame_of(pfn) << 12 | offset, bytes = 1 + below(4096 - offset);
    if (r.initial && below(2)) {
        address = machine_device_frame(r.m) << 12 | offset;
        bytes = 1 + below(20 * 4096);
    }
    void *va = pvg_early_ioremap(r.g, (pvg_maddr_t){address}, bytes, 0);
    if (i == 4) {
        refused(va ? 0 : -XEN_ENOSPC, -XEN_ENOSPC);
        return;
    }
    if (!succeeded(va ? 0 : -XEN_EINVAL))
        return;
    r.remap[i] = (struct remap){va, address, bytes};
    CHECK((uint64_t)va % 4096 == offset, "mapped at %p", va);
    for (uint64_t at = 0; at < bytes; at += 4096) {
        uint64_t mfn = (address + at) >> 12;
        const uint64_t *page = machine_at(((uint64_t)va & ~4095ull) + at, false);
        CHECK(page == machine_frame(r.m, mfn), "another frame is at %p", va);
    }
}

void do_unremap(void)
{
    unsigned i = (unsigned)below(4);
    if (!r.remap[i].va) {
        refused(pvg_early_iounmap(r.g, (void *)0x1234000), -XEN_EINVAL);
        return;
    }
    uint64_t va = (uint64_t)r.remap[i].va, e, at;
    if (!succeeded(pvg_early_iounmap(r.g, r.remap[i].va))) {
        machine_at(va, false);
        return;
    }
    r.remap[i].va = NULL;
    CHECK(machine_walk(r.m, va, &e, &at) == 1 && !(e & PVG_PTE_PRESENT), "still mapped");
}
