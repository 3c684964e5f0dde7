/* SPDX-License-Identifier: MIT */
/*
 * Makes a dump-core of a guest of any size: a kernel that maps all its memory, one frame at a time,
 * its tables read-only; a list of its frames, mapped and published; processes that share the
 * kernel's half and map pages of their own. The frames are scattered. The pages are noise (so that
 * the file has all its bytes on the disk) or, with --sparse, holes.
 * With --in-order the frames are neighbours as the pfns are.
 * Usage: makeimage [--sparse] [--in-order] FILE GIB
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xen/xen.h>

#include "image.h"
#include "internal.h"
#include "pte.h"

#define DIRECT_VA      0xffff880000000000ull
#define LIST_VA        0xffffc90000000000ull
#define SLOTS          512u
#define PROCESSES      64u
#define PROCESS_TABLES 16u /* L1s of each: 2 MiB of memory apiece */
#define FIRST_MFN      0x100000ull
/* As validation leaves entries (R3). */
#define TABLE_FLAGS  (PTE_PRESENT | PTE_ACCESSED | PTE_USER | PTE_RW)
#define KERNEL_FLAGS (PTE_PRESENT | PTE_ACCESSED | PTE_USER | PTE_KERNEL)
#define USER_FLAGS   (PTE_PRESENT | PTE_ACCESSED | PTE_USER | PTE_GLOBAL | PTE_RW)

/* Tables are the lowest pfns, and in memory here; what follows them is noise. */
struct guest {
    uint64_t pages, tables, used;
    uint64_t (*table)[SLOTS];
    uint64_t list, lists; /* pfns of the list of frames, which is among the tables */
    uint64_t root;
    bool sparse;
    shared_info_t shared;
};

/* The number of pages is a power of two: an odd factor makes an order of them all. */
static uint64_t factor = 0x9e3779b1, inverse = 0xe8b2f51; /* modulo 2^32; 1: in order */

static uint64_t frame_of(const struct guest *g, uint64_t p)
{
    return FIRST_MFN + (p * factor & (g->pages - 1));
}

static uint64_t page_of(const struct guest *g, uint64_t m)
{
    return (m - FIRST_MFN) * inverse & (g->pages - 1);
}

/* ---- the tables */

static uint64_t take_table(struct guest *g)
{
    if (g->used == g->tables)
        abort();
    return g->used++;
}

static uint64_t *entry_of(struct guest *g, uint64_t root, uint64_t va)
{
    uint64_t table = root;
    for (unsigned level = 4; level > 1; level--) {
        uint64_t *e = &g->table[table][va >> (12 + 9 * (level - 1)) & 511];
        if (!*e)
            *e = frame_of(g, take_table(g)) << 12 | TABLE_FLAGS;
        table = page_of(g, pte_frame(*e).n);
    }
    return &g->table[table][va >> 12 & 511];
}

static void make_kernel(struct guest *g)
{
    g->root = take_table(g);
    g->list = g->used;
    g->used += g->lists;
    for (uint64_t p = 0; p < g->pages; p++) {
        g->table[g->list + p / SLOTS][p % SLOTS] = frame_of(g, p);
        bool writable = p >= g->tables || (p >= g->list && p < g->list + g->lists);
        *entry_of(g, g->root, DIRECT_VA + p * 4096) =
            frame_of(g, p) << 12 | KERNEL_FLAGS | (writable ? PTE_RW : 0);
    }
    for (uint64_t i = 0; i < g->lists; i++)
        *entry_of(g, g->root, LIST_VA + i * 4096) =
            frame_of(g, g->list + i) << 12 | KERNEL_FLAGS | PTE_RW;
}

static void make_process(struct guest *g, uint64_t number)
{
    uint64_t root = take_table(g);
    memcpy(&g->table[root][SLOTS / 2], &g->table[g->root][SLOTS / 2], sizeof(*g->table) / 2);
    for (uint64_t i = 0; i < PROCESS_TABLES * SLOTS; i++) {
        uint64_t p = g->tables + (number * PROCESS_TABLES * SLOTS + i) % (g->pages - g->tables);
        *entry_of(g, root, 0x400000 + i * 4096) = frame_of(g, p) << 12 | USER_FLAGS;
    }
}

