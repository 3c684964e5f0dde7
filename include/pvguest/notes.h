/* SPDX-License-Identifier: MIT */
/*
 * For assembly: macros for ELF notes (<xen/elfnote.h>), of a kernel that defines pvg_notes itself
 * (link.h, which is all that this is in C).
 */
#ifndef PVGUEST_NOTES_H
#define PVGUEST_NOTES_H

#ifdef __ASSEMBLER__

#define __ASSEMBLY__
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

#else
#include <pvguest/link.h>
#endif

#endif
