/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include <unistd.h>

#include "bzimage.h"
#include "decompress.h"
#include "exitcodes.h"

#define UNPACKED_LIMIT (UINT64_C(1) << 30)

/* Unpack `in` to a memory file; `want` is the size it must come to, 0 if nobody said. */
static int unpack(enum format f, struct view in, uint64_t want, struct error *e)
{
    struct sink out = {-1, 0, UNPACKED_LIMIT};
    size_t used;

    out.fd = memfd_new("unpacked", 0, e);
    if (out.fd < 0)
        return -1;
    if (decompress(f, in, &out, &used, e) != 0)
        goto fail;
    if (want != 0 && out.size != want) {
        error_set(e, EXIT_UNTESTABLE, "damaged: it unpacks to %llu bytes instead of %llu",
                  (unsigned long long)out.size, (unsigned long long)want);
        goto fail;
    }
    return out.fd;
fail:
    close(out.fd);
    return -1;
}

static int unwrap_bzimage(struct view file, struct error *e)
{
    struct bzimage b;
    enum format f;
    int fd;

    if (bzimage_parse(file, &b, e) != 0)
        return error_context(e, "bzImage");
    f = format_of(b.payload);
    if (f == FORMAT_ELF)
        return memfd_copy("kernel", b.payload.data, b.payload.size, e);
    if (!format_is_compressed(f))
        return error_set(e, EXIT_UNTESTABLE,
                         "bzImage: damaged: its payload is in no known compression format");
    fd = unpack(f, b.payload, b.unpacked_size, e);
    return fd >= 0 ? fd : error_context(e, "bzImage");
}

int elf_unwrap(struct view file, struct error *e)
{
    const enum format f = format_of(file);

    if (f == FORMAT_ELF)
        return memfd_copy("elf", file.data, file.size, e);
    if (f == FORMAT_BZIMAGE)
        return unwrap_bzimage(file, e);
    if (format_is_compressed(f))
        return unpack(f, file, 0, e);
    return error_set(e, EXIT_UNTESTABLE,
                     "neither a bzImage nor an ELF file, compressed or not, is in it");
}

static int check_elf(struct kernel *k, struct error *e)
{
    struct view elf;
    int rc;

    if (view_of_fd(k->elf_fd, &elf, e) != 0)
        return -1;
    k->elf_size = elf.size;
    rc = pv_image_check(elf, &k->image, e);
    view_drop(&elf);
    return rc;
}

static int load(struct view file, struct kernel *k, struct error *e)
{
    k->elf_fd = elf_unwrap(file, e);
    if (k->elf_fd < 0)
        return -1;
    if (check_elf(k, e) != 0) {
        close(k->elf_fd);
        return -1;
    }
    k->original_size = file.size;
    k->original_fd = memfd_copy("kernel", file.data, file.size, e);
    return k->original_fd < 0 ? -1 : 0;
}

int kernel_load(const char *path, struct kernel *k, struct error *e)
{
    struct view file;
    int rc = view_of_path(path, EXIT_UNTESTABLE, &file, e);

    if (rc == 0) {
        rc = load(file, k, e);
        view_drop(&file);
    }
    return rc == 0 ? 0 : error_context(e, "kernel %s", path);
}
