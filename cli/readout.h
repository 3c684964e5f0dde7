/* SPDX-License-Identifier: MIT */
/* A stretch of an image, piece by piece: what is there, and what is not with the reason. */
#ifndef PVMM_CLI_READOUT_H
#define PVMM_CLI_READOUT_H

#include "lookup.h"

struct stretch {
    const struct image *image;
    enum place_kind kind;
    mfn_t root;     /* of virtual addresses */
    uint64_t start; /* the address; of frames: number times 4096, plus the offset */
    uint64_t bytes;
};

/* Either bytes of one frame, or bytes that are not there, for one reason. */
struct piece {
    uint64_t at; /* as stretch.start counts */
    uint64_t bytes;
    bool there;
    mfn_t frame; /* of what is there; NO_MFN: none, or not known */
    uint8_t data[4096];
    char why[256];
};

/* The piece that begins `done` bytes into the stretch. */
void stretch_piece(const struct stretch *s, uint64_t done, struct piece *p);

/* Takes what follows what it has; any thread calls it, one after the other. false: enough. */
typedef bool stretch_put(void *context, const void *data, uint64_t bytes);
/* Whole pages from there on, as many in a row as are there, up to `pages`: read on all cores at
 * once. Returns how many were put. */
uint64_t stretch_pages(const struct stretch *s, uint64_t done, uint64_t pages, stretch_put *put,
                       void *context);

#endif
