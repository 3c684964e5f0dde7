/* SPDX-License-Identifier: MIT */
/* File formats, recognised by their content, never by their name. */
#ifndef PVMM_CLI_FORMAT_H
#define PVMM_CLI_FORMAT_H

#include <stdbool.h>

#include "memfd.h"

enum format {
    FORMAT_UNKNOWN,
    FORMAT_ELF,
    FORMAT_BZIMAGE,
    FORMAT_CPIO,
    FORMAT_DISK, /* a file system image: ext2-4, squashfs, cramfs, romfs */
    FORMAT_GZIP,
    FORMAT_XZ,
    FORMAT_ZSTD,
    FORMAT_BZIP2,
    FORMAT_LZMA,
    FORMAT_LZ4_LEGACY,
    FORMAT_LZ4_FRAME,
    FORMAT_LZO,
};

/* What the first bytes say. */
enum format format_of(struct view v);

const char *format_name(enum format f);

bool format_is_compressed(enum format f);

#endif
