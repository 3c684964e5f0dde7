/* SPDX-License-Identifier: MIT */
#include "decompress.h"

#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "exitcodes.h"

#define CHUNK (256u * 1024u)

static uint8_t chunk[CHUNK]; /* output of the decoder that runs; the tool has one thread */

static int damaged(struct error *e, const char *why)
{
    return error_set(e, EXIT_UNTESTABLE, "%s", why);
}

int unpacked_put(struct sink *s, const void *data, size_t size, struct error *e)
{
    s->size += size;
    if (s->size > s->limit)
        return error_set(e, EXIT_UNTESTABLE, "it unpacks to more than %llu MiB",
                         (unsigned long long)(s->limit >> 20));
    return s->fd < 0 ? 0 : memfd_append(s->fd, data, size, e);
}

/* zlib and bzip2 count their input in 32 bits: hand it over in pieces. */
static unsigned piece(size_t left)
{
    return left > (1u << 30) ? 1u << 30 : (unsigned)left;
}

static int gzip_loop(z_stream *z, struct view in, struct sink *out, size_t *used, struct error *e)
{
    size_t given = 0;
    int rc = Z_OK;

    while (rc != Z_STREAM_END) {
        if (z->avail_in == 0) {
            if (given == in.size)
                return damaged(e, "it ends too early (truncated)");
            z->next_in = (Bytef *)(uintptr_t)(in.data + given);
            z->avail_in = piece(in.size - given);
            given += z->avail_in;
        }
        z->next_out = chunk;
        z->avail_out = CHUNK;
        rc = inflate(z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return damaged(e, z->msg != NULL ? z->msg : "damaged data");
        if (unpacked_put(out, chunk, CHUNK - z->avail_out, e) != 0)
            return -1;
    }
    *used = given - z->avail_in;
    return 0;
}

int decompress_gzip(struct view in, struct sink *out, size_t *used, struct error *e)
{
    z_stream z = {0};
    int rc;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return error_set(e, EXIT_ENVIRONMENT, "zlib does not start");
    rc = gzip_loop(&z, in, out, used, e);
    inflateEnd(&z);
    return rc;
}

static int lzma_loop(lzma_stream *z, struct view in, struct sink *out, size_t *used,
                     struct error *e)
{
    lzma_ret rc = LZMA_OK;

    z->next_in = in.data;
    z->avail_in = in.size;
    while (rc != LZMA_STREAM_END) {
        z->next_out = chunk;
        z->avail_out = CHUNK;
        rc = lzma_code(z, LZMA_FINISH);
        if (unpacked_put(out, chunk, CHUNK - z->avail_out, e) != 0)
            return -1;
        if (rc == LZMA_BUF_ERROR)
            return damaged(e, "it ends too early (truncated)");
        if (rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR)
            return damaged(e, "its dictionary is too large");
        if (rc != LZMA_OK && rc != LZMA_STREAM_END)
            return damaged(e, "damaged data");
    }
    *used = in.size - z->avail_in;
    return 0;
}

int decompress_xz(struct view in, struct sink *out, size_t *used, struct error *e)
{
    lzma_stream z = LZMA_STREAM_INIT;
    int rc;

    if (lzma_stream_decoder(&z, UINT64_C(1) << 30, 0) != LZMA_OK)
        return error_set(e, EXIT_ENVIRONMENT, "liblzma does not start");
    rc = lzma_loop(&z, in, out, used, e);
    lzma_end(&z);
    return rc;
}

int decompress_lzma(struct view in, struct sink *out, size_t *used, struct error *e)
{
    lzma_stream z = LZMA_STREAM_INIT;
    int rc;

    if (lzma_alone_decoder(&z, UINT64_C(1) << 30) != LZMA_OK)
        return error_set(e, EXIT_ENVIRONMENT, "liblzma does not start");
    rc = lzma_loop(&z, in, out, used, e);
    lzma_end(&z);
    return rc;
}

static int zstd_loop(ZSTD_DStream *z, struct view in, struct sink *out, size_t *used,
                     struct error *e)
{
    ZSTD_inBuffer from = {in.data, in.size, 0};
    size_t rc;

    do {
        ZSTD_outBuffer to = {chunk, CHUNK, 0};

        rc = ZSTD_decompressStream(z, &to, &from);
        if (ZSTD_isError(rc))
            return damaged(e, ZSTD_getErrorName(rc));
        if (unpacked_put(out, chunk, to.pos, e) != 0)
            return -1;
        if (rc != 0 && from.pos == from.size && to.pos < to.size)
            return damaged(e, "it ends too early (truncated)");
    } while (rc != 0);
    *used = from.pos;
    return 0;
}

int decompress_zstd(struct view in, struct sink *out, size_t *used, struct error *e)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    int rc;

    if (z == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "libzstd does not start");
    /* Kernels are packed with windows up to 128 MiB; allow what `zstd --ultra --long` can do. */
    ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 30);
    rc = zstd_loop(z, in, out, used, e);
    ZSTD_freeDStream(z);
    return rc;
}

static int bzip2_loop(bz_stream *z, struct view in, struct sink *out, size_t *used, struct error *e)
{
    size_t given = 0;
    int rc = BZ_OK;

    while (rc != BZ_STREAM_END) {
        if (z->avail_in == 0 && given < in.size) {
            z->next_in = (char *)(uintptr_t)(in.data + given);
            z->avail_in = piece(in.size - given);
            given += z->avail_in;
        }
        z->next_out = (char *)chunk;
        z->avail_out = CHUNK;
        rc = BZ2_bzDecompress(z);
        if (rc != BZ_OK && rc != BZ_STREAM_END)
            return damaged(e, "damaged data");
        if (unpacked_put(out, chunk, CHUNK - z->avail_out, e) != 0)
            return -1;
        if (rc == BZ_OK && z->avail_out == CHUNK && z->avail_in == 0 && given == in.size)
            return damaged(e, "it ends too early (truncated)");
    }
    *used = given - z->avail_in;
    return 0;
}

int decompress_bzip2(struct view in, struct sink *out, size_t *used, struct error *e)
{
    bz_stream z = {0};
    int rc;

    if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
        return error_set(e, EXIT_ENVIRONMENT, "libbz2 does not start");
    rc = bzip2_loop(&z, in, out, used, e);
    BZ2_bzDecompressEnd(&z);
    return rc;
}

static int dispatch(enum format f, struct view in, struct sink *out, size_t *used, struct error *e)
{
    switch (f) {
    case FORMAT_GZIP:
        return decompress_gzip(in, out, used, e);
    case FORMAT_XZ:
        return decompress_xz(in, out, used, e);
    case FORMAT_LZMA:
        return decompress_lzma(in, out, used, e);
    case FORMAT_ZSTD:
        return decompress_zstd(in, out, used, e);
    case FORMAT_BZIP2:
        return decompress_bzip2(in, out, used, e);
    case FORMAT_LZ4_LEGACY:
        return decompress_lz4_legacy(in, out, used, e);
    case FORMAT_LZ4_FRAME:
        return decompress_lz4_frame(in, out, used, e);
    default:
        return error_set(e, EXIT_UNTESTABLE, "this compression is not supported");
    }
}

int decompress(enum format f, struct view in, struct sink *out, size_t *used, struct error *e)
{
    if (dispatch(f, in, out, used, e) == 0)
        return 0;
    return error_context(e, "%s-compressed data of %zu bytes", format_name(f), in.size);
}
