/* SPDX-License-Identifier: MIT */
/*
 * What shared_info says of the p2m (<xen/arch-x86/xen.h>, arch_shared_info). Tools read it while
 * the guest runs: a field that makes others valid is written after them.
 */
#include "internal.h"

/* NULL: not mapped yet. */
static volatile arch_shared_info_t *arch_of(struct pvguest *g)
{
    if (g->shared_va == 0)
        return NULL;
    return &((shared_info_t *)port_at(g, g->shared_va, PORT_WRITE))->arch;
}

static void order(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* ~0: larger than three levels can say; 0: not there yet. */
static uint64_t list_list(struct pvguest *g)
{
    if (g->p2m.max_pfn > PVG_MFN_LIST_PFNS)
        return ~0ull;
    return g->mfn_list.there ? pvg_p2m_mfn(g, g->mfn_list.top).n : 0;
}

static void publish_linear(struct pvguest *g, volatile arch_shared_info_t *arch)
{
    /* A restored domain has no flags; what the list cannot say is said so all the same. */
    bool wanted = (pvg_start_info(g)->flags & SIF_VIRT_P2M_4TOOLS) || list_list(g) == ~0ull;
    if (!wanted || g->p2m.layout != PVG_P2M_LINEAR) {
        arch->p2m_cr3 = 0;
        return;
    }
    arch->p2m_vaddr = PVG_P2M_BASE;
    order();
    arch->p2m_cr3 = kernel_root(g).n << PVG_PAGE_SHIFT; /* xen_pfn_to_cr3() of 64 bits */
}

void publish(struct pvguest *g)
{
    volatile arch_shared_info_t *arch = arch_of(g);
    if (arch == NULL)
        return;
    arch->max_pfn = g->p2m.max_pfn;
    order();
    publish_linear(g, arch);
    arch->pfn_to_mfn_frame_list_list = list_list(g);
    order();
    g->mfn_list.published = true;
}

/* A list that cannot speak of all pages below max_pfn is never to be seen with it. */
void publish_max_pfn(struct pvguest *g)
{
    volatile arch_shared_info_t *arch = arch_of(g);
    if (arch == NULL || !g->mfn_list.published)
        return;
    uint64_t list = list_list(g);
    if (list == ~0ull)
        arch->pfn_to_mfn_frame_list_list = list;
    order();
    arch->max_pfn = g->p2m.max_pfn;
    order();
    arch->pfn_to_mfn_frame_list_list = list;
}

static void step_generation(struct pvguest *g)
{
    volatile arch_shared_info_t *arch = arch_of(g);
    if (arch == NULL)
        return;
    order();
    arch->p2m_generation = arch->p2m_generation + 1;
    order();
}

void publish_begin_change(struct pvguest *g)
{
    step_generation(g);
}

void publish_end_change(struct pvguest *g)
{
    step_generation(g);
}
