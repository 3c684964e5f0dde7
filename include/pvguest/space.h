/* SPDX-License-Identifier: MIT */
/*
 * Address spaces of one's own, once pvg_boot() is done: roots beside the kernel's, the tables below
 * them, and user mappings.
 *
 * The upper half of every root is the kernel's and the same in all of them: the library hooks a new
 * table of it into each. The lower half is the space's own, and hangs from two roots: `root` is
 * loaded in kernel mode, and has both halves; `user_root`, for user mode, has the lower half alone
 * (<xen/xen.h>, MMUEXT_NEW_USER_BASEPTR). User mode reaches all that hangs there, as far as RW and
 * NX allow: the hypervisor sets PVG_PTE_USER itself where it is missing.
 *
 * A space is made pinned: its tables are read-only, and validated (R2..R5). The pins are of its
 * roots, and of each table that was attached; the tables that pvg_space_map() makes are held by
 * what names them. Unpinned, its own tables are plain memory, changed by plain stores, and it
 * cannot be loaded; pinning validates all of it.
 *
 * Everywhere below `s` NULL is the kernel's own space: the root that pvg_boot() made, which has a
 * lower half too but no user root. Functions that change entries make all of the change, batched,
 * or none of it, whatever fails; what is queued in lazy mode goes first.
 */
#ifndef PVGUEST_SPACE_H
#define PVGUEST_SPACE_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

#define PVG_USER_END 0x0000800000000000ull /* the lower half's */

/* The caller's memory, the library's content. It must stay where it is until pvg_space_end(). */
struct pvg_space {
    pvg_pfn_t root, user_root;
    bool pinned;
    bool held;              /* pinned for the time of a suspend only */
    uint64_t tables;        /* pages of the lower half's tables, without the roots */
    struct pvg_space *next; /* of all that there are */
};

/* ---- spaces */

/* A space with an empty lower half, pinned. 0; -XEN_EINVAL: before pvg_boot(); -XEN_ENOMEM,
 * -XEN_ENOSPC: no pages for the roots; or what the hypervisor said. */
int pvg_space_make(struct pvguest *g, struct pvg_space *s);
/* Clears the lower half, and frees all its tables and the roots; pages that were mapped are the
 * caller's, and so are tables that he attached, as after pvg_table_detach(), unpinned. 0;
 * -XEN_EINVAL: not a space that was made; -XEN_EBUSY: it is loaded, or a grant is mapped in it
 * (grant.h); or what the hypervisor said: it
 * is as it was, pinned. */
int pvg_space_end(struct pvguest *g, struct pvg_space *s);
/* Loads both roots; s NULL: the kernel's own, and no user root. 0; -XEN_EINVAL: not a space;
 * -XEN_EBUSY: it is not pinned; or what the hypervisor said, and the one before stays. */
int pvg_space_load(struct pvguest *g, struct pvg_space *s);
/* The one that is loaded, by what CR3 says; NULL: the kernel's own. */
struct pvg_space *pvg_space_loaded(struct pvguest *g);
/*
 * Unpins both roots and makes the lower half's tables writable, or makes them read-only and pins.
 * 0, also where there is nothing to do; -XEN_EINVAL: not a space, or NULL; -XEN_EBUSY: unpinning
 * what is loaded, or a grant is mapped in; or what the hypervisor said: all is as it was.
 */
int pvg_space_pin(struct pvguest *g, struct pvg_space *s);
int pvg_space_unpin(struct pvguest *g, struct pvg_space *s);

/* ---- ranges: `count` pages from va on. All: 0; -XEN_EINVAL: va is no page, or the range empty,
 * not canonical, the hypervisor's, or, of a space, not in the lower half; flags that name a frame;
 * s no space; of an unpinned one, a table that is not the space's own; or pvg_boot() has not been
 * done; -XEN_ENOMEM, -XEN_ENOSPC: no pages for tables, or, of hundreds of entries, to remember what
 * they were; -XEN_EBUSY: changing or unmapping where a grant is mapped (grant.h); or what the
 * hypervisor said. PVG_PTE_PRESENT is added to flags. */

/* Maps pages of RAM, as pvg_map(). -XEN_EEXIST: something is mapped there; -XEN_EINVAL: a page is
 * not populated. Tables that are missing are made. */
int pvg_space_map(struct pvguest *g, struct pvg_space *s, uint64_t va, pvg_pfn_t first,
                  uint64_t count, uint64_t flags);
/* Other pages, or other flags, in place of what is mapped. -XEN_ENOENT: a page of the range is not
 * mapped. */
int pvg_space_change(struct pvguest *g, struct pvg_space *s, uint64_t va, pvg_pfn_t first,
                     uint64_t count, uint64_t flags);
/* The same pages with `flags` in place of the entries' own. -XEN_ENOENT as above. */
int pvg_space_protect(struct pvguest *g, struct pvg_space *s, uint64_t va, uint64_t count,
                      uint64_t flags);
/* Clears entries, mapped or not, and frees the tables of the lower half that are empty then, but
 * for those that were attached. */
int pvg_space_unmap(struct pvguest *g, struct pvg_space *s, uint64_t va, uint64_t count);
/* pvg_walk() in a space, loaded or not: include <pvguest/pagetable.h>. false: s is no space. */
struct pvg_walk;
bool pvg_space_walk(struct pvguest *g, struct pvg_space *s, uint64_t va, struct pvg_walk *w);

/* ---- single tables, for whoever builds their content himself */

#define PVG_TABLES_MAX 1024u /* at a time */

/* A zeroed page, writable at pvg_page(), that pvg_pages_give() does not take. -XEN_EINVAL: before
 * pvg_boot(); -XEN_ENOMEM; -XEN_ENOSPC: also where there are PVG_TABLES_MAX. */
int pvg_table_alloc(struct pvguest *g, pvg_pfn_t *table);
/* Frees one that is attached nowhere. -XEN_EINVAL: no table; -XEN_EBUSY: it is attached, or one is
 * attached to it. */
int pvg_table_free(struct pvguest *g, pvg_pfn_t table);
/*
 * Makes the table read-only, pins it as one of `level` (1..3), which validates its entries, and
 * hooks it for va into the table above, which must be there; of a space, in the lower half. Tables
 * that it names must be attached or pinned themselves, as that level. In an unpinned space nothing
 * is pinned, and the store is a plain one. -XEN_EINVAL: no table, no such place; -XEN_EEXIST: a
 * table hangs there; -XEN_EBUSY: it is attached elsewhere, or one that is attached to it is pinned
 * where the space is not, or not where the space is; or what the hypervisor said.
 */
int pvg_table_attach(struct pvguest *g, struct pvg_space *s, uint64_t va, unsigned level,
                     pvg_pfn_t table);
/* Takes out what hangs there, unpins it and makes it writable, content and all: *table is the
 * caller's. Tables below it stay attached to it, pinned or not as they are. -XEN_ENOENT: nothing
 * hangs there; -XEN_EINVAL: or no table that was attached there; -XEN_EBUSY: tables of
 * pvg_space_map()'s hang from it, or a grant is mapped by it: unmap first; or what the hypervisor
 * said: it is attached as before. */
int pvg_table_detach(struct pvguest *g, struct pvg_space *s, uint64_t va, unsigned level,
                     pvg_pfn_t *table);

#pragma GCC visibility pop

#endif
