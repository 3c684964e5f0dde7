/* SPDX-License-Identifier: MIT */
/* The guest's memory after a crash, as a file (Xen's dump-core format) that tools read. */
#ifndef PVMM_CLI_COREFILE_H
#define PVMM_CLI_COREFILE_H

#include "error.h"
#include "image.h"

/*
 * Written under another name beside `path`, and renamed when it is complete. `signals` is a
 * signalfd: what comes in there ends the writing. Returns -1, with nothing left behind, if it is
 * not complete; `*bytes` is what the file takes on its disk.
 */
int corefile_write(const struct pv_view *v, const char *path, int signals, uint64_t *bytes,
                   struct error *e);

/* The same into a file that was begun, and is the caller's to finish. */
struct outfile;
int corefile_fill(const struct pv_view *v, struct outfile *f, const char *what, int signals,
                  uint64_t *bytes, struct error *e);

/* "KERNEL.core" in the directory that is the current one now. Malloc'd, or NULL. */
char *corefile_default(const char *kernel);

#endif
