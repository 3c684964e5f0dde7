/* SPDX-License-Identifier: MIT */
/* A guest of a few frames that are all its own, pfn and mfn alike, for tables made by hand. */
#ifndef PVMM_TESTS_IMAGE_FLAT_H
#define PVMM_TESTS_IMAGE_FLAT_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image.h"
#include "pte.h"

#define FLAT_FRAMES 64u

struct flat {
    uint64_t frame[FLAT_FRAMES][512];
    unsigned reads; /* how often the backend was asked for content */
    struct pv_view view;
};

/* With or without a mapping of its words; of that width. */
void flat_init(struct flat *f, bool words, unsigned width);

#endif
