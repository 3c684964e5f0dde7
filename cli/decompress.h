/* SPDX-License-Identifier: MIT */
/* One front for the compression formats of kernels and initial ramdisks. */
#ifndef PVMM_CLI_DECOMPRESS_H
#define PVMM_CLI_DECOMPRESS_H

#include "format.h"

/* Where the output goes; with fd -1 it is only counted, which tests a stream to its end. */
struct sink {
    int fd;
    uint64_t size;  /* bytes so far */
    uint64_t limit; /* more is refused: a decompression bomb, or damage */
};

/* Used by the decoders: one piece of output. */
int unpacked_put(struct sink *s, const void *data, size_t size, struct error *e);

/*
 * Decode the one stream at the start of `in`; `*used` is its length in bytes. LZ4's legacy format
 * has no end mark, it takes all of `in`. Damage, and a stream cut short, are EXIT_UNTESTABLE.
 */
int decompress(enum format f, struct view in, struct sink *out, size_t *used, struct error *e);

/* One decoder per format; they have decompress()'s contract. */
int decompress_gzip(struct view in, struct sink *out, size_t *used, struct error *e);
int decompress_xz(struct view in, struct sink *out, size_t *used, struct error *e);
int decompress_lzma(struct view in, struct sink *out, size_t *used, struct error *e);
int decompress_zstd(struct view in, struct sink *out, size_t *used, struct error *e);
int decompress_bzip2(struct view in, struct sink *out, size_t *used, struct error *e);
int decompress_lz4_legacy(struct view in, struct sink *out, size_t *used, struct error *e);
int decompress_lz4_frame(struct view in, struct sink *out, size_t *used, struct error *e);

#endif
