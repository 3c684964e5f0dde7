/* SPDX-License-Identifier: MIT */
/* What the parts of the library know of each other. */
#ifndef PVGUEST_INTERNAL_H
#define PVGUEST_INTERNAL_H

#include <pvguest/pvguest.h>
#include <pvguest/string.h>

#include <xen/features.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

#include "port.h"

#define ENTRIES     512u
#define SLOT_KERNEL 272u /* of a root: the kernel half begins behind the hypervisor's (R6) */
#define PFN_4G      (1ull << 20)
#define REASON_MAX  512u

/* ---- batch.c */

#define BATCH_UPDATES 128u /* mmu_update elements that one flush can carry */
#define BATCH_CALLS   32u  /* of one multicall */

struct batch {
    unsigned lazy; /* depth */
    unsigned nr_calls, nr_updates;
    int first_error; /* of flushes since the last that was asked for */
    struct multicall_entry call[BATCH_CALLS];
    struct mmu_update update[BATCH_UPDATES];
    unsigned done[BATCH_CALLS]; /* mmu_update's own count, of each call */
    struct pvg_batch_error error;
};

/* ---- fixmap.c: slots of FIX_L1 */

enum fix_slot {
    FIX_WINDOW = 0, /* a table that is being filled: one slot for each level */
    FIX_SHARED_INFO = 8,
    FIX_IOREMAP = 16, /* IOREMAPS x PVG_IOREMAP_PAGES_MAX */
    FIX_GRANT = 272,  /* PVG_GRANT_FRAMES_MAX: the grant table */
};
#define IOREMAPS 4u
_Static_assert(FIX_IOREMAP + IOREMAPS * PVG_IOREMAP_PAGES_MAX <= FIX_GRANT &&
                   FIX_GRANT + PVG_GRANT_FRAMES_MAX <= ENTRIES,
               "each slot of the fixmap is of one use");

/* ---- p2m.c */

/* What a range that is all alike is mapped to: a leaf, and for the linear layout a table above it
 * at each level, every entry of which names the one below. */
struct p2m_shared {
    pvg_pfn_t leaf;
    pvg_pfn_t table[4]; /* index: level 1..3; the tree's inner nodes likewise */
};

struct p2m_shape;

/* Pages of the p2m's that memblock has no room to take back. Word 0 of each names the next. */
struct p2m_spare {
    pvg_pfn_t first; /* PVG_NO_PFN: none */
    uint64_t count;
    uint64_t stuck; /* that were left when all were tried last */
};

struct p2m {
    enum pvg_p2m_layout layout;
    const struct p2m_shape *shape; /* what nodes are: p2m_nodes.h */
    uint64_t max_pfn;
    uint64_t populated, leaves, tables;
    uint64_t lost; /* pages that the hypervisor refused to let go when they were given back */
    struct p2m_spare spare;
    struct p2m_shared missing, identity;
    pvg_pfn_t top;            /* the tree's root; the L3 of the linear layout */
    uint64_t initial_va;      /* the builder's list */
    uint64_t initial_pages;   /* entries in it */
    struct pvg_range initial; /* the pfns that it and its tables take */
};

/* mfnlist.c: top, mid pages of mfns, and the p2m's leaves below */
struct mfn_list {
    bool there;
    pvg_pfn_t top;
    pvg_pfn_t missing_mid;
    pvg_pfn_t mid[ENTRIES]; /* what each word of the top names: mfns do not outlive a suspend */
    bool published;
};

/* ---- memory.c */

#define CHUNK ENTRIES /* frames that one hypercall tells, and pages of a leaf of the p2m */

/* What memory_arrange() is about to do. */
struct plan {
    uint64_t end, limit;
    struct pvg_regions ram;  /* of the map, whatever the limit */
    struct pvg_regions from; /* pages whose frames move to the pages of `to`, in order */
    struct pvg_regions *to;
    struct pvg_regions back;     /* pages whose frames go back */
    struct pvg_regions identity; /* holes, but for those of `back` */
    /* how far it was performed */
    uint64_t moved, marked, given; /* pages, ranges, pages */
    bool announced;
    uint64_t lost; /* pages that could not be put back as they were */
    xen_pfn_t frame[CHUNK];
};

/* ---- balloon.c, contiguous.c */

/* Pages of one leaf of the p2m, and so of one L1 table of the direct map: what one step is about.
 */
