/* SPDX-License-Identifier: MIT */
/* What the parts of the library know of each other. */
#ifndef PVGUEST_INTERNAL_H
#define PVGUEST_INTERNAL_H

#include <pvguest/pvguest.h>

#include <xen/features.h>
#include <xen/io/console.h>

#include "port.h"

#define ENTRIES    512u
#define PFN_4G     (1ull << 20)
#define REASON_MAX 512u

/* ---- batch.c */

#define BATCH_UPDATES 128u /* mmu_update elements that one flush can carry */
#define BATCH_CALLS   32u  /* of one multicall */

struct batch {
    unsigned lazy; /* depth */
    unsigned nr_calls, nr_updates;
    int first_error; /* of flushes since the last that was asked for */
    struct multicall_entry call[BATCH_CALLS];
    struct mmu_update update[BATCH_UPDATES];
    struct pvg_batch_error error;
};

/* ---- fixmap.c: slots of FIX_L1 */

enum fix_slot {
    FIX_WINDOW = 0, /* a table that is being filled: one slot for each level */
    FIX_SHARED_INFO = 8,
    FIX_IOREMAP = 16, /* IOREMAPS x PVG_IOREMAP_PAGES_MAX */
};
#define IOREMAPS 4u

/* ---- p2m.c */

/* What a range that is all alike is mapped to: a leaf, and for the linear layout a table above it
 * at each level, every entry of which names the one below. */
struct p2m_shared {
    pvg_pfn_t leaf;
    pvg_pfn_t table[4]; /* index: level 1..3; the tree's inner nodes likewise */
};

struct p2m {
    enum pvg_p2m_layout layout;
    uint64_t max_pfn;
    uint64_t populated, leaves, tables;
    struct p2m_shared missing, identity;
    pvg_pfn_t top;             /* the tree's root */
    uint64_t initial_va;       /* the builder's list; moves into the direct map with the root */
    uint64_t initial_pages;    /* entries in it */
    struct pvg_range initial;  /* the pfns that it and its tables take */
};

/* mfnlist.c: top, mid pages of mfns, and the p2m's leaves below */
struct mfn_list {
    bool there;
    pvg_pfn_t top;
    pvg_pfn_t missing_mid;
    bool published;
};

/* ---- the one guest */

struct pvguest {
    char reason[REASON_MAX];
    struct pvg_options options;
    uint64_t si_va; /* start_info, where it is mapped now */
    char command_line[MAX_GUEST_CMDLINE];
    uint32_t features[XENFEAT_NR_SUBMAPS];
    uint64_t m2p_base, m2p_entries;

    uint64_t console_va;  /* 0: console_io */
    uint32_t console_port;

    pvg_trap_handler *handler[PVG_TRAPS];
    uint64_t shared_va; /* shared_info; 0: not mapped yet */

    struct batch batch;

    bool own_root;            /* switched */
    bool fixmap;              /* usable */
    uint64_t ioremap[IOREMAPS]; /* pages of each mapping; 0: free */
    struct pvg_range boot;    /* pfns mapped linearly from PVG_VIRT_BASE by the builder */
    struct pvg_range image;   /* pfns of the kernel's image */
    struct pvg_range initial_tables; /* the builder's, at pt_base */
    struct pvg_regions direct; /* pfns in the direct map */
    struct pvg_regions tables; /* pfns that are, or may become, page tables: read-only everywhere */

    struct pvg_e820 map;
    struct pvg_memblock memblock;
    struct pvg_memory_info info;

    struct p2m p2m;
    struct mfn_list mfn_list;
};

/* ---- error.c: the chain of reasons */

