/* SPDX-License-Identifier: MIT */
/*
 * A variable of a few bytes once stood in the section of the image's page tables, ahead of them,
 * and shifted every table off its page. The page that held the variable and most of a table became
 * read-only with the table, and the next line of text, which only counted itself there, was the
 * end. The image with this object is to be refused at the build's check, and by pvg_boot().
 */
#include "count.h"

uint64_t texts_said __attribute__((section(".bss..page_aligned")));