static void make_guest(struct guest *g)
{
    uint64_t leaves = g->pages / SLOTS;
    g->lists = leaves;
    g->tables = 2 * leaves + 2 * (leaves / SLOTS + 8) + PROCESSES * (PROCESS_TABLES + 5) + 64;
    g->table = calloc(g->tables, sizeof(*g->table));
    if (!g->table)
        abort();
    make_kernel(g);
    for (unsigned i = 0; i < PROCESSES; i++)
        make_process(g, i);
    g->shared.arch.max_pfn = g->pages;
    g->shared.arch.p2m_cr3 = xen_pfn_to_cr3(frame_of(g, g->root));
    g->shared.arch.p2m_vaddr = LIST_VA;
}

/* ---- as a view, to be written */

static struct guest *guest_of(const struct pv_view *v)
{
    return v->image;
}

static void make_noise(uint64_t page, uint64_t word[SLOTS])
{
    uint64_t x = (page + 1) * 0x9e3779b97f4a7c15ull;
    for (unsigned i = 0; i < SLOTS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        word[i] = x;
    }
}

static bool read_page(const struct pv_view *v, mfn_t m, unsigned offset, void *to, unsigned n)
{
    const struct guest *g = guest_of(v);
    uint64_t word[SLOTS] = {0};
    if (mfn_eq(m, v->shared_info))
        memcpy(word, &g->shared,
               sizeof(g->shared) < sizeof(word) ? sizeof(g->shared) : sizeof(word));
    else if (page_of(g, m.n) < g->tables)
        memcpy(word, g->table[page_of(g, m.n)], sizeof(word));
    else if (!g->sparse)
        make_noise(page_of(g, m.n), word);
    memcpy(to, (const uint8_t *)word + offset, n);
    return true;
}

static mfn_t mfn_of(const struct pv_view *v, pfn_t p)
{
    return mfn(frame_of(guest_of(v), p.n));
}

static pfn_t next_pfn(const struct pv_view *v, pfn_t from)
{
    return from.n < guest_of(v)->pages ? from : NO_PFN;
}

static const struct pv_backend backend = {
    .read = read_page, .mfn_of = mfn_of, .next_pfn = next_pfn};

static int write_guest(struct guest *g, const char *path, struct pv_error *e)
{
    struct pv_view *v = pv_view_new(&backend, "made", 1);
    vcpu_guest_context_t context = {.flags = VGCF_in_kernel};
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (!v || fd < 0)
        return pv_fail_errno(e, "cannot make %s", path);
    v->image = g;
    v->shared_info = mfn(FIRST_MFN + g->pages);
    context.ctrlreg[3] = xen_pfn_to_cr3(frame_of(g, g->root));
    pv_vcpu_set(v, 0, &context);
    int rc = pv_dumpcore_write(v, fd, NULL, e);
    close(fd);
    pv_view_free(v);
    return rc;
}

static bool take_option(int *argc, char ***argv, const char *name)
{
    if (*argc < 2 || strcmp((*argv)[1], name))
        return false;
    --*argc;
    ++*argv;
    return true;
}

int main(int argc, char **argv)
{
    struct guest g = {.sparse = take_option(&argc, &argv, "--sparse")};
    struct pv_error e;
    char *end = NULL;
    if (take_option(&argc, &argv, "--in-order"))
        factor = inverse = 1;
    uint64_t gib = argc == 3 ? strtoull(argv[2], &end, 10) : 0;
    if (gib == 0 || *end || (gib & (gib - 1)) || gib > 1024) {
        fprintf(stderr, "usage: makeimage [--sparse] [--in-order] FILE GIB (a power of two)\n");
        return 2;
    }
    g.pages = gib << 18;
    make_guest(&g);
    if (write_guest(&g, argv[1], &e)) {
        fprintf(stderr, "makeimage: %s\n", e.text);
        return 1;
    }
    free(g.table);
    return 0;
}
