/* SPDX-License-Identifier: MIT */
/*
 * One kind of image out of another. What an image does not tell is found out where that is sure,
 * and what the new kind has no room for is listed, in words.
 *
 * Functions that can fail return 0, or -1 with a chain of reasons in *e.
 */
#ifndef PVMM_IMAGE_CONVERT_H
#define PVMM_IMAGE_CONVERT_H

#include "image.h"
#include "symbols.h"

/* What was lost on the way: a clause each. */
#define PV_LOSSES 12u
struct pv_losses {
    unsigned n;
    char text[PV_LOSSES][200];
};

/*
 * The level at which each frame is in use as a table (1..4; 0: none), by its number in the view
 * (index_of()), v->nr_pages of them: as the image tells, else by going down from every root that is
 * known or found (check.h). Malloc'd, to be freed.
 */
int pv_levels(const struct pv_view *v, uint8_t **out, const struct pv_progress *progress,
              struct pv_error *e);

/*
 * Writes a plain ELF core of the guest's kernel, as gdb, drgn and crash open it: PT_LOADs by the
 * kernel's virtual addresses, p_paddr = pfn << 12; page tables name frames by pfn, as those of a
 * kernel on bare hardware; NT_PRSTATUS of each vCPU; Linux's VMCOREINFO. Sections whose names begin
 * with ".pvmm" keep what that loses, so that pv_open() has the same image of it again
 * (docs/convert.md). `fd` is a file; it is synced.
 */
struct pv_elf_options {
    const struct pv_symbols *symbols; /* NULL: none */
    struct pv_progress progress;
};

struct pv_elf_written {
    uint64_t pages, tables, segments;
    struct pv_losses lost;
};

int pv_elf_write(const struct pv_view *v, int fd, const struct pv_elf_options *o,
                 struct pv_elf_written *out, struct pv_error *e);

/* What a dump-core of this view does not have, or a stream. */
void pv_core_losses(const struct pv_view *v, struct pv_losses *out);
void pv_stream_losses(const struct pv_view *v, struct pv_losses *out);

#endif
