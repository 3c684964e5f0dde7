/* SPDX-License-Identifier: MIT */
/* The notes of a kernel that has none of its own: otherwise this object is not linked. */
#include <pvguest/notes.h>

    .section .note.Xen, "a", @note
    .balign 4
    .globl pvg_notes
    .type pvg_notes, @object
pvg_notes:
    PVG_NOTE_TEXT XEN_ELFNOTE_GUEST_OS, "libpvguest"
    PVG_NOTE_TEXT XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
    PVG_NOTE_TEXT XEN_ELFNOTE_LOADER, "generic"
    PVG_NOTE_TEXT XEN_ELFNOTE_PAE_MODE, "yes"
    PVG_NOTE_WORDS XEN_ELFNOTE_ENTRY, pvg_entry
    PVG_NOTE_WORDS XEN_ELFNOTE_VIRT_BASE, 0xffffffff80000000
    PVG_NOTE_WORDS XEN_ELFNOTE_PADDR_OFFSET, 0
    PVG_NOTE_WORDS XEN_ELFNOTE_HYPERCALL_PAGE, pvg_hypercall_page
    /* Away from the boot region, in an L4 slot that nothing of ours is in. */
    PVG_NOTE_WORDS XEN_ELFNOTE_INIT_P2M, 0xffffc98000000000
    PVG_NOTE_WORDS XEN_ELFNOTE_MOD_START_PFN, 1
    PVG_NOTE_WORDS XEN_ELFNOTE_SUPPORTED_FEATURES, 1 << XENFEAT_dom0
    /* An entry that is not present names no frame. */
    PVG_NOTE_WORDS XEN_ELFNOTE_L1_MFN_VALID, 1, 1
    /* pvg_suspend() knows the return code of a suspend that was called off. */
    PVG_NOTE_WORDS XEN_ELFNOTE_SUSPEND_CANCEL, 1
    .size pvg_notes, . - pvg_notes

    .section .note.GNU-stack, "", @progbits
