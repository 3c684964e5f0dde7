/* SPDX-License-Identifier: MIT */
/*
 * A file that is there whole or not at all: written without a name, or as ".NAME.pvmm-XXXXXX"
 * where the file system knows no files without one, beside the place where it is to be; synced; and
 * renamed, so that what was there before stays until then. What a writer left there who was killed,
 * the next one of the same file removes. "-" is standard output, of which nothing is promised.
 */
#ifndef PVMM_CLI_OUTFILE_H
#define PVMM_CLI_OUTFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct outfile {
    const char *path;
    int fd;       /* to be written to; -1: not open */
    bool stdout_; /* it is "-" */
    char *dir;    /* where it lies */
    char *beside; /* the name it has meanwhile; NULL: none */
};

#define OUTFILE_NONE ((struct outfile){.fd = -1})

/* A device or a directory is not replaced by a file: -1. */
int outfile_check(const char *path, struct error *e);

/* -1: nothing can be written there. */
int outfile_begin(struct outfile *f, const char *path, struct error *e);

/* What it takes on its disk; of a pipe 0. */
uint64_t outfile_bytes(const struct outfile *f);

/* What was written so far is on its disk; of a pipe nothing is done. Finishing does it, too, but
 * who may still change his mind looks after his signals in between. */
int outfile_sync(const struct outfile *f, struct error *e);

/* Now it is there, and is still there after a power failure; a pipe's reader has its end. -1: what
 * was there before is. Either way it is closed. */
int outfile_finish(struct outfile *f, struct error *e);

/* Close it and leave nothing behind; what is not open does no harm. */
void outfile_abandon(struct outfile *f);

#endif
