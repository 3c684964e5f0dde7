/* SPDX-License-Identifier: MIT */
/* Symbols of files: which kind a file is, by its first bytes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

static int read_any(struct source *to, int fd, const char *name, struct pv_error *e)
{
    char magic[4];
    ssize_t n = pread(fd, magic, sizeof(magic), 0);

    if (n < 0)
        return symbols_fail(e, "%s: cannot be read: %s", name, strerror(errno));
    if (n == (ssize_t)sizeof(magic) && memcmp(magic, "\177ELF", 4) == 0)
        return elf_symbols(to, fd, name, e);
    return systemmap_symbols(to, fd, name, e);
}

int pv_symbols_fd(struct pv_symbols *s, int fd, const char *name, size_t *count, struct pv_error *e)
{
    struct source *source = source_new();

    *count = 0;
    if (source == NULL)
        return symbols_fail(e, "%s: out of memory", name);
    if (read_any(source, fd, name, e) != 0) {
        source_free(source);
        return -1;
    }
    *count = source_sort(source);
    if (*count == 0) {
        source_free(source);
        return 0;
    }
    if (!symbols_adopt(s, source, false)) {
        source_free(source);
        return symbols_fail(e, "%s: out of memory", name);
    }
    return 0;
}

int pv_symbols_file(struct pv_symbols *s, const char *path, struct pv_error *e)
{
    size_t count;
    int fd = open(path, O_RDONLY | O_CLOEXEC), failed;

    if (fd < 0)
        return symbols_fail(e, "%s: cannot be opened: %s", path, strerror(errno));
    failed = pv_symbols_fd(s, fd, path, &count, e);
    close(fd);
    if (failed == 0 && count == 0)
        return symbols_fail(e, "%s: has no symbols", path);
    return failed;
}
