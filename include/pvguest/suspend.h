/* SPDX-License-Identifier: MIT */
/*
 * Suspend and resume: the tools save the domain's memory, page tables translated from mfns to pfns,
 * and build it again elsewhere, where every frame has another number.
 */
#ifndef PVGUEST_SUSPEND_H
#define PVGUEST_SUSPEND_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

enum pvg_resumed {
    PVG_RESUMED,   /* elsewhere: machine frames, event channels and time are others */
    PVG_CANCELLED, /* here: all is as it was (SUSPEND_CANCEL of <xen/elfnote.h>) */
};

/*
 * Suspends, and returns when the domain is resumed. All that names a machine frame is made portable
 * before - start_info's rings by pfn, shared_info and the grant table unmapped, every space pinned,
 * so that the tools know each table by its type - and made anew after: shared_info, console, p2m
 * with its identity ranges, MFN tree and lists, the store's ring with its watches, the grant table
 * with its entries. *how (NULL: not wanted) says which it was.
 *
 * 0; -XEN_EINVAL: before pvg_boot(); -XEN_EOPNOTSUPP: the initial domain, whose suspend is the
 * machine's; -XEN_EBUSY: something of another domain or of the machine is mapped (grants, early
 * ioremap) or marked so in the p2m (PVG_P2M_FOREIGN), which cannot be saved, or a table is
 * allocated and attached nowhere with entries in it, or lazy mode is on; -XEN_ENOMEM: no page to
 * remember the p2m's identity marks in; or what the hypervisor said: nothing changed, the guest
 * goes on. What cannot be put back after a suspend, resumed or cancelled, is fatal: there is
 * nothing to go back to.
 *
 * Events are masked meanwhile. Event channels of the kernel's own do not survive PVG_RESUMED: it
 * binds them again, and tells those that it lent pages to.
 */
int pvg_suspend(struct pvguest *g, enum pvg_resumed *how);

#pragma GCC visibility pop

#endif
