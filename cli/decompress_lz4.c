/* SPDX-License-Identifier: MIT */
/*
 * LZ4 comes in two wrappings: the legacy one, which Linux uses for kernels and initial ramdisks,
 * and the frame format, which the `lz4` program writes unless told otherwise.
 */
#include "decompress.h"

#include <lz4.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

#include "exitcodes.h"

#define LEGACY_MAGIC 0x184c2102u
#define LEGACY_BLOCK (8 << 20) /* the legacy format's fixed block size, unpacked */
#define FRAME_CHUNK  (256u * 1024u)

static uint32_t le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int legacy_blocks(struct view in, char *block, struct sink *out, size_t *used,
                         struct error *e)
{
    size_t at = 4;

    while (in.size - at >= 4) {
        const uint32_t size = le32(in.data + at);
        int n;

        at += 4;
        if (size == LEGACY_MAGIC) /* streams may be strung together */
            continue;
        if (size == 0) {
            at -= 4;
            break;
        }
        if (size > in.size - at)
            return error_set(e, EXIT_UNTESTABLE, "it ends too early (truncated)");
        if (size > (uint32_t)LZ4_compressBound(LEGACY_BLOCK))
            return error_set(e, EXIT_UNTESTABLE, "damaged data: block of %u bytes", size);
        n = LZ4_decompress_safe((const char *)in.data + at, block, (int)size, LEGACY_BLOCK);
        if (n < 0)
            return error_set(e, EXIT_UNTESTABLE, "damaged data");
        if (unpacked_put(out, block, (size_t)n, e) != 0)
            return -1;
        at += size;
    }
    if (at < in.size && in.size - at < 4 && in.data[at] != 0)
        return error_set(e, EXIT_UNTESTABLE, "it ends too early (truncated)");
    *used = at;
    return 0;
}

int decompress_lz4_legacy(struct view in, struct sink *out, size_t *used, struct error *e)
{
    char *block = malloc(LEGACY_BLOCK);
    int rc;

    if (block == NULL)
        return error_set(e, EXIT_ENVIRONMENT, "out of memory");
    rc = legacy_blocks(in, block, out, used, e);
    free(block);
    return rc;
}

static int frame_loop(LZ4F_dctx *z, struct view in, struct sink *out, size_t *used, struct error *e)
{
    static uint8_t chunk[FRAME_CHUNK];
    size_t at = 0, hint;

    do {
        size_t given = in.size - at, made = FRAME_CHUNK;

        hint = LZ4F_decompress(z, chunk, &made, in.data + at, &given, NULL);
        if (LZ4F_isError(hint))
            return error_set(e, EXIT_UNTESTABLE, "%s", LZ4F_getErrorName(hint));
        if (unpacked_put(out, chunk, made, e) != 0)
            return -1;
        at += given;
        if (hint != 0 && at == in.size && made == 0)
            return error_set(e, EXIT_UNTESTABLE, "it ends too early (truncated)");
    } while (hint != 0);
    *used = at;
    return 0;
}

int decompress_lz4_frame(struct view in, struct sink *out, size_t *used, struct error *e)
{
    LZ4F_dctx *z;
    int rc;

    if (LZ4F_isError(LZ4F_createDecompressionContext(&z, LZ4F_VERSION)))
        return error_set(e, EXIT_ENVIRONMENT, "liblz4 does not start");
    rc = frame_loop(z, in, out, used, e);
    LZ4F_freeDecompressionContext(z);
    return rc;
}
