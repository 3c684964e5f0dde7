/* SPDX-License-Identifier: MIT */
/* All themes, in the order in which they run. */
#include "themes.h"

const struct theme *const themes[] = {
    &checks_theme, &format_theme, &names_theme,   &hypercall_theme,
    &trap_theme,   &event_theme,  &console_theme, NULL,
};
