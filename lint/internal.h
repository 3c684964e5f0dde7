/* SPDX-License-Identifier: MIT */
/* What the parts of lint/ share. */
#ifndef PVMM_LINT_INTERNAL_H
#define PVMM_LINT_INTERNAL_H

#include "lint.h"

/* Always -1. */
__attribute__((format(printf, 2, 3))) int lint_fail(struct lint_error *e, const char *format, ...);
__attribute__((format(printf, 2, 3))) int lint_context(struct lint_error *e, const char *format,
                                                       ...);

/* Findings of page-aligned sections cost more than what they are of: so many of a weight are
 * listed. */
#define FINDINGS_LISTED 4096

/* Adds what says that there are more. */
int lint_add_rest(struct lint_report *r, struct lint_error *e);

/* A new finding of the report, to be filled in further by the caller; `code` is one of lint_codes.
 * NULL: out of memory. The pointer holds until the next call. */
__attribute__((format(printf, 4, 5))) struct lint_finding *
lint_add(struct lint_report *r, const char *code, enum lint_weight weight, const char *format, ...);

/* aligned.c: one ELF file (object or image); `member` as in a finding. */
int lint_aligned(const struct lint_input *elf, const char *member, const struct lint_options *o,
                 struct lint_report *r, struct lint_error *e);

/* boot.c: an executable, judged by pvmm's builder and by what is known of Xen's (xen.c). */
int lint_boot(const struct lint_input *elf, const struct lint_options *o, struct lint_report *r,
              struct lint_error *e);

#endif
