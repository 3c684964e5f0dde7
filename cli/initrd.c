/* SPDX-License-Identifier: MIT */
#include "initrd.h"

#include <string.h>

#include "decompress.h"
#include "exitcodes.h"

#define UNPACKED_LIMIT (UINT64_C(8) << 30)

#define CPIO_HEADER   110u
#define CPIO_FILESIZE 54u /* fields are 8 hexadecimal digits */
#define CPIO_NAMESIZE 94u
#define CPIO_TRAILER  "TRAILER!!!"

static int hex8(const uint8_t *p, uint64_t *value)
{
    *value = 0;
    for (int i = 0; i < 8; i++) {
        static const char digits[] = "0123456789abcdef";
        const char c = (char)(p[i] | 0x20);
        const char *d = memchr(digits, c, 16);

        if (d == NULL)
            return -1;
        *value = *value << 4 | (uint64_t)(d - digits);
    }
    return 0;
}

static uint64_t align4(uint64_t x)
{
    return (x + 3) & ~UINT64_C(3);
}

/* Walk one cpio archive to its trailer; `*used` is its length. */
static int cpio_walk(struct view v, size_t *used, struct error *e)
{
    uint64_t at = 0;

    for (;;) {
        const uint8_t *h = v.data + at;
        uint64_t name, size, next;

        if (v.size - at < CPIO_HEADER)
            return error_set(e, EXIT_UNTESTABLE, "truncated: the cpio archive has no trailer");
        if (memcmp(h, "07070", 5) != 0 || hex8(h + CPIO_FILESIZE, &size) != 0 ||
            hex8(h + CPIO_NAMESIZE, &name) != 0)
            return error_set(e, EXIT_UNTESTABLE, "damaged: no cpio header at byte %llu",
                             (unsigned long long)at);
        next = align4(at + CPIO_HEADER + name) + size;
        if (next > v.size)
            return error_set(e, EXIT_UNTESTABLE,
                             "truncated: a cpio member ends at byte %llu, the data at byte %zu",
                             (unsigned long long)next, v.size);
        if (name == sizeof(CPIO_TRAILER) && memcmp(h + CPIO_HEADER, CPIO_TRAILER, name) == 0) {
            *used = next;
            return 0;
        }
        next = align4(next);
        at = next < v.size ? next : v.size;
    }
}

static int check_part(struct view part, size_t *used, struct error *e)
{
    const enum format f = format_of(part);
    struct sink count = {-1, 0, UNPACKED_LIMIT};

    if (f == FORMAT_CPIO)
        return cpio_walk(part, used, e);
    if (format_is_compressed(f) && f != FORMAT_LZO)
        return decompress(f, part, &count, used, e);
    *used = part.size;
    if (f == FORMAT_DISK || f == FORMAT_LZO)
        return 0;
    return error_set(e, EXIT_UNTESTABLE,
                     "no known format (cpio \"newc\", gzip, xz, zstd, lz4, bzip2, lzma, lzo or a "
                     "file system image)");
}

int initrd_check(struct view v, struct error *e)
{
    size_t at = 0;

    while (at < v.size) {
        const struct view part = {v.data + at, v.size - at};
        size_t used;

        if (at != 0 && v.data[at] == 0) { /* padding between parts */
            at++;
            continue;
        }
        if (check_part(part, &used, e) != 0)
            return at == 0 ? -1 : error_context(e, "part at byte %zu", at);
        at += used;
    }
    return 0;
}

int initrd_load(const char *path, int *fd, uint64_t *size, struct error *e)
{
    struct view v;
    int rc = view_of_path(path, EXIT_UNTESTABLE, &v, e);

    if (rc != 0)
        return error_context(e, "initrd %s", path);
    rc = initrd_check(v, e);
    if (rc == 0) {
        *size = v.size;
        *fd = memfd_copy("initrd", v.data, v.size, e);
        rc = *fd < 0 ? -1 : 0;
    }
    view_drop(&v);
    return rc == 0 ? 0 : error_context(e, "initrd %s", path);
}
