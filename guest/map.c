/* SPDX-License-Identifier: MIT */
/* Mapping RAM anywhere else. */
#include "roots.h"

#define HV_FIRST 0xffff800000000000ull /* L4 slots 256..271 (R6) */
#define HV_LAST  0xffff87ffffffffffull
#define LOW_LAST 0x00007fffffffffffull

int check_addresses(struct pvguest *g, uint64_t va, uint64_t count)
{
    uint64_t last = va + count * PVG_PAGE_BYTES - 1;
    if (!g->booted)
        return fail(g, -XEN_EINVAL, "pvg_boot() has not been done");
    if (va % PVG_PAGE_BYTES || count == 0 || count > LOW_LAST / PVG_PAGE_BYTES || last < va)
        return fail(g, -XEN_EINVAL, "no whole pages of the address space");
    if (va > LOW_LAST ? last < HV_FIRST || va < HV_FIRST : last > LOW_LAST)
        return fail(g, -XEN_EINVAL, "not canonical addresses");
    if (va <= HV_LAST && last >= HV_FIRST)
        return fail(g, -XEN_EINVAL, "the hypervisor's addresses");
    return 0;
}

int pvg_map(struct pvguest *g, uint64_t va, pvg_pfn_t first, uint64_t count, uint64_t flags)
{
    struct pvg_space *s = va < PVG_USER_END ? pvg_space_loaded(g) : NULL;
    return pvg_space_map(g, s, va, first, count, flags);
}

static int check_tables(struct pvguest *g, uint64_t va, uint64_t count)
{
    struct pvg_walk w;
    for (uint64_t i = 0; i < count; i++) {
        pvg_walk(g, va + i * PVG_PAGE_BYTES, &w);
        if (w.level != 1)
            return fail(g, -XEN_EINVAL, "no L1 table is there for %lx", va + i * PVG_PAGE_BYTES);
    }
    return 0;
}

/* At once, in lazy mode too. */
static int clear(struct pvguest *g, uint64_t va, uint64_t count)
{
    pvg_lazy_enter(g);
    for (uint64_t i = 0; i < count; i++)
        pvg_set_va(g, va + i * PVG_PAGE_BYTES, 0);
    int rc = pvg_lazy_flush(g);
    pvg_lazy_leave(g);
    return rc;
}

int pvg_unmap(struct pvguest *g, uint64_t va, uint64_t count)
{
    int rc = check_addresses(g, va, count);
    if (rc == 0)
        rc = flush_before(g);
    if (rc == 0)
        rc = grants_none_within(g, va < PVG_USER_END ? pvg_space_loaded(g) : NULL, va,
                                va + count * PVG_PAGE_BYTES - 1);
    if (rc == 0)
        rc = check_tables(g, va, count);
    if (rc == 0)
        rc = clear(g, va, count);
    return fail_in(g, rc, "unmapping %lu pages at %lx", count, va);
}
