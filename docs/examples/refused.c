/* SPDX-License-Identifier: MIT */
/*
 * What a refusal looks like: of four entries of a batch, the third would map the root, a page
 * table, writable. Its neighbours in front of it are made (R10), the one behind it is not.
 */
#include <pvguest/pvguest.h>
#include <xen/sched.h>

#define OURS  0x100000000000ull
#define PAGES 4u

/* The machine address of the L1 entry that maps va. */
static pvg_maddr_t entry_at(struct pvguest *g, uint64_t va)
{
    struct pvg_walk w;
    pvg_walk(g, va, &w);
    return w.at[1].at;
}

void kernel_main(const start_info_t *si)
{
    struct pvg_options options;
    struct pvguest *g = pvg_start(si);
    pvg_pfn_t first;
    if (pvg_options_parse(g, &options) || pvg_boot(g, &options))
        pvg_fatal(g, "boot");
    if (pvg_pages_take(g, PAGES, 1, &first) || pvg_map(g, OURS, first, PAGES, PVG_PTE_DATA))
        pvg_fatal(g, "pages");

    pvg_lazy_enter(g);
    for (unsigned i = 0; i < PAGES; i++) {
        pvg_mfn_t mfn = i == 2 ? pvg_root(g) : pvg_p2m_mfn(g, first);
        pvg_set_entry(g, entry_at(g, OURS + i * PVG_PAGE_BYTES), pvg_pte(mfn, PVG_PTE_DATA));
    }
    if (pvg_lazy_leave(g) == 0)
        pvg_fatal(g, "it was not refused");
    const struct pvg_batch_error *e = pvg_batch_error(g);
    pvg_print(g, "refused: %s\n", pvg_reason(g));
    pvg_print(g, "refused: code %d, element %u of %u, %u made\n", e->code, e->index, e->elements,
              e->made);

    /* What the library itself finds wrong has a reason as well. */
    pvg_map(g, PVG_DIRECT_BASE, first, 1, PVG_PTE_DATA);
    pvg_print(g, "refused: %s\n", pvg_reason(g));
    pvg_shutdown(g, SHUTDOWN_reboot);
}
