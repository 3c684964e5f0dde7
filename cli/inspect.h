/* SPDX-License-Identifier: MIT */
/* What is in an image, gathered for people and for programs. */
#ifndef PVMM_CLI_INSPECT_H
#define PVMM_CLI_INSPECT_H

#include "imagefile.h"
#include "p2mwords.h"
#include "startinfo.h"

#define INSPECT_FORMAT 1  /* of the JSON */
#define INSPECT_RANGES 64 /* that are kept */

struct inspection {
    const char *path;
    uint64_t bytes;          /* 0: of a pipe */
    const char *compression; /* NULL: none */
    const struct pv_view *v;
    const struct image *image;
    const struct pv_p2m *p;
    struct pv_arch_info arch;
    char no_arch[256];                 /* "": it could be read */
    const struct pv_start_info *start; /* NULL: none, */
    const char *no_start;              /* for this reason */
    char banner[300];                  /* "": not known */
    struct pv_p2m_summary sum;
    struct pv_p2m_range range[INSPECT_RANGES];
    size_t ranges; /* kept */
};

/* Pfns below the highest that have no frame, as the image has them. */
uint64_t inspect_holes(const struct inspection *s);
/* A frame's pfn, as the image has it; NO_PFN: none. In an image whose tables hold pfns, itself. */
pfn_t inspect_pfn_of(const struct inspection *s, mfn_t m);

void inspect_text(const struct inspection *s, bool color);
void inspect_json(const struct inspection *s);

#endif
