/* SPDX-License-Identifier: MIT */
/* zstd, gzip and xz, each a stream that is fed piece by piece. */
#include "spool.h"

#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define XZ_MEMORY (256ull << 20) /* xz -9 takes 65 MiB */

static bool begins(const uint8_t *head, size_t n, const char *magic, size_t bytes)
{
    return n >= bytes && memcmp(head, magic, bytes) == 0;
}

static void taken(struct decode_buffers *b, size_t in, size_t out)
{
    b->in += in;
    b->in_bytes -= in;
    b->out += out;
    b->out_room -= out;
}

/* ---- zstd */

/* A frame that is to be skipped may come first. */
static bool is_zstd(const uint8_t *head, size_t n)
{
    bool skipped = n >= 4 && (head[0] & 0xf0) == 0x50 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0;
    return skipped || begins(head, n, "\x28\xb5\x2f\xfd", 4);
}

static void *zstd_start(void)
{
    return ZSTD_createDStream();
}

static enum decoded zstd_run(void *state, struct decode_buffers *b, bool last, const char **why)
{
    (void)last;
    ZSTD_inBuffer in = {b->in, b->in_bytes, 0};
    ZSTD_outBuffer out = {b->out, b->out_room, 0};
    size_t rc = ZSTD_decompressStream(state, &out, &in);
    taken(b, in.pos, out.pos);
    if (ZSTD_isError(rc)) {
        *why = ZSTD_getErrorName(rc);
        return DECODE_DAMAGED;
    }
    return rc == 0 ? DECODE_END : DECODE_MORE;
}

static void zstd_end(void *state)
{
    ZSTD_freeDStream(state);
}

/* ---- gzip */

struct gzip {
    z_stream z;
    bool between; /* two members; also: behind the last */
};

static bool is_gzip(const uint8_t *head, size_t n)
{
    return begins(head, n, "\x1f\x8b\x08", 3);
}

static void *gzip_start(void)
{
    struct gzip *g = calloc(1, sizeof(*g));
    if (g && inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) {
        free(g);
        return NULL;
    }
    return g;
}

/* Zeroes behind a member are padding. */
static bool next_member(struct gzip *g, struct decode_buffers *b)
{
    while (b->in_bytes && *b->in == 0)
        taken(b, 1, 0);
    if (b->in_bytes == 0)
        return false;
    inflateReset(&g->z);
    g->between = false;
    return true;
}

static enum decoded gzip_run(void *state, struct decode_buffers *b, bool last, const char **why)
{
    (void)last;
    struct gzip *g = state;
    if (g->between && !next_member(g, b))
        return DECODE_END;
    g->z.next_in = (uint8_t *)b->in;
    g->z.avail_in = (unsigned)b->in_bytes;
    g->z.next_out = b->out;
    g->z.avail_out = (unsigned)b->out_room;
    int rc = inflate(&g->z, Z_NO_FLUSH);
    taken(b, b->in_bytes - g->z.avail_in, b->out_room - g->z.avail_out);
    g->between = rc == Z_STREAM_END;
    if (rc == Z_OK || rc == Z_BUF_ERROR)
        return DECODE_MORE;
    *why = g->z.msg ? g->z.msg : "it cannot be inflated";
    return rc == Z_STREAM_END ? DECODE_END : DECODE_DAMAGED;
}

static void gzip_end(void *state)
{
    struct gzip *g = state;
    inflateEnd(&g->z);
    free(g);
}

/* ---- xz */

static bool is_xz(const uint8_t *head, size_t n)
{
    return begins(head, n,
                  "\xfd"
                  "7zXZ",
                  6);
}

static void *xz_start(void)
{
    lzma_stream *z = calloc(1, sizeof(*z));
    if (z && lzma_stream_decoder(z, XZ_MEMORY, LZMA_CONCATENATED) != LZMA_OK) {
        free(z);
        return NULL;
    }
    return z;
}

static const char *xz_reason(lzma_ret rc)
{
    switch (rc) {
    case LZMA_MEMLIMIT_ERROR:
        return "it takes more memory than xz -9 does";
    case LZMA_MEM_ERROR:
        return "out of memory";
    case LZMA_FORMAT_ERROR:
        return "not of the xz format";
    case LZMA_OPTIONS_ERROR:
        return "with options that are not known";
    default:
        return "its content does not match its checks";
    }
}

static enum decoded xz_run(void *state, struct decode_buffers *b, bool last, const char **why)
{
    lzma_stream *z = state;
    z->next_in = b->in;
    z->avail_in = b->in_bytes;
    z->next_out = b->out;
    z->avail_out = b->out_room;
    lzma_ret rc = lzma_code(z, last ? LZMA_FINISH : LZMA_RUN);
    taken(b, b->in_bytes - z->avail_in, b->out_room - z->avail_out);
    if (rc == LZMA_STREAM_END)
        return DECODE_END;
    if (rc == LZMA_OK || rc == LZMA_BUF_ERROR)
        return DECODE_MORE;
    *why = xz_reason(rc);
    return DECODE_DAMAGED;
}

static void xz_end(void *state)
{
    lzma_end(state);
    free(state);
}

/* ---- */

const struct decoder *pv_decoder_for(const uint8_t *head, size_t n)
{
    static const struct decoder known[] = {
        {"zstd", is_zstd, zstd_start, zstd_run, zstd_end},
        {"gzip", is_gzip, gzip_start, gzip_run, gzip_end},
        {"xz", is_xz, xz_start, xz_run, xz_end},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i].is(head, n))
            return &known[i];
    return NULL;
}
