/* SPDX-License-Identifier: MIT */
/*
 * What the domain builder is told (<xen/elfnote.h>). A kernel with notes of its own defines pvg_notes
 * itself, and this object is not linked.
 */
#define __ASSEMBLY__
#include <xen/elfnote.h>
#include <xen/features.h>

    .macro NOTE_WORDS type, words:vararg
    .balign 4
    .long 4, 9f - 8f, \type
    .asciz "Xen"
8:  .quad \words
9:
    .endm

    .macro NOTE_TEXT type, text
    .balign 4
    .long 4, 9f - 8f, \type
    .asciz "Xen"
8:  .asciz "\text"
9:
    .balign 4
    .endm

    .section .note.Xen, "a", @note
    .balign 4
    .globl pvg_notes
    .type pvg_notes, @object
pvg_notes:
    NOTE_TEXT XEN_ELFNOTE_GUEST_OS, "libpvguest"
    NOTE_TEXT XEN_ELFNOTE_XEN_VERSION, "xen-3.0"
    NOTE_TEXT XEN_ELFNOTE_LOADER, "generic"
    NOTE_TEXT XEN_ELFNOTE_PAE_MODE, "yes"
    NOTE_WORDS XEN_ELFNOTE_ENTRY, pvg_entry
    NOTE_WORDS XEN_ELFNOTE_VIRT_BASE, 0xffffffff80000000
    NOTE_WORDS XEN_ELFNOTE_PADDR_OFFSET, 0
    NOTE_WORDS XEN_ELFNOTE_HYPERCALL_PAGE, pvg_hypercall_page
    /* Away from the boot region, in an L4 slot that nothing of ours is in. */
    NOTE_WORDS XEN_ELFNOTE_INIT_P2M, 0xffffc98000000000
    NOTE_WORDS XEN_ELFNOTE_MOD_START_PFN, 1
    NOTE_WORDS XEN_ELFNOTE_SUPPORTED_FEATURES, 1 << XENFEAT_dom0
    /* An entry that is not present names no frame. */
    NOTE_WORDS XEN_ELFNOTE_L1_MFN_VALID, 1, 1
    /* Nobody here suspends, so that there is nothing to resume either. */
    NOTE_WORDS XEN_ELFNOTE_SUSPEND_CANCEL, 0
    .size pvg_notes, . - pvg_notes

    .section .note.GNU-stack, "", @progbits