struct balloon {
    struct pvg_regions ram; /* of the map, below the limit */
    xen_pfn_t frame[CHUNK]; /* of the pages */
    xen_pfn_t other[CHUNK]; /* what an exchange brings for them */
};

/* ---- edits.c, space.c, space_tables.c */

/* One change of an entry, and what was there before. */
struct edit {
    uint64_t at; /* machine address; low bits: enum edit_how */
    uint64_t old;
};

#define EDITS_ROOM 512u /* changes of one operation that need no pages to be remembered in */

/* A table of pvg_table_alloc()'s. */
struct allocated {
    pvg_pfn_t table;
    pvg_pfn_t parent; /* the table that it is attached to; PVG_NO_PFN: none */
    bool pinned;
};

struct spaces {
    struct pvg_space *first; /* all that there are, but for the kernel's own */
    struct allocated allocated[PVG_TABLES_MAX];
    unsigned nr_allocated;
    /* Pages that the lists of memblock have no room to take back. Word 0 of each names the next. */
    pvg_pfn_t spare;
    uint64_t nr_spares;
    struct edit edit[EDITS_ROOM];
};

/* ---- grant.c, grant_map.c */

/* A page of another domain that is mapped here. */
struct grant_borrowed {
    struct pvg_grant_mapping at;
    uint32_t ref;
    const struct pvg_space *space; /* of the lower half; else NULL */
};

struct grants {
    unsigned frames;                        /* of the table, mapped at FIX_GRANT; 0: not set up */
    unsigned lent, borrowed;                /* how many */
    uint32_t free;                          /* the first free entry; 0: none */
    pvg_pfn_t shadow[PVG_GRANT_FRAMES_MAX]; /* of each frame: a word for each entry (grant.c) */
    struct grant_borrowed book[PVG_GRANT_MAPPINGS]; /* in no order */
};

/* ---- xenstore_ring.c, xenstore_watch.c, control.c */

#define STORE_PAIRS 16u /* of each list: watches, and PVG_XS_EVENTS */

struct store_message {
    uint32_t at, size; /* bytes that have gone or come; in all */
    char bytes[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX + 1];
};

/* Path and token, each with its NUL, one pair behind the other. */
struct store_pairs {
    uint32_t count, used;
    char text[PVG_XS_BYTES];
};

struct control {
    bool open;
    bool shutdown, target;     /* fired, and not looked at yet */
    enum pvg_control in_doubt; /* a word of which it is not known whether it is answered */
};

struct xenstore {
    uint64_t va; /* the ring; 0: not open */
    uint32_t port;
    bool broken;                 /* the peer's fault: not used any more */
    uint32_t req_prod, rsp_cons; /* ours: what the ring says of them is not asked */
    uint64_t patience;           /* ns; 0: for ever */
    uint32_t asked, answered;    /* numbers of requests: the last one, and the last with a reply */
    uint32_t asked_type;
    bool waiting; /* for the reply to the last one */
    uint32_t reply_size;
    struct store_message out, in;
    struct store_pairs watches, events;
    bool lost; /* events before the first of `events` */
    struct control control;
};

/* ---- user.c */

struct user {
    uint64_t rsp;          /* the kernel's, of user_enter(); 0: no user code is run */
    uint64_t flags;        /* RFLAGS of its caller: whether events are masked */
    struct pvg_trap *trap; /* where its caller wants the registers */
};

/* ---- suspend.c, p2m_suspend.c: what is to be put back afterwards */

struct suspend {
    uint64_t store_mfn, console_mfn; /* of start_info */
    uint8_t masked;                  /* events were */
    pvg_pfn_t marks;                 /* the first page of the p2m's marks; PVG_NO_PFN: none */
};

/* ---- the one guest */

struct pvguest {
    char reason[REASON_MAX];
    unsigned undoing; /* depth: what fails now is not the reason */
    struct pvg_options options;
    uint64_t si_va; /* start_info, where it is mapped now */
    char command_line[MAX_GUEST_CMDLINE];
    uint32_t features[XENFEAT_NR_SUBMAPS];
    uint64_t m2p_base, m2p_entries;

    uint64_t console_va; /* 0: console_io */
    uint32_t console_port;

    pvg_trap_handler *handler[PVG_TRAPS];
    unsigned ends;      /* how often a fatal end was begun: saying why may trap in its turn */
    uint64_t shared_va; /* shared_info; 0: not mapped yet */

    struct batch batch;

