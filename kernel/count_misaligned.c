/* SPDX-License-Identifier: MIT */
/*
 * A variable of a few bytes once stood in the section of the image's page tables, ahead of them,
 * and shifted every table off its page. Its own page became read-only with the table that begins
 * there, and the kernel died far from the cause: of the next line of text, which only counted
 * itself. The image with this object is to be found by the build's check; booted, it repeats the
 * story.
 */
#include "count.h"

uint64_t troubles_told __attribute__((section(".bss..page_aligned")));
