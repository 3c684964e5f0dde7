/* SPDX-License-Identifier: MIT */
/*
 * A guest from one kind of image into another. What the new one has no room for is told, a sentence
 * each; what both hold is the same in both, page by page of the same pfn (entries of page tables by
 * the pfn of the frame they name, where one of the two names frames by pfn).
 */
#ifndef PVMM_IMAGE_CONVERT_H
#define PVMM_IMAGE_CONVERT_H

#include "image.h"
#include "symbols.h"

enum pv_target {
    PV_TO_CORE,   /* Xen's dump-core */
    PV_TO_STREAM, /* a save stream */
    PV_TO_ELF,    /* an ELF core with the kernel's virtual addresses, for debuggers */
};

#define PV_LOSSES 24u
struct pv_losses {
    unsigned n;
    char text[PV_LOSSES][240];
};

struct pv_convert_options {
    enum pv_target to;
    bool of_xl;                       /* a stream: as `xl save` writes it; else libxc's alone */
    int zstd;                         /* a stream: level 1..19; 0: not compressed */
    const struct pv_symbols *symbols; /* of the guest's kernel; NULL: none */
    struct pv_progress progress;      /* by pages */
};

struct pv_converted {
    uint64_t pages, tables; /* of these, where they are known */
    struct pv_losses lost;
};

/*
 * Writes to `fd`: a file that is empty and can be sought in, or, of a stream, also a pipe. After an
 * error what was written is the caller's to remove.
 */
int pv_convert(const struct pv_view *v, int fd, const struct pv_convert_options *o,
               struct pv_converted *out, struct pv_error *e);

#endif
