/* SPDX-License-Identifier: MIT */
#ifndef PVMM_IMAGE_SYMBOLS_MODULES_H
#define PVMM_IMAGE_SYMBOLS_MODULES_H

#include "table.h"

/* Adds the symbols of the modules that are loaded, or are just being initialised, to those of the
 * kernel, which are there. -1: not, or not all; why is in *e. */
int modules_load(struct source *s, const struct pv_view *v, mfn_t root, struct pv_error *e);

#endif
