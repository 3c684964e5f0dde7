/* SPDX-License-Identifier: MIT */
/* What the parts of the second and third question share (boot.c has the judgement). */
#ifndef PVMM_LINT_BOOT_H
#define PVMM_LINT_BOOT_H

#include "elfview.h"
#include "guest_image.h"
#include "internal.h"

#define BOOT_MEMORY_MAX (UINT64_C(1) << 46) /* more than a machine can have */

static inline uint64_t boot_memory(const struct lint_options *o)
{
    const uint64_t bytes = o->memory != 0 ? o->memory : UINT64_C(512) << 20;

    return bytes < BOOT_MEMORY_MAX ? bytes : BOOT_MEMORY_MAX;
}

static inline uint64_t boot_initrd(const struct lint_options *o)
{
    return o->initrd < BOOT_MEMORY_MAX ? o->initrd : BOOT_MEMORY_MAX;
}

/* Where the address of a finding is known. 0, or -1 out of memory. */
int boot_locate(struct lint_finding *f, uint64_t address, uint64_t size, struct lint_error *e);

/* notes.c, segments.c: what is worth knowing and no fault. 0, or -1 out of memory. `g` is what the
 * builder has read, to where it refused. */
int boot_notes(const struct elfview *v, const struct guest_image *g, struct lint_report *r,
               struct lint_error *e);
int boot_segments(const struct elfview *v, const struct guest_image *g, struct lint_report *r,
                  struct lint_error *e);

#endif
