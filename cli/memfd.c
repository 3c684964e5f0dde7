/* SPDX-License-Identifier: MIT */
#include "memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exitcodes.h"

int memfd_new(const char *name, uint64_t size, struct error *e)
{
    const int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot create memory file \"%s\"", name);
    if (size != 0 && ftruncate(fd, (off_t)size) != 0) {
        error_errno(e, EXIT_ENVIRONMENT, "cannot size memory file \"%s\" to %llu bytes", name,
                    (unsigned long long)size);
        close(fd);
        return -1;
    }
    return fd;
}

int memory_file_open(const char *path, struct error *e)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    struct stat st;

    if (fd < 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot write %s", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return error_set(e, EXIT_USAGE, "%s: there is something that is no file", path);
}

int memory_file_clear(int fd, uint64_t size, struct error *e)
{
    if (ftruncate(fd, 0) != 0 || ftruncate(fd, (off_t)size) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot size the memory file to %llu bytes",
                           (unsigned long long)size);
    return 0;
}

int memfd_append(int fd, const void *data, size_t size, struct error *e)
{
    const uint8_t *p = data;

    while (size > 0) {
        const ssize_t n = write(fd, p, size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, EXIT_ENVIRONMENT, "cannot write");
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

int memfd_copy(const char *name, const void *data, size_t size, struct error *e)
{
    const int fd = memfd_new(name, 0, e);

    if (fd >= 0 && memfd_append(fd, data, size, e) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int view_of_fd(int fd, struct view *v, struct error *e)
{
    struct stat st;
    void *map;

    if (fstat(fd, &st) != 0)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot stat memory file");
    *v = (struct view){NULL, (size_t)st.st_size};
    if (st.st_size == 0)
        return 0;
    map = mmap(NULL, v->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return error_errno(e, EXIT_ENVIRONMENT, "cannot map %zu bytes", v->size);
    v->data = map;
    return 0;
}

static int copy_fd(int from, int to, int code, struct error *e)
{
    static uint8_t buffer[256 * 1024];

    for (;;) {
        const ssize_t n = read(from, buffer, sizeof(buffer));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(e, code, "cannot read it");
        if (n == 0)
            return 0;
        if (memfd_append(to, buffer, (size_t)n, e) != 0)
            return -1;
    }
}

static int view_of_open_file(int fd, int code, struct view *v, struct error *e)
{
    struct stat st;
    int copy, rc;

    if (fstat(fd, &st) != 0)
        return error_errno(e, code, "cannot stat it");
    if (!S_ISREG(st.st_mode))
        return error_set(e, code, "not a regular file");
    if (st.st_size == 0)
        return error_set(e, code, "the file is empty");
    copy = memfd_new("input", 0, e);
    if (copy < 0)
        return -1;
    rc = copy_fd(fd, copy, code, e);
    if (rc == 0)
        rc = view_of_fd(copy, v, e);
    close(copy);
    return rc;
}

int view_of_path(const char *path, int code, struct view *v, struct error *e)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc;

    *v = (struct view){NULL, 0};
    if (fd < 0)
        return error_errno(e, code, "cannot open it");
    rc = view_of_open_file(fd, code, v, e);
    close(fd);
    return rc;
}

void view_drop(struct view *v)
{
    if (v->data != NULL)
        munmap((void *)(uintptr_t)v->data, v->size);
    *v = (struct view){NULL, 0};
}
