/* SPDX-License-Identifier: MIT */
/*
 * The page tables that are part of the image. Their section starts on a page (pvguest.lds), and each
 * is a page long: that alone aligns them. Whatever else is put into the section must keep to whole
 * pages, or it shifts all that come after it.
 */

    .macro TABLE name
    .globl \name
    .type \name, @object
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
