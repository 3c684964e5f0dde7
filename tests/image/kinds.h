/* SPDX-License-Identifier: MIT */
/* One small image of each kind, for those that damage images: a kind is added here alone. */
#ifndef PVMM_TESTS_IMAGE_KINDS_H
#define PVMM_TESTS_IMAGE_KINDS_H

#include "image.h"

struct kind {
    const char *name;
    /* A file in memory; the caller's to close. */
    int (*make)(void);
    /* NULL: pv_open() opens it. */
    int (*open)(struct pv_view **out, const char *path, struct pv_error *e);
    bool packed; /* places in it are none of the file's */
    bool large;  /* no seed for a fuzzer */
};
extern const struct kind kinds[];
extern const unsigned nr_kinds;

int kind_open(const struct kind *k, struct pv_view **out, const char *path, struct pv_error *e);

#endif
