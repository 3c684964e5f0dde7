/* SPDX-License-Identifier: MIT */
/* Early ioremap: machine memory in the fixmap, a few mappings of up to 64 pages. */
#include "internal.h"

static unsigned slot_of_mapping(unsigned i)
{
    return FIX_IOREMAP + i * PVG_IOREMAP_PAGES_MAX;
}

/* Puts the entries back that are overwritten already. */
static void restore(struct pvguest *g, unsigned slot, const uint64_t *old, unsigned count)
{
    undo_begin(g);
    while (count-- > 0)
        fixmap_set(g, slot + count, old[count]);
    undo_end(g);
}

/* `first` and `step` 0: clears. All or none. */
static int fill(struct pvguest *g, unsigned slot, unsigned count, uint64_t first, uint64_t step)
{
    uint64_t old[PVG_IOREMAP_PAGES_MAX];
    for (unsigned i = 0; i < count; i++) {
        old[i] = fixmap_entry(g, slot + i);
        int rc = fixmap_set(g, slot + i, first + i * step);
        if (rc) {
            restore(g, slot, old, i);
            return rc;
        }
    }
    return 0;
}

static int check(struct pvguest *g, pvg_maddr_t address, uint64_t bytes, uint64_t *pages)
{
    uint64_t last;
    if (!g->fixmap)
        return fail(g, -XEN_EINVAL, "the fixmap is not there yet");
    if (bytes == 0 || __builtin_add_overflow(address.a, bytes - 1, &last) ||
        last & ~(PVG_PTE_FRAME | (PVG_PAGE_BYTES - 1)))
        return fail(g, -XEN_EINVAL, "0x%lx bytes from there are no machine memory", bytes);
    *pages = (last >> PVG_PAGE_SHIFT) - (address.a >> PVG_PAGE_SHIFT) + 1;
    if (*pages > PVG_IOREMAP_PAGES_MAX)
        return fail(g, -XEN_EINVAL, "%lu pages, at most %u can be had at a time", *pages,
                    PVG_IOREMAP_PAGES_MAX);
    return 0;
}

static unsigned free_mapping(const struct pvguest *g)
{
    unsigned i = 0;
    while (i < IOREMAPS && g->ioremap[i])
        i++;
    return i;
}

static int map(struct pvguest *g, pvg_maddr_t address, uint64_t bytes, uint64_t flags,
               unsigned *out)
{
    uint64_t pages = 0, entry;
    unsigned i = free_mapping(g);
    int rc = check(g, address, bytes, &pages);
    if (rc == 0 && flags & PVG_PTE_FRAME)
        rc = fail(g, -XEN_EINVAL, "flags %lx name a frame", flags);
    if (rc == 0 && i == IOREMAPS)
        rc = fail(g, -XEN_ENOSPC, "all %u mappings are in use", IOREMAPS);
    if (rc)
        return rc;
    entry = pvg_pte(pvg_mfn(address.a >> PVG_PAGE_SHIFT), flags | PVG_PTE_RO_DATA);
    rc = fill(g, slot_of_mapping(i), (unsigned)pages, entry, PVG_PAGE_BYTES);
    if (rc)
        return rc;
    g->ioremap[i] = pages;
    *out = i;
    return 0;
}

void *pvg_early_ioremap(struct pvguest *g, pvg_maddr_t address, uint64_t bytes, uint64_t flags)
{
    unsigned i = 0;
    if (fail_in(g, map(g, address, bytes, flags, &i), "early ioremap of %lx", address.a))
        return NULL;
    return (void *)(fixmap_va(slot_of_mapping(i)) + address.a % PVG_PAGE_BYTES);
}

int pvg_early_iounmap(struct pvguest *g, void *va)
{
    uint64_t page = (uint64_t)va & ~(uint64_t)(PVG_PAGE_BYTES - 1);
    unsigned i = 0;
    while (i < IOREMAPS && (!g->ioremap[i] || fixmap_va(slot_of_mapping(i)) != page))
        i++;
    if (i == IOREMAPS)
        return fail(g, -XEN_EINVAL, "early iounmap of %lx: nothing is mapped so", (uint64_t)va);
    int rc = fill(g, slot_of_mapping(i), (unsigned)g->ioremap[i], 0, 0);
    if (rc)
        return fail_in(g, rc, "early iounmap of %lx", (uint64_t)va);
    g->ioremap[i] = 0;
    return 0;
}
