/* SPDX-License-Identifier: MIT */
/*
 * The smallest kernel on libpvguest that does something: it boots, maps fresh pages at an address
 * of its own, says what memory there is, and reboots. All of it is explained in docs/libpvguest.md.
 *
 *     gcc $(pkg-config --cflags pvguest) hello.c -o hello $(pkg-config --libs pvguest)
 *     pvmm run -m 64M hello
 */
#include <pvguest/pvguest.h>
#include <xen/sched.h> /* SHUTDOWN_reboot */

#define OURS  0x100000000000ull /* nobody else is in the lower half */
#define PAGES 3u

/* A word of page i of the mapping, and the same word by the direct map. */
static volatile uint64_t *mapped_word(unsigned i)
{
    return (volatile uint64_t *)(OURS + (uint64_t)i * PVG_PAGE_BYTES);
}

static volatile uint64_t *direct_word(struct pvguest *g, pvg_pfn_t first, unsigned i)
{
    return pvg_page(g, pvg_pfn(first.n + i));
}

/* What fails leaves a chain of reasons, which pvg_fatal() prints before it crashes the domain. */
static void map_pages(struct pvguest *g)
{
    pvg_pfn_t first;
    if (pvg_pages_take(g, PAGES, 1, &first))
        pvg_fatal(g, "taking pages");
    if (pvg_map(g, OURS, first, PAGES, PVG_PTE_DATA))
        pvg_fatal(g, "mapping pages");
    for (unsigned i = 0; i < PAGES; i++)
        *mapped_word(i) = OURS + i;
    unsigned same = 0;
    for (unsigned i = 0; i < PAGES; i++)
        same += *direct_word(g, first, i) == OURS + i;
    pvg_print(g, "hello: %u of %u pages at %llx hold what was written\n", same, PAGES, OURS);

    /* The other way round: the mapping goes first, then the pages. */
    if (pvg_unmap(g, OURS, PAGES) || pvg_pages_give(g, first, PAGES))
        pvg_fatal(g, "giving pages back");
}

static void say_figures(struct pvguest *g)
{
    struct pvg_memory_info memory;
    struct pvg_p2m_info p2m;
    pvg_memory_info(g, &memory);
    pvg_p2m_info(g, &p2m);
    pvg_print(g, "hello: %lu pages given, %lu in use as RAM, %lu free; %lu moved, %lu released\n",
              memory.nr_pages, memory.pages, pvg_pages_free(g), memory.remapped, memory.released);
    pvg_print(g, "hello: p2m up to pfn %lx: %lu populated, %lu leaves, %lu tables; %lu identity\n",
              p2m.max_pfn, p2m.populated, p2m.leaves, p2m.tables, memory.identity);
}

/* The library's entry point calls this. */
void kernel_main(const start_info_t *si)
{
    struct pvg_options options;
    struct pvguest *g = pvg_start(si); /* console, traps: from here on there is something to see */
    if (pvg_options_parse(g, &options))
        pvg_fatal(g, "options");
    if (pvg_boot(g, &options)) /* memory map, page tables, p2m */
        pvg_fatal(g, "boot");
    map_pages(g);
    say_figures(g);
    pvg_shutdown(g, SHUTDOWN_reboot);
}
