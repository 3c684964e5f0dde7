/* SPDX-License-Identifier: MIT */
/* One theme for each file of tests. */
#ifndef KERNEL_THEMES_H
#define KERNEL_THEMES_H

#include "tap.h"

extern const struct theme checks_theme;
extern const struct theme console_theme;
extern const struct theme event_theme;
extern const struct theme format_theme;
extern const struct theme hypercall_theme;
extern const struct theme names_theme;
extern const struct theme trap_theme;

#endif
