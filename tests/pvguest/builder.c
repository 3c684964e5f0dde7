/* SPDX-License-Identifier: MIT */
/*
 * The domain as Xen's builder makes it (<xen/xen.h>, "Start-of-day memory layout"): from virt_base
 * on, linearly, image, module, the list of frames, start_info, the rings, page tables, a stack, at
 * least 512 KiB more, up to a multiple of 4 MiB. What the kernel's notes want elsewhere lies
 * behind. All that the domain has no reason to trust is filled with rubbish.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>

#include "inside.h"

#define VIRT_BASE    0xffffffff80000000ull
#define IMAGE_FIRST  0x100ull /* as pvguest.lds links it: above a PC's first hole */
#define SLACK_PAGES  128u
#define REGION_ALIGN 1024u /* pages: 4 MiB */
#define CONSOLE_PORT 2u
#define RUBBISH      0x67 /* as an entry: present, writable, of a frame that does not exist */
#define UPPER_FLAGS  (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define LEAF_FLAGS   (PTE_PRESENT | PTE_ACCESSED)

uint64_t page_machine_frame(struct machine *m, uint64_t page)
{
    return m->p2m[page];
}

void *page_content(struct machine *m, uint64_t page)
{
    return m->w->memory[m->p2m[page]];
}

/* ---- frames */

static void give_frame(struct machine *m, struct core_domain *d, uint64_t n, uint64_t page)
{
    m->w->free[n] = false;
    int rc = core_assign(&m->w->core, d, mfn(n));
    assert(rc == 0);
    m->w->m2p[n] = page;
    memset(m->w->memory[n], RUBBISH, PAGE_BYTES);
}

/* The guest's frames are anywhere, and the other domain's among them, under the same pfns. */
static void give_frames(struct machine *m)
{
    uint64_t count = m->params.nr_pages + OTHER_FRAMES, found = 0;
    uint64_t *list = calloc(count, sizeof(*list));
    for (uint64_t n = WORLD_FIRST_FREE; found < count; n++)
        if (m->w->free[n])
            list[found++] = n;
    for (uint64_t i = count; i > 1; i--) {
        uint64_t k = world_below(m->w, i), n = list[k];
        list[k] = list[i - 1];
        list[i - 1] = n;
    }
    for (uint64_t i = 0; i < m->params.nr_pages; i++) {
        m->p2m[i] = list[i];
        give_frame(m, m->d, list[i], i);
    }
    for (uint64_t i = m->params.nr_pages; i < count; i++)
        give_frame(m, world_domain(m->w, 1), list[i], i - m->params.nr_pages);
    free(list);
}

/* ---- layout */

static uint64_t take(uint64_t *cursor, uint64_t count)
{
    uint64_t first = *cursor;
    *cursor += count;
    return first;
}

/* Tables that map `pages` pages from `va` on: one table of a level covers 2^shift bytes. */
static uint64_t tables_for(uint64_t va, uint64_t pages)
{
    uint64_t last = va + pages * PAGE_BYTES - 1, count = 0;
    for (unsigned shift = 21; shift <= 39; shift += 9)
        count += (last >> shift) - (va >> shift) + 1;
    return count;
}

static uint64_t region_pages(uint64_t pages, uint64_t *tables)
{
    uint64_t end, seen = 0;
    do {
        *tables = seen;
        end = pages + *tables + 1 + SLACK_PAGES;
        end = (end + REGION_ALIGN - 1) / REGION_ALIGN * REGION_ALIGN;
        seen = 1 + tables_for(VIRT_BASE, end);
    } while (seen != *tables);
    return end;
}

static void lay_out(struct machine *m)
{
    const struct machine_params *p = &m->params;
    struct machine_layout *l = &m->layout;
    uint64_t cursor = 0;
    *l = (struct machine_layout){.virt_base = VIRT_BASE,
                                 .image_pages = p->image_pages,
                                 .module_pages = p->module_pages,
                                 .p2m_pages = (p->nr_pages + 511) / 512};
    take(&cursor, IMAGE_FIRST + p->image_pages);
    if (!p->module_by_pfn)
        l->module = take(&cursor, p->module_pages);
    if (!p->init_p2m)
        l->p2m = take(&cursor, l->p2m_pages);
    l->start_info = take(&cursor, 1);
    l->xenstore = take(&cursor, 1);
    l->console = take(&cursor, 1);
    uint64_t end = region_pages(cursor, &l->nr_tables);
    l->tables = take(&cursor, l->nr_tables);
    l->stack = take(&cursor, 1);
    cursor = end;
    l->region_pages = end < p->nr_pages ? end : p->nr_pages;
    if (p->module_by_pfn)
        l->module = take(&cursor, p->module_pages);
    l->p2m_va = VIRT_BASE + l->p2m * PAGE_BYTES;
    if (p->init_p2m) {
        l->p2m_va = p->init_p2m;
        l->p2m = take(&cursor, l->p2m_pages);
        l->nr_p2m_tables = tables_for(p->init_p2m, l->p2m_pages);
        l->p2m_tables = take(&cursor, l->nr_p2m_tables);
    }
    if (l->stack + 1 > l->region_pages || (cursor > end && cursor > p->nr_pages))
        machine_failed("%lu pages are too few for the builder", (unsigned long)p->nr_pages);
}

/* ---- page tables */

static bool is_table(const struct machine_layout *l, uint64_t page)
{
    return (page >= l->tables && page - l->tables < l->nr_tables) ||
           (l->nr_p2m_tables && page >= l->p2m_tables && page - l->p2m_tables < l->nr_p2m_tables);
}