/* Sets the reason; returns `code`. */
int fail(struct pvguest *g, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "text: " before it, on the way up; returns `code`. 0 stays 0, and nothing is said. */
int fail_in(struct pvguest *g, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
const char *error_name(int code); /* "EINVAL"; "E?" */

/* ---- batch.c */

void batch_init(struct pvguest *g);
/* Each is made now, or in lazy mode later. `ptr` carries the command (MMU_*) in its low bits. */
int batch_update(struct pvguest *g, uint64_t ptr, uint64_t value);
int batch_set_va(struct pvguest *g, uint64_t va, uint64_t entry, unsigned long flags);
/* One mmuext_op, now: flushes first. */
int mmuext(struct pvguest *g, unsigned command, uint64_t arg1, uint64_t arg2);

/* ---- walk.c */

/* m2p[mfn], checked both ways: PVG_NO_PFN when it is not a frame of ours. */
pvg_pfn_t m2p(struct pvguest *g, pvg_mfn_t mfn);
/* Where a page of the guest's memory can be reached: direct map, or boot region. 0: nowhere. */
uint64_t page_va(struct pvguest *g, pvg_pfn_t pfn);
/* Reads an entry of the table `mfn`. false: the table cannot be reached. */
bool read_entry(struct pvguest *g, pvg_mfn_t table, unsigned slot, uint64_t *entry);
static inline unsigned slot_of(uint64_t va, unsigned level)
{
    return va >> (PVG_PAGE_SHIFT + 9 * (level - 1)) & (ENTRIES - 1);
}
static inline pvg_mfn_t pte_mfn(uint64_t e)
{
    return pvg_mfn((e & PVG_PTE_FRAME) >> PVG_PAGE_SHIFT);
}
static inline pvg_maddr_t entry_address(pvg_mfn_t table, unsigned slot)
{
    return (pvg_maddr_t){table.n << PVG_PAGE_SHIFT | slot * sizeof(uint64_t)};
}

/* ---- fixmap.c */

/* Hooks the fixmap's tables into the root that CR3 names. */
int fixmap_init(struct pvguest *g);
static inline uint64_t fixmap_va(unsigned slot)
{
    return PVG_FIXMAP_BASE + (uint64_t)slot * PVG_PAGE_BYTES;
}
int fixmap_set(struct pvguest *g, unsigned slot, uint64_t entry); /* 0: clears */
/* A page that is mapped nowhere, to be filled by plain stores; one window for each level 1..4. */
int window_open(struct pvguest *g, unsigned level, pvg_pfn_t pfn, uint64_t *va);
int window_close(struct pvguest *g, unsigned level);

/* ---- table.c: tables out of the direct map's pages */

/* A zeroed page, writable by `*va` until it is sealed. */
int table_take(struct pvguest *g, pvg_pfn_t *pfn, uint64_t *va);
/* Read-only from here on: may be hooked. */
int table_seal(struct pvguest *g, pvg_pfn_t pfn);
/* Not sealed, or unhooked: writable again, and free. */
int table_give(struct pvguest *g, pvg_pfn_t pfn);
/* Sets the entry of `level` (2..4) for va in the present root: hooks `table`, or, with PVG_NO_PFN,
 * clears. The tables above must be there. */
int table_hook(struct pvguest *g, uint64_t va, unsigned level, pvg_pfn_t table);

/* ---- root.c */

/* Makes the own root, pins it, switches, unpins the initial one, and frees what only that used. */
int root_switch(struct pvguest *g);

/* ---- memory.c */

/* Memory map, limits, memblock: what there is. Changes nothing of the machine's. */
int memory_discover(struct pvguest *g);
/* Holes become identity, frames outside RAM move above or go back. *moved: pages that are RAM now
 * and not in the direct map or memblock.memory yet. */
int memory_arrange(struct pvguest *g, struct pvg_regions *moved);

/* ---- p2m.c, mfnlist.c, publish.c */

/* The builder's list, as start_info has it. */
int p2m_init(struct pvguest *g);
/* Builds the layout asked for, out of the builder's list, which is free afterwards. */
int p2m_build(struct pvguest *g, enum pvg_p2m_layout layout);
/* Marks every page of the range missing, as pvg_p2m_set_identity() does with identity. */
int p2m_set_missing(struct pvguest *g, struct pvg_range range);
/* The leaf that holds pfn's entry: a page of our own, or a shared one. */
pvg_pfn_t p2m_leaf(struct pvguest *g, uint64_t pfn);
int mfn_list_build(struct pvguest *g);
/* A leaf changed place: before the old one is given up. Takes a mid page if it has to. */
int mfn_list_set(struct pvguest *g, uint64_t pfn, pvg_pfn_t leaf);
/* shared_info's arch part: mfn_list_list, max_pfn, p2m_cr3, p2m_vaddr, p2m_generation. */
void publish(struct pvguest *g);
void publish_max_pfn(struct pvguest *g);
/* Around every change of the linear list's mappings: the generation is odd inside. */
void publish_begin_change(struct pvguest *g);
void publish_end_change(struct pvguest *g);

/* ---- console.c, trap.c, fatal.c */

int console_init(struct pvguest *g);
void console_moved(struct pvguest *g); /* the boot region is gone: find the ring again */
int traps_init(struct pvguest *g);
void trap_print(struct pvguest *g, const struct pvg_trap *t);

/* ---- string.c */

void *memset(void *to, int c, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t bytes);

static inline bool same_pfn(pvg_pfn_t a, pvg_pfn_t b)
{
    return a.n == b.n;
}

/* Words of a page of guest memory. */
static inline uint64_t load(struct pvguest *g, uint64_t va)
{
    return *(const volatile uint64_t *)port_at(g, va, PORT_READ);
}
static inline void store(struct pvguest *g, uint64_t va, uint64_t value)
{
    *(volatile uint64_t *)port_at(g, va, PORT_WRITE) = value;
}

#endif
