/* SPDX-License-Identifier: MIT */
#include "symbolfile.h"

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

static int file_id(struct pv_build_id *id, const char *path, struct pv_error *why)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    int failed;

    if (fd < 0) {
        snprintf(why->text, sizeof(why->text), "cannot be opened: %s", strerror(errno));
        return -1;
    }
    failed = pv_build_id_fd(id, fd, why);
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

static int compare(const char *path, const struct pv_build_id *file, const struct symbol_owner *of,
                   struct error *e)
{
    char of_file[PV_BUILD_ID_CHARS], of_kernel[PV_BUILD_ID_CHARS], text[ERROR_CHARS];
    struct pv_error why = {.text = ""};
    struct pv_build_id kernel;

    owner_id(&kernel, of, file->va, &why);
    if (kernel.bytes == 0) {
        if (of->verbose)
            fprintf(stderr,
                    "pvmm: --symbols %s: taken as it is: nothing to compare its build id "
                    "with in %s: %s\n",
                    path, of->name, why.text);
        return 0;
    }
    if (pv_build_id_same(file, &kernel))
        return 0;
    snprintf(text, sizeof(text), "is of another kernel: its build id is %s, that of %s%s is %s",
             pv_build_id_text(file, of_file), of->view != NULL ? "the kernel in " : "", of->name,
             pv_build_id_text(&kernel, of_kernel));
    return refuse(path, of, text, e);
}

int symbol_file_check(const char *path, const struct symbol_owner *of, struct error *e)
{
    struct pv_error why = {.text = ""};
    struct pv_build_id id;

    if (file_id(&id, path, &why) != 0)
        return refuse(path, of, why.text, e);
    if (id.bytes != 0)
        return compare(path, &id, of, e);
    if (of->verbose)
        fprintf(stderr, "pvmm: --symbols %s: taken as it is: it has no build id\n", path);
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
