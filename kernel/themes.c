/* SPDX-License-Identifier: MIT */
/* All themes, in the order in which they run. */
#include "themes.h"

const struct theme *const themes[] = {
    &format_theme, &hypercall_theme, &trap_theme, &console_theme, NULL,
};
