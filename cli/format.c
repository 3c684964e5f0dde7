/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <string.h>

struct magic {
    enum format format;
    size_t offset;
    size_t length;
    const char *bytes;
};

static const struct magic magics[] = {
    {FORMAT_ELF, 0, 4, "\177ELF"},
    {FORMAT_BZIMAGE, 0x202, 4, "HdrS"},
    {FORMAT_CPIO, 0, 6, "070701"},
    {FORMAT_CPIO, 0, 6, "070702"},
    {FORMAT_GZIP, 0, 2, "\x1f\x8b"},
    {FORMAT_XZ, 0, 6, "\xfd\x37zXZ\0"},
    {FORMAT_ZSTD, 0, 4, "\x28\xb5\x2f\xfd"},
    {FORMAT_BZIP2, 0, 3, "BZh"},
    {FORMAT_LZMA, 0, 3, "\x5d\0\0"},
    {FORMAT_LZ4_LEGACY, 0, 4, "\x02\x21\x4c\x18"},
    {FORMAT_LZ4_FRAME, 0, 4, "\x04\x22\x4d\x18"},
    {FORMAT_LZO, 0, 9, "\x89LZO\0\r\n\x1a\n"},
    {FORMAT_DISK, 0x438, 2, "\x53\xef"},
    {FORMAT_DISK, 0, 4, "hsqs"},
    {FORMAT_DISK, 0, 4, "\x45\x3d\xcd\x28"},
    {FORMAT_DISK, 0, 8, "-rom1fs-"},
};

enum format format_of(struct view v)
{
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        const struct magic *m = &magics[i];

        if (v.size >= m->offset + m->length && memcmp(v.data + m->offset, m->bytes, m->length) == 0)
            return m->format;
    }
    return FORMAT_UNKNOWN;
}

const char *format_name(enum format f)
{
    static const char *const names[] = {
        [FORMAT_UNKNOWN] = "unknown",
        [FORMAT_ELF] = "ELF",
        [FORMAT_BZIMAGE] = "bzImage",
        [FORMAT_CPIO] = "cpio",
        [FORMAT_DISK] = "file system image",
        [FORMAT_GZIP] = "gzip",
        [FORMAT_XZ] = "xz",
        [FORMAT_ZSTD] = "zstd",
        [FORMAT_BZIP2] = "bzip2",
        [FORMAT_LZMA] = "lzma",
        [FORMAT_LZ4_LEGACY] = "lz4",
        [FORMAT_LZ4_FRAME] = "lz4",
        [FORMAT_LZO] = "lzo",
    };

    return names[f];
}

bool format_is_compressed(enum format f)
{
    return f >= FORMAT_GZIP;
}
