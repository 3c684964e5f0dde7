/* SPDX-License-Identifier: MIT */
/* All themes, in the order in which they run. */
#include "themes.h"

/* clang-format off */
const struct theme *const themes[] = {
    &checks_theme,
    &format_theme,
    &names_theme,
    &hypercall_theme,
    &trap_theme,
    &event_theme,
    &ports_theme,
    &memory_theme,
    &p2m_theme,
    &mfnlist_theme,
    &pagetable_theme,
    &map_theme,
    &fixmap_theme,
    &batch_theme,
    &types_theme,
    &reservation_theme,
    &space_theme,
    &user_theme,
    &user_event_theme,
    &grant_theme,
    &balloon_theme,
    &xenstore_theme,
    &suspend_theme,
    &memory_again_theme,
    &console_theme,
    NULL,
};
/* clang-format on */
