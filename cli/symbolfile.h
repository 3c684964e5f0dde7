/* SPDX-License-Identifier: MIT */
/* The files that --symbols names, and whether they are of the kernel whose addresses they are to
 * name. */
#ifndef PVMM_CLI_SYMBOLFILE_H
#define PVMM_CLI_SYMBOLFILE_H

#include <stdbool.h>

#include "error.h"
#include "symbols.h"

/* Whose addresses are to get names. */
struct symbol_owner {
    const char *name;           /* the kernel's file, or the image: for messages */
    const struct pv_view *view; /* the guest's memory; NULL: kernel_fd is looked at */
    int kernel_fd;              /* the kernel as an ELF file */
    bool anyway;                /* a file of another kernel is warned of, and taken */
    bool verbose;               /* say so where it cannot be told */
};

/* Is it of another kernel? EXIT_USAGE, or a warning. */
int symbol_file_check(const char *path, const struct symbol_owner *of, struct error *e);

/* Adds the symbols of a file. One that cannot be read, or whose build id is another than the
 * kernel's, is EXIT_USAGE; where one of them has no build id, nothing is compared, but an ELF file
 * without the one that the kernel has is warned of. */
int symbol_file_take(struct pv_symbols *to, const char *path, const struct symbol_owner *of,
                     struct error *e);

#endif
