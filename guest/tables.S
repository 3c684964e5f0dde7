/* SPDX-License-Identifier: MIT */
/*
 * The page tables that are part of the image. Each is aligned by itself: where the link script puts
 * their section, and what else is in it ahead of them, is not theirs to know.
 */

    .macro TABLE name
    .globl \name
    .type \name, @object
    .balign 4096
\name:
    .skip 4096
    .size \name, 4096
    .endm

    .section .bss..page_aligned, "aw", @nobits
    TABLE pvg_fix_l2
    TABLE pvg_fix_l1
    TABLE pvg_own_l4
    TABLE pvg_own_l3
    TABLE pvg_own_l2

    .section .note.GNU-stack, "", @progbits
