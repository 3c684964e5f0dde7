/* SPDX-License-Identifier: MIT */
/*
 * The grant table, version 1 (<xen/grant_table.h>): pages lent to other domains, and pages of
 * theirs.
 */
#ifndef PVGUEST_GRANT_H
#define PVGUEST_GRANT_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

#define PVG_GRANT_FRAMES_MAX 32u  /* of the table, 512 entries each */
#define PVG_GRANT_RESERVED   8u   /* GNTTAB_NR_RESERVED_ENTRIES: the tools' */
#define PVG_GRANT_MAPPINGS   256u /* of other domains' pages, at a time */

/*
 * Sets the table up with `frames` frames (1..PVG_GRANT_FRAMES_MAX), mapped in the fixmap; again: it
 * grows to so many, if it has fewer. 0; -XEN_EINVAL: before pvg_boot(), or no such number;
 * -XEN_ENOSPC: the hypervisor allows fewer; -XEN_ENOSYS: it has no grant tables; or what it said.
 * On failure the table has as many frames as before.
 */
int pvg_grant_init(struct pvguest *g, unsigned frames);

/* ---- lending */

/* Lets `to` map a page of ours. *ref: what it must be told. The page must be RAM with a frame, and
 * stay where it is; it is not to be given away meanwhile. -XEN_EINVAL: no such page, a frame beyond
 * 2^32, or no table; -XEN_ENOSPC: all references are in use. */
int pvg_grant_access(struct pvguest *g, domid_t to, pvg_pfn_t page, bool read_only, uint32_t *ref);
/* No more. -XEN_EBUSY: it is mapped there still, and stays granted; -XEN_EINVAL: no grant of ours.
 */
int pvg_grant_end(struct pvguest *g, uint32_t ref);
/* Grants that stand. */
unsigned pvg_grants(struct pvguest *g);

/* ---- borrowing */

struct pvg_grant_mapping {
    uint64_t va;
    uint32_t handle;
    domid_t from;
    bool read_only;
};
/*
 * Maps the page behind `ref` of `from` at va, in the loaded space; tables that are missing are
 * made. A domain's own grants are had by its own id: DOMID_SELF is nobody. The mapping ends with
 * pvg_grant_unmap(), and until then nothing else changes or unmaps that place, or unpins or ends
 * the space (-XEN_EBUSY); whoever clears its entry by other means has lost the way back.
 * -XEN_EINVAL: no page, not in the guest's part of the address space, or before pvg_boot();
 * -XEN_EEXIST: something is mapped there; -XEN_ENOMEM: no pages for tables; -XEN_ENOSPC:
 * PVG_GRANT_MAPPINGS are there; else what came of it, GNTST_* as an errno: -XEN_ESRCH
 * (GNTST_bad_domain), -XEN_ENOENT (GNTST_bad_gntref: beyond the other's table), -XEN_EACCES
 * (GNTST_permission_denied), -XEN_EIO (any other; Xen says GNTST_general_error of an entry that
 * grants nothing, or not to us), -XEN_ENOSYS. Nothing is mapped then.
 */
int pvg_grant_map(struct pvguest *g, domid_t from, uint32_t ref, uint64_t va, bool read_only,
                  struct pvg_grant_mapping *m);
/* 0; -XEN_EINVAL: no mapping of ours; -XEN_EBUSY: it is in the lower half of a space that is not
 * loaded; or what came of it, and it stays. */
int pvg_grant_unmap(struct pvguest *g, const struct pvg_grant_mapping *m);
unsigned pvg_grant_mappings(struct pvguest *g);

#pragma GCC visibility pop

#endif
