/* SPDX-License-Identifier: MIT */
#include "internal.h"

int lint_boot(const struct lint_input *elf, const struct lint_options *o, struct lint_report *r,
              struct lint_error *e)
{
    (void)elf, (void)o, (void)e;
    r->answer[LINT_BOOT_PVMM] = r->answer[LINT_BOOT_XEN] = LINT_NOT_ASKED;
    return 0;
}
