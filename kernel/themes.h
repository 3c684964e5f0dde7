/* SPDX-License-Identifier: MIT */
/* One theme for each file of tests. */
#ifndef KERNEL_THEMES_H
#define KERNEL_THEMES_H

#include "tap.h"

extern const struct theme batch_theme;
extern const struct theme checks_theme;
extern const struct theme console_theme;
extern const struct theme event_theme;
extern const struct theme fixmap_theme;
extern const struct theme format_theme;
extern const struct theme grant_theme;
extern const struct theme hypercall_theme;
extern const struct theme map_theme;
extern const struct theme memory_theme;
extern const struct theme memory_again_theme;
extern const struct theme mfnlist_theme;
extern const struct theme names_theme;
extern const struct theme p2m_theme;
extern const struct theme pagetable_theme;
extern const struct theme reservation_theme;
extern const struct theme suspend_theme;
extern const struct theme trap_theme;
extern const struct theme types_theme;

#endif
