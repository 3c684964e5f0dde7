/* SPDX-License-Identifier: MIT */
#include "hvimage.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exitcodes.h"
#include "kernel.h"

/* Where it lies, relative to the tool: in the build tree, and installed. */
static const char *const places[] = {"hypervisor/pvmm.elf32", "../lib/pvmm/pvmm.elf32"};

static int own_path(char *path, size_t size, struct error *e)
{
    const char *given = getenv("PVMM_HYPERVISOR");
    char dir[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

    if (given != NULL && given[0] != '\0') {
        snprintf(path, size, "%s", given);
        return 0;
    }
    if (n < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot tell where this program lies");
    dir[n] = '\0';
    *strrchr(dir, '/') = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, size, "%s/%s", dir, places[i]);
        if (access(path, R_OK) == 0)
            return 0;
    }
    return error_set(e, EXIT_ENVIRONMENT,
                     "no hypervisor image at %s/%s (set PVMM_HYPERVISOR if it is elsewhere)", dir,
                     places[0]);
}

/* QEMU's multiboot loader takes 32-bit ELF only; say so before it does in its own words. */
static int check(int fd, struct error *e)
{
    struct view v;
    bool fit;

    if (view_of_fd(fd, &v, e) != 0)
        return -1;
    fit =
        v.size > EI_CLASS && memcmp(v.data, ELFMAG, SELFMAG) == 0 && v.data[EI_CLASS] == ELFCLASS32;
    view_drop(&v);
    return fit ? 0 : error_set(e, EXIT_ENVIRONMENT, "not a 32-bit multiboot ELF image");
}

static int load(const char *path, struct error *e)
{
    struct view file;
    int fd;

    if (view_of_path(path, EXIT_ENVIRONMENT, &file, e) != 0)
        return -1;
    fd = elf_unwrap(file, e);
    view_drop(&file);
    if (fd >= 0 && check(fd, e) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int hv_image_load(const char *name, bool *real_xen, struct error *e)
{
    char path[PATH_MAX + 64];
    int fd;

    *real_xen = strcmp(name, "pvmm") != 0;
    if (*real_xen)
        snprintf(path, sizeof(path), "%s", name);
    else if (own_path(path, sizeof(path), e) != 0)
        return -1;
    fd = load(path, e);
    if (fd < 0) {
        error_context(e, "hypervisor %s", path);
        e->code =
            EXIT_ENVIRONMENT; /* it is not the kernel's fault, whatever the layers below say */
    }
    return fd;
}

int hv_image_own(char *path, size_t size, struct error *e)
{
    int fd;

    if (own_path(path, size, e) != 0)
        return -1;
    fd = load(path, e);
    if (fd < 0)
        error_context(e, "%s", path);
    return fd;
}

static bool same_content(int a, int b)
{
    struct error unused;
    struct view va, vb;
    bool same;

    if (view_of_fd(a, &va, &unused) != 0)
        return false;
    if (view_of_fd(b, &vb, &unused) != 0) {
        view_drop(&va);
        return false;
    }
    same = va.size == vb.size && memcmp(va.data, vb.data, va.size) == 0;
    view_drop(&va);
    view_drop(&vb);
    return same;
}

int hv_image_symbols(int fd)
{
    char path[PATH_MAX + 64];
    struct error unused;
    int own, with = -1;
    size_t length;

    if (own_path(path, sizeof(path), &unused) != 0)
        return -1;
    length = strlen(path);
    own = load(path, &unused);
    if (own >= 0 && length > 2 && strcmp(path + length - 2, "32") == 0 && same_content(own, fd)) {
        path[length - 2] = '\0'; /* pvmm.elf32 is made of pvmm.elf */
        with = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (own >= 0)
        close(own);
    return with;
}
