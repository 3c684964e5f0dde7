/* SPDX-License-Identifier: MIT */
/*
 * What the link script (pvguest.lds) and the library know of each other by name. For kernels with
 * ELF notes of their own, or that look at their own image; not part of <pvguest/pvguest.h>.
 */
#ifndef PVGUEST_LINK_H
#define PVGUEST_LINK_H

#include <pvguest/types.h>

#pragma GCC visibility push(default)

/* ---- the link script's */

/* The image, [start, end): page-aligned virtual addresses. All of it, writable data and code alike,
 * is mapped readable, writable and executable, but for the page tables in it. */
extern const uint8_t pvg_image_start[], pvg_image_end[];

/* ---- the library's page tables in it, in .bss..page_aligned: read-only, for debuggers and tests
 */

extern uint64_t pvg_own_l4[512]; /* the root, from the switch on */
extern uint64_t pvg_own_l3[512]; /* of image and fixmap */
extern uint64_t pvg_own_l2[512]; /* of the image */
extern uint64_t pvg_fix_l2[512]; /* of the fixmap */
extern uint64_t pvg_fix_l1[512];

/* ---- the library's: whoever writes notes of his own (<xen/elfnote.h>) names them there */

/* XEN_ELFNOTE_ENTRY, and the ELF entry point. Not to be called. */
void pvg_entry(void);
/* XEN_ELFNOTE_HYPERCALL_PAGE: the builder fills it. Zero throughout: nobody did. */
extern uint8_t pvg_hypercall_page[PVG_PAGE_BYTES];
/*
 * The ELF notes, in section .note.Xen. A kernel that defines this symbol itself, in assembler
 * (notes.h) or as a struct of its own making, has the notes that it defines there, and none of the
 * library's. The library relies on these of them:
 *
 *     ENTRY, HYPERCALL_PAGE   as above; without a hypercall page SYSCALL is used
 *     VIRT_BASE, PADDR_OFFSET   PVG_VIRT_BASE and 0
 *     INIT_P2M    absent, or in an L4 slot of its own, 272, 401, or one of 403..510
 *     SUPPORTED_FEATURES   XENFEAT_dom0 where it shall boot as the initial domain; never
 *                 XENFEAT_writable_page_tables or XENFEAT_auto_translated_physmap
 */
struct pvg_notes;
extern const struct pvg_notes pvg_notes;

#pragma GCC visibility pop

#endif