static void map_page(struct machine *m, uint64_t *next_table, uint64_t va, uint64_t page)
{
    uint64_t table = m->p2m[m->layout.tables];
    for (unsigned level = 4; level > 1; level--) {
        uint64_t *e = &m->w->memory[table][va >> (12 + 9 * (level - 1)) & 511];
        if (!pte_present(*e))
            *e = pte_make(mfn(m->p2m[(*next_table)++]), UPPER_FLAGS);
        table = pte_frame(*e).n;
    }
    m->w->memory[table][va >> 12 & 511] =
        pte_make(mfn(m->p2m[page]), is_table(&m->layout, page) ? LEAF_FLAGS : LEAF_FLAGS | PTE_RW);
}

static void clear_pages(struct machine *m, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        memset(page_content(m, first + i), 0, PAGE_BYTES);
}

static void make_tables(struct machine *m)
{
    struct machine_layout *l = &m->layout;
    uint64_t next = l->tables + 1, next_p2m = l->p2m_tables;
    clear_pages(m, l->tables, l->nr_tables);
    clear_pages(m, l->p2m_tables, l->nr_p2m_tables);
    for (uint64_t i = 0; i < l->region_pages; i++)
        map_page(m, &next, VIRT_BASE + i * PAGE_BYTES, i);
    for (uint64_t i = 0; l->nr_p2m_tables && i < l->p2m_pages; i++)
        map_page(m, &next_p2m, l->p2m_va + i * PAGE_BYTES, l->p2m + i);
    /* Tables that the list shares with the region were not needed: plain pages of the list. */
    if (l->nr_p2m_tables)
        l->nr_p2m_tables = next_p2m - l->p2m_tables;
}

/* ---- content */

static void write_p2m(struct machine *m)
{
    for (uint64_t i = 0; i < m->layout.p2m_pages * 512; i++) {
        uint64_t *page = page_content(m, m->layout.p2m + i / 512);
        page[i % 512] = i < m->params.nr_pages ? m->p2m[i] : NO_MFN.n;
    }
}

static void fill_start_info(struct machine *m, start_info_t *s)
{
    const struct machine_layout *l = &m->layout;
    const struct machine_params *p = &m->params;
    memset(s, 0, sizeof(*s));
    strcpy(s->magic, "xen-3.0-x86_64");
    s->nr_pages = p->nr_pages;
    s->shared_info = (uint64_t)WORLD_SHARED_FRAME << 12;
    s->flags = (p->initial_domain ? SIF_PRIVILEGED | SIF_INITDOMAIN : 0) |
               (p->no_virt_p2m ? 0 : SIF_VIRT_P2M_4TOOLS);
    if (!p->initial_domain) {
        s->store_mfn = m->p2m[l->xenstore];
        s->store_evtchn = CONSOLE_PORT - 1;
        s->console.domU.mfn = m->p2m[l->console];
        s->console.domU.evtchn = CONSOLE_PORT;
    }
    s->pt_base = l->virt_base + l->tables * PAGE_BYTES;
    s->nr_pt_frames = l->nr_tables;
    s->mfn_list = l->p2m_va;
    if (l->module_pages) {
        s->mod_start = p->module_by_pfn ? l->module : l->virt_base + l->module * PAGE_BYTES;
        s->mod_len = l->module_pages * PAGE_BYTES;
        s->flags |= p->module_by_pfn ? SIF_MOD_START_PFN : 0;
    }
    snprintf((char *)s->cmd_line, sizeof(s->cmd_line), "%s", p->command_line);
    if (p->init_p2m) {
        s->first_p2m_pfn = l->p2m;
        s->nr_p2m_frames = l->p2m_pages + l->nr_p2m_tables;
    }
}

/* The image's tables are zero, and so is what a ring's other side expects to be. */
static void fill_pages(struct machine *m)
{
    for (unsigned t = 0; t < MACHINE_IMAGE_TABLES; t++)
        clear_pages(m, (machine_image_table(t) - VIRT_BASE) / PAGE_BYTES, 1);
    clear_pages(m, m->layout.xenstore, 1);
    clear_pages(m, m->layout.console, 1);
    for (uint64_t i = 0; i < m->layout.module_pages; i++)
        memset(page_content(m, m->layout.module + i), (int)(0x30 + i % 10), PAGE_BYTES);
    m->console_port = CONSOLE_PORT;
}

/* Nothing is taken on trust: pinned and loaded like a guest's own. */
static void adopt_tables(struct machine *m)
{
    mfn_t root = mfn(m->p2m[m->layout.tables]);
    request_begin(m);
    int rc = core_pin(&m->w->core, m->v, m->d, root, TYPE_L4);
    if (rc == 0)
        rc = core_load_kernel_root(&m->w->core, m->v, root);
    request_end(m);
    if (rc)
        machine_failed("the builder's page tables are refused: %d", rc);
    access_flush_all();
}

void builder_build(struct machine *m)
{
    lay_out(m);
    give_frames(m);
    fill_pages(m);
    write_p2m(m);
    make_tables(m);
    /* Only now is it known how many tables the list took. */
    fill_start_info(m, page_content(m, m->layout.start_info));
    adopt_tables(m);
}

/* ---- port.h: the image's last five pages but one are its tables */

uint64_t machine_image_start(void)
{
    return VIRT_BASE + IMAGE_FIRST * PAGE_BYTES;
}

uint64_t machine_image_end(void)
{
    return machine_image_start() + the_machine.layout.image_pages * PAGE_BYTES;
}

uint64_t machine_image_table(unsigned t)
{
    return machine_image_end() - (MACHINE_IMAGE_TABLES + 1 - t) * PAGE_BYTES;
}

uint64_t machine_start_info(struct machine *m)
{
    return VIRT_BASE + m->layout.start_info * PAGE_BYTES;
}