    bool own_root;                   /* switched */
    bool fixmap;                     /* usable */
    uint64_t ioremap[IOREMAPS];      /* pages of each mapping; 0: free */
    struct pvg_range boot;           /* pfns mapped linearly from PVG_VIRT_BASE by the builder */
    struct pvg_range image;          /* pfns of the kernel's image */
    struct pvg_range module;         /* pfns of the ramdisk; empty: none */
    struct pvg_range initial_tables; /* the builder's, at pt_base */
    struct pvg_regions direct;       /* pfns in the direct map */
    struct pvg_regions tables; /* pfns that are, or may become, page tables: read-only everywhere */
    /* Room for what is being done, which is large for a stack. */
    struct pvg_regions todo, moved;
    struct pvg_e820 map_room;
    struct plan plan;
    bool booted;

    struct pvg_e820 map;
    struct pvg_memblock memblock;
    struct pvg_memory_info info;

    struct p2m p2m;
    struct mfn_list mfn_list;

    struct balloon balloon;
    struct spaces spaces;
    struct grants grants;
    struct xenstore store;
    struct user user;
    struct suspend suspend;
};

/* ---- error.c: the chain of reasons */

/* Sets the reason; returns `code`. Between undo_begin() and undo_end() the reason stays. */
int fail(struct pvguest *g, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "text: " before it, on the way up; returns `code`. 0 stays 0, and nothing is said. */
int fail_in(struct pvguest *g, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static inline void undo_begin(struct pvguest *g)
{
    g->undoing++;
}
static inline void undo_end(struct pvguest *g)
{
    g->undoing--;
}
const char *error_name(int code); /* "EINVAL"; "E?" */
int error_code(const char *name); /* -XEN_EINVAL of "EINVAL"; 0: no such name */

/* ---- batch.c */

void batch_init(struct pvguest *g);
/* Each is made now, or in lazy mode later. `ptr` carries the command (MMU_*) in its low bits. */
int batch_update(struct pvguest *g, uint64_t ptr, uint64_t value);
int batch_set_va(struct pvguest *g, uint64_t va, uint64_t entry, unsigned long flags);
/* An L1 entry with INVLPG, now, in lazy mode too; so is one mmuext_op. What was queued goes first.
 */
int set_va_now(struct pvguest *g, uint64_t va, uint64_t entry);
int mmuext(struct pvguest *g, unsigned command, uint64_t arg1, uint64_t arg2);
/* What the caller has queued, before anything of ours is: a refusal of it is not ours. */
int flush_before(struct pvguest *g);

/* ---- walk.c */

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
/* What the slot's entry is now. */
uint64_t fixmap_entry(struct pvguest *g, unsigned slot);
/* The image's own tables. The store is a plain one: before the table is validated. */
pvg_pfn_t image_table_pfn(enum image_table t);
pvg_mfn_t image_table_mfn(struct pvguest *g, enum image_table t);
void image_table_store(struct pvguest *g, enum image_table t, unsigned slot, enum image_table to);
/* A page that is mapped nowhere, to be filled by plain stores; one window for each level 1..4. */
int window_open(struct pvguest *g, unsigned level, pvg_pfn_t pfn, uint64_t *va);
int window_close(struct pvguest *g, unsigned level);

/* ---- pages.c */

/* Sets both views of a page, direct map and image or boot region. Both or none. */
int page_protect(struct pvguest *g, pvg_pfn_t pfn, bool writable);
/* The same through the queue. */
void page_protect_queued(struct pvguest *g, pvg_pfn_t pfn, bool writable);
/* Every page of the range; those done already go back when one is refused. */
int pages_protect(struct pvguest *g, struct pvg_range pages, bool writable);

/* ---- mapper.c: building tables for a range of addresses */

/* Contiguous pages, taken as tables from start upwards. */
struct pgt_buf {
    uint64_t start, end, top; /* pfns */
};

struct mapper {
    struct pvguest *g;
    struct pgt_buf buf;
    /* The entry for the page at va; 0: nothing is to be mapped there. */
    uint64_t (*leaf)(const struct mapper *m, uint64_t va);
    /* Whether anything is in [va, last]. */
    bool (*any)(const struct mapper *m, uint64_t va, uint64_t last);
    uint64_t from, last; /* virtual addresses of the kernel half, whole pages */
};

/* Builds them, and hooks each complete new subtree into the live tables. All or nothing. */
int mapper_build(struct mapper *m);
/* Takes everything out again that a build put in. */
void mapper_undo(struct mapper *m);

/* A buffer of `pages`, reserved and read-only from here on: top-down from `within`, or, when there
 * is no such place, from anywhere. */
int pgt_buf_take(struct pvguest *g, struct pgt_buf *b, uint64_t pages, struct pvg_range within);
/* Gives [end, top) back, writable. With end = start: all of it. */
int pgt_buf_trim(struct pvguest *g, struct pgt_buf *b);

/* ---- grant.c, grant_map.c */

/* grant_table_op with one element, whose status is at `status`: 0, or an errno for either. */
int grant_op(struct pvguest *g, unsigned command, void *op, const int16_t *status);
/* -XEN_EBUSY: pages of other domains are mapped; the reason has some of them. */
int grants_none_borrowed(struct pvguest *g);
/* -XEN_EBUSY: one is mapped from va to last. */
int grants_none_within(struct pvguest *g, const struct pvg_space *s, uint64_t va, uint64_t last);

/* ---- table.c: tables out of the direct map's pages */

/* A zeroed page, writable by `*va` until it is sealed. */
int table_take(struct pvguest *g, pvg_pfn_t *pfn, uint64_t *va);
/* Read-only from here on: may be hooked. */
int table_seal(struct pvguest *g, pvg_pfn_t pfn);
/* Not sealed, or unhooked: writable again, and free. */
int table_give(struct pvguest *g, pvg_pfn_t pfn);
/* Sets the entry of `level` (2..4) for va, in the kernel half: hooks `table`, or, with PVG_NO_PFN,
 * clears. The tables above must be there. An entry of L4 reaches every root, at once. */
int table_hook(struct pvguest *g, uint64_t va, unsigned level, pvg_pfn_t table);

/* ---- edits.c: the kernel half of every root */

/* The root that has the kernel half: the kernel's own once there is one, before, the builder's. */
pvg_mfn_t kernel_root(struct pvguest *g);
/* Now, and all or none. */
int root_set_slot(struct pvguest *g, unsigned slot, uint64_t entry);

/* ---- root.c */

/* Makes the own root, pins it, switches, and unpins the initial one. */
int root_switch(struct pvguest *g);
/* Frees the initial tables, and the boot region but for what is still needed of it. */
int boot_region_free(struct pvguest *g);

/* ---- memory.c */

/* Memory map, limits, memblock: what there is. Changes nothing of the machine's. */
int memory_discover(struct pvguest *g);
/* Holes become identity, frames outside RAM move above or go back. *moved: pages that are RAM now
 * and not in the direct map or memblock.memory yet. */
int memory_arrange(struct pvguest *g, struct pvg_regions *moved);
/* No page from here on is used as RAM: the option, or the end of the direct map. */
uint64_t memory_limit(const struct pvguest *g);
/* Beyond the last entry of the map nothing is known to be the machine's. */
uint64_t memory_end(const struct pvguest *g);

/* ---- reservation.c */

int64_t memory_op(struct pvguest *g, unsigned command, void *argument);
/*
 * Gives or asks for `count` frames; returns how many it was. Xen may do a part and return how much:
 * it is asked again, until it does none. *rc: why it was not all, -XEN_EBUSY if nothing is said.
 */
uint64_t reservation_change(struct pvguest *g, unsigned command, xen_pfn_t *frame, uint64_t count,
                            int *rc);

/* ---- direct_pages.c: pages of one L1 table of the direct map, which is there */

/* false: it is not there yet, and pvg_direct_map() makes it. */
bool direct_has_table(struct pvguest *g, uint64_t pfn);
/* Out of the direct map, by one batch that ends with a flush. They stay in g->direct. On failure
 * they are mapped as they were. */
int direct_unmap(struct pvguest *g, struct pvg_range pages);
/* Maps pages that are not mapped to the frames that the p2m has. On failure none is. */
int direct_remap(struct pvguest *g, struct pvg_range pages);
/* The same, of pages that must not stay unmapped: one that is refused twice is RAM no more. */
int direct_restore(struct pvguest *g, struct pvg_range pages);

/* ---- p2m.c, mfnlist.c, publish.c */

/* The builder's list, as start_info has it. */
int p2m_init(struct pvguest *g);
uint64_t p2m_initial_entry(struct pvguest *g, uint64_t pfn);
/* The builder's list has a mapping of its own: XEN_ELFNOTE_INIT_P2M. */
static inline bool p2m_initial_apart(const struct pvguest *g)
{
    return g->p2m.initial_va < PVG_VIRT_BASE;
}
/* Builds the layout asked for, out of the builder's list, which is free afterwards. */
int p2m_build(struct pvguest *g, enum pvg_p2m_layout layout);
/* Marks every page of the range missing, as pvg_p2m_set_identity() does with identity. */
int p2m_set_missing(struct pvguest *g, struct pvg_range range);
/* Entries of one leaf, which is our own: to frames, or, with NULL, missing. Cannot fail. */
void p2m_put(struct pvguest *g, struct pvg_range range, const xen_pfn_t *frame);
/* Where all about a page is missing by now, the shared leaf and tables take the place of our own.
 * What is refused stays, and is no worse. */
void p2m_trim(struct pvguest *g, uint64_t pfn);
/* The leaf that holds pfn's entry: a page of our own, or a shared one. */
pvg_pfn_t p2m_leaf(struct pvguest *g, uint64_t pfn);
int mfn_list_build(struct pvguest *g);
/* A leaf changed place: before the old one is given up. Takes a mid page if it has to. */
int mfn_list_set(struct pvguest *g, uint64_t pfn, pvg_pfn_t leaf);
/* The leaf is about to be given up: the missing one takes its place. Cannot fail. */
void mfn_list_clear(struct pvguest *g, uint64_t pfn);
/* Every mfn in the list anew, in the pages that it has. */
void mfn_list_renew(struct pvguest *g);
/* shared_info's arch part: mfn_list_list, max_pfn, p2m_cr3, p2m_vaddr, p2m_generation. */
void publish(struct pvguest *g);
void publish_max_pfn(struct pvguest *g);
/* Around every change of the linear list's mappings: the generation is odd inside. */
void publish_begin_change(struct pvguest *g);
void publish_end_change(struct pvguest *g);

/* Identity marks are kept where a tool that writes the leaves does not come, and the layout's
 * shared tables are pinned, whether or not they hang anywhere; after, elsewhere: the marks stored
 * again, and lists and shared_info made anew. -XEN_EBUSY: a page is marked as another domain's. */
int p2m_suspend(struct pvguest *g);
int p2m_resume(struct pvguest *g, bool elsewhere);

/* ---- what suspend.c calls of the others: before, which may refuse and then has changed nothing,
 * and after, `elsewhere` or, where the suspend was cancelled or refused, here. */

/* Every space pinned; after, those unpinned again that were. -XEN_EBUSY: a table that is attached
 * nowhere has entries. */
int spaces_suspend(struct pvguest *g);
int spaces_resume(struct pvguest *g, bool elsewhere);
/* The table is unmapped; after, mapped, and filled again. -XEN_EBUSY: pages of others are mapped.
 */
int grants_suspend(struct pvguest *g);
int grants_resume(struct pvguest *g, bool elsewhere);
/* Nothing of the ring is touched in between; after, elsewhere: the ring that start_info names now,
 * and the watches again. */
int store_suspend(struct pvguest *g);
int store_resume(struct pvguest *g, bool elsewhere);

/* ---- console.c, trap.c, user.c, fatal.c */

int console_init(struct pvguest *g);
void console_moved(struct pvguest *g); /* the boot region is gone: find the ring again */
int console_resume(struct pvguest *g); /* elsewhere: another machine frame, another port */
int traps_init(struct pvguest *g);
bool guard_is_on(void); /* inside pvg_guarded() */
/* As the hypervisor has it in frames: privilege 3 means user mode, 0 the kernel. */
#define KERNEL_CS (FLAT_KERNEL_CS & ~3u)
static inline bool from_user(const struct pvg_trap *t)
{
    return (t->cs & 3u) == 3u;
}
/* Out of user mode: the registers go to pvg_user_run()'s caller, and the frame returns there. */
void user_leave(struct pvguest *g, struct pvg_trap *t);
void trap_print(struct pvguest *g, const struct pvg_trap *t);
_Noreturn void trap_fatal(struct pvguest *g, const struct pvg_trap *t); /* prints it, and crashes */

/* ---- boot.c */

/* The frame that start_info names, at its place in the fixmap. */
int map_shared_info(struct pvguest *g);

/* ---- start.c: pvg_start() in parts, none of which ends the guest */

/* Checks a start_info, and takes over what the guest needs of it: command line, ranges. */
int start_check(struct pvguest *g, const start_info_t *si);
int start_features(struct pvguest *g);
int start_m2p(struct pvguest *g);
/* All of them, with g->si_va set: traps, the builder's p2m, m2p, console, features. */
int start_init(struct pvguest *g);

/* ---- words and numbers */

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
