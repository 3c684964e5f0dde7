/* SPDX-License-Identifier: MIT */
#ifndef PVMM_IMAGE_FORMATS_HOLES_H
#define PVMM_IMAGE_FORMATS_HOLES_H

#include <stdbool.h>
#include <stdint.h>

struct pv_holes;

/* Pages of a file that have no content, as it is now; to be freed with free(). It moves the file's
 * position. NULL: out of memory. */
struct pv_holes *pv_holes_find(int fd, uint64_t bytes);
/* Is the page at that offset one of them? */
bool pv_holes_at(const struct pv_holes *h, uint64_t at);

#endif
