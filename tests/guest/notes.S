/* SPDX-License-Identifier: MIT */
/*
 * No INIT_P2M: the roots that are loaded here have nothing of the builder's but the image's slot, and the
 * p2m must be in it. No HYPERCALL_PAGE: the library is to do without, too.
 */
#include <pvguest/notes.h>

    .section .note.Xen, "a", @note
    .balign 4
    .globl pvg_notes
pvg_notes:
    PVG_NOTE_TEXT XEN_ELFNOTE_GUEST_OS, "pvmm-test"
    PVG_NOTE_TEXT XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
    PVG_NOTE_TEXT XEN_ELFNOTE_LOADER, "generic"
    PVG_NOTE_TEXT XEN_ELFNOTE_PAE_MODE, "yes"
    PVG_NOTE_WORDS XEN_ELFNOTE_ENTRY, pvg_entry
    PVG_NOTE_WORDS XEN_ELFNOTE_VIRT_BASE, 0xffffffff80000000
    PVG_NOTE_WORDS XEN_ELFNOTE_PADDR_OFFSET, 0
    PVG_NOTE_WORDS XEN_ELFNOTE_SUPPORTED_FEATURES, 1 << XENFEAT_dom0

    .section .note.GNU-stack, "", @progbits
