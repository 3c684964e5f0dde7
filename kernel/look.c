/* SPDX-License-Identifier: MIT */
#include "look.h"

#include <xen/memory.h>

#define MISSING_STEP 4099u /* not a multiple of what leaves and tables hold */

struct peek {
    uint64_t va, value;
};

static void do_peek(void *arg)
{
    struct peek *p = arg;
    p->value = *(const volatile uint64_t *)p->va;
}

uint64_t peek(struct pvguest *g, uint64_t va, uint64_t otherwise)
{
    struct peek p = {.va = va};
    struct pvg_trap met;
    return pvg_guarded(g, do_peek, &p, &met) ? p.value : otherwise;
}

bool can_read(struct pvguest *g, uint64_t va)
{
    struct peek p = {.va = va};
    struct pvg_trap met;
    return pvg_guarded(g, do_peek, &p, &met);
}

static uint64_t m2p_at(pvg_mfn_t mfn)
{
    return MACH2PHYS_VIRT_START + mfn.n * sizeof(uint64_t);
}

uint64_t m2p_own(pvg_mfn_t mfn)
{
    return *(const volatile uint64_t *)m2p_at(mfn);
}

pvg_pfn_t page_of_frame(struct pvguest *g, pvg_mfn_t mfn)
{
    if (mfn.n >= (MACH2PHYS_VIRT_END - MACH2PHYS_VIRT_START) / sizeof(uint64_t))
        return PVG_NO_PFN;
    pvg_pfn_t pfn = pvg_pfn(peek(g, m2p_at(mfn), PVG_NONE));
    uint64_t entry = pvg_p2m_entry(g, pfn);
    return is_populated(entry) && entry == mfn.n ? pfn : PVG_NO_PFN;
}

volatile uint64_t *frame_words(struct pvguest *g, pvg_mfn_t mfn)
{
    pvg_pfn_t pfn = page_of_frame(g, mfn);
    return pfn.n == PVG_NO_PFN.n ? NULL : pvg_page(g, pfn);
}

pvg_pfn_t missing_page(struct pvguest *g, uint64_t from)
{
    while (pvg_p2m_entry(g, pvg_pfn(from)) != PVG_P2M_MISSING)
        from += MISSING_STEP;
    return pvg_pfn(from);
}

bool is_free(struct pvguest *g, uint64_t pfn)
{
    const struct pvg_memblock *m = pvg_memblock_of(g);
    return pvg_regions_holds(&m->memory, pfn) && !pvg_regions_holds(&m->reserved, pfn);
}

const struct pvg_regions *free_regions(struct pvguest *g)
{
    static struct pvg_regions list;
    const struct pvg_memblock *m = pvg_memblock_of(g);
    list = m->memory;
    for (unsigned i = 0; i < m->reserved.count; i++)
        pvg_regions_remove(&list, m->reserved.at[i].from, m->reserved.at[i].to);
    return &list;
}

const struct pvg_regions *ram_of_map(struct pvguest *g)
{
    static struct pvg_regions list;
    if (pvg_e820_ram(pvg_memory_map(g), PVG_NONE, &list))
        list.count = 0;
    return &list;
}

int64_t reservation(struct pvguest *g, unsigned command)
{
    struct xen_memory_domain self = {.domid = DOMID_SELF};
    return pvg_hypercall(g, __HYPERVISOR_memory_op, command, (uintptr_t)&self, 0, 0, 0);
}
