/* SPDX-License-Identifier: MIT */
/*
 * libpvguest: the guest's half of the Xen paravirtual ABI.
 *
 *     void kernel_main(const start_info_t *si)       called by the library's entry point
 *     {
 *         struct pvg_options options;
 *         struct pvguest *g = pvg_start(si);          console, traps, features
 *         pvg_options_parse(g, &options);             words of the command line
 *         if (pvg_boot(g, &options))                  memory map, tables, p2m: all of it
 *             pvg_fatal(g, "boot");
 *         ...
 *         pvg_shutdown(g, SHUTDOWN_reboot);
 *     }
 *
 * Functions that can fail return 0 or a negative errno of the ABI (<xen/errno.h>); pvg_reason()
 * then has the chain of reasons. Nothing is half done: what fails leaves things as they were.
 * There is one guest, on its first vCPU; nothing here may be called by two vCPUs at once.
 */
#ifndef PVGUEST_H
#define PVGUEST_H

#include <pvguest/balloon.h>
#include <pvguest/batch.h>
#include <pvguest/console.h>
#include <pvguest/e820.h>
#include <pvguest/event.h>
#include <pvguest/grant.h>
#include <pvguest/hypercall.h>
#include <pvguest/memblock.h>
#include <pvguest/p2m.h>
#include <pvguest/pagetable.h>
#include <pvguest/space.h>
#include <pvguest/suspend.h>
#include <pvguest/trap.h>
#include <pvguest/types.h>
#include <pvguest/user.h>
#include <pvguest/xenstore.h>

#pragma GCC visibility push(default)

/* Mistakes that were really made, to see what comes of them (docs/libpvguest.md). Off by default.
 */
enum pvg_fault {
    PVG_FAULT_HIGH_TABLES_RW = 1u << 0,  /* high-tables-rw */
    PVG_FAULT_HIGH_TAIL_RO = 1u << 1,    /* high-tail-ro */
    PVG_FAULT_IOREMAP_SWAPPER = 1u << 2, /* ioremap-swapper */
    PVG_FAULT_INITIAL_PINNED = 1u << 3,  /* initial-pinned */
    PVG_FAULT_SHORT_MFN_LIST = 1u << 4,  /* short-mfn-list */
};

struct pvg_options {
    enum pvg_p2m_layout p2m; /* PVG_P2M_LINEAR or PVG_P2M_TREE */
    uint64_t memory_limit;   /* pages: none with a pfn from here on is used; 0: no limit */
    unsigned faults;         /* enum pvg_fault, or-ed */
};

/*
 * The kernel's, called once by the library's entry point: on a stack of 32 KiB, with events off.
 * `si` is start_info where the domain builder put it. It must not return.
 */
void kernel_main(const start_info_t *si);

/* Linear p2m, no limit, no faults. */
void pvg_options_default(struct pvg_options *o);
/*
 * Reads `p2m=linear|tree`, `mem=SIZE` (bytes, or with K, M, G) and `fault=NAME` out of the command
 * line; other words are the kernel's. The last of a kind counts, faults add up. 0; -XEN_EINVAL: a
 * value that is none, and *o is as it was.
 */
int pvg_options_parse(struct pvguest *g, struct pvg_options *o);

/*
 * Begins: checks start_info, sets up console and traps, asks for features. Never
 * returns NULL: without a start_info that can be trusted there is nothing to go on with, and the
 * domain crashes with a message.
 */
struct pvguest *pvg_start(const start_info_t *si);

/*
 * From start_info to a running memory system; see docs/libpvguest.md for the steps. Once:
 * -XEN_EBUSY: it was called before, and got as far as the fixmap, or lazy mode is on. -XEN_EINVAL:
 * an option, or a start_info that contradicts itself; -XEN_ENOMEM, -XEN_ENOSPC: no room; or what
 * the hypervisor said. Each step undoes what it did when it fails; those before it stand, so that
 * there is a console to say so on, but nothing to go on with.
 */
int pvg_boot(struct pvguest *g, const struct pvg_options *o);

/* start_info where it is mapped now. Its page stays, the address moves in pvg_boot(). */
const start_info_t *pvg_start_info(struct pvguest *g);
/* NULL: not mapped yet, which is done in pvg_boot(). */
shared_info_t *pvg_shared_info(struct pvguest *g);
/* As start_info has it, always terminated. */
const char *pvg_command_line(struct pvguest *g);
/* Whether the hypervisor has XENFEAT_* of <xen/features.h>; false for what it does not know. */
bool pvg_feature(struct pvguest *g, unsigned feature);
bool pvg_is_initial_domain(struct pvguest *g);

/* The chain of reasons of the last failure: "outer: inner: cause", up to 511 bytes. Empty: none
 * yet. The pointer stays good, its content until the next failure. */
const char *pvg_reason(struct pvguest *g);

/* ---- memory, as pvg_boot() found and arranged it */

struct pvg_memory_info { /* all in pages */
    uint64_t nr_pages;   /* given by the builder */
    uint64_t max_pages;  /* that the domain may have (XENMEM_maximum_reservation) */
    uint64_t pages;      /* in use as RAM */
    uint64_t released;   /* given back: outside RAM, and no room above */
    uint64_t remapped;   /* moved above nr_pages */
    uint64_t identity;   /* pages that are the machine's own */
    uint64_t extra;      /* RAM pages of the map that are not populated: room for a balloon, as far
                          * as max_pages allows */
};
void pvg_memory_info(struct pvguest *g, struct pvg_memory_info *info); /* all 0 before pvg_boot() */
const struct pvg_e820 *pvg_memory_map(struct pvguest *g);              /* in order */
const struct pvg_memblock *pvg_memblock_of(struct pvguest *g);

/* ---- ending */

/* SHUTDOWN_poweroff, _reboot or _crash of <xen/sched.h>: what the toolstack makes of the domain
 * then. */
_Noreturn void pvg_shutdown(struct pvguest *g, unsigned reason);
/* Says what, the reason of the last failure, and crashes the domain. */
_Noreturn void pvg_fatal(struct pvguest *g, const char *what);

#pragma GCC visibility pop

#endif
