/* SPDX-License-Identifier: MIT */
/*
 * For assembly: what the domain builder is told (<xen/elfnote.h>), one note each. A kernel that wants
 * others than the library's defines pvg_notes itself, in a section .note.Xen.
 */
#ifndef PVGUEST_NOTES_H
#define PVGUEST_NOTES_H

#ifndef __ASSEMBLY__
#define __ASSEMBLY__
#endif
#include <xen/elfnote.h>
#include <xen/features.h>

    .macro PVG_NOTE_WORDS type, words:vararg
    .balign 4
    .long 4, 9f - 8f, \type
    .asciz "Xen"
8:  .quad \words
9:
    .endm

    .macro PVG_NOTE_TEXT type, text
    .balign 4
    .long 4, 9f - 8f, \type
    .asciz "Xen"
8:  .asciz "\text"
9:
    .balign 4
    .endm

#endif
