/* SPDX-License-Identifier: MIT */
#include "symbolfile.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exitcodes.h"

/* bytes 0: none, and *why. */
static void owner_id(struct pv_build_id *id, const struct symbol_owner *of, uint64_t va,
                     struct pv_error *why)
{
    const int failed = of->view != NULL
                           ? pv_build_id_guest(id, of->view, of->view->kernel_root, va, why)
                           : pv_build_id_fd(id, of->kernel_fd, why);

    if (failed == 0 && id->bytes == 0)
        snprintf(why->text, sizeof(why->text), "no build id");
}

struct symbol_file {
    const char *path;
    struct pv_build_id id;
    bool elf;
};

static bool is_elf(int fd)
{
    char magic[SELFMAG];

    return pread(fd, magic, SELFMAG, 0) == SELFMAG && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static int look_at_file(struct symbol_file *f, struct pv_error *why)
{
    const int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    int failed;

    if (fd < 0) {
        snprintf(why->text, sizeof(why->text), "cannot be opened: %s", strerror(errno));
        return -1;
    }
    f->elf = is_elf(fd);
    failed = pv_build_id_fd(&f->id, fd, why);
    close(fd);
    return failed;
}

/* -1; or, where someone insists, a warning. */
static int refuse(const char *path, const struct symbol_owner *of, const char *why, struct error *e)
{
    if (!of->anyway)
        return error_set(e, EXIT_USAGE, "--symbols %s: %s (--symbols-anyway takes it)", path, why);
    fprintf(stderr, "pvmm: warning: --symbols %s: %s; its names may be wrong\n", path, why);
    return 0;
}

static const char *whose(const struct symbol_owner *of)
{
    return of->view != NULL ? "the kernel in " : "";
}

/* A System.map never has an id; an ELF file without one was not linked as the kernel was, or has
 * lost it since. */
static void warn_of_none(const struct symbol_file *file, const struct symbol_owner *of)
{
    char of_kernel[PV_BUILD_ID_CHARS];
    struct pv_error why = {.text = ""};
    struct pv_build_id kernel = {.bytes = 0};

    if (file->elf)
        owner_id(&kernel, of, 0, &why);
    if (kernel.bytes != 0)
        fprintf(stderr,
                "pvmm: warning: --symbols %s: it has no build id, that of %s%s is %s; its names "
                "may be wrong\n",
                file->path, whose(of), of->name, pv_build_id_text(&kernel, of_kernel));
    else if (of->verbose)
        fprintf(stderr, "pvmm: --symbols %s: taken as it is: it has no build id\n", file->path);
}

static int compare(const struct symbol_file *file, const struct symbol_owner *of, struct error *e)
{
    char of_file[PV_BUILD_ID_CHARS], of_kernel[PV_BUILD_ID_CHARS], text[ERROR_CHARS];
    struct pv_error why = {.text = ""};
    struct pv_build_id kernel;

    owner_id(&kernel, of, file->id.va, &why);
    if (kernel.bytes == 0) {
        if (of->verbose)
            fprintf(stderr,
                    "pvmm: --symbols %s: taken as it is: nothing to compare its build id "
                    "with in %s: %s\n",
                    file->path, of->name, why.text);
        return 0;
    }
    if (pv_build_id_same(&file->id, &kernel))
        return 0;
    snprintf(text, sizeof(text), "is of another kernel: its build id is %s, that of %s%s is %s",
             pv_build_id_text(&file->id, of_file), whose(of), of->name,
             pv_build_id_text(&kernel, of_kernel));
    return refuse(file->path, of, text, e);
}

int symbol_file_check(const char *path, const struct symbol_owner *of, struct error *e)
{
    struct symbol_file file = {.path = path};
    struct pv_error why = {.text = ""};

    if (look_at_file(&file, &why) != 0)
        return refuse(path, of, why.text, e);
    if (file.id.bytes != 0)
        return compare(&file, of, e);
    warn_of_none(&file, of);
    return 0;
}

int symbol_file_take(struct pv_symbols *to, const char *path, const struct symbol_owner *of,
                     struct error *e)
{
    struct pv_error why;

    if (pv_symbols_file(to, path, &why) != 0)
        return error_set(e, EXIT_USAGE, "--symbols %s", why.text);
    return symbol_file_check(path, of, e);
}
