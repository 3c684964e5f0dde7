/* SPDX-License-Identifier: MIT */
/*
 * Address spaces beyond mapping: flags and pages change, tables are made by hand, pins go and come.
 * And traps: caught, handled, and by a table of one's own.
 */
#include <pvguest/pvguest.h>
#include <xen/sched.h>

#include <stdarg.h>

#define OURS       0x100000000000ull
#define BY_HAND    0x100000200000ull /* the L1 table's neighbour */
#define BREAKPOINT 3u

static struct pvg_space space;

static void check(struct pvguest *g, int rc, const char *what)
{
    if (rc)
        pvg_fatal(g, what);
}

/* A format of the kernel's own. */
static void say(struct pvguest *g, const char *format, ...)
{
    char line[160];
    va_list list;
    va_start(list, format);
    size_t n = pvg_format_list(line, sizeof(line), format, list);
    va_end(list);
    pvg_write(g, line, n < sizeof(line) ? n : sizeof(line) - 1);
}

/* ---- ranges */

static void change(struct pvguest *g, pvg_pfn_t first)
{
    check(g, pvg_space_map(g, &space, OURS, first, 2, PVG_PTE_DATA), "map");
    check(g, pvg_space_change(g, &space, OURS, pvg_pfn(first.n + 1), 1, PVG_PTE_DATA), "change");
    check(g, pvg_space_protect(g, &space, OURS, 2, PVG_PTE_RO_DATA), "protect");
    struct pvg_walk w;
    pvg_space_walk(g, &space, OURS, &w);
    say(g, "spaces: %s, %lu tables\n", w.at[1].entry & PVG_PTE_RW ? "writable" : "read-only",
        space.tables);
}

/* ---- a table whose content the kernel makes itself */

static void by_hand(struct pvguest *g, pvg_pfn_t page)
{
    pvg_pfn_t table;
    check(g, pvg_table_alloc(g, &table), "a table");
    volatile uint64_t *entry = pvg_page(g, table);
    for (unsigned i = 0; i < 512; i++)
        entry[i] = pvg_pte(pvg_p2m_mfn(g, page), PVG_PTE_RO_DATA);
    check(g, pvg_table_attach(g, &space, BY_HAND, 1, table), "attach");
    struct pvg_walk w;
    pvg_space_walk(g, &space, BY_HAND + 511 * PVG_PAGE_BYTES, &w);
    say(g, "spaces: 512 pages by one table: %s\n", w.mapped ? "mapped" : "not mapped");
    check(g, pvg_table_detach(g, &space, BY_HAND, 1, &table), "detach");
    for (unsigned i = 0; i < 512; i++)
        entry[i] = 0;
    check(g, pvg_table_free(g, table), "free");
}

/* Unpinned, all of it is plain memory: many changes cost one validation. */
static void unpinned(struct pvguest *g, pvg_pfn_t first)
{
    check(g, pvg_space_unpin(g, &space), "unpin");
    check(g, pvg_space_map(g, &space, OURS + 0x10000, first, 1, PVG_PTE_DATA), "map");
    check(g, pvg_space_pin(g, &space), "pin");
    check(g, pvg_space_load(g, &space), "load");
    say(g, "spaces: %s\n", pvg_space_loaded(g) == &space ? "loaded" : "not loaded");
    check(g, pvg_space_load(g, NULL), "the kernel's own");
}

/* ---- traps */

static void breakpoint(void *arg)
{
    (void)arg;
    __asm__ volatile("int3");
}

static unsigned hits;

static bool on_breakpoint(struct pvguest *g, struct pvg_trap *t)
{
    (void)g, (void)t;
    hits++;
    return true; /* the program goes on */
}

static void traps(struct pvguest *g)
{
    struct pvg_trap met;
    bool caught = !pvg_guarded(g, breakpoint, NULL, &met);
    pvg_trap_set(g, BREAKPOINT, on_breakpoint);
    bool through = pvg_guarded(g, breakpoint, NULL, &met);
    pvg_trap_set(g, BREAKPOINT, NULL);
    say(g, "spaces: trap %lu %s, then %u handled%s\n", met.vector, caught ? "caught" : "lost", hits,
        through ? "" : ", and not gone on");

    /* For whoever tells the hypervisor a table of his own, and then this one again. */
    trap_info_t own[2] = {{.vector = BREAKPOINT,
                           .flags = 3,
                           .cs = FLAT_KERNEL_CS,
                           .address = pvg_trap_stub(BREAKPOINT)}};
    pvg_hypercall(g, __HYPERVISOR_set_trap_table, (uint64_t)own, 0, 0, 0, 0);
    check(g, pvg_trap_table(g), "the library's table");
}

static void typed(struct pvguest *g)
{
    char text[16];
    size_t n = pvg_read(g, text, sizeof(text));
    say(g, "spaces: %lu bytes were typed meanwhile\n", (uint64_t)n);
}

void kernel_main(const start_info_t *si)
{
    struct pvg_options options;
    struct pvguest *g = pvg_start(si);
    pvg_pfn_t first;
    check(g, pvg_options_parse(g, &options), "options");
    check(g, pvg_boot(g, &options), "boot");
    check(g, pvg_pages_take(g, 2, 1, &first), "pages");
    check(g, pvg_space_make(g, &space), "a space");
    change(g, first);
    by_hand(g, first);
    unpinned(g, first);
    check(g, pvg_space_unmap(g, &space, OURS, 32), "unmap");
    check(g, pvg_space_end(g, &space), "the end of it");
    check(g, pvg_pages_give(g, first, 2), "pages");
    traps(g);
    typed(g);
    pvg_shutdown(g, SHUTDOWN_reboot);
}
